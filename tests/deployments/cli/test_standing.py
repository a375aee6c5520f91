"""`standing`: an entry is signed by its issuer's key, and the list says which entries hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tasks.estate.settings import load_settings
from tests.people import PEOPLE, SECOND_LEAD

PAIR = ("schulprod", "schulstage")


def entries() -> list[dict[str, Any]]:
    """What the standing file holds."""
    found: list[dict[str, Any]] = yaml.safe_load(load_settings().standing_file.read_text())
    return found


@pytest.fixture
def unsigned(worker: Any) -> Path:
    """The standing file with its one entry changed, and therefore no longer signed."""
    file = load_settings().standing_file
    file.write_text(file.read_text().replace("the night's copy", "the weekly copy"))
    return file


def test_an_entry_is_signed_by_its_issuer(unsigned: Path, cli: Callable[..., Any], key: Path) -> None:
    """A changed entry does not hold; signed again it does, and what is signed is shown first."""
    before = cli("standing", "list")
    assert before.exit_code == 1
    assert "over something else" in before.stdout
    done = cli("standing", "sign", *PAIR, "--key", key)
    assert done.exit_code == 0, done.output
    assert "the weekly copy for staging" in done.stderr
    assert cli("standing", "list").exit_code == 0


def test_another_leads_key_does_not_sign(unsigned: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    """The signature would not hold, so the file stays as it is."""
    file = tmp_path / "second"
    file.touch(mode=0o600)
    file.write_bytes(PEOPLE[SECOND_LEAD][0].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    before = unsigned.read_text()
    done = cli("standing", "sign", *PAIR, "--key", file)
    assert done.exit_code == 1
    assert "would not hold" in done.stderr
    assert unsigned.read_text() == before


def test_a_pair_that_stands_twice_needs_its_number(unsigned: Path, cli: Callable[..., Any], key: Path) -> None:
    """Which of two entries is signed is said by number, never guessed; a pair that is not there is named."""
    unsigned.write_text(yaml.safe_dump(entries() + entries()))
    assert "2 entries" in cli("standing", "sign", *PAIR, "--key", key).stderr
    assert cli("standing", "sign", *PAIR, "--key", key, "--entry", "2").exit_code == 0
    assert entries()[0]["signature"] != entries()[1]["signature"]
    assert "no entries" in cli("standing", "sign", "schulprod", "other", "--key", key).stderr


def test_the_list_says_until_when_entries_hold(
    worker: Any, machine: Callable[..., Any], cli: Callable[..., Any]
) -> None:
    """A signed entry holds; a file without entries says what that means."""
    code, document = machine("standing", "list")
    assert code == 0
    (row,) = document["standing"]
    assert (row["source"], row["destination"], row["state"]) == (*PAIR, "holds")
    load_settings().standing_file.write_text("[]")
    assert "every refresh asks a person" in cli("standing", "list").stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "Nobody Known"}, "Nobody is enrolled"),
        ({"signature": ""}, "not signed"),
        ({"until": "2020-01-02"}, "holds from"),
    ],
)
def test_each_reason_why_an_entry_does_not_hold_is_said(
    worker: Any, cli: Callable[..., Any], changes: dict[str, str], words: str
) -> None:
    """A stranger's entry, one without a signature and one whose days are over."""
    entry = entries()[0] | changes
    if "until" in changes:
        entry["issued"] = "2020-01-01"
    load_settings().standing_file.write_text(yaml.safe_dump([entry]))
    done = cli("standing", "list")
    assert done.exit_code == 1
    assert words in done.stdout

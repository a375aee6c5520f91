"""`standing`: an entry is signed with its issuer's key, and the list shows which entries are valid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tasks.configuration.settings import load_settings
from tests.people import PEOPLE, SECOND_LEAD

PAIR = ("schulprod", "schulstage")


def entries() -> list[dict[str, Any]]:
    """Return the entries of the standing file."""
    found: list[dict[str, Any]] = yaml.safe_load(load_settings().standing_file.read_text())
    return found


@pytest.fixture
def unsigned(worker: Any) -> Path:
    """The standing file with its one entry changed, so that the signature is not valid."""
    file = load_settings().standing_file
    file.write_text(file.read_text().replace("the night's copy", "the weekly copy"))
    return file


def test_an_entry_is_signed_by_its_issuer(unsigned: Path, cli: Callable[..., Any], key: Path) -> None:
    """A changed entry is not valid until it is signed again; the message to sign is shown first."""
    before = cli("standing", "list")
    assert before.exit_code == 1
    assert "over something else" in before.stdout
    done = cli("standing", "sign", *PAIR, "--key", key)
    assert done.exit_code == 0, done.output
    assert "the weekly copy for staging" in done.stderr
    assert cli("standing", "list").exit_code == 0


def test_another_leads_key_does_not_sign(unsigned: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    """The signature would not be valid, so the file is not changed."""
    file = tmp_path / "second"
    file.touch(mode=0o600)
    file.write_bytes(PEOPLE[SECOND_LEAD][0].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    before = unsigned.read_text()
    done = cli("standing", "sign", *PAIR, "--key", file)
    assert done.exit_code == 1
    assert "would not be valid" in done.stderr
    assert unsigned.read_text() == before


def test_a_pair_with_two_entries_requires_the_number(unsigned: Path, cli: Callable[..., Any], key: Path) -> None:
    """Which of two entries is signed is chosen by its number; a missing pair is named."""
    unsigned.write_text(yaml.safe_dump(entries() + entries()))
    assert "2 entries" in cli("standing", "sign", *PAIR, "--key", key).stderr
    assert cli("standing", "sign", *PAIR, "--key", key, "--entry", "2").exit_code == 0
    assert entries()[0]["signature"] != entries()[1]["signature"]
    assert "no entries" in cli("standing", "sign", "schulprod", "other", "--key", key).stderr


def test_the_list_shows_which_entries_hold(worker: Any, machine: Callable[..., Any], cli: Callable[..., Any]) -> None:
    """A signed entry holds; for a file without entries, the output states what follows."""
    code, document = machine("standing", "list")
    assert code == 0
    (row,) = document["standing"]
    assert (row["source"], row["destination"], row["state"]) == (*PAIR, "holds")
    load_settings().standing_file.write_text("[]")
    assert "every refresh requires a person" in cli("standing", "list").stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "Nobody Known"}, "Nobody is enrolled"),
        ({"signature": ""}, "not signed"),
        ({"until": "2020-01-02"}, "valid from"),
    ],
)
def test_each_reason_against_an_entry_is_shown(
    worker: Any, cli: Callable[..., Any], changes: dict[str, str], words: str
) -> None:
    """An unknown issuer, a missing signature and a past date are reported."""
    entry = entries()[0] | changes
    if "until" in changes:
        entry["issued"] = "2020-01-01"
    load_settings().standing_file.write_text(yaml.safe_dump([entry]))
    done = cli("standing", "list")
    assert done.exit_code == 1
    assert words in done.stdout

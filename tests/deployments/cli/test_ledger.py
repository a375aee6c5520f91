"""`ledger`: a broken chain ends with exit code 1, an export can be verified anywhere, and a missing ledger is an error."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.configuration.settings import forget_settings
from tasks.ledger.ledger import Ledger
from tests.raw_facts import raw_fact


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """The worker's ledger with three facts."""
    for number in range(3):
        ledger.record(raw_fact("notice", {"sent": number}), run_id=f"run-{number}")
    return ledger


def test_a_whole_chain_is_reported_with_the_limits_of_the_check(filled: Ledger, cli: Callable[..., Any]) -> None:
    """Without an anchor, the output states what is not verified; with the head as anchor, nothing is missing."""
    done = cli("ledger", "verify")
    assert done.exit_code == 0
    assert "A tail that was cut off" in done.stdout
    assert "--anchor" in done.stdout
    anchored = cli("ledger", "verify", "--anchor", str(filled.head()))
    assert (anchored.exit_code, anchored.stdout) == (0, "The ledger is whole, and contains the anchor.\n")


def test_a_cut_tail_is_found_with_an_anchor_only(filled: Ledger, machine: Callable[..., Any], tmp_path: Path) -> None:
    """Facts that an export lacks at its end are found with the head that was stored elsewhere."""
    export = tmp_path / "export.jsonl"
    export.write_text("\n".join([*filled.export()][:-1]) + "\n")
    assert machine("ledger", "verify", "--file", export) == (0, {"problems": [], "anchored": False})
    code, document = machine("ledger", "verify", "--file", export, "--anchor", str(filled.head()))
    assert code == 1
    assert "the ledger was cut or rebuilt" in document["problems"][0]


def test_a_changed_fact_is_named(filled: Ledger, cli: Callable[..., Any], tmp_path: Path) -> None:
    """A row that was edited in the file is reported by its number, with exit code 1."""
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("DROP TRIGGER facts_no_update")
        connection.execute("UPDATE facts SET detail = '{\"sent\": 9}' WHERE seq = 2")
    done = cli("ledger", "verify")
    assert done.exit_code == 1
    assert "The ledger is broken.\nfact 2 was changed\n" in done.stdout


def test_an_export_goes_to_a_new_file_for_its_owner(filled: Ledger, cli: Callable[..., Any], tmp_path: Path) -> None:
    """Every fact is a line, only the owner may read the file, and a second export does not overwrite it."""
    file = tmp_path / "export.jsonl"
    done = cli("ledger", "export", file)
    assert done.exit_code == 0, done.output
    assert str(filled.head()) in done.stdout
    assert [json.loads(line)["seq"] for line in file.read_text().splitlines()] == [1, 2, 3]
    assert file.stat().st_mode & 0o077 == 0
    again = cli("ledger", "export", file)
    assert again.exit_code == 1
    assert "already exists" in again.stderr


def test_an_export_on_standard_output_can_be_piped(
    filled: Ledger, cli: Callable[..., Any], machine: Callable[..., Any], tmp_path: Path
) -> None:
    """Lines can be piped to a file and verified; --json prints one document."""
    (tmp_path / "piped").write_text(cli("ledger", "export").stdout)
    assert cli("ledger", "verify", "--file", tmp_path / "piped").exit_code == 0
    assert len(machine("ledger", "export")[1]["facts"]) == 3


def test_the_head_is_an_anchor(ledger: Ledger, machine: Callable[..., Any]) -> None:
    """An empty ledger has no head; later, `verify` accepts the head as an anchor."""
    assert machine("ledger", "head") == (0, {"head": None})
    ledger.record(raw_fact("notice"), run_id="r")
    _, document = machine("ledger", "head")
    assert machine("ledger", "verify", "--anchor", document["head"]) == (0, {"problems": [], "anchored": True})


@pytest.mark.parametrize("arguments", [("verify",), ("head",), ("export",)])
def test_a_missing_ledger_is_not_created(
    worker: Any, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """On a machine without the ledger, the command fails and creates no empty one."""
    monkeypatch.setenv("UNDERSTUDY_LEDGER_URL", f"sqlite:///{tmp_path / 'elsewhere' / 'ledger.db'}")
    forget_settings()
    done = cli("ledger", *arguments)
    assert done.exit_code == 1
    assert "There is no ledger at" in done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_a_server_that_does_not_respond_is_reported_without_its_password(
    worker: Any, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's message contains the address; ours does not."""
    monkeypatch.setenv("UNDERSTUDY_LEDGER_URL", "postgresql+psycopg://me:geheim@127.0.0.1:1/ledger")
    forget_settings()
    done = cli("ledger", "verify")
    assert done.exit_code == 1
    assert "UNDERSTUDY_LEDGER_URL" in done.stderr
    assert "geheim" not in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--anchor", "9"), "is no anchor"), (("--file", "nowhere.jsonl"), "does not exist")],
)
def test_a_wrong_anchor_or_file_is_named(
    filled: Ledger, cli: Callable[..., Any], arguments: tuple[str, ...], words: str
) -> None:
    """A wrong anchor and a missing file are reported in one sentence."""
    done = cli("ledger", "verify", *arguments)
    assert done.exit_code == 1
    assert words in done.stderr

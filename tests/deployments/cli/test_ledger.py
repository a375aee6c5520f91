"""`ledger`: a chain that does not hold ends with exit code 1, an export can be verified anywhere, nothing is made up."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.estate.settings import forget_settings
from tasks.ledger.ledger import Ledger


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """The worker's ledger with three facts."""
    for number in range(3):
        ledger.record("notice", run_id=f"run-{number}", detail={"sent": number})
    return ledger


def test_a_whole_chain_is_said_to_be_whole_as_far_as_it_goes(filled: Ledger, cli: Callable[..., Any]) -> None:
    """Without an anchor the answer says what it cannot know; with the head as anchor it needs no such words."""
    done = cli("ledger", "verify")
    assert done.exit_code == 0
    assert "A tail that was cut off" in done.stdout
    assert "--anchor" in done.stdout
    anchored = cli("ledger", "verify", "--anchor", str(filled.head()))
    assert (anchored.exit_code, anchored.stdout) == (0, "The ledger is whole, and holds the anchor.\n")


def test_a_cut_tail_is_found_with_an_anchor_only(filled: Ledger, machine: Callable[..., Any], tmp_path: Path) -> None:
    """What an export lacks at its end shows against the head that was kept elsewhere."""
    export = tmp_path / "export.jsonl"
    export.write_text("\n".join([*filled.export()][:-1]) + "\n")
    assert machine("ledger", "verify", "--file", export) == (0, {"problems": [], "anchored": False})
    code, document = machine("ledger", "verify", "--file", export, "--anchor", str(filled.head()))
    assert code == 1
    assert "the ledger was cut or rebuilt" in document["problems"][0]


def test_a_changed_fact_is_named(filled: Ledger, cli: Callable[..., Any], tmp_path: Path) -> None:
    """Somebody with the file and without our code edits a row: exit code 1, and the row's number."""
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("DROP TRIGGER facts_no_update")
        connection.execute("UPDATE facts SET detail = '{\"sent\": 9}' WHERE seq = 2")
    done = cli("ledger", "verify")
    assert done.exit_code == 1
    assert "The ledger is broken.\nfact 2 was changed\n" in done.stdout


def test_an_export_goes_to_a_new_file_for_its_owner(filled: Ledger, cli: Callable[..., Any], tmp_path: Path) -> None:
    """Every fact is a line, nobody else may read it, and a second export does not overwrite the first."""
    file = tmp_path / "export.jsonl"
    done = cli("ledger", "export", file)
    assert done.exit_code == 0, done.output
    assert str(filled.head()) in done.stdout
    assert [json.loads(line)["seq"] for line in file.read_text().splitlines()] == [1, 2, 3]
    assert file.stat().st_mode & 0o077 == 0
    again = cli("ledger", "export", file)
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_an_export_on_standard_output_can_be_piped(
    filled: Ledger, cli: Callable[..., Any], machine: Callable[..., Any], tmp_path: Path
) -> None:
    """Lines for a pipe, which verify; one document for --json."""
    (tmp_path / "piped").write_text(cli("ledger", "export").stdout)
    assert cli("ledger", "verify", "--file", tmp_path / "piped").exit_code == 0
    assert len(machine("ledger", "export")[1]["facts"]) == 3


def test_the_head_is_an_anchor(ledger: Ledger, machine: Callable[..., Any]) -> None:
    """An empty ledger has none; later it is what `verify` takes."""
    assert machine("ledger", "head") == (0, {"head": None})
    ledger.record("notice", run_id="r")
    _, document = machine("ledger", "head")
    assert machine("ledger", "verify", "--anchor", document["head"]) == (0, {"problems": [], "anchored": True})


@pytest.mark.parametrize("arguments", [("verify",), ("head",), ("export",)])
def test_a_ledger_that_is_not_there_is_not_made(
    worker: Any, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """On a machine without the ledger the answer is not "whole": it says so, and leaves no empty one behind."""
    monkeypatch.setenv("UNDERSTUDY_LEDGER_URL", f"sqlite:///{tmp_path / 'elsewhere' / 'ledger.db'}")
    forget_settings()
    done = cli("ledger", *arguments)
    assert done.exit_code == 1
    assert "There is no ledger at" in done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_a_server_that_does_not_answer_is_told_without_its_password(
    worker: Any, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's own words hold the address; ours do not."""
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
def test_what_cannot_be_verified_is_named(
    filled: Ledger, cli: Callable[..., Any], arguments: tuple[str, ...], words: str
) -> None:
    """A wrong anchor and a missing file are errors of the caller, in words."""
    done = cli("ledger", "verify", *arguments)
    assert done.exit_code == 1
    assert words in done.stderr

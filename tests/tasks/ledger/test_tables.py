"""How the ledger's files are opened while others use them."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.estate.errors import LedgerUnavailable
from tasks.ledger import tables
from tasks.ledger.ledger import Ledger
from tests.raw_facts import raw_fact


def test_a_file_that_is_busy_when_it_is_first_opened_is_waited_for(tmp_path: Path) -> None:
    """SQLite may say "busy" at once, whatever its time-out, where two processes make one ledger: one more try is right."""
    file = tmp_path / "ledger.db"
    reader = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    reader.executescript("CREATE TABLE t (x); BEGIN; SELECT * FROM t")
    reader.execute("SELECT * FROM t").fetchall()
    hasty = sqlite3.connect(file, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        hasty.execute("PRAGMA journal_mode=WAL")
    end = threading.Timer(0.1, reader.execute, ["COMMIT"])
    end.start()
    tables._write_ahead(hasty)
    end.join()
    assert hasty.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_stays_busy_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that cannot be opened stops the run, after a patience that ends."""
    monkeypatch.setattr(tables, "PATIENCE", 0.05)
    file = tmp_path / "ledger.db"
    reader = sqlite3.connect(file, isolation_level=None)
    reader.executescript("CREATE TABLE t (x); BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        tables._write_ahead(sqlite3.connect(file, timeout=0))


def test_a_file_that_is_no_database_is_an_error_at_once(tmp_path: Path) -> None:
    """Only "busy" is waited for."""
    (tmp_path / "ledger.db").write_text("this is a text, and long enough not to look like an empty file\n" * 20)
    with pytest.raises(Exception, match="not a database"):
        Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def corrupt(file: Path) -> None:
    """Something that is no database."""
    file.write_bytes(b"no database, but long enough to be taken for one" * 200)


def folder_is_a_file(file: Path) -> None:
    """A folder that cannot be made."""
    file.parent.rmdir()
    file.parent.write_text("in the way")


@pytest.mark.parametrize("damage", [corrupt, folder_is_a_file, Path.mkdir])
def test_a_ledger_that_cannot_be_opened_has_a_name(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A corrupt file, a folder that cannot be made, a folder in the place of the file: one error that names the ledger."""
    file = tmp_path / "folder" / "ledger.db"
    file.parent.mkdir()
    damage(file)
    with pytest.raises(
        LedgerUnavailable,
        match=r"The ledger sqlite:///.*ledger\.db \(UNDERSTUDY_LEDGER_URL\) cannot be used: .+; expected",
    ):
        Ledger(f"sqlite:///{file}")


def test_a_server_that_is_away_has_a_name(tmp_path: Path) -> None:
    """PostgreSQL that does not answer: the same error, without the password."""
    with pytest.raises(LedgerUnavailable) as caught:
        Ledger(f"postgresql+psycopg://ada:secret@/ledger?host={tmp_path}")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("limit", "words"), [("PRAGMA max_page_count = 1", "full"), ("PRAGMA query_only = 1", "readonly")]
)
def test_a_ledger_that_fails_later_has_a_name(tmp_path: Path, limit: str, words: str) -> None:
    """A disk that fills up, or becomes read-only, ends a write in that error, without the statement."""
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    book.record(raw_fact("outcome"), run_id="r")
    with book._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute(limit)

    def fill() -> None:
        for _ in range(50):
            book.record(raw_fact("outcome", {"much": "x" * 5000}), run_id="r")

    with pytest.raises(LedgerUnavailable, match=words) as caught:
        fill()
    assert "INSERT" not in caught.value.message

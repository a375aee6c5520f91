"""Opening the ledger's database while others use it, and errors of the database."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from tasks.estate.errors import LedgerUnavailable
from tasks.ledger import tables
from tasks.ledger.ledger import Ledger
from tests.raw_facts import raw_fact


def test_a_file_that_is_busy_when_it_is_first_opened_is_waited_for(tmp_path: Path) -> None:
    """SQLite may report "busy" at once, whatever its time-out, if two processes create one ledger: opening is tried again."""
    file = tmp_path / "ledger.db"
    reader = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    reader.executescript("CREATE TABLE t (x); BEGIN; SELECT * FROM t")
    reader.execute("SELECT * FROM t").fetchall()
    impatient = sqlite3.connect(file, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient.execute("PRAGMA journal_mode=WAL")
    end = threading.Timer(0.1, reader.execute, ["COMMIT"])
    end.start()
    tables._write_ahead(impatient)
    end.join()
    assert impatient.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_stays_busy_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening fails after `PATIENCE`."""
    monkeypatch.setattr(tables, "PATIENCE", 0.05)
    file = tmp_path / "ledger.db"
    reader = sqlite3.connect(file, isolation_level=None)
    reader.executescript("CREATE TABLE t (x); BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        tables._write_ahead(sqlite3.connect(file, timeout=0))


def test_a_file_that_is_not_a_database_is_an_error_at_once(tmp_path: Path) -> None:
    """Only "busy" is tried again."""
    (tmp_path / "ledger.db").write_text("this is a text, and long enough not to look like an empty file\n" * 20)
    with pytest.raises(Exception, match="not a database"):
        Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def corrupt(file: Path) -> None:
    """Write a file that is not a database."""
    file.write_bytes(b"no database, but long enough to be taken for one" * 200)


def folder_is_a_file(file: Path) -> None:
    """Put a file in the place of the folder."""
    file.parent.rmdir()
    file.parent.write_text("in the way")


@pytest.mark.parametrize("damage", [corrupt, folder_is_a_file, Path.mkdir])
def test_an_error_on_opening_names_the_ledger(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A corrupt file, a folder that cannot be created and a folder in place of the file have one error."""
    file = tmp_path / "folder" / "ledger.db"
    file.parent.mkdir()
    damage(file)
    with pytest.raises(
        LedgerUnavailable,
        match=r"The ledger sqlite:///.*ledger\.db \(UNDERSTUDY_LEDGER_URL\) cannot be used: .+; expected",
    ):
        Ledger(f"sqlite:///{file}")


def test_the_error_of_an_absent_server_has_no_password(tmp_path: Path) -> None:
    """PostgreSQL that does not answer ends in the same error, without the password."""
    with pytest.raises(LedgerUnavailable) as caught:
        Ledger(f"postgresql+psycopg://ada:secret@/ledger?host={tmp_path}")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("limit", "words"), [("PRAGMA max_page_count = 1", "full"), ("PRAGMA query_only = 1", "readonly")]
)
def test_a_ledger_that_fails_later_is_unavailable(tmp_path: Path, limit: str, words: str) -> None:
    """A full or read-only disk ends a write in that error, without the statement."""
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


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_ledger_that_is_opened_to_be_read_is_never_written(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The database refuses every write, and facts that others record meanwhile are read."""
    url = f"sqlite:///{tmp_path / 'a ledger?.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("database").replace("postgresql://", "postgresql+psycopg://")
    with pytest.raises(LedgerUnavailable):
        Ledger(url, read_only=True)
    writer = Ledger(url)
    reader = Ledger(url, read_only=True)
    writer.record(raw_fact("asked"), run_id="run")
    assert [fact.kind for fact in reader.facts()] == ["asked"]
    assert reader.verify() == []
    with pytest.raises((DBAPIError, LedgerUnavailable), match=r"readonly|read-only"):
        reader.record(raw_fact("approved"), run_id="run")
    assert len(writer.facts()) == 1

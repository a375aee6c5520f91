"""How the ledger's files are opened while others use them."""

import sqlite3
import threading
from pathlib import Path

import pytest

from tasks.signoff import tables
from tasks.signoff.ledger import Ledger


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

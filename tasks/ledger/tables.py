"""The current tables of the ledger, and how its database is opened: SQLite by default, PostgreSQL by URL."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    JSON,
    Column,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from tasks.estate.errors import LedgerUnavailable, Misconfigured
from tasks.ledger.migrations import HEAD, version_of

PATIENCE = 10.0  # seconds to wait for another transaction

metadata = MetaData()

facts = Table(
    "facts",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String(40), nullable=False),  # ISO 8601, UTC: sorts as text on both databases
    Column("run_id", String(64), nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column("destination_id", String(64), nullable=False, index=True),
    Column("plan", String(64), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("once", String(200), nullable=True, unique=True),  # key of a fact that may be recorded only once
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_facts_kind_seq", "kind", "seq"),  # for open approval requests
    Index("ix_facts_plan", "plan"),
)

locks = Table(
    "locks",
    metadata,
    Column("install_id", String(64), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("taken_at", String(40), nullable=False),
)


def open_database(url: str, *, read_only: bool = False) -> Engine:
    """Open the ledger's database, and create or upgrade its tables if necessary; with `read_only`, only to read what is there.

    Raises `Misconfigured` if the URL is not valid or the ledger is newer than this code, and `LedgerUnavailable` if the database
    cannot be used. The engine raises `LedgerUnavailable` too, if the database fails later.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise Misconfigured(
            "UNDERSTUDY_LEDGER_URL is not a database URL; expected sqlite:///… or postgresql+psycopg://…"
        ) from None  # its text contains the address
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise Misconfigured(f"The ledger cannot be stored in {kind!r}; expected sqlite or postgresql.")
    where = parsed.render_as_string(hide_password=True)
    path = parsed.database if kind == "sqlite" else None
    try:
        return _opened_to_read(url, path, where) if read_only else _opened(url, path, where)
    except (OSError, sqlite3.Error, OperationalError, DatabaseError) as error:
        raise _unavailable(where, error) from None  # its text may contain the whole statement


def _opened(url: str, path: str | None, where: str) -> Engine:
    if url.startswith("sqlite"):
        engine = _open_sqlite(url, path)
    else:
        engine = create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True)
    _name_faults(engine, where)
    with engine.begin() as connection:
        current = version_of(connection) == HEAD
    if not current:
        from tasks.ledger.migrations.upgrading import bring_up_to_date  # loads alembic: a quarter of a second

        bring_up_to_date(engine)
    return engine


def _opened_to_read(url: str, path: str | None, where: str) -> Engine:
    """Open a ledger that exists and has the tables of this version. The database itself refuses every write."""
    if path is None:
        engine = create_engine(url, pool_pre_ping=True, execution_options={"postgresql_readonly": True})
    else:
        address = f"file:{quote(path)}?mode=ro"
        engine = create_engine("sqlite://", creator=lambda: _connected_to_read(address), poolclass=NullPool)
    _name_faults(engine, where)
    with engine.begin() as connection:
        if version_of(connection) != HEAD:
            raise LedgerUnavailable(
                f"The ledger {where} (UNDERSTUDY_LEDGER_URL) has no tables of this version, and is opened to be read only; expected "
                "one that a worker of this version has used."
            )
    return engine


def _connected_to_read(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, timeout=PATIENCE, check_same_thread=False)


def _name_faults(engine: Engine, where: str) -> None:
    """Raise `LedgerUnavailable` also if the database fails later, for instance because the disk is full."""

    @event.listens_for(engine, "handle_error")
    def name(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if isinstance(error, OperationalError) or type(error) is DatabaseError:
            raise _unavailable(where, error) from None


def _unavailable(where: str, error: BaseException) -> LedgerUnavailable:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return LedgerUnavailable(
        f"The ledger {where} (UNDERSTUDY_LEDGER_URL) cannot be used: {reason}; expected a database that can be read and "
        "written."
    )


def _open_sqlite(url: str, path: str | None) -> Engine:
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # approvals are readable by the owner only
    engine = create_engine(url, connect_args={"timeout": PATIENCE})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy, not the driver, begins transactions: see below
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL")  # the recorded call must be on disk before its request is sent

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # one writer at a time: a check holds until the write

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Use a write-ahead log. If two processes enable it at the same time, SQLite fails one at once, despite its time-out."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the low byte; the others are details
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # seconds; the other process needs less

"""The ledger's tables as they are today, and how its databases are opened: SQLite by default, PostgreSQL by URL."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

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
from sqlalchemy.exc import ArgumentError

from tasks.estate.errors import Misconfigured
from tasks.signoff.migrations import HEAD, version_of

PATIENCE = 10.0  # seconds that one waits for another's transaction

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
    Column("once", String(200), nullable=True, unique=True),  # what may be recorded one time only carries its key here
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_facts_kind_seq", "kind", "seq"),  # which questions are open?
    Index("ix_facts_plan", "plan"),
)

locks = Table(
    "locks",
    metadata,
    Column("install_id", String(64), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("taken_at", String(40), nullable=False),
)


def open_database(url: str) -> Engine:
    """Open the ledger's database, with its tables made or brought up to date where they are not.

    Raises `Misconfigured` for a URL that cannot be one, and for a ledger that is newer than this code.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Misconfigured(
            "UNDERSTUDY_LEDGER_URL is not a database URL; expected sqlite:///… or postgresql+psycopg://…"
        ) from error
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise Misconfigured(f"The ledger cannot live in {kind!r}; expected sqlite or postgresql.")
    if kind == "sqlite":
        engine = _open_sqlite(url, parsed.database)
    else:
        engine = create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True)
    with engine.begin() as connection:
        current = version_of(connection) == HEAD
    if not current:
        from tasks.signoff.migrations.upgrading import bring_up_to_date  # loads alembic: a quarter of a second

        bring_up_to_date(engine)
    return engine


def _open_sqlite(url: str, path: str | None) -> Engine:
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # who approved what is nobody else's business
    engine = create_engine(url, connect_args={"timeout": PATIENCE})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy, not the driver, says BEGIN: see below
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL")  # an intent must be on disk before its request leaves

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # one writer at a time: check and write are one step

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Use a write-ahead log. Where two do so first at the same moment, SQLite fails one at once, whatever its time-out."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the low byte says busy, the rest says why
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)  # seconds; the other one needs less

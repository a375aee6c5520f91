"""The ledger's tables and how its databases are opened: SQLite by default, PostgreSQL by URL."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import (
    DDL,
    JSON,
    Column,
    Engine,
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
)

locks = Table(
    "locks",
    metadata,
    Column("install_id", String(64), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("taken_at", String(40), nullable=False),
)

_SQLITE_GUARDS = [
    "CREATE TRIGGER IF NOT EXISTS facts_no_update BEFORE UPDATE ON facts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS facts_no_delete BEFORE DELETE ON facts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
]
_POSTGRES_GUARDS = [
    "CREATE OR REPLACE FUNCTION facts_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
    "CREATE OR REPLACE TRIGGER facts_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON facts "
    "FOR EACH STATEMENT EXECUTE FUNCTION facts_append_only()",
]
for _dialect, _guards in (("sqlite", _SQLITE_GUARDS), ("postgresql", _POSTGRES_GUARDS)):
    for _guard in _guards:
        event.listen(facts, "after_create", DDL(_guard).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped


def open_database(url: str) -> Engine:
    """Open (and, where missing, make) the ledger's database. Raises `Misconfigured` for a URL that cannot be one."""
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
    metadata.create_all(engine)
    return engine


def _open_sqlite(url: str, path: str | None) -> Engine:
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # who approved what is nobody else's business
    engine = create_engine(url, connect_args={"timeout": 10})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy, not the driver, says BEGIN: see below
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # an intent must be on disk before its request leaves

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # one writer at a time: check and write are one step

    return engine

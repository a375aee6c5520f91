"""Upgrade a ledger's tables to the newest version, from a new database, an older version or from before versions."""

import threading

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, inspect, text

from tasks.estate.errors import Misconfigured
from tasks.ledger.migrations import HEAD, KNOWN, version_of

_ALEMBIC = threading.Lock()  # its `context` and `op` are one per process
_TURN = 0x1ED6E4  # any number that everybody who upgrades a ledger in one PostgreSQL database uses
_UNVERSIONED = {
    "facts": {"seq", "at", "run_id", "kind", "destination_id", "plan", "detail", "once", "previous", "hash"},
    "locks": {"install_id", "run_id", "taken_at"},
}


def bring_up_to_date(engine: Engine) -> None:
    """Apply the missing versions in one transaction. Other processes wait for it and then find the tables up to date.

    Raises `Misconfigured` if the tables are of an unknown version or do not belong to a ledger.
    """
    with _ALEMBIC, engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
        found = version_of(connection)
        if found not in (None, *KNOWN):
            raise Misconfigured(
                f"The ledger's tables are of version {found!r}; this Understudy knows versions up to {HEAD!r}.",
                next_step="Run a newer Understudy, at least the one that opened this ledger last. Nothing was changed.",
            )
        config = Config()
        config.set_main_option("script_location", "tasks.ledger:migrations")
        config.attributes["connection"] = connection
        if found is None and _is_unversioned(connection):
            command.stamp(config, KNOWN[0])
        command.upgrade(config, HEAD)


def _is_unversioned(connection: Connection) -> bool:
    """Return whether the database contains a ledger from before versions."""
    inspector = inspect(connection)
    found = {
        name: {column["name"] for column in inspector.get_columns(name)}
        for name in _UNVERSIONED
        if inspector.has_table(name)
    }
    if found in ({}, _UNVERSIONED):
        return bool(found)
    raise Misconfigured(
        f"The ledger's database has tables named {' and '.join(found)} that are not a ledger's.",
        next_step="Give the ledger a database, or a schema on its search path, of its own. Nothing was changed.",
    )

"""Versions of the ledger's tables. Cheap to import: alembic is loaded only if the tables must change."""

from sqlalchemy import Connection, column, inspect, select, table

VERSION_TABLE = "understudy_ledger_version"  # not alembic's own name: the ledger may share its database
KNOWN = ("0001", "0002")
HEAD = KNOWN[-1]


def version_of(connection: Connection) -> str | None:
    """Return the version of the tables; None for a new database and for a ledger from before versions."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar_one_or_none()

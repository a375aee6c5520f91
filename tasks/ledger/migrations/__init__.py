"""Which versions the ledger's tables have had. Cheap to import: alembic is loaded only where something must change."""

from sqlalchemy import Connection, column, inspect, select, table

VERSION_TABLE = "understudy_ledger_version"  # not alembic's own name: the ledger may share its database
KNOWN = ("0001", "0002")
HEAD = KNOWN[-1]


def version_of(connection: Connection) -> str | None:
    """The version of the tables; None where nobody wrote one down: a new database, or a ledger from before versions."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar_one_or_none()

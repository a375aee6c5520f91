"""Constraints that are NOT VALID: off while rows are written, and NOT VALID again afterwards."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from tasks.dumps.catalog import Rows, identifier, name_of, query_catalog
from tasks.estate.tables import Name


def unvalidated(connection: psycopg.Connection[Any], written: Iterable[Name]) -> Rows:
    """Return the NOT VALID constraints of these tables and of their partitions."""
    names = {(name.schema_name, name.name) for name in written}
    return [row for row in query_catalog(connection, "unvalidated") if (row["root_schema"], row["root"]) in names]


@contextmanager
def forgiving(connection: psycopg.Connection[Any], written: Iterable[Name]) -> Iterator[None]:
    """Drop the NOT VALID constraints of these tables while the block runs, and add them again NOT VALID.

    PostgreSQL checks new rows against them, and to staging all of production's old rows are new.
    """
    rows = unvalidated(connection, written)
    for row in rows:
        _alter(connection, row, "DROP CONSTRAINT {}")
    yield
    for row in rows:
        _alter(connection, row, "ADD CONSTRAINT {} " + row["definition"].replace("{", "{{").replace("}", "}}"))
        if row["comment"] is not None:
            statement = SQL("COMMENT ON CONSTRAINT {} ON {} IS {}")
            table = identifier(name_of(row))
            connection.execute(statement.format(Identifier(row["constraint"]), table, Literal(row["comment"])))


def _alter(connection: psycopg.Connection[Any], row: dict[str, Any], action: str) -> None:
    table = identifier(name_of(row))
    connection.execute(SQL("ALTER TABLE {} ").format(table) + SQL(action).format(Identifier(row["constraint"])))

"""Triggers, rules, NOT VALID constraints and indexes: off while a load writes, restored in the same transaction."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from tasks.dumps.catalog import Rows, identifier, name_of, query_catalog
from tasks.estate.schema import Name

ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}  # tgenabled and ev_enabled of the catalogue


@contextmanager
def disabled_triggers(
    connection: psycopg.Connection[Any], written: Collection[Name], firing: Collection[tuple[Name, str]]
) -> Iterator[None]:
    """Disable the triggers and rules of these tables within the block, then restore the state of each.

    The triggers in `firing` stay on: they compute columns (`recompute: trigger`). A rule would rewrite an INSERT or DELETE.
    """
    disabled = [
        *((row, "TRIGGER", row["trigger"]) for row in _of_tables(connection, "triggers", written)
          if (_root(row), row["trigger"]) not in firing),
        *((row, "RULE", row["rule"]) for row in query_catalog(connection, "rules") if name_of(row) in written),
    ]  # fmt: skip
    for row, kind, name in disabled:
        _alter(connection, row, f"DISABLE {kind} {{}}", name)
    yield
    for row, kind, name in disabled:
        _alter(connection, row, f"{ENABLE[row['state']]} {kind} {{}}", name)


def unvalidated(connection: psycopg.Connection[Any], written: Iterable[Name]) -> Rows:
    """Return the NOT VALID constraints of these tables and of their partitions."""
    return _of_tables(connection, "unvalidated", {*written})


@contextmanager
def dropped_unvalidated(connection: psycopg.Connection[Any], written: Iterable[Name]) -> Iterator[None]:
    """Drop the NOT VALID constraints of these tables within the block, then add them again as NOT VALID.

    PostgreSQL checks new rows against them, and on staging all of production's old rows are new.
    """
    rows = unvalidated(connection, written)
    for row in rows:
        _alter(connection, row, "DROP CONSTRAINT {}", row["constraint"])
    yield
    for row in rows:
        add_constraint(connection, name_of(row), row["constraint"], row["definition"], row["comment"])


@contextmanager
def rebuilt_indexes(connection: psycopg.Connection[Any], tables: Collection[Name]) -> Iterator[None]:
    """Drop the simple indexes of these tables within the block, then create them again.

    To build an index over all rows takes a fifth of the time that its maintenance row by row takes. Which indexes are simple is in
    sql/rebuildable_indexes.sql. Their statistics of use begin anew. Readers of the tables wait until the transaction ends.
    """
    rows = _of_tables(connection, "rebuildable_indexes", tables)
    for row in rows:
        connection.execute(SQL("DROP INDEX {}").format(_index(row)))
    yield
    for row in rows:
        connection.execute(row["definition"].encode())  # bytes: the catalogue's own text
        if row["comment"] is not None:
            connection.execute(SQL("COMMENT ON INDEX {} IS {}").format(_index(row), Literal(row["comment"])))


def _index(row: dict[str, Any]) -> Identifier:
    return Identifier(row["index_schema"], row["index"])


def add_constraint(
    connection: psycopg.Connection[Any], table: Name, name: str, definition: str, comment: str | None
) -> None:
    """Add a constraint with its comment; `definition` is as the catalogue prints it."""
    target, constraint = identifier(table), Identifier(name)
    connection.execute(SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(target, constraint, SQL(definition)))
    if comment is not None:
        statement = SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(constraint, target, Literal(comment))
        connection.execute(statement)


def _of_tables(connection: psycopg.Connection[Any], query: str, tables: Collection[Name]) -> Rows:
    return [row for row in query_catalog(connection, query) if _root(row) in tables]


def _root(row: dict[str, Any]) -> Name:
    return Name(schema_name=row["root_schema"], name=row["root"])


def _alter(connection: psycopg.Connection[Any], row: dict[str, Any], action: str, name: str) -> None:
    connection.execute(SQL("ALTER TABLE {} ").format(identifier(name_of(row))) + SQL(action).format(Identifier(name)))

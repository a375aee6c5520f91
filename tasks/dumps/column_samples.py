"""Samples of the values of every column, from which its content is recognised. They never leave the process."""

from collections.abc import Collection
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from tasks.dumps.connections import without_values
from tasks.dumps.row_sources import LARGE_TABLE, rows_of
from tasks.estate.errors import Misconfigured, Unreachable
from tasks.estate.schema import Catalog, Column, Table
from tasks.masking.personal_values import LONGEST

Samples = dict[tuple[str, str], list[str]]

SPREAD = 20  # rows read for each value wanted: a column that is mostly NULL has some values, too
ROW_BYTES = 100  # of a table that was never analyzed, to estimate its rows from its size
DOCUMENTS = ("json", "jsonb")


def samples_of(
    connection: psycopg.Connection[Any], catalog: Catalog, size: int, *, without: Collection[str] = ()
) -> Samples:
    """Return up to `size` values of every exported column as PostgreSQL prints them, by table and column.

    NULLs are left out, and so are columns whose type is enough to recognise them: binary, boolean, enum. Tables named in
    `without` are not read. Raise `Misconfigured` if the role may not read a table, `Unreachable` if the connection is lost.
    """
    return {
        (str(table.name), column.name): _sample(connection, table, column, size)
        for table in catalog.tables
        if str(table.name) not in without
        for column in table.copied
        if column.base != "bytea" and column.category != "B" and not column.enum_labels
    }


def _sample(connection: psycopg.Connection[Any], table: Table, column: Column, size: int) -> list[str]:
    name = Identifier(column.name)
    condition: Composable = SQL("{} IS NOT NULL").format(name)
    if column.base in DOCUMENTS:  # a truncated document is not JSON and would be taken for text
        condition = SQL("{} AND char_length({}::text) <= {}").format(condition, name, Literal(LONGEST))
    statement = SQL("SELECT left({}::text, {}) FROM {} WHERE {} LIMIT {}").format(
        name, Literal(LONGEST), _rows(table, size), condition, Literal(size)
    )
    try:
        return [value for (value,) in connection.execute(statement).fetchall()]
    except psycopg.OperationalError as error:
        raise Unreachable(f"Sampling {table.name}.{column.name} was cut off ({without_values(error)}).") from None
    except psycopg.Error as error:
        raise Misconfigured(
            f"{table.name}.{column.name} cannot be sampled: {without_values(error)}.",
            next_step="Nothing was written. GRANT SELECT on it to the role of UNDERSTUDY_SOURCE_DATABASE, then start again.",
        ) from None


def _rows(table: Table, size: int) -> Composable:
    """Return all rows of a small table and some pages of a large one: the same pages each time, so that two drafts agree."""
    rows = table.estimated_rows or table.bytes // ROW_BYTES
    if rows <= LARGE_TABLE or table.foreign_leaves:
        return rows_of(table)
    percent = Literal(min(100.0, 100.0 * SPREAD * size / rows))
    return SQL("{} TABLESAMPLE SYSTEM ({}) REPEATABLE (0)").format(rows_of(table), percent)

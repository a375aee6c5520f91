"""The rows of a table in a FROM clause: all that this database stores, a sample of them, or one partition."""

from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from tasks.dumps.catalog import identifier
from tasks.dumps.export_plan import TablePlan
from tasks.estate.schema import Name, Table

SAMPLE_ROWS = 1000  # rows of each table on which an export tries its masks
LARGE_TABLE = 100_000  # rows; a larger table is sampled by pages, because its first rows resemble each other
ALL_COLUMNS = SQL("*")


def count_rows(connection: psycopg.Connection[Any], rows: Composable, condition: Composable | None = None) -> int:
    """Return how many of the rows satisfy the condition. `rows` is the content of a FROM clause."""
    query = SQL("SELECT count(*) FROM {} WHERE {}").format(rows, SQL("true") if condition is None else condition)
    (count,) = connection.execute(query).fetchone() or (0,)
    return int(count)


def rows_of(table: Table, alias: str = "") -> Composable:
    """Return all rows of a table that this database stores: of a partitioned table those of its partitions, without the
    foreign ones; of an inheritance parent its own. `alias` names them in the statement.
    """
    if table.foreign_leaves:
        names = SQL(", ").join(Identifier(column.name) for column in table.columns)
        leaves = [SQL("SELECT {} FROM {}").format(names, only(leaf)) for leaf in table.leaves]
        none = SQL("SELECT {} FROM {} WHERE false").format(names, only(table.name))
        rows: Composable = SQL("({})").format(SQL(" UNION ALL ").join(leaves or [none]))
        alias = alias or "local_rows"
    else:
        rows = identifier(table.name) if table.partitioned else only(table.name)
    return SQL("{} AS {}").format(rows, Identifier(alias)) if alias else rows


def only(name: Name) -> Composable:
    """Return `ONLY name`."""
    return SQL("ONLY {}").format(identifier(name))


def sample(table: Table, columns: Composable = ALL_COLUMNS) -> Composable:
    """Return up to `SAMPLE_ROWS` rows of a table as a sub-select."""
    limit = Literal(SAMPLE_ROWS)
    if table.estimated_rows <= LARGE_TABLE or table.foreign_leaves:
        return SQL("(SELECT {} FROM {} LIMIT {})").format(columns, rows_of(table), limit)
    percent = Literal(min(100.0, 100.0 * 4 * SAMPLE_ROWS / table.estimated_rows))
    return SQL("(SELECT {} FROM {} TABLESAMPLE SYSTEM ({}) LIMIT {})").format(columns, rows_of(table), percent, limit)


def sample_of(plan: TablePlan, leaf: Name | None = None) -> Composable:
    """Return a sample of the table or of one partition, without the columns that are not read: the role may lack the
    privilege.
    """
    unread = {each.column.name for each in plan.columns if each.unread}
    names = [Identifier(column.name) for column in plan.table.columns if column.name not in unread]
    columns = SQL(", ").join(names) if unread else ALL_COLUMNS
    if leaf is None:
        return sample(plan.table, columns)
    return SQL("(SELECT {} FROM {} LIMIT {})").format(columns, only(leaf), Literal(SAMPLE_ROWS))

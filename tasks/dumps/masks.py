"""Masks as SQL: the select list that gives a table's rows as they may leave the server, and the proof that they fit."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from tasks.dumps.catalog import identifier
from tasks.dumps.connecting import configure, without_values
from tasks.dumps.planning import ColumnPlan, MaskingPlan, TablePlan
from tasks.estate.errors import PolicyRefused
from tasks.estate.tables import Name, Table
from tasks.masking.makers.documents import Document
from tasks.masking.session import Session

SAMPLED = 1000  # rows of each table on which makers are tried against CHECKs, domains and types before the export
EVERY = SQL("*")  # column
SHAPES = 5  # places of documents in one message
MANY = 100_000  # rows from which a sample is taken by pages instead of from the front


def masked_columns(plan: TablePlan, session: Session) -> Composed:
    """The select list of a table: kept columns as they are, masked ones as expressions, in the order of the dump."""
    return SQL(", ").join(masked(plan, each, session) for each in plan.columns)


def masked(plan: TablePlan, each: ColumnPlan, session: Session) -> Composable:
    """One column of the select list."""
    column, maker = each.column, each.rule.maker
    if each.unread:
        return SQL("''::bytea") if column.not_null else SQL("NULL::bytea")
    if maker is None or each.raw:
        return Identifier(column.name)
    if each.rule.nulls == "equalise":
        return SQL("NULL")
    made = maker.sql(each.place(plan.table), session)
    if column.not_null:
        return made
    where_null: Composable = SQL("NULL")
    if each.rule.nulls == "mask":  # made from the row's key, or all NULLs would become one value and still be seen
        place = each.place(plan.table)
        by = place.by or place.primary
        where_null = maker.sql(_by(plan.table, each, by.name), session) if by is not None else made
    return SQL("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(Identifier(column.name), where_null, made)


def _by(table: Table, each: ColumnPlan, by: str) -> Any:
    return each.model_copy(update={"rule": each.rule.model_copy(update={"by": by})}).place(table)


def tell(connection: psycopg.Connection[Any], session: Session) -> None:
    """Set what the expressions read, keys and pools, as bound parameters and never as statement text.

    In a transaction they last until its end, so that nobody else meets them on a server connection that is used again.
    """
    configure(connection, session.settings)


def prove(
    connection: psycopg.Connection[Any],
    plan: MaskingPlan,
    session: Session,
    *,
    tables: Iterable[TablePlan] | None = None,
) -> None:
    """Try every maker on a sample of the real rows: types, lengths, NOT NULL, domains, enums and CHECKs must accept it.

    `tables`: those of the plan, from a source that releases locks on the way (`connecting.in_turns`). Raises
    `PolicyRefused` naming every column that would be refused at the load.
    """
    selects = {str(t.table.name): masked_columns(t, session) for t in plan.tables}
    tell(connection, session)
    faults = [
        fault
        for table in tables or plan.tables
        for fault in faults_of(connection, table, selects[str(table.table.name)])
    ]
    if faults:
        raise PolicyRefused(f"Masked rows would not fit the tables: {'; '.join(faults)}.")


def faults_of(connection: psycopg.Connection[Any], plan: TablePlan, select: Composed) -> Iterator[str]:
    """Why the masked rows of a sample of one table would be refused, one sentence each."""
    changed = [each for each in plan.columns if each.masked or each.unread]
    if not changed:
        return
    names = SQL(", ").join(Identifier(each.column.name) for each in plan.columns)
    rows = SQL("(SELECT {} FROM {} AS s) AS t ({})").format(select, sample_of(plan), names)
    broken = False
    for each in changed:
        yield from _misfits(connection, plan, each)
        for why in _column_faults(connection, each, rows):
            broken = True
            yield f"{plan.table.name}.{each.column.name} ({each.rule.word}): {why}"
    if not broken:
        yield from _check_faults(connection, plan, {each.column.name for each in changed}, select)


def _misfits(connection: psycopg.Connection[Any], plan: TablePlan, each: ColumnPlan) -> Iterator[str]:
    """Yield a fault for a column with documents to which no path applies, with how many there are, where, and what is there."""
    maker = each.rule.maker
    wanted = isinstance(maker, Document) and each.masked and each.rule.nulls != "equalise"
    misfit = maker.misfit(each.place(plan.table)) if isinstance(maker, Document) and wanted else None
    if misfit is None:
        return
    question = SQL(
        "SELECT misfit, count(*) FROM (SELECT {} AS misfit FROM {} AS s) AS m WHERE misfit IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    ).format(misfit, sample_of(plan))
    try:
        with connection.transaction():
            found = connection.execute(question).fetchall()
    except psycopg.Error:
        return  # what is no document fails in its mask too, which names it
    if found:
        told = ", ".join(f"{where} in {count}" for where, count in found[:SHAPES])
        yield (
            f"{plan.table.name}.{each.column.name} (jsonb): no path applies to {sum(count for _, count in found)} of the sampled"
            f" documents ({told}); add paths for them, or say what becomes of them: `else: keep` or `else: null`"
        )


def _column_faults(connection: psycopg.Connection[Any], each: ColumnPlan, rows: Composable) -> Iterator[str]:
    column = each.column
    value = Identifier("t", column.name)
    tests = []
    if column.not_null:
        tests.append(("NULL, but the column is NOT NULL", SQL("{} IS NULL").format(value)))
    if column.max_length is not None and not column.array:
        longer = SQL("char_length({}::text) > {}").format(value, Literal(column.max_length))
        tests.append((f"more than {column.max_length} characters", longer))
    typed = SQL("({}::text::{}) IS NULL AND {} IS NOT NULL").format(value, SQL(_type(column.type)), value)
    tests.append((f"no {column.type}", typed))
    for why, test in tests:
        question = SQL("SELECT count(*) FROM {} WHERE {}").format(rows, test)
        try:
            with connection.transaction():  # a savepoint: after a fault the others are still looked for
                (count,) = connection.execute(question).fetchone() or (0,)
        except psycopg.Error as error:
            yield f"gives values that {column.type} refuses ({without_values(error)})"
            return
        if count:
            yield f"gives {why} in {count} of the sampled rows"


def _type(declared: str) -> Any:
    """A type as the catalogue printed it: quoted by PostgreSQL itself where it needs quotes."""
    return declared


def _check_faults(
    connection: psycopg.Connection[Any], plan: TablePlan, changed: set[str], select: Composed
) -> Iterator[str]:
    """CHECK constraints evaluated on masked rows, in the columns' own types."""
    checks = (check for check in plan.table.checks if check.enforced and check.leaf is None)
    touched = [check for check in checks if changed & set(check.columns)]
    if not touched:
        return
    names = SQL(", ").join(Identifier(each.column.name) for each in plan.columns)
    typed = SQL(", ").join(
        SQL("{}::text::{} AS {}").format(Identifier(e.column.name), SQL(_type(e.column.type)), Identifier(e.column.name))
        if e.masked or e.unread else Identifier(e.column.name)
        for e in plan.columns
    )  # fmt: skip
    rows = SQL("(SELECT {} FROM (SELECT {} FROM {} AS s) AS u ({})) AS t").format(typed, select, sample_of(plan), names)
    for check in touched:
        if not set(check.columns) <= {each.column.name for each in plan.columns}:
            continue  # reads a generated column; the load itself will tell
        question = SQL("SELECT count(*) FROM {} WHERE NOT ({})").format(rows, SQL(_type(check.expression)))
        try:
            with connection.transaction():
                (count,) = connection.execute(question).fetchone() or (0,)
        except psycopg.Error as error:
            yield f"{plan.table.name}: CHECK {check.name} cannot be evaluated on masked rows ({without_values(error)})"
            continue
        if count:
            named = ", ".join(sorted(changed & set(check.columns)))
            yield f"{plan.table.name}.{named}: CHECK {check.name} refuses {count} of the sampled masked rows"


def sample_of(plan: TablePlan) -> Composable:
    """Return a sample of the table without the columns that are not to be read: the role may have no right to."""
    unread = {each.column.name for each in plan.columns if each.unread}
    named = [Identifier(column.name) for column in plan.table.columns if column.name not in unread]
    return sample(plan.table, SQL(", ").join(named) if unread else EVERY)


def sample(table: Table, columns: Composable = EVERY) -> Composable:
    """Up to `SAMPLED` rows of a table as a sub-select."""
    limit = Literal(SAMPLED)
    if table.estimated_rows <= MANY or table.foreign_leaves:
        return SQL("(SELECT {} FROM {} LIMIT {})").format(columns, rows_of(table), limit)
    percent = Literal(min(100.0, 100.0 * 4 * SAMPLED / table.estimated_rows))
    return SQL("(SELECT {} FROM {} TABLESAMPLE SYSTEM ({}) LIMIT {})").format(columns, rows_of(table), percent, limit)


def rows_of(table: Table, alias: str = "") -> Composable:
    """All rows of a logical table that are stored in this database, and no other: partitions through their root, without
    those on other servers; inheritance children left to themselves. `alias` names them in the statement.
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
    """`ONLY name`."""
    return SQL("ONLY {}").format(identifier(name))

"""Masks as SQL: the select list that gives a table's rows as they may leave the server, and the proof that they fit."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from tasks.dumps.catalog import identifier
from tasks.dumps.connections import configure, without_values
from tasks.dumps.derived_columns import word_faults
from tasks.dumps.export_plan import ColumnPlan, MaskingPlan, TablePlan
from tasks.dumps.recomputed_columns import collisions, expression_fault
from tasks.estate.errors import PolicyRefused
from tasks.estate.faults import Fault, as_facts
from tasks.estate.tables import Name, Table
from tasks.masking.makers.documents import Document
from tasks.masking.makers.recompute import ByTrigger, Recompute
from tasks.masking.session import Session

SAMPLE_ROWS = 1000  # rows of each table on which makers are tried against CHECKs, domains and types before the export
EVERY = SQL("*")  # column
FITTING = "use another maker or other options, or keep the column"
SHAPES = 5  # places of documents in one message
LARGE_TABLE = 100_000  # rows from which a sample is taken by pages instead of from the front


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
    made = (
        _recomputed(plan, each, maker, session)
        if isinstance(maker, Recompute)
        else maker.sql(each.place(plan.table), session)
    )
    if column.not_null:
        return made
    where_null: Composable = SQL("NULL")
    if each.rule.nulls == "mask" and isinstance(maker, Recompute):
        return made
    if each.rule.nulls == "mask":  # made from the row's key, or all NULLs would become one value and still be seen
        place = each.place(plan.table)
        by = place.by or place.primary
        where_null = maker.sql(_by(plan.table, each, by.name), session) if by is not None else made
    return SQL("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(Identifier(column.name), where_null, made)


def _recomputed(plan: TablePlan, each: ColumnPlan, maker: Recompute, session: Session) -> Composable:
    """The expression over the masked row, in the types that it has on the target.

    The row bears the table's name and has all its columns, so that no name in the expression can mean the real row.
    """
    planned = {other.column.name: other for other in plan.columns}
    row = SQL(", ").join(
        SQL("{} AS {}").format(_typed(plan, planned.get(column.name), each, session), Identifier(column.name))
        for column in plan.table.columns
    )
    made = maker.sql(each.place(plan.table), session)
    return SQL("(SELECT {} FROM (SELECT {}) AS {})").format(made, row, Identifier(plan.table.name.name))


def _typed(plan: TablePlan, other: ColumnPlan | None, each: ColumnPlan, session: Session) -> Composable:
    """A masked column as the expression of another one reads it; NULL stands for what it may not read."""
    if other is None or other is each or other.unread or isinstance(other.rule.maker, Recompute | ByTrigger):
        return SQL("NULL")
    if not other.masked:
        return Identifier(other.column.name)
    return SQL("({})::text::{}").format(masked(plan, other, session), SQL(_type(other.column.type)))


def _by(table: Table, each: ColumnPlan, by: str) -> Any:
    return each.model_copy(update={"rule": each.rule.model_copy(update={"by": by})}).place(table)


def set_mask_settings(connection: psycopg.Connection[Any], session: Session) -> None:
    """Set what the expressions read, keys and pools, as bound parameters and never as statement text.

    In a transaction they last until its end, so that nobody else meets them on a server connection that is used again.
    """
    configure(connection, session.settings)


def require_masked_rows_fit(
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
    set_mask_settings(connection, session)
    faults = [
        fault
        for table in tables or plan.tables
        for fault in (
            *masked_row_faults(connection, table, selects[str(table.table.name)]),
            *recomputed_key_faults(connection, table, selects[str(table.table.name)]),
            *word_faults(connection, table, sample_of(table)),
        )
    ]
    if faults:
        raise PolicyRefused(
            f"Masked rows would not fit the tables: {'; '.join(map(str, faults))}.", faults=as_facts(faults)
        )


def masked_row_faults(connection: psycopg.Connection[Any], plan: TablePlan, select: Composed) -> Iterator[Fault]:
    """Yield why the masked rows of a sample of one table would be refused."""
    changed = [
        each for each in plan.columns if (each.masked or each.unread) and not isinstance(each.rule.maker, ByTrigger)
    ]
    refused = [
        Fault(
            "recompute",
            f"{plan.table.name}.{each.column.name}: recompute: {why}",
            str(plan.table.name),
            each.column.name,
        )
        for each in changed
        if (why := expression_fault(connection, plan, each))
    ]
    yield from refused
    if not changed or refused:
        return
    names = SQL(", ").join(Identifier(each.column.name) for each in plan.columns)
    rows = SQL("(SELECT {} FROM {} AS s) AS t ({})").format(select, sample_of(plan), names)
    broken = False
    for each in changed:
        yield from _misfits(connection, plan, each)
        for fault in _column_faults(connection, plan.table, each, rows):
            broken = True
            yield fault
    if not broken:
        yield from _check_faults(connection, plan, {each.column.name for each in changed}, select)
        yield from _leaf_faults(connection, plan, changed, select)


def _misfits(connection: psycopg.Connection[Any], plan: TablePlan, each: ColumnPlan) -> Iterator[Fault]:
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
        count = sum(count for _, count in found)
        why = f"{plan.table.name}.{each.column.name} (jsonb): no path applies to {count} of the sampled documents ({told})"
        remedy = "add paths for them, or say what becomes of them: `else: keep` or `else: null`"
        yield Fault("documents", why, str(plan.table.name), each.column.name, remedy)


def _column_faults(
    connection: psycopg.Connection[Any], table: Table, each: ColumnPlan, rows: Composable
) -> Iterator[Fault]:
    column = each.column
    value, where = Identifier("t", column.name), f"{table.name}.{column.name} ({each.rule.word})"
    tests = []
    if column.not_null:
        tests.append(("not-null", "NULL, but the column is NOT NULL", SQL("{} IS NULL").format(value)))
    if column.max_length is not None and not column.array:
        longer = SQL("char_length({}::text) > {}").format(value, Literal(column.max_length))
        tests.append(("type", f"more than {column.max_length} characters", longer))
    typed = SQL("({}::text::{}) IS NULL AND {} IS NOT NULL").format(value, SQL(_type(column.type)), value)
    tests.append(("type", f"no {column.type}", typed))
    for kind, why, test in tests:
        question = SQL("SELECT count(*) FROM {} WHERE {}").format(rows, test)
        try:
            with connection.transaction():  # a savepoint: after a fault the others are still looked for
                (count,) = connection.execute(question).fetchone() or (0,)
        except psycopg.errors.InsufficientPrivilege as error:
            yield _lacking(connection, table, column.name, error)
            return
        except psycopg.Error as error:
            refused = (error.sqlstate or "")[:2] in ("22", "23")
            what = f"gives values that {column.type} refuses" if refused else "cannot be tried on the rows"
            yield Fault(kind, f"{where}: {what} ({without_values(error)})", str(table.name), column.name, FITTING)
            return
        if count:
            yield Fault(
                kind, f"{where}: gives {why} in {count} of the sampled rows", str(table.name), column.name, FITTING
            )


def _lacking(connection: psycopg.Connection[Any], table: Table, column: str, error: psycopg.Error) -> Fault:
    """Return the fault for a right that the exporting role lacks: on the table, or on what a mask, a type or a CHECK uses."""
    (role,) = connection.execute("SELECT quote_ident(current_user)").fetchone() or ("the role",)
    where = f"{table.name}.{column}" if column else f"{table.name}"
    message = f"{where}: {role} lacks a right that reading or masking it needs ({without_values(error)})"
    remedy = f"grant {role} what the message names on production (USAGE on a schema, SELECT on a table, EXECUTE on a function)"
    return Fault("right", message, str(table.name), column, remedy)


def _type(declared: str) -> Any:
    """A type as the catalogue printed it: quoted by PostgreSQL itself where it needs quotes."""
    return declared


def _check_faults(
    connection: psycopg.Connection[Any], plan: TablePlan, changed: set[str], select: Composed, leaf: Name | None = None
) -> Iterator[Fault]:
    """CHECK constraints evaluated on masked rows, in the columns' own types: those of the table, or of one `leaf` alone."""
    checks = (check for check in plan.table.checks if check.enforced and check.validated and check.leaf == leaf)
    later = {each.column.name for each in plan.columns if isinstance(each.rule.maker, ByTrigger)}  # known on the target
    touched = [check for check in checks if changed & set(check.columns) and not later & set(check.columns)]
    if not touched:
        return
    rows = _typed_rows(plan, select, SQL("{} AS s").format(sample_of(plan, leaf)))
    where = f"{plan.table.name}" if leaf is None else f"{plan.table.name}, partition {leaf}"
    for check in touched:
        if not set(check.columns) <= {each.column.name for each in plan.columns}:
            continue  # reads a generated column; the load tries it
        named = sorted(changed & set(check.columns))
        question = SQL("SELECT count(*) FROM {} WHERE NOT ({})").format(rows, SQL(_type(check.expression)))
        try:
            with connection.transaction():
                (count,) = connection.execute(question).fetchone() or (0,)
        except psycopg.errors.InsufficientPrivilege as error:
            yield _lacking(connection, plan.table, named[0], error)
            continue
        except psycopg.Error as error:
            why = f"{where}: CHECK {check.name} cannot be evaluated on masked rows ({without_values(error)})"
            yield Fault("check", why, str(plan.table.name), named[0], FITTING)
            continue
        if count:
            why = f"{where}.{', '.join(named)}: CHECK {check.name} refuses {count} of the sampled masked rows"
            yield Fault("check", why, str(plan.table.name), named[0], FITTING)


def _typed_rows(plan: TablePlan, select: Composed, source: Composable) -> Composable:
    """Masked rows in the types of their columns."""
    names = SQL(", ").join(Identifier(each.column.name) for each in plan.columns)
    typed = SQL(", ").join(
        SQL("{}::text::{} AS {}").format(Identifier(e.column.name), SQL(_type(e.column.type)), Identifier(e.column.name))
        if e.masked or e.unread else Identifier(e.column.name)
        for e in plan.columns
    )  # fmt: skip
    return SQL("(SELECT {} FROM (SELECT {} FROM {}) AS u ({})) AS t").format(typed, select, source, names)


def recomputed_key_faults(connection: psycopg.Connection[Any], plan: TablePlan, select: Composed) -> Iterator[Fault]:
    """Yield the unique keys that recomputed values break: all rows are looked at, because nothing else proves it."""
    return collisions(
        connection,
        plan,
        lambda leaf: _typed_rows(plan, select, only(leaf) if leaf is not None else rows_of(plan.table)),
    )


def _leaf_faults(
    connection: psycopg.Connection[Any], plan: TablePlan, changed: list[ColumnPlan], select: Composed
) -> Iterator[Fault]:
    """What one partition alone demands, on masked rows of that partition. Where a mask moves rows, the load tries them."""
    names = {each.column.name for each in changed}
    for leaf in plan.table.leaves:
        if any(check.leaf == leaf and names & set(check.columns) for check in plan.table.checks):
            yield from _check_faults(connection, plan, names, select, leaf)
        strict = [each for each in changed if leaf in each.column.not_null_leaves]
        columns = SQL(", ").join(Identifier(each.column.name) for each in plan.columns)
        for each in strict:
            rows = SQL("(SELECT {} FROM {} AS s) AS t ({})").format(select, sample_of(plan, leaf), columns)
            question = SQL("SELECT count(*) FROM {} WHERE {} IS NULL").format(rows, Identifier(each.column.name))
            (count,) = connection.execute(question).fetchone() or (0,)
            if count:
                where = f"{plan.table.name}.{each.column.name} ({each.rule.word})"
                why = f"{where}: gives NULL, but the column is NOT NULL on the partition {leaf}, in {count} of its sampled rows"
                yield Fault("not-null", why, str(plan.table.name), each.column.name, FITTING)


def sample_of(plan: TablePlan, leaf: Name | None = None) -> Composable:
    """Return a sample of the table, or of one of its partitions, without the columns that are not to be read: the role may
    have no right to.
    """
    unread = {each.column.name for each in plan.columns if each.unread}
    named = [Identifier(column.name) for column in plan.table.columns if column.name not in unread]
    columns = SQL(", ").join(named) if unread else EVERY
    if leaf is None:
        return sample(plan.table, columns)
    return SQL("(SELECT {} FROM {} LIMIT {})").format(columns, only(leaf), Literal(SAMPLE_ROWS))


def sample(table: Table, columns: Composable = EVERY) -> Composable:
    """Up to `SAMPLE_ROWS` rows of a table as a sub-select."""
    limit = Literal(SAMPLE_ROWS)
    if table.estimated_rows <= LARGE_TABLE or table.foreign_leaves:
        return SQL("(SELECT {} FROM {} LIMIT {})").format(columns, rows_of(table), limit)
    percent = Literal(min(100.0, 100.0 * 4 * SAMPLE_ROWS / table.estimated_rows))
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

"""Masks as SQL: the select list of a table's rows as they may leave the server, and the check that masked rows fit."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from tasks.dumps.connections import configure, without_values
from tasks.dumps.derived_column_checks import word_faults
from tasks.dumps.export_plan import ColumnPlan, MaskingPlan, TablePlan
from tasks.dumps.recomputed_column_checks import expression_fault, key_collisions
from tasks.dumps.row_sources import count_rows, only, rows_of, sample_of
from tasks.estate.errors import PolicyRefused
from tasks.estate.planning_faults import Fault, as_facts
from tasks.estate.schema import Name, Table
from tasks.masking.makers.documents import Document
from tasks.masking.makers.maker import Maker
from tasks.masking.makers.recompute import ByTrigger, Recompute
from tasks.masking.session_settings import Session

FITTING = "use another maker or other options, or keep the column"
MOST_SHAPES = 5  # shapes of documents in one message


def masked_columns(plan: TablePlan, session: Session) -> Composed:
    """Return the select list of a table in the order of the dump: kept columns unchanged, masked ones as expressions."""
    return SQL(", ").join(masked(plan, each, session) for each in plan.columns)


def masked(plan: TablePlan, each: ColumnPlan, session: Session) -> Composable:
    """Return one column of the select list."""
    column, maker, nulls = each.column, each.rule.maker, each.rule.nulls
    if each.unread:
        return SQL("''::bytea") if column.not_null else SQL("NULL::bytea")
    if maker is None or each.raw:
        return Identifier(column.name)
    if nulls == "equalise":
        return SQL("NULL")
    computed = isinstance(maker, Recompute)
    made = _recomputed(plan, each, maker, session) if computed else maker.sql(each.place(plan.table), session)
    if column.not_null or (computed and nulls == "mask"):
        return made
    if_null = maker.sql(each.place(plan.table, of_null=True), session) if nulls == "mask" else SQL("NULL")
    return SQL("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(Identifier(column.name), if_null, made)


def _recomputed(plan: TablePlan, each: ColumnPlan, maker: Maker, session: Session) -> Composable:
    """Return the expression over the masked row, in the types that the row has on the target.

    The row has the table's name and all its columns, so that no name in the expression can mean the real row.
    """
    planned = {other.column.name: other for other in plan.columns}
    row = SQL(", ").join(
        SQL("{} AS {}").format(_typed(plan, planned.get(column.name), session), Identifier(column.name))
        for column in plan.table.columns
    )
    made = maker.sql(each.place(plan.table), session)
    return SQL("(SELECT {} FROM (SELECT {}) AS {})").format(made, row, Identifier(plan.table.name.name))


def _typed(plan: TablePlan, each: ColumnPlan | None, session: Session) -> Composable:
    """Return a masked column as an expression reads it, or NULL if none may read it: what is computed, or not read."""
    if each is None or each.unread or isinstance(each.rule.maker, Recompute | ByTrigger):
        return SQL("NULL")
    made = masked(plan, each, session)
    return SQL("({})::text::{}").format(made, SQL(each.column.type)) if each.masked else made


def set_mask_settings(connection: psycopg.Connection[Any], session: Session) -> None:
    """Set the keys and pools that the expressions read, as bound parameters and never as statement text.

    In a transaction they last until its end, so that the next user of a pooled server connection does not find them.
    """
    configure(connection, session.settings)


def require_masked_rows_fit(
    connection: psycopg.Connection[Any],
    plan: MaskingPlan,
    session: Session,
    *,
    tables: Iterable[TablePlan] | None = None,
) -> None:
    """Try every mask on a sample of the real rows: types, lengths, NOT NULL, domains, enums and CHECKs must accept it.

    `tables`: those of the plan, from an iterator that releases locks in between (`connections.in_short_transactions`). Raise
    `PolicyRefused` with every column that the load would refuse.
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
        message = f"Masked rows would not fit the tables: {'; '.join(map(str, faults))}."
        raise PolicyRefused(message, faults=as_facts(faults))


def masked_row_faults(connection: psycopg.Connection[Any], plan: TablePlan, select: Composed) -> Iterator[Fault]:
    """Yield why the table would refuse the masked rows of a sample."""
    changed = [
        each for each in plan.columns if (each.masked or each.unread) and not isinstance(each.rule.maker, ByTrigger)
    ]
    refused = [
        _fault("recompute", plan.table, each, f"{plan.table.name}.{each.column.name}: recompute: {why}", "")
        for each in changed
        if (why := expression_fault(connection, plan, each))
    ]
    yield from refused
    if not changed or refused:
        return
    rows = _masked_rows(plan, select, sample_of(plan))
    broken = False
    for each in changed:
        yield from _document_faults(connection, plan, each)
        for fault in _column_faults(connection, plan.table, each, rows):
            broken = True
            yield fault
    if not broken:
        yield from _check_faults(connection, plan, {each.column.name for each in changed}, select)
        yield from _partition_faults(connection, plan, changed, select)


def _fault(kind: str, table: Table, each: ColumnPlan, message: str, remedy: str = FITTING) -> Fault:
    return Fault(kind, message, str(table.name), each.column.name, remedy)


def _masked_rows(plan: TablePlan, select: Composed, source: Composable) -> Composable:
    names = SQL(", ").join(Identifier(each.column.name) for each in plan.columns)
    return SQL("(SELECT {} FROM {} AS s) AS t ({})").format(select, source, names)


def _typed_rows(plan: TablePlan, select: Composed, source: Composable) -> Composable:
    """Return masked rows in the types of their columns."""
    typed = SQL(", ").join(
        SQL("{}::text::{} AS {}").format(Identifier(e.column.name), SQL(e.column.type), Identifier(e.column.name))
        if e.masked or e.unread else Identifier(e.column.name)
        for e in plan.columns
    )  # fmt: skip
    return SQL("(SELECT {} FROM {}) AS t").format(typed, _masked_rows(plan, select, source))


def _document_faults(connection: psycopg.Connection[Any], plan: TablePlan, each: ColumnPlan) -> Iterator[Fault]:
    """Yield a fault for a column with documents to which no path applies: how many there are, and of which shape."""
    maker = each.rule.maker
    if not isinstance(maker, Document) or not each.masked or each.rule.nulls == "equalise":
        return
    misfit = maker.misfit(each.place(plan.table))
    if misfit is None:
        return
    query = SQL(
        "SELECT misfit, count(*) FROM (SELECT {} AS misfit FROM {} AS s) AS m WHERE misfit IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    ).format(misfit, sample_of(plan))
    try:
        with connection.transaction():
            found = connection.execute(query).fetchall()
    except psycopg.Error:
        return  # a value that is not a document fails in its mask too, which reports it
    if found:
        shapes = ", ".join(f"{where} in {count}" for where, count in found[:MOST_SHAPES])
        count = sum(count for _, count in found)
        why = f"{plan.table.name}.{each.column.name} (jsonb): no path applies to {count} of the sampled documents ({shapes})"
        yield _fault(
            "documents",
            plan.table,
            each,
            why,
            "add paths for them, or a rule for the rest: `else: keep` or `else: null`",
        )


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
    untyped = SQL("({}::text::{}) IS NULL AND {} IS NOT NULL").format(value, SQL(column.type), value)
    tests.append(("type", f"no {column.type}", untyped))
    for kind, why, test in tests:
        try:
            with connection.transaction():  # a savepoint: after a fault the other columns are still tried
                count = count_rows(connection, rows, test)
        except psycopg.errors.InsufficientPrivilege as error:
            yield _missing_privilege(connection, table, column.name, error)
            return
        except psycopg.Error as error:
            refused = (error.sqlstate or "")[:2] in ("22", "23")
            what = f"produces values that {column.type} refuses" if refused else "cannot be tried on the rows"
            yield _fault(kind, table, each, f"{where}: {what} ({without_values(error)})")
            return
        if count:
            yield _fault(kind, table, each, f"{where}: produces {why} in {count} of the sampled rows")


def _missing_privilege(connection: psycopg.Connection[Any], table: Table, column: str, error: psycopg.Error) -> Fault:
    """Return the fault of a privilege that the role lacks: on the table, or on what a mask, a type or a CHECK uses."""
    (role,) = connection.execute("SELECT quote_ident(current_user)").fetchone() or ("the role",)
    message = (
        f"{table.name}.{column}: {role} lacks a privilege that reading or masking it needs ({without_values(error)})"
    )
    remedy = f"grant {role} what the message names on production (USAGE on a schema, SELECT on a table, EXECUTE on a function)"
    return Fault("right", message, str(table.name), column, remedy)


def _check_faults(
    connection: psycopg.Connection[Any], plan: TablePlan, changed: set[str], select: Composed, leaf: Name | None = None
) -> Iterator[Fault]:
    """Evaluate CHECK constraints on masked rows in their columns' types: those of the table, or of the partition `leaf`.

    Skip those that read a column which is computed later: the load tries them.
    """
    columns = {each.column.name for each in plan.columns if not isinstance(each.rule.maker, ByTrigger)}
    checks = (check for check in plan.table.checks if check.enforced and check.validated and check.leaf == leaf)
    rows = _typed_rows(plan, select, sample_of(plan, leaf))
    where = f"{plan.table.name}" if leaf is None else f"{plan.table.name}, partition {leaf}"
    for check in checks:
        named = sorted(changed & set(check.columns))
        if not named or not set(check.columns) <= columns:
            continue
        try:
            with connection.transaction():
                count = count_rows(connection, rows, SQL("NOT ({})").format(SQL(check.expression)))
        except psycopg.errors.InsufficientPrivilege as error:
            yield _missing_privilege(connection, plan.table, named[0], error)
            continue
        except psycopg.Error as error:
            why = f"{where}: CHECK {check.name} cannot be evaluated on masked rows ({without_values(error)})"
            yield Fault("check", why, str(plan.table.name), named[0], FITTING)
            continue
        if count:
            why = f"{where}.{', '.join(named)}: CHECK {check.name} refuses {count} of the sampled masked rows"
            yield Fault("check", why, str(plan.table.name), named[0], FITTING)


def _partition_faults(
    connection: psycopg.Connection[Any], plan: TablePlan, changed: list[ColumnPlan], select: Composed
) -> Iterator[Fault]:
    """Yield what a single partition refuses, of its own masked rows. If a mask moves rows, the load tries them."""
    names = {each.column.name for each in changed}
    for leaf in plan.table.leaves:
        yield from _check_faults(connection, plan, names, select, leaf)
        rows = _masked_rows(plan, select, sample_of(plan, leaf))
        for each in (each for each in changed if leaf in each.column.not_null_leaves):
            if count := count_rows(connection, rows, SQL("{} IS NULL").format(Identifier(each.column.name))):
                why = (
                    f"produces NULL, but the column is NOT NULL on the partition {leaf}, in {count} of its sampled rows"
                )
                yield _fault(
                    "not-null", plan.table, each, f"{plan.table.name}.{each.column.name} ({each.rule.word}): {why}"
                )


def recomputed_key_faults(connection: psycopg.Connection[Any], plan: TablePlan, select: Composed) -> Iterator[Fault]:
    """Yield the unique keys that recomputed values break. All rows are read, because nothing less proves it."""

    def rows(leaf: Name | None) -> Composable:
        return _typed_rows(plan, select, only(leaf) if leaf is not None else rows_of(plan.table))

    return key_collisions(connection, plan, rows)

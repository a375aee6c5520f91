"""Checks of recomputed columns: an expression reads one masked row and nothing else, and its results keep unique keys."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from tasks.dumps.connections import without_values
from tasks.dumps.export_plan import ColumnPlan, TablePlan
from tasks.dumps.row_sources import count_rows
from tasks.dumps.unique_keys import columns_read_by
from tasks.estate.planning_faults import Fault
from tasks.estate.schema import Key, KeyKind, Name
from tasks.masking.makers.recompute import ByTrigger, Recompute


def key_collisions(
    connection: psycopg.Connection[Any], plan: TablePlan, rows: Callable[[Name | None], Composable]
) -> Iterator[Fault]:
    """Yield the unique keys that recomputed values break. `rows` returns all masked rows, of one partition or of the table."""
    computed = {each.column.name for each in plan.columns if isinstance(each.rule.maker, Recompute) and each.masked}
    for key in plan.table.unique_keys:
        touched = sorted(computed & columns_read_by(key, plan.table))
        if touched:
            where = f"{plan.table.name}.{touched[0]}"
            for why in _collisions(connection, plan, key, rows(key.leaf)):
                yield Fault("unique", f"{where}: {why}", str(plan.table.name), touched[0])


def _collisions(connection: psycopg.Connection[Any], plan: TablePlan, key: Key, rows: Composable) -> Iterator[str]:
    if key.kind is KeyKind.EXCLUSION:
        yield f"the exclusion constraint {key.name} reads it; nothing proves that recomputed values keep it"
        return
    if not {*key.columns, *key.computed, *key.conditions} <= {each.column.name for each in plan.columns}:
        yield f"the unique index {key.name} reads a generated column; nothing proves that recomputed values keep it"
        return
    parts: list[Composable] = [*map(Identifier, key.columns), *(SQL("({})").format(SQL(text)) for text in key.formulas)]
    wanted: list[Composable] = (
        [SQL("({})").format(SQL(condition))] if (condition := key.definition.partition(" WHERE ")[2]) else []
    )
    if "NULLS NOT DISTINCT" not in key.rule:
        wanted += [SQL("{} IS NOT NULL").format(part) for part in parts]
    equal = SQL("(SELECT FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1) AS equal").format(
        rows, SQL(" AND ").join(wanted or [SQL("true")]), SQL(", ").join(parts)
    )
    try:
        with connection.transaction():
            count = count_rows(connection, equal)
    except psycopg.Error as error:
        yield f"whether recomputed values keep the unique {key.name} is not known ({without_values(error)})"
        return
    if count:
        yield (
            f"recomputed values are equal in {count} groups of rows, but {key.name} must be unique; add what differs in "
            "each row, for example: || '-' || id"
        )


def expression_fault(connection: psycopg.Connection[Any], plan: TablePlan, each: ColumnPlan) -> str:
    """Return why an expression is not computed from one masked row alone; empty if it is.

    PostgreSQL's planner decides: an expression that reads only the row, and nothing volatile, is planned as one Result.
    (The 1 is there because the planner leaves out a sub-select of which nothing else is selected.)
    """
    maker = each.rule.maker
    if not isinstance(maker, Recompute):
        return ""
    readable = [
        c for c in plan.columns
        if c is not each and not c.unread and not isinstance(c.rule.maker, Recompute | ByTrigger)
    ]  # fmt: skip
    row = SQL(", ").join(SQL("NULL::{} AS {}").format(SQL(c.column.type), Identifier(c.column.name)) for c in readable)
    query = SQL(
        "EXPLAIN (FORMAT JSON) SELECT understudy.made, 1 FROM (SELECT ({}) AS made FROM (SELECT {}) AS {}) AS understudy"
    )
    try:
        with connection.transaction():
            ((plans,),) = connection.execute(
                query.format(SQL(maker.recompute), row, Identifier(plan.table.name.name))
            ).fetchall()
            functions = connection.execute(_VOLATILITY, [sorted(maker.calls)]).fetchall()
    except psycopg.Error as error:
        return f"cannot be computed from the other columns of the row ({_policy_error(error)})"
    if why := next((WHY[key] for key in WHY if key in _nodes(plans[0]["Plan"])), ""):
        return why
    return f"it calls {functions[0][0]}, which is not IMMUTABLE and may read other rows" if functions else ""


# The application's functions (not PostgreSQL's or an extension's) of these names that are not declared IMMUTABLE.
_VOLATILITY = """SELECT p.oid::regproc::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname = ANY (%s) AND p.provolatile <> 'i' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    ORDER BY 1 LIMIT 1"""
WHY = {
    "ProjectSet": "returns several rows; expected one value",
    "Aggregate": "is an aggregate; expected one value of one row",
    "WindowAgg": "is a window function; expected one value of one row",
    "SubPlan": "has a sub-select; expected the columns of the row alone",
    "InitPlan": "has a sub-select; expected the columns of the row alone",
    "Relation Name": "reads another table; expected the columns of the row alone",
    "Subquery Scan": "calls a volatile function; expected the same value whenever it is computed",
}


def _nodes(plan: Mapping[str, Any]) -> set[str]:
    below = [_nodes(each) for each in plan.get("Plans", ())]
    own = {
        str(plan.get("Node Type")),
        str(plan.get("Parent Relationship", "")),
        *("Relation Name",) * ("Relation Name" in plan),
    }
    return own.union(*below)


def _policy_error(error: psycopg.Error) -> str:
    """Return PostgreSQL's message about the text of a policy: names and syntax, no value of a row, because it was not run."""
    if (error.sqlstate or "").startswith("42"):
        return str(error.diag.message_primary)
    return without_values(error)

"""The check of a drafted policy: it proposes no maker that the plan would refuse for its column.

The checks are those of a plan: makers' own problems, unique keys, the rules of joined columns, and the sampled rows (types,
lengths, NOT NULL, domains, CHECKs). A refused maker is replaced by one that passes, or the column is left undecided with
the refusal as the reason.
"""

import os
from collections.abc import Iterator

import psycopg

from tasks.dumps.column_groups import groups_of
from tasks.dumps.derived_column_checks import with_watched_columns, word_faults
from tasks.dumps.export_plan import TablePlan, anonymizer_of, table_plan
from tasks.dumps.masking_sql import masked_columns, masked_row_faults, recomputed_key_faults, set_mask_settings
from tasks.dumps.row_sources import sample_of
from tasks.dumps.unique_keys import key_faults
from tasks.estate.dumps import Choices
from tasks.estate.errors import Misconfigured
from tasks.estate.schema import Catalog, Column, Table
from tasks.masking.classify import ColumnDraft, Draft, TableDraft
from tasks.masking.derived_columns import derived_columns
from tasks.masking.keyring import Keyring
from tasks.masking.policy import ColumnRule, Policy, TableRule, references_from, rule_from
from tasks.masking.session_settings import Session

AS_IS = ColumnRule()
LONGEST_HASH, SHORTEST_HASH = 32, 8  # hex digits; with 8 two of a hundred rows collide once in a million tables
Rules = dict[str, dict[str, ColumnRule]]


def correct_draft(connection: psycopg.Connection[object], catalog: Catalog, drafted: Draft) -> Draft:
    """Return the draft with every maker replaced that the plan would refuse. Decided columns are left as they are."""
    session = Session(  # any key: only the form of the values is checked
        Keyring(os.urandom(32), run="draft"), drafted.locale, server_version=catalog.identity.server_version
    )
    rules = {str(t.name): {c.name: _rule(c) for c in t.columns} for t in drafted.tables if t.whole is None}
    tables = []
    for each in drafted.tables:
        table = catalog.table(str(each.name))
        if each.whole is not None or table is None:
            tables.append(each)
            continue
        if _fits(connection, session, table, rules):
            tables.append(each)
            continue
        columns = tuple(_vetted(connection, session, rules, table, column) for column in each.columns)
        tables.append(each.model_copy(update={"columns": columns}))
    tables = list(_without_words(connection, catalog, drafted.model_copy(update={"tables": tuple(tables)}), rules))
    joined = _without_torn_joins(catalog, drafted.model_copy(update={"tables": tuple(tables)}), rules)
    return drafted.model_copy(update={"tables": tuple(joined)})


def _fits(connection: psycopg.Connection[object], session: Session, table: Table, rules: Rules) -> bool:
    """Return whether all rules of the table pass, so that its columns need no check of their own."""
    plan = _plan(table, rules)
    if not any(c.masked for c in plan.columns):
        return True
    if any(key_faults(table, plan.makers)):
        return False
    if any(c.rule.maker.problems(c.place(table)) for c in plan.columns if c.masked and c.rule.maker is not None):
        return False
    if any(c.rule.by and table.column(c.rule.by) is None for c in plan.columns):
        return False
    select = masked_columns(plan, session)
    set_mask_settings(connection, session)
    return not any(masked_row_faults(connection, plan, select)) and not any(
        recomputed_key_faults(connection, plan, select)
    )


def _rule(column: ColumnDraft) -> ColumnRule:
    """Return the drafted rule. A column that is undecided, or whose existing rule is invalid, counts as kept."""
    try:
        return AS_IS if column.rule is None else rule_from(column.rule)
    except Misconfigured:
        return AS_IS


def _vetted(
    connection: psycopg.Connection[object],
    session: Session,
    rules: Rules,
    table: Table,
    drafted: ColumnDraft,
) -> ColumnDraft:
    """Return the column's draft with the first maker that passes."""
    name, column = str(table.name), table.column(drafted.name)
    if column is None or drafted.settled or rules[name][drafted.name].maker is None:
        return drafted
    wanted = drafted.rule
    why = next(_refusals(connection, session, rules, table, column), "")
    if not why:
        return drafted
    switch = anonymizer_of(rules[name][drafted.name])
    for bare in _instead(column):
        other = {**bare, "anonymizer": str(switch)} if switch else bare if len(bare) > 1 else bare["maker"]
        rules[name][column.name] = rule_from(other)
        if next(_refusals(connection, session, rules, table, column), None) is None:
            word = wanted.get("maker", "recompute") if isinstance(wanted, dict) else wanted
            return drafted.model_copy(
                update={"rule": other, "reason": f"{drafted.reason}; {word} does not fit: {_brief(why, table, column)}"}
            )
    rules[name][column.name] = AS_IS
    reason = f"{drafted.reason}; no maker fits: {_brief(why, table, column)}"
    return drafted.model_copy(update={"rule": None, "reason": reason, "confidence": 0.0})


def _brief(why: str, table: Table, column: Column) -> str:
    return why.removeprefix(f"{table.name}.{column.name}: ")


def _instead(column: Column) -> Iterator[dict[str, object]]:
    """Yield other rules for the column, the most informative first."""
    room = min(column.max_length or LONGEST_HASH, LONGEST_HASH)
    if column.category == "S" and not column.array and room >= SHORTEST_HASH:
        yield {"maker": "hash", "chars": min(room, 16)}
        yield {"maker": "hash", "chars": room}
    if column.base == "uuid" and not column.array:
        yield {"maker": "uuid"}
    if not column.not_null:
        yield {"maker": "null"}


def _refusals(
    connection: psycopg.Connection[object],
    session: Session,
    rules: Rules,
    table: Table,
    column: Column,
) -> Iterator[str]:
    """Yield why the plan would refuse the column's rule."""
    plan = _plan(table, rules)
    each = next(c for c in plan.columns if c.column.name == column.name)
    if each.rule.maker is not None:
        yield from each.rule.maker.problems(each.place(table))
    if each.rule.by and table.column(each.rule.by) is None:
        yield f"by: there is no column {each.rule.by}"
    yield from (str(fault) for fault in key_faults(table, plan.makers) if fault.column == column.name)
    alone = plan.model_copy(
        update={"columns": tuple(c if c is each else c.model_copy(update={"rule": AS_IS}) for c in plan.columns)}
    )
    select = masked_columns(alone, session)
    set_mask_settings(connection, session)
    yield from map(str, masked_row_faults(connection, alone, select))
    yield from map(str, recomputed_key_faults(connection, alone, select))


def _plan(table: Table, rules: Rules) -> TablePlan:
    name = str(table.name)
    whole = {column.name: rules[name].get(column.name, AS_IS) for column in table.copied}
    groups = {(name, column): f"{name}.{column}" for column, rule in whole.items() if rule.maker is not None}
    return table_plan(table, whole, groups, Choices())


def _without_words(
    connection: psycopg.Connection[object], catalog: Catalog, drafted: Draft, rules: Rules
) -> Iterator[TableDraft]:
    """Yield the tables; a kept column whose rows contain words of a masked one becomes undecided."""
    known = derived_columns(catalog)
    policy = Policy(app="draft", schema_version=0, tables={})
    for each in drafted.tables:
        table = catalog.table(str(each.name))
        if each.whole is not None or table is None:
            yield each
            continue
        (plan,) = with_watched_columns(policy, [_plan(table, rules)], known)
        found = {fault.column: _words_of(fault.message) for fault in word_faults(connection, plan, sample_of(plan))}
        columns = tuple(
            column.model_copy(update={"rule": None, "confidence": 0.0, "reason": found[column.name]})
            if column.name in found and column.rule is not None and not column.settled
            else column
            for column in each.columns
        )
        yield each.model_copy(update={"columns": columns})


def _words_of(why: str) -> str:
    """Return the fault without the line of the policy, which is not written yet."""
    return why.partition(" and ")[2]


def _without_torn_joins(catalog: Catalog, drafted: Draft, rules: Rules) -> Iterator[TableDraft]:
    """Yield the tables; a drafted column whose rule differs from that of a joined column becomes undecided."""
    references = references_from(drafted.references)
    policy = Policy(
        app="draft",
        schema_version=0,
        tables={name: TableRule(columns=columns) for name, columns in rules.items()},
        references=references,
    )
    _, faults = groups_of(catalog, policy, rules)
    torn = " ".join(map(str, faults))
    for table in drafted.tables:
        columns = tuple(
            column.model_copy(
                update={"rule": None, "confidence": 0.0, "reason": f"{column.reason}; its references differ"}
            )
            if column.rule not in (None, "keep") and not column.settled and f"{table.name}.{column.name} " in f"{torn} "
            else column
            for column in table.columns
        )
        yield table.model_copy(update={"columns": columns})

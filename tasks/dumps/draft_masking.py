"""The draft of a masking plan from a policy and the catalogue, or the list of all faults.

Faults are: a table or column that the policy does not name, a rule that names nothing, a maker that does not fit, and a key
or foreign key that masking would break.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import partial

from tasks.dumps.column_groups import groups_of
from tasks.dumps.derived_column_checks import (
    accepted_pairs,
    derived_faults,
    derived_notes,
    with_raw_recomputed,
    with_watched_columns,
)
from tasks.dumps.export_plan import (
    MaskingPlan,
    TablePlan,
    audit_tables,
    inherited_rules,
    parents_first,
    rule_for,
    rules_of,
    table_plan,
    whole_tables,
)
from tasks.dumps.leak_search import is_hashed, is_searched
from tasks.dumps.table_rules import (
    dropped_partitions,
    foreign_partition_faults,
    inheritance_faults,
    keys_to_dropped_partitions,
    name_faults,
    name_notes,
    without_dropped,
)
from tasks.dumps.unique_keys import key_faults
from tasks.estate.dumps import Choices
from tasks.estate.errors import PolicyRefused
from tasks.estate.planning_faults import Fault, as_facts, listed
from tasks.estate.relations import Resolver
from tasks.estate.schema import Catalog, ForeignKey
from tasks.masking.derived_columns import derived_columns
from tasks.masking.policy import Policy
from tasks.masking.policy_patterns import expand

SHOWN = 40  # faults in one message


def draft_masking(catalog: Catalog, policy: Policy, choices: Choices) -> MaskingPlan:
    """Return the masking plan. Raise `PolicyRefused` with every fault and its remedy."""
    written_out = expand(policy, catalog)
    policy = written_out.policy
    resolver = Resolver.of(catalog)
    faults = [
        *(Fault("pattern", each) for each in written_out.faults),
        *name_faults(catalog, policy, resolver), *_unknown_columns(catalog, policy),
        *_unclassified(catalog, policy), *inheritance_faults(catalog, policy),
    ]  # fmt: skip
    if catalog.identity.encoding == "SQL_ASCII":
        why = "the database has the encoding SQL_ASCII: its text may be anything"
        faults.append(Fault("encoding", why, remedy="expected UTF8 or another real one"))
    rules = dict(rules_of(catalog, policy))
    groups, group_faults = groups_of(catalog, policy, rules)
    faults += group_faults
    wanted = [table for table in parents_first(catalog) if str(table.name) in rules]
    dropped = set(dropped_partitions(policy, resolver))
    plans = [table_plan(without_dropped(table, dropped), rules[str(table.name)], groups, choices) for table in wanted]
    for plan in plans:
        faults += foreign_partition_faults(plan.table, policy, resolver)
        faults += _maker_faults(plan)
        faults += key_faults(plan.table, plan.makers)
    known = derived_columns(catalog)
    faults += derived_faults(catalog, policy, plans, known)
    faults += [
        Fault("generated", f"{stray.where}: holds what looks like {stray.what}", remedy="change its expression")
        for stray in catalog.strays
        if stray.kind == "generated"
    ]
    faults += _orphans(catalog, policy, plans)
    faults += keys_to_dropped_partitions(
        catalog, rules, dropped, partial(_arrives_null, {str(p.table.name): p for p in plans})
    )
    faults += _ineffective_accepts(policy, plans, accepted_pairs(catalog, plans, known))
    if faults:
        raise PolicyRefused(
            f"The policy for {policy.app!r} does not fit the database {catalog.identity.database}: {listed(faults, SHOWN)}.",
            faults=as_facts(faults),
        )
    return MaskingPlan(
        tables=tuple(with_watched_columns(policy, [with_raw_recomputed(plan) for plan in plans], known)),
        dropped=(*whole_tables(catalog, policy, "drop"), *sorted(map(str, dropped))),
        excluded=tuple(sorted({*whole_tables(catalog, policy, "exclude"), *audit_tables(catalog, policy)})),
        left_out=catalog.left_out,
        notes=(*_notes(plans), *derived_notes(catalog, plans, known), *name_notes(policy, resolver)),
    )


def _unknown_columns(catalog: Catalog, policy: Policy) -> Iterator[Fault]:
    """Yield the rules for columns that do not exist: after a typo the real column would stay unmasked."""
    tables = {str(table.name): table for table in catalog.tables}
    for name, rule in policy.tables.items():
        table = tables.get(name)
        if table is None:
            continue
        for column, column_rule in rule.columns.items():
            found = table.column(column)
            if found is None:
                close = get_close_matches(column, [each.name for each in table.columns], n=3)
                why = f"line {column_rule.line}: {name} has no column {column}"
                yield Fault("unknown-column", why, name, column, f"it has {', '.join(close)}" if close else "")
            elif found.generated and column_rule.maker is not None:
                why = f"line {column_rule.line}: {name}.{column} is generated and never copied"
                yield Fault("no-effect", why, name, column, "mask what it is computed from")
            elif column_rule.by and table.column(column_rule.by) is None:
                why = f"line {column_rule.line}: {name}.{column}: by: {name} has no column {column_rule.by}"
                yield Fault("unknown-column", why, name, column)


def _unclassified(catalog: Catalog, policy: Policy) -> Iterator[Fault]:
    audit = set(audit_tables(catalog, policy))
    for table in catalog.tables:
        rule = rule_for(table, catalog, policy)
        if rule is None and str(table.name) not in audit:
            remedy = "add it to the policy (columns, keep, drop or exclude)"
            yield Fault("unclassified", f"the table {table.name} is not classified", str(table.name), remedy=remedy)
        elif rule is not None and rule.whole is None:
            named = inherited_rules(table, catalog, policy)
            for column in table.copied:
                if column.name not in named:
                    why = f"the column {table.name}.{column.name} ({column.type}) is not classified"
                    yield Fault("unclassified", why, str(table.name), column.name, "add keep or a maker")


def _maker_faults(plan: TablePlan) -> Iterator[Fault]:
    for each in plan.columns:
        if each.rule.maker is None:
            continue
        problems = each.rule.maker.problems(each.place(plan.table))
        if each.rule.nulls == "equalise" and each.column.not_null:
            problems.append("nulls: equalise makes every value NULL, but the column is NOT NULL")
        if each.rule.by and plan.table.column(each.rule.by) is None:
            problems.append(f"by: there is no column {each.rule.by}")
        where = f"line {each.rule.line}: {plan.table.name}.{each.column.name}"
        yield from (Fault("maker", f"{where}: {why}", str(plan.table.name), each.column.name) for why in problems)


def _orphans(catalog: Catalog, policy: Policy, plans: list[TablePlan]) -> Iterator[Fault]:
    """Yield the foreign keys from an exported table to a dropped one."""
    dropped = set(whole_tables(catalog, policy, "drop"))
    travelling = {str(plan.table.name): plan for plan in plans}
    for key in catalog.foreign_keys:
        plan = travelling.get(str(key.table))
        if plan is None or str(key.references) not in dropped:
            continue
        if not _arrives_null(travelling, key):
            why = f"{key.table} refers to {key.references} by {key.name}, and that table is dropped"
            yield Fault("foreign-key", why, str(key.table), key.columns[0], "drop both, or mask with null")


def _arrives_null(travelling: dict[str, TablePlan], key: ForeignKey) -> bool:
    """Return whether a column of the key is NULL in every exported row."""
    emptied = {
        c.column.name for c in travelling[str(key.table)].columns if c.rule.nulls == "equalise" or c.rule.word == "null"
    }
    return bool(set(key.columns) & emptied)


def _ineffective_accepts(policy: Policy, plans: list[TablePlan], derived: set[tuple[str, str]]) -> Iterator[Fault]:
    """Yield the accepted pairs that neither the leak search nor the plan can find, such as those with a typo."""
    columns = {f"{plan.table.name}.{each.column.name}": each for plan in plans for each in plan.columns}
    for entry in policy.accept:
        if (entry.source, entry.found) in derived:
            continue
        source, found = columns.get(entry.source), columns.get(entry.found)
        if source is None or not is_hashed(source):
            why = f"line {entry.line}: accept: the leak search does not look for values of {entry.source}"
            yield Fault("no-effect", why, *_split(entry.source), "remove the entry")
        if found is None or not is_searched(found):
            why = f"line {entry.line}: accept: the leak search does not search in {entry.found}"
            yield Fault("no-effect", why, *_split(entry.found), "remove the entry")


def _split(name: str) -> tuple[str, str]:
    table, _, column = name.rpartition(".")
    return table, column


def _notes(plans: list[TablePlan]) -> Iterator[str]:
    for plan in plans:
        if plan.table.primary is None:
            yield f"{plan.table.name} has no primary key"
        for each in plan.columns:
            if each.column.base == "oid" and not each.masked:
                yield f"{plan.table.name}.{each.column.name}: large objects do not travel; what its oids name is missing on staging"
            if each.rule.maker is not None and not each.rule.maker.has_python_twin:
                yield f"{plan.table.name}.{each.column.name}: {each.rule.word} works in the database only; a raw dump cannot be loaded"

"""The table rules of a policy in one database: what each applies to. A rule that applies to nothing is a fault."""

from collections.abc import Callable, Collection, Iterator

from tasks.estate.planning_faults import Fault
from tasks.estate.relations import Resolver, describe
from tasks.estate.schema import Catalog, ForeignKey, Kind, Name, Relation, Table
from tasks.masking.policy import Policy


def name_faults(catalog: Catalog, policy: Policy, resolver: Resolver) -> Iterator[Fault]:
    """Yield the policy's unknown table names, and the rules that have no effect on their relation."""
    tables = {str(table.name) for table in catalog.tables}
    for name, rule in policy.tables.items():
        relation = resolver.find(name)
        if relation is None and rule.whole is None:  # a mask that is not applied anywhere
            why = f"line {rule.line}: the database has no table {name}{resolver.nearest(name)}"
            yield Fault("unknown-table", why, name, remedy="correct or remove the rule")
        elif relation is not None and name not in tables and rule.whole not in (allowed := _allowed(relation)):
            found = rule.whole or "rules of columns"
            why = f"line {rule.line}: {name} is {describe(relation)}: the rule {found!r} would have no effect"
            yield Fault("no-effect", why, name, remedy=f"expected {' or '.join(allowed)}, or no rule")


def _allowed(relation: Relation) -> tuple[str, ...]:
    """Return the rules that a relation may have that is not a table of its own: they have an effect, or state a fact."""
    if relation.partition and relation.holds_rows:
        return ("drop",)  # the other rules are those of the partitioned table, for all its rows
    return ("exclude",)


def name_notes(policy: Policy, resolver: Resolver) -> Iterator[str]:
    """Yield a note for each whole-table rule without a table in this database: it can apply to staging only."""
    for name, rule in policy.tables.items():
        if rule.whole is not None and name != policy.audit.table and resolver.find(name) is None:
            yield f"line {rule.line}: the source has no table {name}{resolver.nearest(name)}; {rule.whole!r} can apply to staging only"


def foreign_partition_faults(table: Table, policy: Policy, resolver: Resolver) -> Iterator[Fault]:
    """Yield the foreign partitions of an exported table that the policy does not exclude: their rows are not exported,
    because they are stored on another server.
    """
    for leaf in table.foreign_leaves:
        relation = resolver.find(leaf)
        rule = policy.tables.get(str(leaf))
        if relation is not None and (rule is None or rule.whole is None):
            why = f"{leaf} is {describe(relation)}, whose rows are not exported"
            yield Fault("foreign-partition", why, str(leaf), remedy=f"add `{leaf}: exclude`, or detach it")


def inheritance_faults(catalog: Catalog, policy: Policy) -> Iterator[Fault]:
    """Yield the tables with several inheritance parents whose rules disagree about the whole table."""
    for table in catalog.tables:
        if len(table.parents) < 2 or str(table.name) in policy.tables:
            continue
        rules = {str(p): policy.tables[str(p)].whole or "columns" for p in table.parents if str(p) in policy.tables}
        if len(set(rules.values())) > 1:
            listed = ", ".join(f"{parent} ({rule})" for parent, rule in rules.items())
            why = f"{table.name} inherits from tables with different rules: {listed}"
            yield Fault("inheritance", why, str(table.name), remedy="add a rule of its own")


def dropped_partitions(policy: Policy, resolver: Resolver) -> Iterator[Name]:
    """Yield the leaf partitions whose rows are not exported, because the policy drops them or a partition above them."""
    for name, rule in policy.tables.items():
        relation = resolver.find(name)
        if rule.whole == "drop" and relation is not None and relation.partition:
            yield from (leaf.name for leaf in resolver.leaves(relation.name) if leaf.kind is Kind.ORDINARY)


def keys_to_dropped_partitions(
    catalog: Catalog, exported: Collection[str], dropped: set[Name], emptied: Callable[[ForeignKey], bool]
) -> Iterator[Fault]:
    """Yield the foreign keys from exported tables to tables with dropped partitions: rows may refer to rows that are not
    exported. `emptied` returns whether a key's columns arrive as NULL.
    """
    torn = {table.name: gone for table in catalog.tables if (gone := sorted(map(str, dropped & {*table.leaves})))}
    for key in catalog.foreign_keys:
        if str(key.table) in exported and key.references in torn and not emptied(key):
            parts = ", ".join(torn[key.references])
            why = f"{key.table} refers to {key.references} by {key.name}, and the partition {parts} of it is dropped"
            yield Fault("foreign-key", why, str(key.table), key.columns[0], "keep it, or mask with null")


def without_dropped(table: Table, dropped: set[Name]) -> Table:
    """Return the table without these partitions."""
    left = tuple(leaf for leaf in table.leaves if leaf not in dropped)
    return table if left == table.leaves else table.model_copy(update={"leaves": left})


def existing_names(policy: Policy, resolver: Resolver) -> tuple[str, ...]:
    """Return the names of the policy that this database has."""
    return tuple(sorted(name for name in policy.tables if resolver.find(name) is not None))


def stale_rules(policy: Policy, known: set[str], resolver: Resolver) -> Iterator[Fault]:
    """Yield the table rules that apply to nothing. `known`: the names of the dump's source; `resolver`: of staging."""
    for name, rule in policy.tables.items():
        if name != policy.audit.table and name not in known and resolver.find(name) is None:
            why = f"line {rule.line}: neither the dump's source nor staging has a table {name}{resolver.nearest(name)}"
            yield Fault("unknown-table", why, name, remedy="correct or remove the rule")

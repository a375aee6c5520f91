"""Column groups: columns that must stay equal after masking, because a foreign key or the policy joins them."""

from collections.abc import Iterator

from tasks.estate.dumps import Anonymizer
from tasks.estate.planning_faults import Fault
from tasks.estate.schema import Catalog
from tasks.masking.policy import ColumnRule, Policy

Where = tuple[str, str]  # table, column
Rules = dict[str, dict[str, ColumnRule]]


def groups_of(catalog: Catalog, policy: Policy, rules: Rules) -> tuple[dict[Where, str], list[Fault]]:
    """Return the group of every masked column, and the faults of the joins.

    The policy's group comes first, then the columns that a foreign key joins, then, for names, one group for each kind of
    name, so that a person's name is the same everywhere. Any other column is alone.
    """
    joined = _joined(catalog, policy, rules)
    groups: dict[Where, str] = {}
    for table, columns in rules.items():
        for column, rule in columns.items():
            if rule.maker is not None:
                groups[table, column] = rule.group or _named(rule) or joined.get((table, column), f"{table}.{column}")
    return groups, list(_faults(catalog, policy, rules, groups))


def _named(rule: ColumnRule) -> str:
    maker = rule.maker
    return maker.maker if maker is not None and maker.anonymizer is Anonymizer.NAMES else ""


def _pairs(catalog: Catalog, policy: Policy, rules: Rules) -> Iterator[tuple[Where, Where, str]]:
    """Yield every pair of columns that a foreign key or a reference of the policy joins, with its description."""
    for key in catalog.foreign_keys:
        for mine, theirs in zip(key.columns, key.referenced_columns, strict=True):
            yield (str(key.table), mine), (str(key.references), theirs), f"the foreign key {key.name}"
    for reference in policy.references:
        pair = (reference.table, reference.column), (reference.references, reference.referenced_column)
        yield *pair, f"the reference in line {reference.line}"


def _joined(catalog: Catalog, policy: Policy, rules: Rules) -> dict[Where, str]:
    """Map each joined column to the smallest column that it is joined with, directly or through others."""
    root: dict[Where, Where] = {}

    def find(where: Where) -> Where:
        while root.get(where, where) != where:
            where = root[where]
        return where

    for mine, theirs, _ in _pairs(catalog, policy, rules):
        first, second = sorted((find(mine), find(theirs)))
        root[second] = first
        root.setdefault(first, first)
    return {where: ".".join(find(where)) for where in root}


def _faults(catalog: Catalog, policy: Policy, rules: Rules, groups: dict[Where, str]) -> Iterator[Fault]:
    for mine, theirs, what in _pairs(catalog, policy, rules):
        for table, column in (mine, theirs):
            found = catalog.table(table)
            if found is None or found.column(column) is None:
                why = f"{what} names {table}.{column}, which does not exist"
                yield Fault("reference", why, table, column, "correct or remove it")
        here, there = _rule(rules, mine), _rule(rules, theirs)
        if here is None or there is None or (here.maker is None and there.maker is None):
            continue
        names = f"{'.'.join(mine)} and {'.'.join(theirs)} are joined by {what}"
        subjects = _subject(catalog, mine, here), _subject(catalog, theirs, there)
        if here.maker != there.maker or here.nulls == "equalise" or there.nulls == "equalise":
            remedy = "give both the same rule"
            yield Fault("joined", f"{names}: both need the same maker and options", *mine, remedy)
        elif any(subjects) and not _same_subject(catalog, *subjects):
            why = f"{names}: the replacement depends on the subject, so `by` must name the same key on both sides"
            yield Fault("joined", why, *mine, "name the same key in both, or keep both")
        elif groups[mine] != groups[theirs]:
            why = f"{names} but have the groups {groups[mine]!r} and {groups[theirs]!r}"
            yield Fault("joined", why, *mine, "give both the same group")


def _rule(rules: Rules, where: Where) -> ColumnRule | None:
    return rules.get(where[0], {}).get(where[1])


def _subject(catalog: Catalog, where: Where, rule: ColumnRule) -> Where | None:
    """Return the column that the replacement is made from, if it is not the value: `by`, or the row's key."""
    if rule.by:
        return where[0], rule.by
    if getattr(rule.maker, "form", "") != "id":
        return None
    table = catalog.table(where[0])
    key = table.primary if table is not None else None
    return (where[0], key.columns[0]) if key is not None else None


def _same_subject(catalog: Catalog, mine: Where | None, theirs: Where | None) -> bool:
    """Return whether the columns are the same key: one refers to the other, or both to a third."""
    if mine is None or theirs is None:
        return False
    return bool(_identities(catalog, mine) & _identities(catalog, theirs))


def _identities(catalog: Catalog, where: Where) -> set[Where]:
    """Return the column and those that its foreign keys refer to."""
    found = {where}
    for key in catalog.foreign_keys:
        for mine, theirs in zip(key.columns, key.referenced_columns, strict=True):
            if (str(key.table), mine) == where:
                found.add((str(key.references), theirs))
    return found

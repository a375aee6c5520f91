"""Fitting: whether a target can take what a dump holds, told from what its relations are."""

from collections.abc import Iterable, Iterator

from tasks.estate.faults import Fault
from tasks.estate.relations import Resolver, describe
from tasks.estate.tables import Kind, Name, Relation


def unwritable(written: Iterable[Name], resolver: Resolver) -> Iterator[Fault]:
    """Yield what keeps a load from writing these tables: rows that are stored elsewhere, or that the role cannot see."""
    for name in written:
        for leaf in resolver.leaves(name):
            if leaf.kind is Kind.FOREIGN:
                above = leaf.parents[0]
                why = f"{leaf.name} is {describe(leaf)}, so that emptying and loading {name} would change that server"
                remedy = f"on staging: ALTER TABLE {above} DETACH PARTITION {leaf.name}"
                yield Fault("foreign-partition", why, str(name), remedy=remedy)
        relation = resolver.find(name)
        for each in (relation, *resolver.partitions(name)):
            if each is not None and each.hidden:
                why = f"row security hides rows of {each.name} from the loading role"
                remedy = f"on staging: ALTER TABLE {each.name} NO FORCE ROW LEVEL SECURITY for the owner, or a role with BYPASSRLS"
                yield Fault("row-security", why, str(name), remedy=remedy)


def taken_names(absent: Iterable[Name], resolver: Resolver) -> Iterator[Fault]:
    """Yield the tables of the dump whose name stands for something else on staging: a view, a foreign table, a part."""
    for name in absent:
        relation = resolver.find(name)
        if relation is not None and not _is_table(relation):
            why = f"the dump has the table {name}, which is {describe(relation)} on staging"
            yield Fault("taken-name", why, str(name), remedy="rename it there")


def _is_table(relation: Relation) -> bool:
    return relation.holds_rows and not relation.partition and not relation.of_extension

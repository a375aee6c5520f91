"""What each name in a database is, and where its rows are stored."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from tasks.estate.schema import Catalog, Kind, Name, Relation, Table


class Resolver:
    """Finds relations of one database by name, with their partitions and children. Each call is a look-up."""

    def __init__(self, relations: Iterable[Relation]) -> None:
        self._by_name = {relation.name: relation for relation in relations}
        self._by_text = {str(name): relation for name, relation in self._by_name.items()}
        self._children: dict[Name, list[Relation]] = defaultdict(list)
        for relation in self._by_name.values():
            for parent in relation.parents:
                self._children[parent].append(relation)

    @classmethod
    def of(cls, catalog: Catalog) -> "Resolver":
        """Return the resolver of a catalogue. Tables without a listed relation are included."""
        known = {relation.name for relation in catalog.relations}
        return cls([*catalog.relations, *(_as_relation(t) for t in catalog.tables if t.name not in known)])

    def find(self, name: Name | str) -> Relation | None:
        """Return the relation with this name, given as `Name` or as its text."""
        return self._by_text.get(name) if isinstance(name, str) else self._by_name.get(name)

    def root(self, relation: Relation) -> Relation:
        """Return the partitioned table at the top of a partition; any other relation is its own root."""
        while relation.partition and (above := self._by_name.get(relation.parents[0])) is not None:
            relation = above
        return relation

    def root_name(self, name: Name) -> Name:
        """Return the name of the root of the relation with this name; an unknown relation is its own root."""
        relation = self.find(name)
        return self.root(relation).name if relation is not None else name

    def parts(self, name: Name) -> list[Relation]:
        """Return the partitions directly below a partitioned table."""
        return [child for child in self._children.get(name, ()) if child.partition]

    def partitions(self, name: Name) -> Iterator[Relation]:
        """Yield all partitions below a partitioned table, at any depth, parents first."""
        for child in self.parts(name):
            yield child
            yield from self.partitions(child.name)

    def leaves(self, name: Name) -> tuple[Relation, ...]:
        """Return the relations that store a table's rows: the table itself, or its leaf partitions."""
        relation = self._by_name.get(name)
        if relation is None or relation.kind is not Kind.PARTITIONED:
            return (relation,) if relation is not None else ()
        return tuple(each for each in self.partitions(name) if each.kind is not Kind.PARTITIONED)

    def heirs(self, name: Name) -> Iterator[Relation]:
        """Yield the inheritance children of a table, at any depth, without partitions."""
        for child in self._children.get(name, ()):
            if not child.partition:
                yield child
                yield from self.heirs(child.name)

    def nearest(self, name: str) -> str:
        """Return similar names, as the end of a message about an unknown name."""
        bare = name.rpartition(".")[2].casefold()
        same = [text for text, relation in self._by_text.items() if relation.name.name.casefold() == bare]
        close = same or get_close_matches(name, self._by_text, n=3, cutoff=0.75)
        return f"; it has {', '.join(sorted(close)[:3])}" if close else ""


def describe(relation: Relation) -> str:
    """Return a description of a relation for messages: `a foreign table on the server far`."""
    if relation.partition:
        kind = "foreign partition" if relation.kind is Kind.FOREIGN else "partition"
        where = f" on the server {relation.server}" if relation.server else ""
        return f"a {kind} of {relation.parents[0]}{where}"
    if relation.of_extension:
        return f"a {relation.kind.value} that belongs to an extension"
    return f"a {relation.kind.value}" + (f" on the server {relation.server}" if relation.server else "")


def _as_relation(table: Table) -> Relation:
    kind = Kind.PARTITIONED if table.partitioned else Kind.ORDINARY
    return Relation(name=table.name, kind=kind, parents=table.parents)

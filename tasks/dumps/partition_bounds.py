"""Partition bounds: whether the target's partitions can take the rows of the source's, by comparing their bounds."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd, lcm
from typing import Any, Literal

import psycopg
from psycopg.sql import SQL

from tasks.dumps.catalog import identifier
from tasks.estate.relations import Resolver
from tasks.estate.schema import Kind, Name, Relation, Table

Taken = Literal["yes", "no", "maybe"]
LITERAL = re.compile(r"E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|[\w.+-]+")
MOST_RESIDUES = 4096  # of a hash modulus; more are not compared
DEFAULT = "DEFAULT"
# For each key column: -1 MINVALUE, 0 a value, 1 MAXVALUE, 2 NULL; and the value.
Point = tuple[tuple[int, str | None], ...]
PLACES = {"MINVALUE": -1, "MAXVALUE": 1, "NULL": 2}


@dataclass(frozen=True)
class Bound:
    """The bound of one partition. RANGE has two `points`, LIST one for each value, HASH a modulus and a remainder."""

    strategy: Literal["range", "list", "hash", "default"]
    points: tuple[Point, ...] = ()
    modulus: int = 1
    remainder: int = 0


def read_bound(text: str) -> Bound | None:
    """Parse a partition's bound as PostgreSQL prints it. Return None for anything else."""
    if text == DEFAULT:
        return Bound("default")
    if found := re.fullmatch(r"FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)", text):
        return Bound("hash", modulus=int(found[1]), remainder=int(found[2]))
    if found := re.fullmatch(r"FOR VALUES IN \((.*)\)", text, re.DOTALL):
        return Bound("list", tuple((point,) for point in _points(found[1])))
    if found := re.fullmatch(r"FOR VALUES FROM \((.*)\) TO \((.*)\)", text, re.DOTALL):
        return Bound("range", (tuple(_points(found[1])), tuple(_points(found[2]))))
    return None


def _points(text: str) -> Iterator[tuple[int, str | None]]:
    for literal in LITERAL.findall(text):
        if literal in PLACES:
            yield PLACES[literal], None
        elif literal.startswith("E'"):
            yield 0, re.sub(r"\\(.)", r"\1", literal[2:-1].replace("''", "'"))
        elif literal.startswith("'"):
            yield 0, literal[1:-1].replace("''", "'")
        else:
            yield 0, literal


class TargetPartitions:
    """The partitions of one table on the target."""

    def __init__(self, connection: psycopg.Connection[Any], table: Table, resolver: Resolver) -> None:
        self._connection, self._table, self._resolver = connection, table, resolver

    def accept(self, node: Relation, chain: Mapping[str, str]) -> Taken:
        """Return whether rows within `chain` (partition key: bound) have a partition below `node`; "maybe" if the bounds
        do not decide it.
        """
        if node.kind is not Kind.PARTITIONED:
            return "yes"
        children = self._resolver.parts(node.name)
        others = [child for child in children if child.bound == DEFAULT]
        wanted = chain.get(node.key)
        same = [child for child in children if wanted is not None and child.bound == wanted]
        if same:
            return self.accept(same[0], chain)
        met = self._met(node, children, read_bound(wanted)) if wanted is not None else None
        if met is None:
            everything = [self.accept(child, chain) for child in children]
            return "yes" if others and all(each == "yes" for each in everything) else "maybe"
        found, full = met
        if not full:
            found = [*found, *others]
        if not found:
            return "no"
        answers = {self.accept(child, chain) for child in found}
        if not full and not others:
            return "maybe"
        return answers.pop() if len(answers) == 1 else "maybe"

    def _met(
        self, node: Relation, children: Sequence[Relation], wanted: Bound | None
    ) -> tuple[list[Relation], bool] | None:
        """Return the partitions, without the default, for rows within this bound, and whether they take all of them."""
        bounds = [(child, read_bound(child.bound)) for child in children if child.bound != DEFAULT]
        known = [(child, bound) for child, bound in bounds if bound is not None]
        if wanted is None or wanted.strategy == "default" or len(known) < len(bounds):
            return None
        if any(bound.strategy != wanted.strategy for _, bound in known):
            return None
        if wanted.strategy == "hash":
            return _hashed(known, wanted)
        ranks = self._ranks(node, [wanted, *(bound for _, bound in known)])
        if ranks is None:
            return None
        return (_listed if wanted.strategy == "list" else _ranged)(known, ranks)

    def _ranks(self, node: Relation, bounds: Sequence[Bound]) -> list[tuple[int, ...]] | None:
        """Return the points of each bound as ranks in PostgreSQL's order of the key's types, or None if they have no order."""
        names = [part.strip().strip('"') for part in node.key.partition("(")[2].rstrip(")").split(",")]
        columns = [self._table.column(name) for name in names]
        points = [point for bound in bounds for point in bound.points]
        if any(column is None for column in columns) or any(len(point) != len(names) for point in points):
            return None  # the key is an expression
        if bounds[0].strategy == "range" and any(column is not None and column.category == "S" for column in columns):
            return None  # the order of text depends on the collation, which bounds do not name
        order = ", ".join(
            f"p{n}, v{n}::{column.type.replace('%', '%%')}" for n, column in enumerate(columns) if column is not None
        )
        fields = ", ".join(f"p{n}, v{n}" for n in range(len(names)))
        row = ", ".join(["%s::int, %s::text"] * len(names))
        rows = ", ".join([f"(%s::int, {row})"] * len(points))
        query = f"SELECT dense_rank() OVER (ORDER BY {order}) FROM (VALUES {rows}) AS t (n, {fields}) ORDER BY n"  # noqa: S608  # types as the catalogue prints them, values bound
        values: list[Any] = [v for n, point in enumerate(points) for v in (n, *(x for part in point for x in part))]
        try:
            with self._connection.transaction():
                ranked = iter([row[0] for row in self._connection.execute(query.encode(), values).fetchall()])
        except psycopg.Error:  # not a value of the target's type
            return None
        return [tuple(next(ranked) for _ in bound.points) for bound in bounds]


Known = Sequence[tuple[Relation, Bound]]


def _hashed(known: Known, wanted: Bound) -> tuple[list[Relation], bool] | None:
    whole = lcm(wanted.modulus, *(bound.modulus for _, bound in known))
    if whole > MOST_RESIDUES:
        return None
    met = [c for c, b in known if (b.remainder - wanted.remainder) % gcd(b.modulus, wanted.modulus) == 0]
    residues = range(wanted.remainder, whole, wanted.modulus)
    return met, all(any(n % bound.modulus == bound.remainder for _, bound in known) for n in residues)


def _listed(known: Known, ranks: Sequence[tuple[int, ...]]) -> tuple[list[Relation], bool]:
    wanted = set(ranks[0])
    met = [child for (child, _), values in zip(known, ranks[1:], strict=True) if wanted & set(values)]
    return met, wanted <= {value for values in ranks[1:] for value in values}


def _ranged(known: Known, ranks: Sequence[tuple[int, ...]]) -> tuple[list[Relation], bool]:
    low, high = ranks[0]
    met = [child for (child, _), (start, end) in zip(known, ranks[1:], strict=True) if start < high and low < end]
    for start, end in sorted((start, end) for start, end in ranks[1:]):
        if start <= low < end:
            low = end
    return met, low >= high


def tables_with_rows(connection: psycopg.Connection[Any], leaves: Sequence[Name]) -> set[Name]:
    """Return the tables that contain at least one row."""
    if not leaves:
        return set()
    tests = [SQL("EXISTS (SELECT FROM ONLY {})").format(identifier(leaf)) for leaf in leaves]
    found: list[bool] = []
    for start in range(0, len(tests), 500):
        query = SQL("SELECT ARRAY[{}]").format(SQL(", ").join(tests[start : start + 500]))
        found += (connection.execute(query).fetchone() or ([],))[0]
    return {leaf for leaf, holds in zip(leaves, found, strict=True) if holds}

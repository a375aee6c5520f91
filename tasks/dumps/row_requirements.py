"""Demands: everything that a table's definition demands of its rows. What the source demands too, its rows satisfy.

Both sides are described in the same words, so that two sets are compared. A dump holds only hashes of the source's, because a
CHECK, a label or a bound may quote a value. Where the words differ, the rows themselves are tried (tasks/dumps/trial_load.py).
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from tasks.dumps.catalog import name_of, query_catalog
from tasks.dumps.export_plan import ColumnPlan, TablePlan
from tasks.estate.relations import Resolver
from tasks.estate.tables import Catalog, Column, ForeignKey, Name, Table
from tasks.masking.makers.recompute import ByTrigger

HEX = 16  # digits of a hash: two of a million rules are alike once in ten million dumps
QUERYING = ("from", "join", "into", "update")
PROVEN_ROWS = 1000  # rows of a table up to which the export tries its masks on every row


@dataclass(frozen=True)
class Requirement:
    """One thing that a table demands of each row. `rule` says it without names of constraints, `words` for people."""

    kind: str  # type, not-null, generated, check, unique, index, partition, foreign-key
    rule: str
    words: str
    columns: tuple[str, ...] = ()
    where: Name | None = None  # the table or partition that declares it
    constraint: str = ""
    lasting: bool = True  # False: the source's own rows need not satisfy it
    plain: bool = False  # a built-in type, or an index of columns as they are: what makers give fits without a trial
    key: ForeignKey | None = None

    @property
    def hash(self) -> str:
        """Return what a dump's header holds of it."""
        return hashlib.sha256(f"{self.kind} {self.rule}".encode()).hexdigest()[:HEX]


class Requirements:
    """The demands of the tables of one database."""

    def __init__(self, connection: psycopg.Connection[Any], catalog: Catalog) -> None:
        self._catalog, self._resolver = catalog, Resolver.of(catalog)
        self._meanings = {(name_of(row), row["column"]): row for row in query_catalog(connection, "types")}
        self._indexes: dict[Name, list[dict[str, Any]]] = defaultdict(list)
        for row in query_catalog(connection, "indexes"):
            self._indexes[name_of(row)].append(row)
        self._keys: dict[Name, list[ForeignKey]] = defaultdict(list)
        for key in catalog.foreign_keys:
            self._keys[key.table].append(key)
        self._tables = {each.name.name.casefold() for each in catalog.tables}
        self._functions = {row["function"]: row for row in query_catalog(connection, "check_functions")}
        question = "SELECT datcollate FROM pg_catalog.pg_database WHERE datname = current_database()"
        self._order = str((connection.execute(question).fetchone() or ("",))[0])  # the order of text in a RANGE

    def of(self, table: Table) -> Iterator[Requirement]:
        """Yield all that the table demands of a row, but foreign keys."""
        for column in table.columns:
            yield self._type(table, column)
            yield from _not_null(table, column)
            if column.generated:
                rule = f"{column.name} {column.default}"
                yield Requirement("generated", rule, f"{column.name} is computed", (column.name,), table.name)
        yield from _checks(table)
        yield from _unique(table)
        for row in self._indexes[table.name]:
            leaf = Name(schema_name=row["own_schema"], name=row["own"])
            words = f"the index {row['index']} must take it"
            yield Requirement(
                "index", row["rule"], words, tuple(row["columns"]), leaf, row["index"], plain=not row["computed"]
            )
        yield from self._partitions(table)

    def keys(self, table: Table) -> Iterator[Requirement]:
        """Yield the foreign keys that hold: validated, enforced, with their triggers on."""
        for key in self._keys[table.name]:
            if key.validated and key.watched and not key.definition.endswith("NOT ENFORCED"):
                rule = f"{key.declared_on} {key.definition}"
                words = f"the foreign key {key.name} must find its row in {key.references}"
                yield Requirement("foreign-key", rule, words, key.columns, key.declared_on, key.name, key=key)

    def reading_others(self, demand: Requirement, table: Table) -> list[str]:
        """Return the functions that a CHECK calls and that may read other tables: then no trial proves anything."""
        if demand.kind != "check":
            return []
        called = next(
            c.functions for c in table.checks if c.name == demand.constraint and (c.leaf or table.name) == demand.where
        )
        return [name for name in called if self._may_read(self._functions.get(name))]

    def _may_read(self, function: Mapping[str, Any] | None) -> bool:
        """Whether a function may read tables: one that promises not to, and does not seem to, cannot."""
        if function is None or not function["immutable"] or function["reads"]:
            return True
        return _reads(function["source"], self._tables)

    def _type(self, table: Table, column: Column) -> Requirement:
        row: Mapping[str, Any] = self._meanings.get((table.name, column.name), {})
        rule = f"{column.name} {column.type} {row.get('collation', '')} {row.get('meaning', '')}"
        words = f"{column.name} is {column.type}"
        plain, lasting = not row.get("meaning"), row.get("lasting", True)
        return Requirement("type", rule, words, (column.name,), table.name, lasting=lasting, plain=plain)

    def _partitions(self, table: Table) -> Iterator[Requirement]:
        """Yield one demand for all partitions: a row must find one, and another partition has other rules."""
        if table.partitioned:
            own = self._resolver.find(table.name)
            below = [*self._resolver.partitions(table.name)]
            keys = [each.key for each in (own, *below) if each is not None and each.key]
            rule = "; ".join([*keys, self._order, *sorted(f"{e.name} {e.parents[0]} {e.bound}" for e in below)])
            read = tuple(c.name for c in table.columns if any(c.name in key for key in keys))
            yield Requirement("partition", rule, f"it must find a partition ({', '.join(keys)})", read, table.name)


def _reads(source: str, tables: Collection[str]) -> bool:
    """Whether the source of a function seems to read a table: a mention is enough, because a missed one costs a night."""
    words = set(re.sub(r'[".;()]', " ", source).casefold().split())
    return "execute" in words or (not words.isdisjoint(QUERYING) and not words.isdisjoint(tables))


def _not_null(table: Table, column: Column) -> Iterator[Requirement]:
    if column.not_null:
        yield Requirement("not-null", column.name, f"{column.name} is NOT NULL", (column.name,), table.name)
    for leaf in column.not_null_leaves:
        words = f"{column.name} is NOT NULL on the partition {leaf}"
        yield Requirement("not-null", f"{column.name} {leaf}", words, (column.name,), leaf)


def _checks(table: Table) -> Iterator[Requirement]:
    for check in table.checks:
        if check.enforced and check.validated:
            where = f" on the partition {check.leaf}" if check.leaf else ""
            rule = f"{check.expression}{where}"
            words = f"the CHECK {check.name}{where} holds: {check.expression}"
            yield Requirement("check", rule, words, check.columns, check.leaf or table.name, check.name)


def _unique(table: Table) -> Iterator[Requirement]:
    for key in table.unique_keys:
        where = f" on the partition {key.leaf}" if key.leaf else ""
        read = (*key.columns, *key.computed, *key.conditions)
        words = f"the {key.kind.value} key {key.name}{where} ({', '.join(dict.fromkeys(read))}) meets no equal row"
        yield Requirement(
            "unique", f"{key.rule}{where}", words, tuple(dict.fromkeys(read)), key.leaf or table.name, key.name
        )


def satisfied_requirements(demands: Requirements, plan: TablePlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the hashes of what the rows of a dumped table satisfy, and of what its masks were only tried for on a sample."""
    certain: set[str] = set()
    sampled: set[str] = set()
    masked = {each.column.name: each for each in plan.columns if each.masked or each.unread}
    computed = {c.name: {*c.computed_from} & masked.keys() for c in plan.table.columns if c.generated}
    for demand in (*demands.of(plan.table), *demands.keys(plan.table)):
        changed = {base for name in demand.columns for base in ({name} & masked.keys()) | computed.get(name, set())}
        how = _kept(demand, [masked[name] for name in changed]) if demand.lasting else "no"
        if how != "no":
            (certain if how == "yes" else sampled).add(demand.hash)
    return tuple(sorted(certain)), tuple(sorted(sampled))


def _kept(demand: Requirement, changed: list[ColumnPlan]) -> str:
    """Return whether masked rows satisfy what the real ones do: "yes", "no", or "sampled" if it was tried on some of them."""
    if not changed:
        return "yes"
    if any(isinstance(each.rule.maker, ByTrigger) for each in changed):  # known on the target only
        return "yes" if demand.kind == "not-null" or demand.plain else "no"
    if demand.kind in ("foreign-key", "unique"):  # both are proven for every mask when the export is planned
        return "yes"
    if demand.kind == "partition":
        return "no"
    if demand.kind == "not-null":
        emptied = any(each.rule.nulls == "equalise" or each.rule.word == "null" for each in changed)
        return "no" if emptied else "yes"
    free = any(each.rule.maker is not None and not each.rule.maker.has_python_twin for each in changed)
    return "yes" if demand.plain and not free else "sampled"


def unproven_requirements(
    demands: Iterable[Requirement], certain: Iterable[str] | None, sampled: Iterable[str], rows: int
) -> list[Requirement]:
    """Return the demands that nothing promises. A dump of 0.1 promises nothing."""
    known = {*(certain or ()), *(sampled if rows <= PROVEN_ROWS else ())}
    return [demand for demand in demands if demand.hash not in known]

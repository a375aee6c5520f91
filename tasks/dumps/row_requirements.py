"""Row requirements: types, constraints, indexes and partitions that a row must satisfy to enter a table.

Rows of the source satisfy the requirements of the source, so that only staging's other requirements need a trial with the
rows themselves (trial_load.py). A dump contains hashes of the requirements, because a CHECK, a label or a bound may quote
a value.
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
from tasks.estate.schema import Catalog, Column, ForeignKey, Name, Table
from tasks.masking.makers.recompute import ByTrigger

HEX = 16  # digits of a hash: a million rules collide once in ten million dumps
QUERYING = ("from", "join", "into", "update")
PROVEN_ROWS = 1000  # tables up to this size: the export tests its masks on every row


@dataclass(frozen=True)
class Requirement:
    """One requirement of a table for its rows. `rule` omits names of constraints and is compared; `words` is for people."""

    kind: str  # type, not-null, generated, check, unique, index, partition, foreign-key
    rule: str
    words: str
    columns: tuple[str, ...] = ()
    where: Name | None = None  # the table or partition that declares it
    constraint: str = ""
    lasting: bool = True  # False: the source's own rows need not satisfy it
    plain: bool = False  # a built-in type, or an index of plain columns: masked values fit without a trial
    key: ForeignKey | None = None

    @property
    def hash(self) -> str:
        """The hash in a dump's header."""
        return hashlib.sha256(f"{self.kind} {self.rule}".encode()).hexdigest()[:HEX]


class Requirements:
    """The requirements of the tables of one database."""

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
        query = "SELECT datcollate FROM pg_catalog.pg_database WHERE datname = current_database()"
        self._order = str((connection.execute(query).fetchone() or ("",))[0])  # the order of text in a RANGE

    def of(self, table: Table) -> Iterator[Requirement]:
        """Yield the requirements of a table, except foreign keys."""
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
        """Yield the foreign keys that are validated and enforced, with their triggers enabled."""
        for key in self._keys[table.name]:
            if key.validated and key.watched and not key.definition.endswith("NOT ENFORCED"):
                rule = f"{key.declared_on} {key.definition}"
                words = f"the foreign key {key.name} must find its row in {key.references}"
                yield Requirement("foreign-key", rule, words, key.columns, key.declared_on, key.name, key=key)

    def reading_others(self, demand: Requirement, table: Table) -> list[str]:
        """Return the functions of a CHECK that may read other tables, so that a trial proves nothing."""
        if demand.kind != "check":
            return []
        called = next(
            c.functions for c in table.checks if c.name == demand.constraint and (c.leaf or table.name) == demand.where
        )
        return [name for name in called if self._may_read(self._functions.get(name))]

    def _may_read(self, function: Mapping[str, Any] | None) -> bool:
        """Return whether a function may read tables: it is not IMMUTABLE, or its source mentions one."""
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
        """Yield one requirement for all partitions: the row must find one."""
        if table.partitioned:
            own = self._resolver.find(table.name)
            below = [*self._resolver.partitions(table.name)]
            keys = [each.key for each in (own, *below) if each is not None and each.key]
            rule = "; ".join([*keys, self._order, *sorted(f"{e.name} {e.parents[0]} {e.bound}" for e in below)])
            read = tuple(c.name for c in table.columns if any(c.name in key for key in keys))
            yield Requirement("partition", rule, f"it must find a partition ({', '.join(keys)})", read, table.name)


def _reads(source: str, tables: Collection[str]) -> bool:
    """Return whether the source of a function mentions a table; a false alarm is better than a failed load."""
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
    """Return the hashes of the requirements that all dumped rows satisfy, and of those tested on a sample only."""
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
    """Return whether masked rows satisfy a requirement of the real rows: "yes", "no", or "sampled"."""
    if not changed:
        return "yes"
    if any(isinstance(each.rule.maker, ByTrigger) for each in changed):  # computed on the target
        return "yes" if demand.kind == "not-null" or demand.plain else "no"
    if demand.kind in ("foreign-key", "unique"):  # both were proven when the export was planned
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
    """Return the requirements that the dump does not prove. A dump of version 0.1 proves none."""
    known = {*(certain or ()), *(sampled if rows <= PROVEN_ROWS else ())}
    return [demand for demand in demands if demand.hash not in known]

"""Tables, columns and partitions of a dump that the target lacks, with the statements that create them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg

from tasks.dumps.export_plan import MaskingPlan
from tasks.dumps.partition_bounds import TargetPartitions, tables_with_rows
from tasks.dumps.row_requirements import Requirements, satisfied_requirements
from tasks.estate.dumps import DumpedPart, DumpedTable, DumpFacts, Header, LoadOrder, Missing
from tasks.estate.errors import DumpRefused
from tasks.estate.planning_faults import Fault, as_facts
from tasks.estate.relations import Resolver
from tasks.estate.schema import Catalog, Kind, Name, Relation, Table
from tasks.masking.policy import Policy


def dumped_tables(
    connection: psycopg.Connection[Any], masking: MaskingPlan, catalog: Catalog
) -> tuple[DumpedTable, ...]:
    """Return the header's tables, with their parents, the partitions that contain rows, and what all rows satisfy.

    Partitions of a table whose key is masked are left out: its rows may move, and a bound may be a personal value.
    """
    resolver, demands = Resolver.of(catalog), Requirements(connection, catalog)
    plans = [
        (plan, _shown_root(plan.table, resolver, {c.column.name for c in plan.columns if c.masked}))
        for plan in masking.tables
    ]
    full = tables_with_rows(connection, [leaf for plan, root in plans if root for leaf in plan.table.leaves])
    promised = {plan.table.name: satisfied_requirements(demands, plan) for plan, _ in plans}
    return tuple(
        plan.dumped.model_copy(
            update={
                "promises": promised[plan.table.name][0],
                "sampled": promised[plan.table.name][1],
                "parents": plan.table.parents,
                "key": root.key if root else "",
                "parts": tuple(_parts(plan.table, resolver, full)) if root else (),
            }
        )
        for plan, root in plans
    )


def _shown_root(table: Table, resolver: Resolver, masked: set[str]) -> Relation | None:
    """Return a partitioned table whose partitions may be in the header: no key contains the name of a masked column."""
    root = resolver.find(table.name) if table.partitioned else None
    if root is None:
        return None
    keys = [root.key, *(each.key for each in resolver.partitions(table.name))]
    return None if any(name in key for name in masked for key in keys) else root


def _parts(table: Table, resolver: Resolver, full: set[Name]) -> Iterator[DumpedPart]:
    """Yield the partitions with rows, which are `full`, and the partitions above them, each after the one that it belongs to."""
    parents_first = list(resolver.partitions(table.name))
    needed = full.intersection(table.leaves)
    for each in reversed(parents_first):
        if each.name in needed:
            needed.add(each.parents[0])
    for each in parents_first:
        if each.name in needed:
            yield DumpedPart(name=each.name, parent=each.parents[0], bound=each.bound, key=each.key)


def missing_things(
    connection: psycopg.Connection[Any],
    facts: DumpFacts,
    orders: Sequence[LoadOrder],
    absent: Iterable[str],
    policy: Policy,
) -> Iterator[Missing]:
    """Yield the tables of the dump that are `absent` from the target, and the columns that its tables lack."""
    rows = {str(totals.name): totals.rows for totals in facts.trailer.tables}
    tables = {str(table.name): table for table in facts.header.tables}
    for name in absent:
        table = tables[name]
        yield Missing(
            name=name, what="inheritance child" if table.parents else "table", rows=rows.get(name, 0),
            statement=_create(connection, table), allowed=name in policy.missing_on_staging,
        )  # fmt: skip
    for order in orders:
        types = {column.name: column.type for column in tables[str(order.name)].columns}
        for column in order.skipped:
            name = f"{order.name}.{column}"
            allowed = bool({name, str(order.name)} & {*policy.missing_on_staging})
            statement = (
                f"ALTER TABLE {_sql(connection, order.name)} ADD COLUMN {_quoted(connection, column)} {types[column]}"
            )
            yield Missing(name=name, what="column", rows=order.rows, statement=statement, allowed=allowed)


def _create(connection: psycopg.Connection[Any], table: DumpedTable) -> str:
    columns = ", ".join(f"{_quoted(connection, column.name)} {column.type}" for column in table.columns)
    parents = ", ".join(_sql(connection, parent) for parent in table.parents)
    after = f" INHERITS ({parents})" if parents else f" PARTITION BY {table.key}" if table.key else ""
    return f"CREATE TABLE {_sql(connection, table.name)} ({columns}){after}"


def require_partitions(
    connection: psycopg.Connection[Any], orders: Sequence[LoadOrder], header: Header, catalog: Catalog
) -> tuple[Fault, ...]:
    """Return a doubt for each partition whose rows may find none on the target. Raise `DumpRefused` if some certainly do."""
    loaded = {str(order.name) for order in orders}
    doubts = list(partition_faults(connection, (t for t in header.tables if str(t.name) in loaded), catalog))
    if certain := [fault for fault, is_certain in doubts if is_certain]:
        raise DumpRefused(
            f"Staging lacks partitions for rows of the dump: {'; '.join(map(str, certain))}.",
            next_step="Nothing was loaded. Run the statements on staging, or its migrations, then start again.",
            faults=as_facts(certain),
        )
    return tuple(fault for fault, _ in doubts)


def partition_faults(
    connection: psycopg.Connection[Any], tables: Iterable[DumpedTable], catalog: Catalog
) -> Iterator[tuple[Fault, bool]]:
    """Yield the partitions of the dump whose rows find none on the target, with the statements that create them, and
    whether that is certain: if the bounds cannot be compared, some rows may still find one.
    """
    resolver = Resolver.of(catalog)
    there = {
        table.name: (root, table)
        for table in catalog.tables
        if table.partitioned and (root := resolver.find(table.name))
    }
    for dumped in tables:
        if dumped.name not in there:
            continue
        root, table = there[dumped.name]
        places = TargetPartitions(connection, table, resolver)
        parts = {part.name: part for part in dumped.parts}
        for leaf in (part for part in dumped.parts if not part.key):
            chain = [leaf]
            while chain[0].parent in parts:
                chain.insert(0, parts[chain[0].parent])
            keys = [dumped.key, *(part.key for part in chain[:-1])]
            taken = places.accept(root, {key: part.bound for key, part in zip(keys, chain, strict=True)})
            if taken != "yes":
                lacking = [part for part in chain if (found := resolver.find(part.name)) is None or not found.partition]
                statements = "; ".join(_create_part(connection, part) for part in lacking) or "compare the bounds"
                message = f"{table.name} has no partition for the rows of {leaf.name}"
                yield Fault("partition", message, str(table.name), remedy=f"on staging: {statements}"), taken == "no"
        if not dumped.parts and not _has_default(root.name, resolver):
            message = f"the dump does not state which partitions of {table.name} its rows need"
            yield Fault("partition", message, str(table.name), remedy="compare the bounds"), False


def _has_default(name: Name, resolver: Resolver) -> bool:
    children = resolver.parts(name)
    usual = any(child.bound == "DEFAULT" for child in children)
    return usual and all(_has_default(child.name, resolver) for child in children if child.kind is Kind.PARTITIONED)


def _create_part(connection: psycopg.Connection[Any], part: DumpedPart) -> str:
    below = f" PARTITION BY {part.key}" if part.key else ""
    return (
        f"CREATE TABLE {_sql(connection, part.name)} PARTITION OF {_sql(connection, part.parent)} {part.bound}{below}"
    )


def _quoted(connection: psycopg.Connection[Any], name: str) -> str:
    (quoted,) = connection.execute("SELECT quote_ident(%s)", (name,)).fetchone() or (name,)
    return str(quoted)


def _sql(connection: psycopg.Connection[Any], name: Name) -> str:
    """Return a name as people write it in SQL: quoted if it must be, without the schema `public`."""
    own = _quoted(connection, name.name)
    return own if name.schema_name == "public" else f"{_quoted(connection, name.schema_name)}.{own}"

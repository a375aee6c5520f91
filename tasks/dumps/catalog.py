"""The catalogue of a database, read from pg_catalog with the queries in sql/."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tasks.estate.relations import Resolver
from tasks.estate.schema import (
    Catalog,
    Check,
    Column,
    DatabaseIdentity,
    ForeignKey,
    Function,
    Key,
    Kind,
    Name,
    Relation,
    Sequence,
    Stray,
    Table,
    Trigger,
)
from tasks.masking.classify import scan_strays

OLDEST = 140000  # server_version_num: PostgreSQL 14, the oldest that is supported
Rows = list[dict[str, Any]]


def query_catalog(connection: psycopg.Connection[Any], query: str) -> Rows:
    """Return the rows of sql/<query>.sql."""
    text = files("tasks.dumps").joinpath("sql", f"{query}.sql").read_text(encoding="utf-8")
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text.encode()).fetchall()  # bytes: a fixed text without values


def identify(connection: psycopg.Connection[Any]) -> DatabaseIdentity:
    """Identify the connected database; host and port are those of the connection."""
    (row,) = query_catalog(connection, "identity")
    info = connection.info
    return DatabaseIdentity(host=info.host or "localhost", port=info.port, **row)


def read_catalog(connection: psycopg.Connection[Any]) -> Catalog:
    """Read the whole catalogue. Needs no privilege on tables or sequences."""
    relations = query_catalog(connection, "relations")
    by_name = {name_of(row): row for row in relations}
    known = tuple(_relations(relations))
    resolver = Resolver(known)
    of = {query: _by_oid(query_catalog(connection, query)) for query in ("columns", "keys", "checks")}
    own = [row for row in relations if not row["of_extension"]]
    roots = [row for row in own if row["kind"] in "rp" and not row["partition"]]
    tables = tuple(_table(row, resolver, by_name, of) for row in roots)
    sequences = _sequences(query_catalog(connection, "sequences"))
    return Catalog(
        identity=identify(connection),
        tables=tables,
        relations=known,
        foreign_keys=tuple(_foreign_key(row, resolver) for row in query_catalog(connection, "foreign_keys")),
        sequences=sequences,
        triggers=tuple(_trigger(row, resolver) for row in query_catalog(connection, "trigger_functions")),
        functions=tuple(
            Function(name=name_of(row), **_without_name(row)) for row in query_catalog(connection, "functions")
        ),
        materialized_views=_refresh_order(connection, own),
        left_out=tuple(sorted(_left_out(relations))),
        strays=scan_strays((r["where"], r["kind"], r["text"]) for r in query_catalog(connection, "stray_texts")),
    )


def _by_oid(rows: Rows) -> dict[int, Rows]:
    grouped: dict[int, Rows] = defaultdict(list)
    for row in rows:
        grouped[row.pop("oid")].append(row)
    return grouped


def name_of(row: Mapping[str, Any]) -> Name:
    """Return the name in a row of the catalogue."""
    return Name(schema_name=row["schema"], name=row["name"])


KINDS = {"r": Kind.ORDINARY, "p": Kind.PARTITIONED, "f": Kind.FOREIGN, "v": Kind.VIEW, "m": Kind.MATERIALIZED}


def _relations(rows: Rows) -> Iterable[Relation]:
    names = {row["oid"]: name_of(row) for row in rows}
    for row in rows:
        yield Relation(
            name=names[row["oid"]],
            kind=KINDS[row["kind"]],
            parents=tuple(names[oid] for oid in row["parents"] if oid in names),
            **{
                field: row[field]
                for field in ("partition", "bound", "key", "of_extension", "unlogged", "server", "hidden")
            },
        )


def _table(
    row: dict[str, Any], resolver: Resolver, by_name: dict[Name, dict[str, Any]], of: dict[str, dict[int, Rows]]
) -> Table:
    name = name_of(row)
    below = [row, *(by_name[each.name] for each in resolver.partitions(name))]
    leaves = [by_name[each.name] for each in resolver.leaves(name) if each.kind is Kind.ORDINARY]
    own = resolver.find(name)
    return Table(
        name=name,
        columns=tuple(_columns(row, leaves, of["columns"])),
        unique_keys=tuple(Key(**key) for key in _with_leaf_rules(row, leaves, of["keys"], "rule")),
        checks=tuple(Check(**check) for check in _with_leaf_rules(row, leaves, of["checks"], "expression")),
        partitioned=row["kind"] == "p",
        leaves=tuple(name_of(leaf) for leaf in leaves),
        foreign_leaves=tuple(each.name for each in resolver.leaves(name) if each.kind is Kind.FOREIGN),
        parents=own.parents if own is not None else (),
        estimated_rows=sum(max(leaf["estimated_rows"], 0) for leaf in leaves),
        bytes=sum(part["bytes"] for part in below),
        comment=row["comment"],
    )


def _columns(row: dict[str, Any], leaves: Rows, columns: dict[int, Rows]) -> Iterable[Column]:
    """Yield the columns of the root, each with the leaf partitions in which alone it is NOT NULL."""
    strict: dict[str, list[Name]] = defaultdict(list)
    for leaf in leaves:
        for column in columns[leaf["oid"]] if leaf is not row else ():
            if column["not_null"]:
                strict[column["name"]].append(name_of(leaf))
    for column in columns[row["oid"]]:
        yield Column(**column, not_null_leaves=() if column["not_null"] else tuple(strict[column["name"]]))


def _with_leaf_rules(row: dict[str, Any], leaves: Rows, rules: dict[int, Rows], text: str) -> Rows:
    """Return the keys or CHECKs of the root and those that only a leaf partition has."""
    own = rules[row["oid"]]
    known = {(rule[text], rule.get("validated")) for rule in own}
    return own + [
        {**rule, "leaf": name_of(leaf)}
        for leaf in leaves
        if leaf is not row
        for rule in rules[leaf["oid"]]
        if (rule[text], rule.get("validated")) not in known
    ]


def _foreign_key(row: dict[str, Any], resolver: Resolver) -> ForeignKey:
    """Attribute a foreign key that is declared on a partition, or refers to one, to the partitioned table."""
    table = Name(schema_name=row["schema"], name=row["table"])
    references = Name(schema_name=row["references_schema"], name=row["references_table"])
    return ForeignKey(
        name=row["name"],
        table=resolver.root_name(table),
        partition=table if resolver.root_name(table) != table else None,
        columns=tuple(row["columns"]),
        references=resolver.root_name(references),
        referenced_columns=tuple(row["referenced_columns"]),
        definition=row["definition"],
        validated=row["validated"],
        comment=row["comment"],
        watched=row["watched"],
    )


def _trigger(row: dict[str, Any], resolver: Resolver) -> Trigger:
    arguments = bytes(row["arguments"]).decode(errors="replace").split("\0")[:-1]
    found = {key: value for key, value in _without_name(row).items() if key not in ("trigger", "arguments")}
    return Trigger(name=row["trigger"], table=resolver.root_name(name_of(row)), arguments=tuple(arguments), **found)


def _without_name(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("schema", "name")}


def _sequences(rows: Rows) -> tuple[Sequence, ...]:
    uses: dict[Name, list[tuple[Name, str]]] = defaultdict(list)
    for row in rows:
        if row["table_name"]:
            uses[name_of(row)].append(
                (Name(schema_name=row["table_schema"], name=row["table_name"]), row["column_name"])
            )
    increments = {name_of(row): row["increment"] for row in rows}
    return tuple(
        Sequence(
            name=name,
            table=uses[name][0][0] if uses[name] else None,
            column=uses[name][0][1] if uses[name] else None,
            uses=tuple(uses[name]),
            increment=increment,
        )
        for name, increment in increments.items()
    )


def identifier(name: Name) -> sql.Identifier:
    """Return the name as a quoted SQL identifier."""
    return sql.Identifier(name.schema_name, name.name)


def _refresh_order(connection: psycopg.Connection[Any], own: Rows) -> tuple[Name, ...]:
    """Return the materialized views, each after those that it reads."""
    views = {row["oid"]: name_of(row) for row in own if row["kind"] == "m"}
    sorter: TopologicalSorter[int] = TopologicalSorter({oid: set() for oid in views})
    for edge in query_catalog(connection, "view_dependencies"):
        if edge["view"] in views and edge["source"] in views:
            sorter.add(edge["view"], edge["source"])
    try:
        return tuple(views[oid] for oid in sorter.static_order())
    except CycleError:  # pragma: no cover - PostgreSQL has no circular views
        return tuple(views.values())


def _left_out(relations: Rows) -> Iterable[tuple[str, str]]:
    for row in relations:
        if row["of_extension"] and row["kind"] != "v":
            yield str(name_of(row)), "belongs to an extension"
        elif row["kind"] == "f":
            yield str(name_of(row)), "foreign table: its rows are stored on another server"


__all__ = ["OLDEST", "Stray", "identifier", "identify", "query_catalog", "read_catalog"]

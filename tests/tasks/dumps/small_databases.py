"""Small databases without a server: tables, catalogues, policies, headers and plans, as short as a test can say them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tasks.dumps.export_plan import Choices as ExportChoices
from tasks.dumps.export_plan import ColumnPlan, TablePlan, rules_of, table_plan
from tasks.estate.dumps import (
    DumpedColumn,
    DumpedTable,
    DumpFacts,
    Header,
    LoadOrder,
    LoadPlan,
    TableTotals,
    Trailer,
)
from tasks.estate.schema import Catalog, Column, DatabaseIdentity, ForeignKey, Key, KeyKind, Name, Relation, Table
from tasks.masking.policy import Policy, parse_policy
from tests.tasks.safeguards.ledger_histories import load_plan

BASES = {
    "text": ("text", "S"), "integer": ("int4", "N"), "bytea": ("bytea", "U"), "jsonb": ("jsonb", "U"), "inet": ("inet", "I"),
    "date": ("date", "D"), "uuid": ("uuid", "U"), "int4range": ("int4range", "R"), "face": ("face", "C"), "mood": ("mood", "E"),
}  # fmt: skip
IDENTITY = DatabaseIdentity(
    host="db", port=5432, database="school", database_oid=7, system_identifier="42", server_version=180000
)


def name(text: str) -> Name:
    """`users` in the schema public, or `billing.invoices`."""
    schema, _, own = text.rpartition(".")
    return Name(schema_name=schema or "public", name=own)


def column(text: str, **more: Any) -> Column:
    """`v`, a text; `v integer`, `v text[]` for other types."""
    own, _, declared = text.partition(" ")
    base, category = BASES[(declared or "text").removesuffix("[]")]
    fields: dict[str, Any] = {
        "type": declared or "text",
        "base": base,
        "category": category,
        "array": declared.endswith("[]"),
    }
    return Column(**{"name": own, **fields, **more})


def table(text: str, columns: Iterable[str | Column] = ("id integer", "v"), **more: Any) -> Table:
    """A table with these columns; `id` is its primary key if it has one."""
    made = tuple(each if isinstance(each, Column) else column(each) for each in columns)
    keys = [Key(name="pkey", kind=KeyKind.PRIMARY, columns=("id",))] if any(c.name == "id" for c in made) else []
    fields = {"columns": made, "unique_keys": keys, "leaves": (name(text),), **more}
    return Table.model_validate({"name": name(text), **fields})


def catalog(*tables: Table, relations: Sequence[Relation] = (), **more: Any) -> Catalog:
    """A database of these tables."""
    return Catalog.model_validate({"identity": IDENTITY, "tables": tables, "relations": tuple(relations), **more})


def key(child: str, parent: str, **more: Any) -> ForeignKey:
    """A foreign key `child.v → parent.id`."""
    fields = {"name": f"{child}_{parent}", "columns": ("v",), "referenced_columns": ("id",), "definition": "…"}
    return ForeignKey.model_validate({"table": name(child), "references": name(parent), **fields, **more})


def policy(tables: str, more: str = "") -> Policy:
    """A policy from what follows `tables:` in braces."""
    return parse_policy(f"app: school\nschema_version: 3\ntables: {{{tables}}}\n{more}")


def dumped(text: str, *columns: str, raw: Sequence[str] = (), **more: Any) -> DumpedTable:
    """The header's entry of a table: `dumped("users", "id", "email hash")`; a column without a rule is kept."""
    pairs = [(own, rule or "keep") for own, _, rule in (each.partition(" ") for each in columns)]
    switches = {"email": "email", "scrub": "bodies"}
    made = tuple(
        DumpedColumn(name=own, type="text", rule=rule, raw=own in raw, anonymizer=switches.get(rule))
        for own, rule in pairs
    )
    return DumpedTable.model_validate({"name": name(text), "columns": made, **more})


def header(*tables: DumpedTable, **more: Any) -> Header:
    """The header of a dump of the application `school`."""
    fields: dict[str, Any] = {
        "app": "school", "schema_version": 3, "source_host": "prod.example", "source_system": "41", "source_database": "school",
        "server_version": 180000, "exported_at": datetime(2026, 11, 1, tzinfo=UTC), "run_id": "r", "policy": "p", "key": "k",
    }  # fmt: skip
    return Header.model_validate(fields | {"tables": tables} | more)


def facts(*tables: DumpedTable, rows: int = 3, **more: Any) -> DumpFacts:
    """A dump with so many rows in each of these tables."""
    totals = tuple(TableTotals(name=each.name, rows=rows, digest="d") for each in tables)
    trailer = Trailer(tables=totals, rows=rows * len(tables), digest="d")
    return DumpFacts(
        url="file:///dump", header=header(*tables, **more), trailer=trailer, bytes=1, sha256="s", unproven=""
    )


def order(text: str, *columns: str, rows: int = 3, skipped: tuple[str, ...] = ()) -> LoadOrder:
    """One table of a load."""
    return LoadOrder(name=name(text), columns=columns or ("id", "v"), rows=rows, skipped=skipped)


def loading(*orders: LoadOrder, **more: Any) -> LoadPlan:
    """A plan that loads these tables."""
    return load_plan(tables=orders, **more)


def planned(made: Table, rules: str, *, choices: ExportChoices | None = None) -> TablePlan:
    """The plan of a table under rules such as `id: keep, v: hash`."""
    mine = policy(f"{made.name}: {{{rules}}}")
    return table_plan(made, dict(rules_of(catalog(made), mine))[str(made.name)], {}, choices or ExportChoices())


def planned_column(declared: str, rule: str = "keep", **more: Any) -> ColumnPlan:
    """The plan of one column `v` of that type."""
    (made,) = planned(table("t", [column(f"v {declared}", **more)]), f"v: {rule}").columns
    return made

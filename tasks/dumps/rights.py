"""The rights that a load needs on its target: all of them are looked at when it is planned."""

from collections.abc import Iterator
from typing import Any

import psycopg

from tasks.dumps.catalog import asked
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import DumpRefused
from tasks.estate.tables import Catalog, ForeignKey, Name, Sequence

Connection = psycopg.Connection[Any]


def missing_rights(
    connection: Connection, catalog: Catalog, plan: LoadPlan, lifted: list[ForeignKey], altered: set[Name]
) -> Iterator[str]:
    """Yield what the loading role may not do and must, each with the statement that allows it.

    `altered`: tables whose constraints the load drops and makes again, beside those of `lifted`.
    """
    (role,) = asked(connection, "role")
    who = role["role"]
    if not role["temporary"]:
        yield f"{who} may not create temporary tables; on staging: GRANT TEMPORARY ON DATABASE {role['database']} TO {who}"
    if not role["may_create"]:
        yield f"{who} may not create the schema understudy; on staging: GRANT CREATE ON DATABASE {role['database']} TO {who}"
    rights = {_name(row): row for row in asked(connection, "rights")}
    written = {*plan.emptied, *(str(order.name) for order in plan.tables)}
    owned = altered | {key.declared_on for key in lifted}
    owned |= {_name(row) for row in (*asked(connection, "triggers"), *asked(connection, "rules"))}
    for name, row in rights.items():
        root = str(Name(schema_name=row["root_schema"], name=row["root"]))
        if row["kind"] in "rp" and root in written:
            yield from _table(name, row, plan, who, owned)
        elif name in {key.declared_on for key in lifted} and not row["owned"]:
            yield _not_owner(name, row, who)
    yield from _sequences(catalog, rights, written, who)
    yield from _views(catalog, rights, who)
    yield from _views_without_data(connection, rights)


def require_rights(missing: Iterator[str]) -> None:
    """The loading role must be able to do all that the load does. Raises `DumpRefused` naming every missing right."""
    if faults := list(dict.fromkeys(missing)):
        raise DumpRefused(
            f"The load cannot be done: {'; '.join(faults)}.",
            next_step="Give the loading role what it lacks on staging, then start again. Nothing was loaded.",
        )


def _table(name: Name, row: dict[str, Any], plan: LoadPlan, who: str, owned: set[Name]) -> Iterator[str]:
    if not row["reachable"]:
        yield f"{who} may not use the schema of {name}; on staging: GRANT USAGE ON SCHEMA {name.schema_name} TO {who}"
        return
    if name in owned and not row["owned"]:
        yield _not_owner(name, row, who)
    root = row["name"] == row["root"] and row["schema"] == row["root_schema"]
    needed = ("SELECT", "INSERT", "TRUNCATE" if plan.readers == "wait" else "DELETE")
    lacking = [right for right in needed if right in row["lacking"]]
    if lacking and root:
        yield f"{who} may not {', '.join(lacking)} on {name}; on staging: GRANT {', '.join(lacking)} ON {name} TO {who}"
    if row["published"] and plan.readers == "stay":
        yield (
            f"{name} is in the publication {row['published']} and has no replica identity, so that PostgreSQL refuses to"
            f" delete its rows; on staging: ALTER TABLE {name} REPLICA IDENTITY FULL, or load with readers: wait"
        )


def _not_owner(name: Name, row: dict[str, Any], who: str) -> str:
    kind = {"m": "materialized view", "S": "sequence"}.get(row["kind"], "table")
    return f"the {kind} {name} belongs to {row['owner']} and must be altered; on staging: GRANT {row['owner']} TO {who}"


def _sequences(catalog: Catalog, rights: dict[Name, dict[str, Any]], written: set[str], who: str) -> Iterator[str]:
    for sequence in catalog.sequences:
        row = rights.get(sequence.name)
        if row is not None and not row["owned"] and _restarted(sequence, written):
            yield _not_owner(sequence.name, row, who)


def _restarted(sequence: Sequence, written: set[str]) -> bool:
    return bool({str(table) for table, _ in sequence.uses} & written)


def _views(catalog: Catalog, rights: dict[Name, dict[str, Any]], who: str) -> Iterator[str]:
    for view in catalog.materialized_views:
        row = rights[view]
        if row["populated"] and not (row["owned"] or row["maintained"]):
            yield _not_owner(view, row, who)


def _views_without_data(connection: Connection, rights: dict[Name, dict[str, Any]]) -> Iterator[str]:
    by_oid = {row["oid"]: name for name, row in rights.items() if row["kind"] == "m"}
    for edge in asked(connection, "view_dependencies"):
        view, source = by_oid.get(edge["view"]), by_oid.get(edge["source"])
        if view and source and rights[view]["populated"] and not rights[source]["populated"]:
            yield (
                f"the materialized view {view} reads {source}, which has no data, and cannot be refreshed;"
                f" on staging: REFRESH MATERIALIZED VIEW {source}"
            )


def populated_views(connection: Connection, catalog: Catalog) -> list[Name]:
    """Return the materialized views that hold data, in the order in which to refresh them. One that was made WITH NO
    DATA stays as it is: its query may not even run.
    """
    held = {_name(row) for row in asked(connection, "rights") if row["populated"]}
    return [view for view in catalog.materialized_views if view in held]


def event_doubts(connection: Connection) -> Iterator[str]:
    """Yield the event triggers that run the application's code inside the load: what they do cannot be proven."""
    for row in asked(connection, "event_triggers"):
        yield f"the event trigger {row['name']} ({row['event']}) runs {row['function']}, which may refuse the load's statements"


def _name(row: dict[str, Any]) -> Name:
    return Name(schema_name=row["schema"], name=row["name"])

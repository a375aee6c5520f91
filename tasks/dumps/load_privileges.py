"""The privileges that a load needs on its target, all checked when it is planned."""

from collections.abc import Iterator
from typing import Any

import psycopg

from tasks.dumps.catalog import name_of, query_catalog
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import DumpRefused
from tasks.estate.planning_faults import Fault, as_facts
from tasks.estate.schema import Catalog, ForeignKey, Name

Connection = psycopg.Connection[Any]


def missing_privileges(
    connection: Connection, catalog: Catalog, plan: LoadPlan, lifted: list[ForeignKey], altered: set[Name]
) -> Iterator[Fault]:
    """Yield each privilege that the loading role lacks, with the statement that grants it.

    `altered`: tables whose constraints the load drops and creates again, in addition to those of `lifted`.
    """
    (role,) = query_catalog(connection, "role")
    who = role["role"]
    if not role["temporary"]:
        remedy = f"on staging: GRANT TEMPORARY ON DATABASE {role['database']} TO {who}"
        yield Fault("right", f"{who} may not create temporary tables", remedy=remedy)
    if not role["may_create"]:
        remedy = f"on staging: GRANT CREATE ON DATABASE {role['database']} TO {who}"
        yield Fault("right", f"{who} may not create the schema understudy", remedy=remedy)
    rights = {name_of(row): row for row in query_catalog(connection, "rights")}
    written = {*plan.emptied, *(str(order.name) for order in plan.tables)}
    owned = altered | {key.declared_on for key in lifted}
    owned |= {name_of(row) for row in (*query_catalog(connection, "triggers"), *query_catalog(connection, "rules"))}
    for name, row in rights.items():
        root = str(Name(schema_name=row["root_schema"], name=row["root"]))
        if row["kind"] in "rp" and root in written:
            yield from _table(name, row, plan, who, owned)
        elif name in {key.declared_on for key in lifted} and not row["owned"]:
            yield _not_owner(name, row, who)
    yield from _sequences(catalog, rights, written, who)
    refreshed = set(_populated(catalog, plan, rights))
    yield from _views(refreshed, rights, who)
    yield from _views_without_data(connection, refreshed, rights)


def require_privileges(missing: Iterator[Fault]) -> None:
    """Raise `DumpRefused` with every privilege that the loading role lacks."""
    if faults := list(dict.fromkeys(missing)):
        raise DumpRefused(
            f"The load cannot be done: {'; '.join(map(str, faults))}.",
            faults=as_facts(faults),
            next_step="Nothing was loaded. Grant the loading role what it lacks on staging, then start again.",
        )


def _table(name: Name, row: dict[str, Any], plan: LoadPlan, who: str, owned: set[Name]) -> Iterator[Fault]:
    if not row["reachable"]:
        remedy = f"on staging: GRANT USAGE ON SCHEMA {name.schema_name} TO {who}"
        yield Fault("right", f"{who} may not use the schema of {name}", str(name), remedy=remedy)
        return
    if name in owned and not row["owned"]:
        yield _not_owner(name, row, who)
    root = row["name"] == row["root"] and row["schema"] == row["root_schema"]
    needed = ("SELECT", "INSERT", "TRUNCATE" if plan.readers == "wait" else "DELETE")
    lacking = [right for right in needed if right in row["lacking"]]
    if lacking and root:
        remedy = f"on staging: GRANT {', '.join(lacking)} ON {name} TO {who}"
        yield Fault("right", f"{who} may not {', '.join(lacking)} on {name}", str(name), remedy=remedy)
    if row["published"] and plan.readers == "stay":
        refuses = "has no replica identity, so that PostgreSQL refuses to delete its rows"
        why = f"{name} is in the publication {row['published']} and {refuses}"
        remedy = f"on staging: ALTER TABLE {name} REPLICA IDENTITY FULL, or load with readers: wait"
        yield Fault("replica-identity", why, str(name), remedy=remedy)


def _not_owner(name: Name, row: dict[str, Any], who: str) -> Fault:
    kind = {"m": "materialized view", "S": "sequence"}.get(row["kind"], "table")
    why = f"the {kind} {name} belongs to {row['owner']} and must be altered"
    return Fault("right", why, str(name), remedy=f"on staging: GRANT {row['owner']} TO {who}")


def _sequences(catalog: Catalog, rights: dict[Name, dict[str, Any]], written: set[str], who: str) -> Iterator[Fault]:
    for sequence in catalog.sequences:
        row = rights.get(sequence.name)
        restarted = not written.isdisjoint(str(table) for table, _ in sequence.uses)
        if row is not None and not row["owned"] and restarted:
            yield _not_owner(sequence.name, row, who)


def _views(refreshed: set[Name], rights: dict[Name, dict[str, Any]], who: str) -> Iterator[Fault]:
    for view in sorted(refreshed, key=str):
        row = rights[view]
        if not (row["owned"] or row["maintained"]):
            yield _not_owner(view, row, who)


def _views_without_data(
    connection: Connection, refreshed: set[Name], rights: dict[Name, dict[str, Any]]
) -> Iterator[Fault]:
    by_oid = {row["oid"]: name for name, row in rights.items() if row["kind"] == "m"}
    for edge in query_catalog(connection, "view_dependencies"):
        view, source = by_oid.get(edge["view"]), by_oid.get(edge["source"])
        if view in refreshed and source and not rights[source]["populated"]:
            why = f"the materialized view {view} reads {source}, which has no data, and cannot be refreshed"
            yield Fault("view", why, str(view), remedy=f"on staging: REFRESH MATERIALIZED VIEW {source}")


def populated_views(connection: Connection, catalog: Catalog, plan: LoadPlan) -> list[Name]:
    """Return the materialized views to refresh, in order: those that are populated and that the policy does not exclude.
    The query of a view that was created WITH NO DATA may fail.
    """
    return _populated(catalog, plan, {name_of(row): row for row in query_catalog(connection, "rights")})


def _populated(catalog: Catalog, plan: LoadPlan, rights: dict[Name, dict[str, Any]]) -> list[Name]:
    held = {name for name, row in rights.items() if row["populated"]}
    return [view for view in catalog.materialized_views if view in held and str(view) not in plan.kept]


def event_trigger_doubts(connection: Connection) -> Iterator[Fault]:
    """Yield a doubt for each event trigger that runs the application's code during the load, because its effect is not
    known. The trigger's name is in place of a table's.
    """
    for row in query_catalog(connection, "event_triggers"):
        message = f"the event trigger {row['name']} ({row['event']}) runs {row['function']}, which may refuse the load's statements"
        remedy = f"on staging: ALTER EVENT TRIGGER {row['name']} DISABLE, or accept it by name in the policy"
        yield Fault("event-trigger", message, row["name"], remedy=remedy)

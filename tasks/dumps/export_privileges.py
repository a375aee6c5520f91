"""The privileges that an export needs on its source, all checked when it is planned."""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from tasks.dumps.catalog import identifier, name_of, query_catalog
from tasks.dumps.connections import in_short_transactions
from tasks.dumps.export_plan import MaskingPlan, TablePlan
from tasks.estate.dumps import SequenceState
from tasks.estate.errors import NotExported
from tasks.estate.planning_faults import Fault, as_facts
from tasks.estate.relations import Resolver
from tasks.estate.schema import Catalog, Name

Connection = psycopg.Connection[Any]
Rights = dict[Name, dict[str, Any]]


def require_readable(
    connection: Connection, catalog: Catalog, plan: MaskingPlan, *, snapshot: str
) -> tuple[tuple[SequenceState, ...], tuple[str, ...]]:
    """Return the last values of the sequences that the dump needs, and notes on those that are not read.

    `snapshot` is that of the connection, which reads in turns (`connections.in_short_transactions`): each sequence read is a lock.

    Raise `NotExported` with every privilege that the role lacks, each with the statement that grants it.
    """
    rights = {name_of(row): row for row in query_catalog(connection, "readable")}
    resolver = Resolver.of(catalog)
    needed, notes = _needed(catalog, resolver, plan, rights)
    faults = [fault for table in plan.tables for fault in _table_faults(table, catalog, resolver, rights)]
    faults += [fault for name in needed for fault in _sequence_faults(name, rights[name])]
    if faults:
        raise NotExported(
            f"The exporting role may not read all that is exported: {'; '.join(dict.fromkeys(map(str, faults)))}.",
            next_step="Nothing was read. Grant the role what it lacks on production, in the order of the message, or exclude the"
            " tables in the policy.",
            faults=as_facts(dict.fromkeys(faults)),
        )
    turns = in_short_transactions(connection, snapshot, needed, lambda: None)
    states = [SequenceState(name=name, last=_last(connection, name)) for name in turns]
    return tuple(states), tuple(notes)


def _needed(catalog: Catalog, resolver: Resolver, plan: MaskingPlan, rights: Rights) -> tuple[list[Name], list[str]]:
    """Return the sequences of exported columns and those of no column, and notes on those that are not read."""
    exported = {table.table.name for table in plan.tables}
    needed, notes = [], []
    for sequence in catalog.sequences:
        row = rights.get(sequence.name)
        if row is None or (sequence.uses and not exported & {resolver.root_name(name) for name, _ in sequence.uses}):
            continue
        if catalog.identity.standby and row["unlogged"]:
            notes.append(f"the sequence {sequence.name} is unlogged, so that a standby does not have its last value")
        elif not sequence.uses and not row["reachable"]:
            notes.append(
                f"the sequence {sequence.name} belongs to no column and is not read, because {row['role']} may not use its"
                f" schema; to set staging's past it: GRANT USAGE ON SCHEMA {row['quoted_schema']} TO {row['role']};"
                f" GRANT SELECT ON SEQUENCE {row['quoted']} TO {row['role']}"
            )
        else:
            needed.append(sequence.name)
    return needed, notes


def _table_faults(plan: TablePlan, catalog: Catalog, resolver: Resolver, rights: Rights) -> Iterator[Fault]:
    """Yield what the role may not read of an exported table: of its root, and of the partitions that contain the rows."""
    unread = {each.column.name for each in plan.columns if each.unread}
    masked = {each.column.name for each in plan.columns if each.masked}
    for name in dict.fromkeys((plan.table.name, *plan.table.leaves)):
        row = rights[name]
        if not row["reachable"]:
            yield _lacking(name, _usage(row["quoted_schema"], row["role"]))
        lacking = [column for column in row["lacking"] if column not in unread]
        if lacking and unread:
            columns = ", ".join(map(_quoted, lacking))
            yield _lacking(name, f"GRANT SELECT ({columns}) ON {row['quoted']} TO {row['role']}")
        elif lacking:
            all_of_it = set(lacking) >= {column.name for column in plan.table.columns}
            what = "" if all_of_it else f" (it lacks {', '.join(lacking)})"
            yield _lacking(name, f"GRANT SELECT ON {row['quoted']} TO {row['role']}{what}")
        elif not row["readable"] and not plan.table.columns:
            yield _lacking(name, f"GRANT SELECT ON {row['quoted']} TO {row['role']}")
        for column, schema in row["types"]:
            if column in masked:
                usage = f"{_usage(schema, row['role'])} (the schema of the type of {plan.table.name}.{column})"
                yield _lacking(plan.table.name, usage, column)
        if catalog.identity.standby and row["unlogged"]:
            why = f"{name} is unlogged and cannot be read on a standby: export from the primary, or drop or exclude it"
            yield Fault("unlogged", why, str(name))
        relation = resolver.find(name)
        if relation is not None and relation.hidden:  # no GRANT helps: an export does not leave out rows
            why = f"ALTER ROLE {row['role']} BYPASSRLS (row security of {name} hides rows from it)"
            yield Fault("row-security", why, str(name))


def _sequence_faults(name: Name, row: dict[str, Any]) -> Iterator[Fault]:
    if not row["reachable"]:
        yield _lacking(name, _usage(row["quoted_schema"], row["role"]))
    if not row["readable"]:
        yield _lacking(name, f"GRANT SELECT ON SEQUENCE {row['quoted']} TO {row['role']}")


def _lacking(name: Name, statement: str, column: str = "") -> Fault:
    """Return the fault of a missing privilege; its message is the statement alone, because one error lists them all."""
    return Fault("right", statement, str(name), column)


def _usage(schema: str, role: str) -> str:
    return f"GRANT USAGE ON SCHEMA {schema} TO {role}"


def _quoted(column: str) -> str:
    return sql.Identifier(column).as_string(None)


def _last(connection: Connection, name: Name) -> int | None:
    query = sql.SQL("SELECT CASE WHEN is_called THEN last_value END FROM {}").format(identifier(name))
    (value,) = connection.execute(query).fetchone() or (None,)
    return value

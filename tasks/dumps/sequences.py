"""Sequences after a load: the next value of each must be one that no row uses."""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from tasks.dumps.catalog import identifier
from tasks.dumps.row_sources import rows_of
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import NotLoaded
from tasks.estate.schema import Catalog, Sequence

Connection = psycopg.Connection[Any]


def restart_sequences(connection: Connection, plan: LoadPlan, catalog: Catalog) -> None:
    """Set each sequence past the largest value in use and past production's last value, in the caller's transaction.

    A rollback undoes ALTER SEQUENCE, and setval and nextval only if they follow it.
    """
    stood = {str(state.name): state.last for state in plan.header.sequences}
    written = {str(order.name) for order in plan.tables} | set(plan.emptied)
    for sequence in catalog.sequences:
        tables = {str(table) for table, _ in sequence.uses}
        if tables and not tables & written:
            continue
        low, high = _bounds(connection, sequence)
        known = [*_furthest(connection, sequence, catalog, low, high)]
        last = stood.get(str(sequence.name))
        if last is not None and low <= last <= high:
            known.append(last)
        if not tables:  # the rows that use its numbers are not known, and staging may keep them
            query = SQL("SELECT last_value FROM {} WHERE is_called").format(identifier(sequence.name))
            known += [int(value) for (value,) in connection.execute(query)]
        if known or tables:
            _restart(connection, sequence, known, low, high)


def _restart(connection: Connection, sequence: Sequence, known: list[int], low: int, high: int) -> None:
    name = identifier(sequence.name)
    if not known:
        connection.execute(SQL("ALTER SEQUENCE {} RESTART").format(name))
        return
    following = (max(known) if sequence.increment > 0 else min(known)) + sequence.increment
    place = min(max(following, low), high)
    connection.execute(SQL("ALTER SEQUENCE {} RESTART WITH {}").format(name, Literal(place)))
    if place != following:  # at its end: use its last value, so that it fails or cycles as production's would
        connection.execute("SELECT nextval(%s)", (name.as_string(connection),))


def _bounds(connection: Connection, sequence: Sequence) -> tuple[int, int]:
    query = "SELECT seqmin, seqmax FROM pg_sequence WHERE seqrelid = %s::regclass"
    low, high = connection.execute(query, (identifier(sequence.name).as_string(connection),)).fetchone() or (0, 0)
    return low, high


def _furthest(connection: Connection, sequence: Sequence, catalog: Catalog, low: int, high: int) -> Iterator[int]:
    """Yield the furthest value in use of each column that draws from the sequence, within the sequence's bounds: a column
    may contain values beyond them, and a numeric one also NaN and Infinity.
    """
    extreme = SQL("max") if sequence.increment > 0 else SQL("min")
    for name, column in sequence.uses:
        table = catalog.table(str(name))
        if table is None or not table.counts(column):
            continue  # a partition, which counts with its root; or text made of the numbers
        query = SQL("SELECT {}({column}) FROM {} WHERE {column} BETWEEN {} AND {}").format(
            extreme, rows_of(table), Literal(low), Literal(high), column=Identifier(column)
        )
        (value,) = connection.execute(query).fetchone() or (None,)
        if value is not None:
            yield int(value)


def require_sequences_ahead(connection: Connection, plan: LoadPlan, catalog: Catalog) -> str:
    """Require that the next value of every sequence of a loaded table is past every value in use, or that it has no next
    value. Return what was checked, in words. Raise `NotLoaded`.
    """
    checked = 0
    loaded = {str(order.name) for order in plan.tables}
    for sequence in catalog.sequences:
        if not loaded & {str(table) for table, _ in sequence.uses}:
            continue
        low, high = _bounds(connection, sequence)
        query = SQL("SELECT last_value + CASE WHEN is_called THEN {} ELSE 0 END FROM {}").format(
            Literal(sequence.increment), identifier(sequence.name)
        )
        (following,) = connection.execute(query).fetchone() or (low,)
        for used in _furthest(connection, sequence, catalog, low, high):
            if low <= following <= high and (following - used) * sequence.increment <= 0:
                raise NotLoaded(
                    f"The next value of the sequence {sequence.name} is {following}; its columns reach {used}."
                )
        checked += 1
    return f"{checked} are past the values in use"

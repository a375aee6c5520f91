"""Sequences after a load: where they must stand, so that the next value of each is one that nobody has yet."""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from tasks.dumps.catalog import identifier
from tasks.dumps.row_sources import rows_of
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import NotLoaded
from tasks.estate.tables import Catalog, Sequence

Connection = psycopg.Connection[Any]


def restart_sequences(connection: Connection, plan: LoadPlan, catalog: Catalog) -> None:
    """Past the largest value in use and past where production stood, in the caller's transaction.

    ALTER SEQUENCE is undone by a rollback; setval and nextval only after it, on the new state that it made.
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
        if not tables:  # nobody knows whose rows hold its numbers: those that staging keeps must not get one again
            known += _given(connection, sequence)
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
    if place != following:  # at its end: let it give its last value, so that it fails or cycles as production's would
        connection.execute("SELECT nextval(%s)", (name.as_string(connection),))


def _given(connection: Connection, sequence: Sequence) -> list[int]:
    """The last value that the target's own sequence gave, in a list; empty if it never gave one."""
    question = SQL("SELECT last_value FROM {} WHERE is_called").format(identifier(sequence.name))
    return [int(value) for (value,) in connection.execute(question)]


def _bounds(connection: Connection, sequence: Sequence) -> tuple[int, int]:
    question = "SELECT seqmin, seqmax FROM pg_sequence WHERE seqrelid = %s::regclass"
    low, high = connection.execute(question, (identifier(sequence.name).as_string(connection),)).fetchone() or (0, 0)
    return low, high


def _furthest(connection: Connection, sequence: Sequence, catalog: Catalog, low: int, high: int) -> Iterator[int]:
    """In each column that draws from it, the furthest value in use. Only those that it could ever give: not what lies
    beyond its bounds, nor what a numeric column may hold besides numbers.
    """
    extreme = SQL("max") if sequence.increment > 0 else SQL("min")
    for name, column in sequence.uses:
        table = catalog.table(str(name))
        if table is None or not table.counts(column):
            continue  # a partition, which counts with its root; or text made of the numbers
        question = SQL("SELECT {}({column}) FROM {} WHERE {column} BETWEEN {} AND {}").format(
            extreme, rows_of(table), Literal(low), Literal(high), column=Identifier(column)
        )
        (value,) = connection.execute(question).fetchone() or (None,)
        if value is not None:
            yield int(value)


def require_sequences_ahead(connection: Connection, plan: LoadPlan, catalog: Catalog) -> str:
    """The next value of every sequence of a loaded table lies past every value in use, or there is none any more.

    Gives what was looked at, in words; raises `NotLoaded`.
    """
    looked = 0
    loaded = {str(order.name) for order in plan.tables}
    for sequence in catalog.sequences:
        if not loaded & {str(table) for table, _ in sequence.uses}:
            continue
        low, high = _bounds(connection, sequence)
        question = SQL("SELECT last_value + CASE WHEN is_called THEN {} ELSE 0 END FROM {}").format(
            Literal(sequence.increment), identifier(sequence.name)
        )
        (following,) = connection.execute(question).fetchone() or (low,)
        for used in _furthest(connection, sequence, catalog, low, high):
            if low <= following <= high and (following - used) * sequence.increment <= 0:
                raise NotLoaded(f"The sequence {sequence.name} would give {following}; its columns reach {used}.")
        looked += 1
    return f"{looked} stand past the values in use"

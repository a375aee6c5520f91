"""Rows of the ledger's two tables, read and written in a transaction of the caller."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, cast, delete, exists, insert, select

from tasks.estate.polling import utc_now
from tasks.ledger.chain import GENESIS, Fact, Head, digest, json_object
from tasks.ledger.facts import Recorded
from tasks.ledger.tables import facts, locks

PAGE = 1000  # rows that a reader of the whole ledger holds at a time; writers wait for one page


class AlreadyRecorded(ValueError):
    """A fact that may be recorded only once was recorded before. `once` is the key that was taken."""

    def __init__(self, once: str) -> None:
        super().__init__(f"{once} is recorded already.")
        self.once = once


@dataclass(frozen=True)
class Entry:
    """A fact to be recorded, without the number, time and hashes that its row gets."""

    fact: Recorded
    destination_id: str = ""
    plan: str = ""
    once: str | None = None


@dataclass(frozen=True)
class Lock:
    """The lock of a run on an install, and when it was taken (UTC)."""

    install_id: str
    run_id: str
    taken_at: datetime


def append(connection: Connection, run_id: str, entry: Entry) -> Fact:
    """Append one fact. Raises `AlreadyRecorded` if its `once` was recorded before: the caller must roll back."""
    if entry.once is not None and connection.execute(select(facts.c.seq).where(facts.c.once == entry.once)).first():
        raise AlreadyRecorded(entry.once)
    last = newest(connection)
    row: dict[str, Any] = {
        "seq": last.seq + 1 if last else 1,
        "at": utc_now().isoformat(),
        "run_id": run_id,
        "kind": entry.fact.KIND,
        "destination_id": entry.destination_id,
        "plan": entry.plan,
        "detail": json.loads(json.dumps(entry.fact.stored())),  # as it will be read: tuples are lists, keys are text
        "once": entry.once,
        "previous": last.hash if last else GENESIS,
    }
    row["hash"] = digest(row)
    connection.execute(insert(facts).values(**row))
    return Fact.of(row)


def newest(connection: Connection) -> Head | None:
    """Return the head of the chain, or None if the ledger is empty."""
    row = connection.execute(select(facts.c.seq, facts.c.hash).order_by(facts.c.seq.desc()).limit(1)).first()
    return Head(row.seq, row.hash) if row else None


def matching(
    given: Mapping[str, str | None], *, kinds: Collection[str] | None = None, after: int | None = None
) -> Select[Any]:
    """Return the query for the facts whose columns are as `given`, oldest first."""
    query = select(facts).order_by(facts.c.seq)
    for column, value in given.items():
        if value is not None:
            query = query.where(facts.c[column] == value)
    if kinds is not None:
        query = query.where(facts.c.kind.in_(list(kinds)))
    return query if after is None else query.where(facts.c.seq > after)


def without_end(kind: str, ends: Collection[str]) -> Select[Any]:
    """Return the query for the facts of this kind, oldest first, about whose run and plan there is no fact of the kinds `ends`."""
    end = facts.alias()
    ended = exists().where(end.c.run_id == facts.c.run_id, end.c.plan == facts.c.plan, end.c.kind.in_(list(ends)))
    return matching({"kind": kind}).where(~ended)


def page(connection: Connection, after: int | None) -> list[dict[str, Any]]:
    """Return the next rows as they are stored, also unreadable ones: `at` is text, `detail` its parsed JSON if it is JSON."""
    columns = [column if column is not facts.c.detail else cast(column, Text).label("detail") for column in facts.c]
    query = select(*columns).order_by(facts.c.seq).limit(PAGE)
    found = connection.execute(query if after is None else query.where(facts.c.seq > after)).mappings()
    return [{**row, "detail": json_object(row["detail"])} for row in found]


def holder(connection: Connection, install_id: str) -> str | None:
    """Return the run that has the lock on the install, or None."""
    return connection.execute(select(locks.c.run_id).where(locks.c.install_id == install_id)).scalar_one_or_none()


def lock(connection: Connection, install_id: str, run_id: str, now: datetime) -> None:
    """Lock the install for the run, unless it is locked already."""
    if holder(connection, install_id) is None:
        connection.execute(insert(locks).values(install_id=install_id, run_id=run_id, taken_at=now.isoformat()))


def unlock(connection: Connection, install_id: str, run_id: str) -> None:
    """Remove this run's lock on the install, if it has one."""
    connection.execute(delete(locks).where(locks.c.install_id == install_id, locks.c.run_id == run_id))


def all_locks(connection: Connection) -> list[Lock]:
    """Return every lock, oldest first."""
    rows = connection.execute(select(locks).order_by(locks.c.taken_at, locks.c.install_id))
    return [Lock(row.install_id, row.run_id, datetime.fromisoformat(row.taken_at)) for row in rows]

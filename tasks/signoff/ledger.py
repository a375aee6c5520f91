"""The ledger: append-only facts, hash-chained; approvals used up once; calls journaled before they leave; locks."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, text

from tasks.estate.errors import ApprovalExpired, ApprovalUsed, DestinationBusy, NotApproved
from tasks.estate.plans import Approval, Baseline, Receipt
from tasks.estate.waiting import utc_now
from tasks.signoff.tables import facts, locks, open_database

GENESIS = "0" * 64  # what the first fact names as its predecessor
SETTLING = ("settled", "send-refused")  # after one of these a journaled call no longer holds its destination


class AlreadyRecorded(ValueError):
    """A fact that may be recorded one time only was recorded before."""


@dataclass(frozen=True)
class Fact:
    """One row of the ledger. `at` is UTC; `detail` is a JSON object; `hash` covers the row and its predecessor."""

    seq: int
    at: datetime
    run_id: str
    kind: str
    destination_id: str
    plan: str
    detail: dict[str, Any]
    once: str | None
    previous: str
    hash: str


class Ledger:
    """An open ledger. Every method is one committed transaction; nothing is ever updated or deleted but locks."""

    def __init__(self, url: str) -> None:
        self._engine = open_database(url)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that no other writer overlaps, on either database: check-then-write is safe inside."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE facts IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    def record(
        self,
        kind: str,
        *,
        run_id: str,
        destination_id: str = "",
        plan: str = "",
        detail: dict[str, Any] | None = None,
        once: str | None = None,
    ) -> Fact:
        """Append one fact. Raises `AlreadyRecorded` if `once` was recorded before."""
        with self._writing() as connection:
            return _append(connection, kind, run_id, destination_id, plan, detail or {}, once)

    def facts(
        self,
        *,
        run_id: str | None = None,
        destination_id: str | None = None,
        plan: str | None = None,
        kind: str | None = None,
    ) -> list[Fact]:
        """The facts that match all that is given, oldest first."""
        query = select(facts).order_by(facts.c.seq)
        given = {"run_id": run_id, "destination_id": destination_id, "plan": plan, "kind": kind}
        for column, value in given.items():
            if value is not None:
                query = query.where(facts.c[column] == value)
        with self._engine.begin() as connection:
            return [_fact(row) for row in connection.execute(query)]

    def generation(self, *install_ids: str) -> int:
        """How many destructive calls were ever journaled with one of these installs as destination."""
        query = select(func.count()).where(facts.c.kind == "sending", facts.c.destination_id.in_(install_ids))
        with self._engine.begin() as connection:
            return int(connection.execute(query).scalar_one())

    def consume(self, approval: Approval, *, destination_id: str, intent: dict[str, Any], now: datetime) -> None:
        """Use the approval up and journal the intent to send, in one transaction. `intent` is kept with the journal row.

        Raises `ApprovalUsed`, `ApprovalExpired`, `NotApproved` (not the recorded answer), or `DestinationBusy` where the
        run does not hold the destination. After it returns, this run may make its call; nobody may make it again.
        """
        with self._writing() as connection:
            _require_recorded(connection, approval)
            if now > approval.execute_by:
                raise ApprovalExpired(
                    f"The approval had to be used by {approval.execute_by:%Y-%m-%d %H:%M:%S} UTC; it is {now:%H:%M:%S}."
                )
            if _holder(connection, destination_id) != approval.run_id:
                raise DestinationBusy(f"Run {approval.run_id} does not hold install {destination_id}; expected to.")
            where = (approval.run_id, destination_id, approval.plan)
            try:
                _append(connection, "consumed", *where, {"approval": approval.id}, f"consumed:{approval.id}")
                _append(
                    connection,
                    "sending",
                    *where,
                    intent,
                    f"sending:{approval.run_id}",
                )
            except AlreadyRecorded as again:
                raise ApprovalUsed(f"The approval {approval.id} of run {approval.run_id} was used before.") from again

    def receipt(self, run_id: str) -> Receipt | None:
        """What this run's journal says of its call: `accepted`, `unknown` (no answer written down), or None: not sent."""
        journal = {
            fact.kind: fact for fact in self.facts(run_id=run_id) if fact.kind in ("sending", "sent", "send-refused")
        }
        sending = journal.get("sending")
        if sending is None:
            return None
        if "send-refused" in journal:
            raise ApprovalUsed(
                f"The host refused the call of run {run_id} before; its approval is used up.",
                next_step="Nothing was overwritten. Start a new run: it asks again.",
            )
        return Receipt(
            plan=sending.plan,
            sent_at=sending.at,
            answer="accepted" if "sent" in journal else "unknown",
            recalled=True,
            baseline=Baseline.model_validate(sending.detail["baseline"]),
        )

    def take_lock(
        self,
        install_id: str,
        run_id: str,
        *,
        is_over: Callable[[str], bool],
        settles: Callable[[Fact], bool],
        horizon: timedelta,
        now: datetime,
    ) -> None:
        """Make `run_id` the holder of the install. A run that holds it already keeps it.

        Another run's lock is taken only if that run is over and its journaled call is settled: by a recorded fact, by
        `settles(sending)` (evidence from the remote side), or by age beyond `horizon`. Raises `DestinationBusy`.
        """
        with self._writing() as connection:
            holder = _holder(connection, install_id)
            if holder in (None, run_id):
                _hold(connection, install_id, run_id, now)
                return
        self._require_abandoned(install_id, holder, is_over=is_over, settles=settles, horizon=horizon, now=now)
        with self._writing() as connection:
            if _holder(connection, install_id) not in (None, holder):
                raise DestinationBusy(f"Install {install_id} was taken by another run just now.")
            connection.execute(delete(locks).where(locks.c.install_id == install_id))
            _hold(connection, install_id, run_id, now)
            _append(connection, "lock-taken-over", run_id, install_id, "", {"from": holder}, None)

    def _require_abandoned(
        self,
        install_id: str,
        holder: str,
        *,
        is_over: Callable[[str], bool],
        settles: Callable[[Fact], bool],
        horizon: timedelta,
        now: datetime,
    ) -> None:
        sending = self.unsettled(holder)
        if sending is not None and now - sending.at > horizon:
            self._settle(sending, "older than the lock horizon")
            return
        if not is_over(holder):
            raise DestinationBusy(f"Install {install_id} is held by run {holder}, which is not over.", holder=holder)
        if sending is None:
            return
        if not settles(sending):
            raise DestinationBusy(
                f"Install {install_id} is held by run {holder}: it is over, but its copy is not proven to have ended.",
                next_step=f"Nothing was changed. Retry run {holder} (it looks again and never sends), or start `restore` with it.",
                holder=holder,
            )
        self._settle(sending, "reconciled: the remote side proves the arrival")

    def _settle(self, sending: Fact, how: str) -> None:
        self.record(
            "settled",
            run_id=sending.run_id,
            destination_id=sending.destination_id,
            plan=sending.plan,
            detail={"how": how},
        )

    def unsettled(self, run_id: str) -> Fact | None:
        """The run's journaled call, while nothing proves that it has ended."""
        run = self.facts(run_id=run_id)
        sending = next((fact for fact in run if fact.kind == "sending"), None)
        ended = any(fact.kind in SETTLING and sending and fact.seq > sending.seq for fact in run)
        return None if ended else sending

    def release_lock(self, install_id: str, run_id: str) -> None:
        """Let the install go, if this run holds it and its own call is settled; otherwise keep things as they are."""
        if self.unsettled(run_id) is not None:
            return
        with self._writing() as connection:
            connection.execute(delete(locks).where(locks.c.install_id == install_id, locks.c.run_id == run_id))

    def lock_holder(self, install_id: str) -> str | None:
        """The run that holds the install, if any."""
        with self._engine.begin() as connection:
            return _holder(connection, install_id)

    def verify(self) -> list[str]:
        """Every break of the hash chain, in words; empty if edits, deletions and reorderings would have been seen.

        A cut tail is not seen: that needs the newest hash to be kept elsewhere.
        """
        problems, previous, last = [], GENESIS, 0
        for fact in self.facts():
            if fact.seq != last + 1:
                problems.append(f"facts {last + 1} to {fact.seq - 1} are missing")
            if fact.previous != previous:
                problems.append(f"fact {fact.seq} does not follow fact {last}")
            row = (fact.run_id, fact.kind, fact.destination_id, fact.plan, fact.detail, fact.once)
            if fact.hash != _digest(fact.seq, fact.at.isoformat(), *row, fact.previous):
                problems.append(f"fact {fact.seq} was changed")
            previous, last = fact.hash, fact.seq
        return problems


def _append(
    connection: Connection,
    kind: str,
    run_id: str,
    destination_id: str,
    plan: str,
    detail: dict[str, Any],
    once: str | None,
) -> Fact:
    if once is not None and connection.execute(select(facts.c.seq).where(facts.c.once == once)).first() is not None:
        raise AlreadyRecorded(f"{once} is recorded already.")
    newest = connection.execute(select(facts.c.seq, facts.c.hash).order_by(facts.c.seq.desc()).limit(1)).first()
    seq, previous = (newest.seq + 1, newest.hash) if newest else (1, GENESIS)
    at = utc_now().isoformat()
    values: dict[str, Any] = {
        "seq": seq, "at": at, "run_id": run_id, "kind": kind, "destination_id": destination_id, "plan": plan,
        "detail": detail, "once": once, "previous": previous,
        "hash": _digest(seq, at, run_id, kind, destination_id, plan, detail, once, previous),
    }  # fmt: skip
    connection.execute(insert(facts).values(**values))
    return Fact(**{**values, "at": datetime.fromisoformat(at)})


def _digest(*row: Any) -> str:
    return hashlib.sha256(
        json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()


def _fact(row: Row[Any]) -> Fact:
    return Fact(**{**row._mapping, "at": datetime.fromisoformat(row.at)})


def _holder(connection: Connection, install_id: str) -> str | None:
    return connection.execute(select(locks.c.run_id).where(locks.c.install_id == install_id)).scalar_one_or_none()


def _hold(connection: Connection, install_id: str, run_id: str, now: datetime) -> None:
    if _holder(connection, install_id) is None:
        connection.execute(insert(locks).values(install_id=install_id, run_id=run_id, taken_at=now.isoformat()))


def _require_recorded(connection: Connection, approval: Approval) -> None:
    """The approval must be, word for word, the answer that was recorded for this run and plan."""
    query = select(facts.c.detail).where(
        facts.c.kind == "approved", facts.c.run_id == approval.run_id, facts.c.plan == approval.plan
    )
    if approval.model_dump(mode="json") not in [row.detail for row in connection.execute(query)]:
        raise NotApproved(f"The ledger holds no such answer of run {approval.run_id} to plan {approval.plan[:8]}.")

"""The ledger: append-only facts, hash-chained; approvals used up once; calls journaled before they leave; locks."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

from tasks.estate.errors import ApprovalExpired, ApprovalUsed, DestinationBusy, NotApproved
from tasks.estate.plans import Approval, Baseline, Receipt
from tasks.ledger import rows
from tasks.ledger.chain import Fact, Head, breaks, line, verify_export
from tasks.ledger.rows import AlreadyRecorded, Entry, Lock
from tasks.ledger.tables import facts, open_database

__all__ = ["AlreadyRecorded", "Entry", "Fact", "Head", "Ledger", "Lock", "verify_export"]

OLD = "older than the lock horizon"  # how a call is settled whose work at the host cannot go on any more
SETTLING = ("settled", "send-refused")  # after one of these a journaled call no longer holds its destination


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
            return rows.append(connection, run_id, Entry(kind, destination_id, plan, detail or {}, once))

    def record_together(self, run_id: str, entries: Sequence[Entry]) -> list[Fact]:
        """Append all of these facts of one run, or none: `AlreadyRecorded` says which `once` stood in the way."""
        with self._writing() as connection:
            return [rows.append(connection, run_id, entry) for entry in entries]

    def facts(
        self,
        *,
        run_id: str | None = None,
        destination_id: str | None = None,
        plan: str | None = None,
        kind: str | None = None,
        kinds: Collection[str] | None = None,
        after: int | None = None,
    ) -> list[Fact]:
        """The facts that match all that is given, oldest first: of one of `kinds`, and recorded after the fact `after`."""
        given = {"run_id": run_id, "destination_id": destination_id, "plan": plan, "kind": kind}
        query = rows.matching(given, kinds=kinds, after=after)
        with self._engine.begin() as connection:
            return _facts(connection, query)

    def head(self) -> Head | None:
        """The newest fact's number and hash, to be kept elsewhere as an anchor; None in an empty ledger."""
        with self._engine.begin() as connection:
            return rows.newest(connection)

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
            if rows.holder(connection, destination_id) != approval.run_id:
                raise DestinationBusy(f"Run {approval.run_id} does not hold install {destination_id}; expected to.")
            entries = (
                Entry("consumed", destination_id, approval.plan, {"approval": approval.id}, f"consumed:{approval.id}"),
                Entry("sending", destination_id, approval.plan, intent, f"sending:{approval.run_id}"),
            )
            try:
                for entry in entries:
                    rows.append(connection, approval.run_id, entry)
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
        name: str = "",
        undoes: str = "",
    ) -> None:
        """Make `run_id` the holder of the install. A run that holds it already keeps it.

        Another run's lock is taken only if that run is over, whatever the age of the lock, and its journaled call is
        settled: by a recorded fact, by `settles(sending)` (evidence from the remote side), or because the call is older
        than `horizon`, so that the host's work cannot go on. `undoes` names the run that an approved restore undoes: if that
        run is over, the approval settles its call. Raises `DestinationBusy`.
        """
        with self._writing() as connection:
            holder = rows.holder(connection, install_id)
            if holder in (None, run_id):
                rows.hold(connection, install_id, run_id, now)
                return
        self._require_abandoned(
            install_id, holder, name=name, is_over=is_over, settles=settles, horizon=horizon, now=now, undoes=undoes
        )
        with self._writing() as connection:
            # The check before it took time. The holder may be a process that nobody saw, and may have made its call.
            call = _unsettled(connection, holder)
            if call and holder == undoes:  # a run sends once, so this is the call that the approved restore undoes
                how = {"how": f"restore {run_id} was approved"}
                rows.append(connection, holder, Entry("settled", call.destination_id, call.plan, detail=how))
                call = None
            if rows.holder(connection, install_id) not in (None, holder) or call:
                raise DestinationBusy(f"{name or install_id} was taken or used by another run just now.", holder=holder)
            rows.let_go(connection, install_id, holder)
            rows.hold(connection, install_id, run_id, now)
            rows.append(connection, run_id, Entry("lock-taken-over", install_id, detail={"from": holder}))

    def require_takeable(
        self,
        install_id: str,
        run_id: str,
        *,
        name: str,
        is_over: Callable[[str], bool],
        settles: Callable[[Fact], bool],
        horizon: timedelta,
        now: datetime,
        undoes: str = "",
    ) -> None:
        """Raise `DestinationBusy` naming the install if `take_lock` would: the same test, and nothing is taken.

        A call that `undoes` names stays unsettled: nobody has approved the restore yet.
        """
        holder = self.lock_holder(install_id)
        if holder not in (None, run_id):
            self._require_abandoned(
                install_id, holder, name=name, is_over=is_over, settles=settles, horizon=horizon, now=now, undoes=undoes
            )

    def _require_abandoned(
        self,
        install_id: str,
        holder: str,
        *,
        name: str = "",
        is_over: Callable[[str], bool],
        settles: Callable[[Fact], bool],
        horizon: timedelta,
        now: datetime,
        undoes: str = "",
    ) -> None:
        named = name or f"Install {install_id}"
        if not is_over(holder):
            raise DestinationBusy(f"{named} is held by run {holder}, which is not over.", holder=holder)
        sending = self.unsettled(holder)
        if sending is None or holder == undoes:
            return
        if now - sending.at > horizon:
            self.settle(sending, OLD)
            return
        if not settles(sending):
            raise DestinationBusy(
                f"{named} is held by run {holder}: it is over, but its copy is not proven to have ended.",
                next_step=f"Nothing was changed. Retry run {holder} (it looks again and never sends), or start `restore` with it.",
                holder=holder,
            )
        self.settle(sending, "reconciled: the remote side proves the arrival")

    def settle(self, sending: Fact, how: str) -> None:
        """Record that a journaled call has ended, and how that is known; it holds its destination no longer."""
        self.record(
            "settled",
            run_id=sending.run_id,
            destination_id=sending.destination_id,
            plan=sending.plan,
            detail={"how": how},
        )

    def unsettled(self, run_id: str) -> Fact | None:
        """The run's journaled call, while nothing proves that it has ended."""
        with self._engine.begin() as connection:
            return _unsettled(connection, run_id)

    def release_lock(self, install_id: str, run_id: str) -> None:
        """Let the install go, if this run holds it and its own call is settled; otherwise keep things as they are."""
        with self._writing() as connection:
            if _unsettled(connection, run_id) is None:
                rows.let_go(connection, install_id, run_id)

    def lock_holder(self, install_id: str) -> str | None:
        """The run that holds the install, if any."""
        with self._engine.begin() as connection:
            return rows.holder(connection, install_id)

    def locks(self) -> list[Lock]:
        """Every install that a run holds, the oldest lock first."""
        with self._engine.begin() as connection:
            return rows.all_locks(connection)

    def verify(self, anchor: str | None = None) -> list[str]:
        """What shows that the past was changed, in words; empty if edits, deletions and reorderings would have been seen.

        A cut tail, and a chain rebuilt from an edited fact on, are seen only against an `anchor`: `str(head())` of an
        earlier day, kept outside the ledger. Raises `Misconfigured` for an anchor that is none.
        """
        return breaks(self._stored(), anchor)

    def export(self) -> Iterator[str]:
        """Every fact as a line of JSON, oldest first, for `verify_export` on a machine without this database."""
        return (line(row) for row in self._stored())

    def _stored(self) -> Iterator[dict[str, Any]]:
        """Every row, in pages: on SQLite nobody can write while one is read."""
        after: int | None = None
        while True:
            with self._engine.begin() as connection:
                page = rows.page(connection, after)
            yield from page
            if len(page) < rows.PAGE:
                return
            after = page[-1]["seq"]


def _facts(connection: Connection, query: Select[Any]) -> list[Fact]:
    return [Fact.of({**row}) for row in connection.execute(query).mappings()]


def _unsettled(connection: Connection, run_id: str) -> Fact | None:
    run = _facts(connection, rows.matching({"run_id": run_id}))
    sending = next((fact for fact in run if fact.kind == "sending"), None)
    ended = any(fact.kind in SETTLING and sending and fact.seq > sending.seq for fact in run)
    return None if ended else sending


def _require_recorded(connection: Connection, approval: Approval) -> None:
    """The approval must be, word for word, the answer that was recorded for this run and plan."""
    query = select(facts.c.detail).where(
        facts.c.kind == "approved", facts.c.run_id == approval.run_id, facts.c.plan == approval.plan
    )
    if approval.model_dump(mode="json") not in [row.detail for row in connection.execute(query)]:
        raise NotApproved(f"The ledger holds no such answer of run {approval.run_id} to plan {approval.plan[:8]}.")

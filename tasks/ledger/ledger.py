"""The ledger: hash-chained facts that are only appended, approvals that are used once, a journal of calls, and locks."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NotRequired, TypedDict, Unpack

from sqlalchemy import Connection, Select, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from tasks.estate.errors import ApprovalExpired, ApprovalUsed, DestinationBusy, LedgerUnavailable, NotApproved
from tasks.estate.plans import Approval, Receipt
from tasks.ledger import rows
from tasks.ledger.chain import Fact, Head, breaks, line, verify_export
from tasks.ledger.facts import (
    JOURNAL_ENDS,
    Approved,
    Consumed,
    DigestSent,
    LockTakenOver,
    Recorded,
    Sending,
    SendRefused,
    Sent,
    Settled,
)
from tasks.ledger.rows import AlreadyRecorded, Entry, Lock
from tasks.ledger.tables import facts, open_database

__all__ = ["AlreadyRecorded", "Entry", "Fact", "Head", "Ledger", "Lock", "verify_export"]

RECONCILED = "reconciled: the remote side proves the arrival"  # `Settled.how` of a call whose arrival was seen
OLD = "older than the lock horizon"  # `Settled.how` of a call whose work at the host must have ended


class LockTerms(TypedDict):
    """When the lock of another run may be taken over: see `Ledger.take_lock`. `name` names the install in messages."""

    is_over: Callable[[str], bool]
    settles: Callable[[Fact], bool]
    horizon: timedelta
    now: datetime
    name: NotRequired[str]
    undoes: NotRequired[str]


class Ledger:
    """An open ledger. Each method is one committed transaction; nothing but locks is ever updated or deleted.

    With `read_only` the database itself refuses to write.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._engine = open_database(url, read_only=read_only)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Open a transaction that no other writer overlaps, on either database: a check holds until the write."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE facts IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    def record(
        self, fact: Recorded, *, run_id: str, destination_id: str = "", plan: str = "", once: str | None = None
    ) -> Fact:
        """Append one fact. Raises `AlreadyRecorded` if `once` was recorded before."""
        return self.record_together(run_id, [Entry(fact, destination_id, plan, once)])[0]

    def record_together(self, run_id: str, entries: Sequence[Entry]) -> list[Fact]:
        """Append all of these facts of one run, or none. Raises `AlreadyRecorded` naming the `once` that was taken."""
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
        """Return the facts that match everything given, oldest first; `after` is the number of an earlier fact."""
        given = {"run_id": run_id, "destination_id": destination_id, "plan": plan, "kind": kind}
        query = rows.matching(given, kinds=kinds, after=after)
        with self._engine.begin() as connection:
            return _facts(connection, query)

    def without_end(self, kind: str, ends: Collection[str]) -> list[Fact]:
        """Return the facts of this kind, oldest first, about whose run and plan no fact of the kinds `ends` is recorded."""
        with self._engine.begin() as connection:
            return _facts(connection, rows.without_end(kind, ends))

    def head(self) -> Head | None:
        """Return the newest fact's number and hash, to be kept elsewhere as an anchor; None if the ledger is empty."""
        with self._engine.begin() as connection:
            return rows.newest(connection)

    def generation(self, *install_ids: str) -> int:
        """Return how many destructive calls were ever journaled with one of these installs as destination."""
        query = select(func.count()).where(facts.c.kind == Sending.KIND, facts.c.destination_id.in_(install_ids))
        with self._engine.begin() as connection:
            return int(connection.execute(query).scalar_one())

    def consume(self, approval: Approval, *, destination_id: str, intent: Sending, now: datetime) -> None:
        """Use the approval and record `intent`, the call that is about to be made, in one transaction.

        When it returns, this run may make its call, and no run may make it again. Raises `ApprovalUsed`, `ApprovalExpired`,
        `NotApproved` if the approval is not the recorded one, and `DestinationBusy` if the run has no lock on the destination.
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
                Entry(Consumed(approval=approval.id), destination_id, approval.plan, f"consumed:{approval.id}"),
                Entry(intent, destination_id, approval.plan, f"sending:{approval.run_id}"),
            )
            try:
                for entry in entries:
                    rows.append(connection, approval.run_id, entry)
            except AlreadyRecorded as again:
                raise ApprovalUsed(f"The approval {approval.id} of run {approval.run_id} was used before.") from again

    def receipt(self, run_id: str) -> Receipt | None:
        """Return the receipt of the copy or restore that this run journaled, or None. Its answer is `unknown` if none was recorded.

        Raises `ApprovalUsed` if the host refused the call.
        """
        journal = {
            fact.kind: fact for fact in self.facts(run_id=run_id, kinds=(Sending.KIND, Sent.KIND, SendRefused.KIND))
        }
        sending = journal.get(Sending.KIND)
        if sending is None:
            return None
        if SendRefused.KIND in journal:
            raise ApprovalUsed(
                f"The host refused the call of run {run_id} before; its approval is used up.",
                next_step="Nothing was overwritten. Start a new run: it asks again.",
            )
        return Receipt(
            plan=sending.plan,
            sent_at=sending.at,
            answer="accepted" if Sent.KIND in journal else "unknown",
            recalled=True,
            baseline=sending.as_(Sending).before,
        )

    def take_lock(self, install_id: str, run_id: str, **terms: Unpack[LockTerms]) -> None:
        """Give the run the lock on the install, unless it has it already.

        The lock of another run is taken over only if that run is over, whatever the age of the lock, and its journaled call
        is settled: by a recorded fact, by `settles(sending)` (evidence from the host), or because the call is older than
        `horizon`, so that the host must have finished. `undoes` names the run that an approved restore undoes: if that run is
        over, the approval settles its call. Raises `DestinationBusy`.
        """
        with self._writing() as connection:
            holder = rows.holder(connection, install_id)
            if holder in (None, run_id):
                rows.lock(connection, install_id, run_id, terms["now"])
                return
        self._require_abandoned(install_id, holder, **terms)
        with self._writing() as connection:
            # That check took time. The holder may be a process that nobody saw, and may have made its call since.
            call = _unsettled(connection, holder)
            if call and holder == terms.get("undoes"):  # a run sends once, so this is the call that is undone
                how = Settled(how=f"restore {run_id} was approved")
                rows.append(connection, holder, Entry(how, call.destination_id, call.plan))
                call = None
            if rows.holder(connection, install_id) not in (None, holder) or call:
                named = terms.get("name") or install_id
                raise DestinationBusy(f"{named} was taken or used by another run just now.", holder=holder)
            rows.unlock(connection, install_id, holder)
            rows.lock(connection, install_id, run_id, terms["now"])
            rows.append(connection, run_id, Entry(LockTakenOver(from_run=holder), install_id))

    def require_takeable(self, install_id: str, run_id: str, **terms: Unpack[LockTerms]) -> None:
        """Raise `DestinationBusy` naming the install if `take_lock` would; take no lock.

        The call of the run that `undoes` names stays unsettled, because nobody has approved the restore yet.
        """
        holder = self.lock_holder(install_id)
        if holder not in (None, run_id):
            self._require_abandoned(install_id, holder, **terms)

    def _require_abandoned(self, install_id: str, holder: str, **terms: Unpack[LockTerms]) -> None:
        named = terms.get("name") or f"Install {install_id}"
        if not terms["is_over"](holder):
            raise DestinationBusy(f"{named} is held by run {holder}, which is not over.", holder=holder)
        sending = self.unsettled(holder)
        if sending is None or holder == terms.get("undoes"):
            return
        if terms["now"] - sending.at > terms["horizon"]:
            self.settle(sending, OLD)
            return
        if not terms["settles"](sending):
            raise DestinationBusy(
                f"{named} is held by run {holder}: it is over, but its copy is not proven to have ended.",
                next_step=f"Nothing was changed. Retry run {holder}: it checks again and never sends. Or start `restore` with it.",
                holder=holder,
            )
        self.settle(sending, RECONCILED)

    def settle(self, sending: Fact, how: str) -> None:
        """Record that a journaled call has ended, and how that is known."""
        self.record(Settled(how=how), run_id=sending.run_id, destination_id=sending.destination_id, plan=sending.plan)

    def unsettled(self, run_id: str) -> Fact | None:
        """Return the run's journaled call if nothing proves that it has ended, or None."""
        with self._engine.begin() as connection:
            return _unsettled(connection, run_id)

    def release_lock(self, install_id: str, run_id: str) -> None:
        """Release the install if this run has its lock and the run's own call is settled; otherwise do nothing."""
        with self._writing() as connection:
            if _unsettled(connection, run_id) is None:
                rows.unlock(connection, install_id, run_id)

    def lock_holder(self, install_id: str) -> str | None:
        """Return the run that has the lock on the install, or None."""
        with self._engine.begin() as connection:
            return rows.holder(connection, install_id)

    def locks(self) -> list[Lock]:
        """Return every lock, oldest first."""
        with self._engine.begin() as connection:
            return rows.all_locks(connection)

    def verify(self, anchor: str | None = None) -> list[str]:
        """Return a sentence for each sign that the past was changed: an edit, a deletion or a reordering.

        A cut tail and a chain that was rebuilt from an edited fact are found only with an `anchor`: an earlier `str(head())`,
        stored outside the ledger. Raises `Misconfigured` for a malformed anchor.
        """
        return breaks(self._stored(), anchor)

    def require_writable(self) -> None:
        """Write a fact as `record` does and take it back. Raise `LedgerUnavailable` if the database refuses it."""
        try:
            with self._engine.connect() as connection, connection.begin() as transaction:
                rows.append(connection, "", Entry(DigestSent()))
                transaction.rollback()
        except SQLAlchemyError as error:
            raise LedgerUnavailable(
                f"No fact can be added to the ledger ({type(error).__name__}); expected a database that can be written."
            ) from None  # its message contains the statement and may contain the address

    def export(self) -> Iterator[str]:
        """Return every fact as a line of JSON, oldest first, for `verify_export` on a machine without this database."""
        return (line(row) for row in self._stored())

    def _stored(self) -> Iterator[dict[str, Any]]:
        """Return every row. It is read in pages, because nobody can write to SQLite while one is read."""
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
    return unsettled_call(_facts(connection, rows.matching({"run_id": run_id})))


def unsettled_call(run: Sequence[Fact]) -> Fact | None:
    """Return the journaled call among the facts of one run if no later fact settles it, or None."""
    sending = next((fact for fact in run if fact.kind == Sending.KIND), None)
    ended = any(fact.kind in JOURNAL_ENDS and sending and fact.seq > sending.seq for fact in run)
    return None if ended else sending


def may_have_acted(run: Sequence[Fact]) -> bool:
    """Return whether the run journaled a destructive call that is not known to have changed nothing."""
    kinds = {fact.kind for fact in run}
    return Sending.KIND in kinds and (SendRefused.KIND not in kinds or Settled.KIND in kinds)


def _require_recorded(connection: Connection, approval: Approval) -> None:
    """Raise `NotApproved` unless exactly this approval was recorded for its run and plan."""
    query = select(facts.c.detail).where(
        facts.c.kind == Approved.KIND, facts.c.run_id == approval.run_id, facts.c.plan == approval.plan
    )
    if approval.model_dump(mode="json") not in [row.detail for row in connection.execute(query)]:
        raise NotApproved(
            f"The ledger does not contain this approval of plan {approval.plan[:8]} by run {approval.run_id}."
        )

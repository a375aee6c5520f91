"""The journal of destructive calls: which calls were made onto a destination, and how their runs ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tasks.estate.plans import Baseline, Plan
from tasks.ledger.facts import Approved, BackupRenewed, Planned, Reported, Sending, Settled
from tasks.ledger.ledger import Fact, Ledger, may_have_acted

PROVING = ("evidence: ", "reconciled: ")  # prefixes of `Settled.how` if the arrival was seen; age proves nothing


@dataclass(frozen=True)
class Call:
    """One copy or restore. `arrived_by` (UTC): when it was seen to have arrived; None = not proven."""

    seq: int
    plan: Plan
    baseline: Baseline
    arrived_by: datetime | None
    backups: tuple[str, ...]  # ids of the backups that its run made before it: a restore of one of them undoes it

    @property
    def name(self) -> str:
        """The call for people."""
        return f"the {self.plan.verb} of run {self.plan.run_id}"


def calls_onto(ledger: Ledger, install_id: str) -> Iterator[Call]:
    """Yield every copy or restore onto this install that the host did not refuse, newest first, reading as far as needed."""
    for sending, run in _runs_onto(ledger, install_id):
        if may_have_acted(run):
            planned = [fact for fact in run if fact.kind == Planned.KIND and fact.plan == sending.plan]
            yield _call(sending, planned[-1].as_(Planned).draft, run)


def _runs_onto(ledger: Ledger, destination_id: str) -> Iterator[tuple[Fact, list[Fact]]]:
    for sending in reversed(ledger.facts(destination_id=destination_id, kind=Sending.KIND)):
        yield sending, ledger.facts(run_id=sending.run_id)


def _call(sending: Fact, plan: Plan, run: list[Fact]) -> Call:
    settled = [fact for fact in run if fact.kind == Settled.KIND and fact.seq > sending.seq]
    proven = [fact.at for fact in settled if fact.text("how").startswith(PROVING)]
    renewed = [fact.text("id") for fact in run if fact.kind == BackupRenewed.KIND]
    return Call(
        seq=sending.seq,
        plan=plan,
        baseline=sending.as_(Sending).before,
        arrived_by=proven[0] if proven else None,
        backups=(plan.backup.id, *renewed),
    )


@dataclass(frozen=True)
class End:
    """How a run that made its call ended, by its newest report; `outcome` is "" if it is not over, or died."""

    run_id: str
    outcome: str
    refused: bool  # nothing was overwritten: the host refused, or a load was rolled back


def ends_of(ledger: Ledger, destination_id: str) -> Iterator[End]:
    """Yield the ends of all runs that made a call onto this destination, newest call first, reading as far as needed."""
    for _, run in _runs_onto(ledger, destination_id):
        yield _end(run)


def standing_ends(ledger: Ledger, since: datetime) -> list[End]:
    """Return the ends of all runs that made their call by a standing approval since then."""
    approved = [fact for fact in ledger.facts(kind=Approved.KIND) if fact.at > since]
    runs = [ledger.facts(run_id=fact.run_id) for fact in approved if fact.text("kind") == "standing"]
    return [_end(run) for run in runs if any(fact.kind == Sending.KIND for fact in run)]


def _end(run: list[Fact]) -> End:
    reports = [fact.text("outcome") for fact in run if fact.kind == Reported.KIND]
    return End(run[0].run_id, reports[-1] if reports else "", not may_have_acted(run))

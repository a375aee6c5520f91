"""The journal of destructive calls as it reads afterwards: which were made onto an install, and how their runs ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tasks.estate.plans import Baseline, Plan
from tasks.ledger.ledger import Fact, Ledger

PROVING = ("evidence: ", "reconciled: ")  # how a settled call begins that was seen to arrive; age proves nothing


@dataclass(frozen=True)
class Call:
    """One copy or restore that left. `arrived_by` (UTC): when it was seen to have arrived; None = not proven."""

    seq: int
    plan: Plan
    baseline: Baseline
    arrived_by: datetime | None
    backups: tuple[str, ...]  # ids of what its run had saved before it: who puts one back undoes it

    @property
    def name(self) -> str:
        """The call for people."""
        return f"the {self.plan.verb} of run {self.plan.run_id}"


def calls_onto(ledger: Ledger, install_id: str) -> Iterator[Call]:
    """Every copy or restore onto this install that the host did not refuse, the newest first; read as far as needed."""
    for sending in reversed(ledger.facts(destination_id=install_id, kind="sending")):
        run = ledger.facts(run_id=sending.run_id)
        if not any(fact.kind == "send-refused" for fact in run):
            planned = [fact for fact in run if fact.kind == "planned" and fact.plan == sending.plan]
            yield _call(sending, Plan.model_validate(planned[-1].detail), run)


def _call(sending: Fact, plan: Plan, run: list[Fact]) -> Call:
    settled = [f for f in run if f.kind == "settled" and f.seq > sending.seq]
    proven = [f.at for f in settled if str(f.detail.get("how", "")).startswith(PROVING)]
    renewed = [str(f.detail["id"]) for f in run if f.kind == "backup-renewed"]
    return Call(
        seq=sending.seq,
        plan=plan,
        baseline=Baseline.model_validate(sending.detail["baseline"]),
        arrived_by=proven[0] if proven else None,
        backups=(plan.backup.id, *renewed),
    )


@dataclass(frozen=True)
class End:
    """How a run that made its call ended, by its newest report; "" where it has none: it goes on, or it died."""

    run_id: str
    outcome: str
    refused: bool  # nothing was overwritten: the host refused, or a load was rolled back


def ends_of(ledger: Ledger, destination_id: str) -> Iterator[End]:
    """The ends of all runs that made a call onto this destination, the newest call first; read as far as needed."""
    for sending in reversed(ledger.facts(destination_id=destination_id, kind="sending")):
        yield _end(ledger.facts(run_id=sending.run_id))


def standing_ends(ledger: Ledger, since: datetime) -> list[End]:
    """The ends of all runs that were let go on by a standing approval since then and made their call."""
    given = [f for f in ledger.facts(kind="approved") if f.at > since and f.detail["kind"] == "standing"]
    runs = [ledger.facts(run_id=fact.run_id) for fact in given]
    return [_end(run) for run in runs if any(fact.kind == "sending" for fact in run)]


def _end(run: list[Fact]) -> End:
    reports = [str(fact.detail["outcome"]) for fact in run if fact.kind == "outcome"]
    return End(run[0].run_id, reports[-1] if reports else "", any(fact.kind == "send-refused" for fact in run))

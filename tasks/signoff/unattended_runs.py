"""Leftovers: open requests that need a reminder, and runs without an outcome. Reads the ledger and changes nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tasks.estate.errors import UnderstudyError
from tasks.ledger.approval_requests import ApprovalRequest, open_requests
from tasks.ledger.facts import (
    ENDINGS,
    ENDS,
    JOURNAL_ENDS,
    PLANNED,
    Answered,
    Approved,
    Asked,
    LoadPlanned,
    Reminded,
    Reported,
    Sending,
)
from tasks.ledger.ledger import Fact, Ledger, unsettled_call

SHARES = (80, 50)  # percent of the time to answer after which people are reminded, latest first


@dataclass(frozen=True)
class Reminder:
    """A request that people should be reminded of: `share` percent of its time are over; `yes` names who has approved."""

    request: ApprovalRequest
    share: int
    yes: tuple[str, ...]

    @property
    def once(self) -> str:
        """The key under which it is recorded, so that it is sent once."""
        return f"reminded:{self.request.run_id}:{self.request.plan}:{self.share}"


def due_reminders(ledger: Ledger, now: datetime) -> list[Reminder]:
    """Return the latest reminder that is due and was not recorded, for each open request that can still be answered.

    If both reminders are due, only the later one is returned.
    """
    recorded = {fact.once for fact in ledger.facts(kind=Reminded.KIND)}
    due = []
    for request in open_requests(ledger):
        share = _share(request, now)
        if share is None:
            continue
        answered = ledger.facts(run_id=request.run_id, plan=request.plan, kind=Answered.KIND)
        reminder = Reminder(request, share, tuple(fact.text("name") for fact in answered))
        if reminder.once not in recorded:
            due.append(reminder)
    return due


def _share(request: ApprovalRequest, now: datetime) -> int | None:
    whole = request.answer_by - request.asked_at
    if now >= request.answer_by:
        return None
    return next((share for share in SHARES if (now - request.asked_at) * 100 >= whole * share), None)


@dataclass(frozen=True)
class Unfinished:
    """A run with a plan and no outcome. Times are UTC.

    `asked` is its approval request, `end` the fact that ended the request other than by an approval, `sending` the journaled
    call if nothing proves that it has ended.
    """

    run_id: str
    planned: Fact
    asked: Fact | None = None
    end: Fact | None = None
    sending: Fact | None = None

    @property
    def is_load(self) -> bool:
        """Whether the run loads a dump, instead of copying between installs."""
        return self.planned.kind == LoadPlanned.KIND

    @property
    def verb(self) -> str:
        """What the run does."""
        return (self.asked or self.planned).text("verb") or ("load_dump" if self.is_load else "copy")

    @property
    def code(self) -> str:
        """The code of its plan, or "" if the ledger does not contain it."""
        return (self.asked or self.planned).text("code")

    @property
    def source(self) -> str:
        """Where the data come from, by name; for a load, the file of its dump."""
        return self.planned.text("dump") if self.is_load else self.planned.text("pair", "source", "name")

    @property
    def destination(self) -> str:
        """What would be overwritten, by name or else by id."""
        named = self.asked.text("destination") if self.asked else self.planned.text("pair", "destination", "name")
        return named or self.planned.destination_id


def unfinished(ledger: Ledger) -> list[Unfinished]:
    """Return every run with a plan and without an outcome, oldest first."""
    reported = {fact.run_id for fact in ledger.facts(kind=Reported.KIND)}
    runs: dict[str, list[Fact]] = {}
    for fact in ledger.facts(kinds=(*PLANNED, Asked.KIND, Sending.KIND, *ENDS, *JOURNAL_ENDS)):
        if fact.run_id not in reported:
            runs.setdefault(fact.run_id, []).append(fact)
    return list(_unfinished(runs))


def _unfinished(runs: dict[str, list[Fact]]) -> Iterator[Unfinished]:
    for run_id, facts in runs.items():
        last = {fact.kind: fact for fact in facts}
        planned = next((last[kind] for kind in PLANNED if kind in last), None)
        if planned is None:
            continue
        end = next((fact for fact in reversed(facts) if fact.kind in ENDS), None)
        unapproved = None if end is None or end.kind == Approved.KIND else end
        yield Unfinished(run_id, planned, last.get(Asked.KIND), unapproved, unsettled_call(facts))


def outcomes_since(ledger: Ledger, since: datetime) -> Counter[str]:
    """Count the runs that ended since then by outcome."""
    return Counter(fact.text("outcome") for fact in ledger.facts(kind=Reported.KIND) if fact.at >= since)


def ending(run: Unfinished) -> UnderstudyError | None:
    """Return the error with which the run would have ended if its process had run when its request ended, or None."""
    return None if run.end is None else run.end.as_(ENDINGS[run.end.kind]).error(run.code)

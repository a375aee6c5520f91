"""Leftovers: what the ledger says is still to be done about runs that no process looks after. Reads, and changes nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.estate.errors import ApprovalExpired, UnderstudyError
from tasks.ledger.approval_requests import ENDS, ApprovalRequest, open_requests
from tasks.ledger.ledger import SETTLING, Fact, Ledger
from tasks.signoff.answers import refusal_in

SHARES = (80, 50)  # percent of the time to answer after which people are reminded, the later one first
DRAFTED = ("planned", "planned-load")


@dataclass(frozen=True)
class Reminder:
    """A question that people should be reminded of: `share` percent of its time are over; `yes` names who said yes."""

    question: ApprovalRequest
    share: int
    yes: tuple[str, ...]

    @property
    def once(self) -> str:
        """The key under which it is recorded, so that it is sent one time."""
        return f"reminded:{self.question.run_id}:{self.question.plan}:{self.share}"


def due_reminders(ledger: Ledger, now: datetime) -> list[Reminder]:
    """For each open question that can still be answered, the latest reminder that is due and was not recorded.

    A sweep that comes late sends the later reminder only: two at once would say the same.
    """
    told = {fact.once for fact in ledger.facts(kind="reminded")}
    due = []
    for question in open_requests(ledger):
        share = _share(question, now)
        if share is None:
            continue
        answered = ledger.facts(run_id=question.run_id, plan=question.plan, kind="answered")
        reminder = Reminder(question, share, tuple(fact.detail["name"] for fact in answered))
        if reminder.once not in told:
            due.append(reminder)
    return due


def _share(question: ApprovalRequest, now: datetime) -> int | None:
    whole = question.answer_by - question.asked_at
    if now >= question.answer_by:
        return None
    return next((share for share in SHARES if (now - question.asked_at) * 100 >= whole * share), None)


@dataclass(frozen=True)
class Unfinished:
    """A run that drafted a plan and never told how it ended. Times are UTC.

    `asked` is its question, `end` the fact that ended it other than by a yes, `sending` its journaled call while nothing
    proves that the call has ended.
    """

    run_id: str
    planned: Fact
    asked: Fact | None = None
    end: Fact | None = None
    sending: Fact | None = None

    @property
    def is_load(self) -> bool:
        """Whether it is a load of a dump, not a copy between installs."""
        return self.planned.kind == "planned-load"

    @property
    def verb(self) -> str:
        """What the run does."""
        return str((self.asked or self.planned).detail.get("verb", "load_dump" if self.is_load else "copy"))

    @property
    def code(self) -> str:
        """The code of its plan, where the ledger has it."""
        return str((self.asked or self.planned).detail.get("code", ""))

    @property
    def source(self) -> str:
        """Where the data come from, by name; for a load, the file of its dump."""
        return str(self.planned.detail.get("dump", "") if self.is_load else self._install("source"))

    @property
    def destination(self) -> str:
        """What would be overwritten, by name where the ledger has it."""
        named = self.asked.detail.get("destination") if self.asked else self._install("destination")
        return str(named or self.planned.destination_id)

    def _install(self, side: str) -> Any:
        return self.planned.detail.get("pair", {}).get(side, {}).get("name", "")


def unfinished(ledger: Ledger) -> list[Unfinished]:
    """Every run with a plan and without an outcome, the oldest first."""
    reported = {fact.run_id for fact in ledger.facts(kind="outcome")}
    kinds = (*DRAFTED, "asked", "sending", *ENDS, *SETTLING)
    runs: dict[str, list[Fact]] = {}
    for fact in ledger.facts(kinds=kinds):
        if fact.run_id not in reported:
            runs.setdefault(fact.run_id, []).append(fact)
    return list(_unfinished(runs))


def _unfinished(runs: dict[str, list[Fact]]) -> Iterator[Unfinished]:
    for run_id, story in runs.items():
        last = {fact.kind: fact for fact in story}
        planned = next((last[kind] for kind in DRAFTED if kind in last), None)
        if planned is None:
            continue
        sending = last.get("sending")
        settled = any(fact.kind in SETTLING and sending and fact.seq > sending.seq for fact in story)
        end = next((fact for fact in reversed(story) if fact.kind in ENDS), None)
        no = None if end is None or end.kind == "approved" else end
        yield Unfinished(run_id, planned, last.get("asked"), no, None if settled else sending)


def outcomes_since(ledger: Ledger, since: datetime) -> Counter[str]:
    """How many runs ended in which outcome."""
    return Counter(str(fact.detail["outcome"]) for fact in ledger.facts(kind="outcome") if fact.at >= since)


def ending(run: Unfinished) -> UnderstudyError | None:
    """The error with which the run would have ended, had its process been there when its question ended."""
    if run.end is None:
        return None
    refusal = refusal_in(run.end, run.code)
    if refusal is not None:
        return refusal
    said = run.end.detail
    closed = datetime.fromisoformat(said["answer_by"])
    why = said.get("why") or "nobody answered in time"
    return ApprovalExpired(f"Plan {run.code} could be approved until {closed:%Y-%m-%d %H:%M} UTC: {why}.")

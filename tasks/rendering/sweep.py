"""What people read of a sweep: reminders, the daily digest and its report. They contain names and numbers, never proofs."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tasks.ledger.approval_requests import ApprovalRequest, open_requests
from tasks.ledger.facts import HoldPlaced
from tasks.ledger.ledger import Ledger
from tasks.rendering.approval import requester
from tasks.rendering.times_and_tables import bullets, plain, section, utc_time
from tasks.safeguards.holds import active_holds
from tasks.signoff.unattended_runs import Reminder, outcomes_since

DAY = timedelta(days=1)
SHOWN = 20  # of each kind in a digest; the rest is counted


def describe_request(request: ApprovalRequest) -> str:
    """Return verb, destination and plan code of an approval request."""
    return f"{plain(request.verb)} of {plain(request.destination)}, plan {request.code}"


def duration(left: timedelta) -> str:
    """Return a duration in its two largest units, in minutes at least."""
    minutes = max(0, int(left.total_seconds() // 60))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def reminder_lines(reminder: Reminder, now: datetime) -> list[str]:
    """Return which plan waits, how much time is left, and how many people must still answer."""
    request, approved = reminder.request, reminder.yes
    missing = max(1, request.people - len(approved))
    who = f"{', '.join(map(plain, approved))} approved; " if approved else ""
    return [
        f"{describe_request(request)}, requested by {requester(request.requested_by)}, still waits for an answer.",
        f"Time left: {duration(request.answer_by - now)}, until {utc_time(request.answer_by)}. "
        "Without an answer nothing is overwritten.",
        f"{who}{missing} of {request.people} {'lead' if request.people == 1 else 'leads'} must still answer.",
    ]


def digest_lines(ledger: Ledger, now: datetime, *, standing: Sequence[str], stuck: Sequence[str]) -> list[str]:
    """Return the last day by outcome, what waits, what ends soon, and what needs attention."""
    outcomes = [f"{count} {plain(name)}" for name, count in sorted(outcomes_since(ledger, now - DAY).items())]
    destinations = dict.fromkeys(fact.text("destination") for fact in ledger.facts(kind=HoldPlaced.KIND))
    holds = [hold for name in destinations for hold in active_holds(ledger, name, now)]
    parts: dict[str, Sequence[str]] = {
        "Open approval requests": [
            f"{describe_request(request)}: until {utc_time(request.answer_by)}" for request in open_requests(ledger)
        ],
        "Holds": [f"{plain(hold.destination)}: {plain(hold.words, 400)}" for hold in holds],
        "Standing approvals that end soon": standing,
        "Stuck": stuck,
    }
    return [
        f"Ended in 24 hours: {', '.join(outcomes) or 'nothing'}.",
        *(line for title, rows in parts.items() if rows for line in (f"{title}:", *bullets(rows, most=SHOWN))),
        "The ledger is whole.",
    ]


def sweep_text(outcome: str, done: Mapping[str, Sequence[str]]) -> str:
    """Return the report of one sweep. The sentences must be inert already."""
    lines = [f"# sweep: {outcome}"]
    for title, sentences in done.items():
        lines += section(title, bullets(sentence.removeprefix("* ") for sentence in sentences))
    return "\n".join(lines if done else [*lines, "", "There was nothing to do."]) + "\n"

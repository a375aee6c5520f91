"""What people read of a sweep: reminders, the daily digest, its report. Says names and numbers, never proofs or codes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tasks.ledger.approval_requests import ApprovalRequest, open_requests
from tasks.ledger.ledger import Ledger
from tasks.rendering.markdown import plain
from tasks.safeguards.holds import active_holds
from tasks.signoff.leftovers import Reminder, outcomes_since

DAY = timedelta(days=1)
SHOWN = 20  # of each kind in a digest; the rest is counted


def describe_request(question: ApprovalRequest) -> str:
    """A question in three words."""
    return f"{plain(question.verb)} of {plain(question.destination)}, plan {question.code}"


def duration(left: timedelta) -> str:
    """A duration as people say it: the two largest units that matter, minutes at least."""
    minutes = max(0, int(left.total_seconds() // 60))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def reminder_lines(reminder: Reminder, now: datetime) -> list[str]:
    """What is asked, how long is left, and how many people are still missing."""
    question, said = reminder.question, reminder.yes
    missing = max(1, question.people - len(said))
    who = f"{', '.join(map(plain, said))} said yes; " if said else ""
    return [
        f"{describe_request(question)}, requested by {plain(question.requested_by) or 'not said'}, still waits for an answer.",
        f"Time left: {duration(question.answer_by - now)}, until {question.answer_by:%Y-%m-%d %H:%M} UTC; silence means no.",
        f"{who}{missing} of {question.people} {'lead' if question.people == 1 else 'leads'} must still answer.",
    ]


def digest_lines(
    ledger: Ledger,
    now: datetime,
    *,
    standing: Sequence[str],
    stuck: Sequence[str],
) -> list[str]:
    """The last day by outcome, what waits, what ends soon, and what is stuck."""
    outcomes = sorted(outcomes_since(ledger, now - DAY).items())
    places = dict.fromkeys(str(fact.detail["destination"]) for fact in ledger.facts(kind="hold"))
    holds = [hold for place in places for hold in active_holds(ledger, place, now)]
    questions = [
        f"{describe_request(question)}: until {question.answer_by:%Y-%m-%d %H:%M} UTC"
        for question in open_requests(ledger)
    ]
    return [
        "Ended in 24 hours: " + (", ".join(f"{count} {plain(name)}" for name, count in outcomes) or "nothing") + ".",
        *_listed("Open questions", questions),
        *_listed("Holds", [f"{plain(hold.destination)}: {plain(hold.words, 400)}" for hold in holds]),
        *_listed("Standing approvals that end soon", standing),
        *_listed("Stuck", stuck),
        "The ledger is whole.",
    ]


def _listed(title: str, rows: Sequence[str]) -> list[str]:
    if not rows:
        return []
    more = [f"* and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return [f"{title}:", *(f"* {row}" for row in rows[:SHOWN]), *more]


def sweep_text(outcome: str, done: Mapping[str, Sequence[str]]) -> str:
    """The report of one sweep as Markdown. The sentences are harmless already."""
    lines = [f"# sweep: {outcome}"]
    for title, sentences in done.items():
        lines += ["", f"## {title}", "", *(f"* {sentence.removeprefix('* ')}" for sentence in sentences)]
    return "\n".join(lines if len(lines) > 1 else [*lines, "", "There was nothing to do."]) + "\n"

"""Sweeps: what nobody else does about questions, because a waiting run has no process: close, end, remind.

Every step may be repeated, run twice at once and be interrupted anywhere: what may happen one time only has its key in the
ledger, and what is told is recorded before it is sent.
"""

from datetime import datetime
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State

from tasks.estate.errors import OutcomeUnknown, UnderstudyError
from tasks.estate.plans import Report
from tasks.estate.waiting import utc_now
from tasks.notices import tell
from tasks.policy import BELOW_THE_GATE, open_ledger, paced
from tasks.signoff.answers import end_of
from tasks.signoff.ledger import AlreadyRecorded
from tasks.signoff.leftovers import Unfinished, due_reminders, ending, unfinished
from tasks.signoff.questions import Question, open_questions
from tasks.states import RETRY_WITHIN, never_resumed, show_end, state_of
from tasks.sweep_wording import named, reminder_lines
from tasks.wording import plain

ANSWER_GRACE = 300.0  # seconds after the deadline; a run that was answered in time may not have been picked up yet


@task(name="Close questions that nobody can answer any more", **BELOW_THE_GATE)
def close_questions() -> list[str]:
    """Record the end of every open question whose time is over or whose run is; returns a sentence for each.

    Over its deadline and a grace: `expired`, also where Prefect has forgotten the run. Cancelled in Prefect: `rejected`.
    Ended with an outcome, or an hour ago without one: `expired` with the reason; within that hour a crashed run may be
    retried. A run that is scheduled or running is left alone: it may hold an answer that was given in time.
    """
    ledger, now, closed = open_ledger(), utc_now(), []
    reported = {fact.run_id for fact in ledger.facts(kind="outcome")}
    for question in open_questions(ledger):
        kind, detail = _end_of(question, state_of(question.run_id), now, reported=question.run_id in reported)
        if not kind:
            continue
        try:
            ledger.record(
                kind,
                run_id=question.run_id,
                destination_id=question.destination_id,
                plan=question.plan,
                detail=detail,
                once=end_of(question.run_id, question.plan),
            )
        except AlreadyRecorded:
            continue  # somebody answered at this very moment: that counts
        closed.append(f"{named(question)}: {kind}, {detail.get('why') or detail.get('reason')}")
    return closed


def _end_of(
    question: Question, state: State[Any] | None, now: datetime, *, reported: bool
) -> tuple[str, dict[str, Any]]:
    """The fact that ends a question, its kind and detail; an empty kind where it stays open."""
    late = now >= question.answer_by + paced(ANSWER_GRACE)
    why = ""
    if state is None:
        why = "nobody answered, and Prefect does not know the run any more" if late else ""
    elif state.is_cancelled():
        reason = f"the run was cancelled while the question was open: {state.message or 'no reason given'}"
        return "rejected", {"approver": "Cancelled in Prefect", "proven": False, "reason": reason}
    elif state.is_paused() or (never_resumed(state) and now >= question.answer_by):
        why = "nobody answered in time" if late or state.is_final() else ""
    elif state.is_final() and (reported or now - state.timestamp >= paced(RETRY_WITHIN)):
        why = f"the run ended as {state.name} while the question was open"
    return ("expired", {"answer_by": question.answer_by.isoformat(), "why": why}) if why else ("", {})


@task(name="Give ended runs their outcome", **BELOW_THE_GATE)
def end_runs() -> list[str]:
    """Give every run whose question ended, and that no process will end, its named state, report, outcome and notice.

    A run that waited for word of a copy's arrival in vain becomes `OutcomeUnknown`: its copy was sent. A state that
    Prefect or a person gave (Crashed, Cancelled) stays. Returns a sentence for each run.
    """
    ended = []
    for run in unfinished(open_ledger()):
        state = state_of(run.run_id)
        if state is not None and not (state.is_paused() or state.is_final()):
            continue  # its own process tells how it ended
        error = ending(run)
        if error is None and run.sending and state is not None and never_resumed(state):
            error = OutcomeUnknown(f"Nobody told whether the copy to {run.destination} arrived, and it is not proven.")
        if error is not None and _end(run, state, error):
            ended.append(f"{plain(run.verb)} of {plain(run.destination)} (run {run.run_id}): {error.outcome}")
    return ended


def _end(run: Unfinished, state: State[Any] | None, error: UnderstudyError) -> bool:
    """State and report first, which may be repeated; the outcome decides who tells people. False: another sweep did."""
    report = Report(
        verb=run.verb,
        outcome=error.outcome,
        source=run.source,
        destination=run.destination,
        run_id=run.run_id,
        plan_code=run.code,
        message=error.message,
        next_step=error.next_step,
    )
    if state is not None:
        show_end(report, rename=state.is_paused() or never_resumed(state))
    ledger = open_ledger()
    try:
        ledger.record("outcome", run_id=run.run_id, detail=report.model_dump(mode="json"), once=f"swept:{run.run_id}")
    except AlreadyRecorded:
        return False
    if not any(fact.detail["kind"] == "ended" for fact in ledger.facts(run_id=run.run_id, kind="notice")):
        subject = f"{plain(run.verb)} of {plain(run.destination)}: {error.outcome}"
        tell("ended", subject, [plain(error.message, 600), plain(error.next_step, 600)], run_id=run.run_id)
    return True


@task(name="Remind people of open questions", **BELOW_THE_GATE)
def remind_people() -> list[str]:
    """Send one notice at 50 % and one at 80 % of the time to answer, each at most once. Returns a sentence for each."""
    ledger, now, sent = open_ledger(), utc_now(), []
    for reminder in due_reminders(ledger, now):
        question = reminder.question
        try:
            ledger.record(
                "reminded",
                run_id=question.run_id,
                destination_id=question.destination_id,
                plan=question.plan,
                detail={"share": reminder.share},
                once=reminder.once,
            )
        except AlreadyRecorded:
            continue  # another sweep sends it
        tell("reminder", f"{named(question)} waits", reminder_lines(reminder, now), run_id=question.run_id)
        sent.append(f"{named(question)}: reminded at {reminder.share} %")
    return sent

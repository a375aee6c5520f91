"""Sweeps: what nobody else does about questions, because a waiting run has no process: close, end, remind.

Every step may be repeated, run twice at once and be interrupted anywhere: what may happen one time only has its key in the
ledger, and what is told is recorded before it is sent.
"""

from datetime import datetime
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State

from tasks.estate.errors import OutcomeUnknown, RunLost, UnderstudyError
from tasks.estate.plans import Report
from tasks.estate.waiting import utc_now
from tasks.ledger.approval_requests import ApprovalRequest, end_of, open_requests
from tasks.ledger.ledger import AlreadyRecorded
from tasks.rendering.markdown import plain
from tasks.rendering.sweep import describe_request, reminder_lines
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import open_ledger, scaled
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.runtime.states import (
    RETRY_WITHIN,
    ended_while_waiting,
    restore_state,
    show_end,
    state_of,
    states_of,
    wait_timed_out,
)
from tasks.signoff.leftovers import Unfinished, due_reminders, ending, unfinished

CORRECTED_FOR = 7 * 86400.0  # seconds; a state that is changed later than this is history
ANSWER_GRACE = 300.0  # seconds after the deadline; a run that was answered in time may not have been picked up yet


@task(name="Close questions that nobody can answer any more", **BELOW_THE_GATE)
def close_requests() -> list[str]:
    """Record the end of every open question whose time is over or whose run is; return a sentence for each.

    Over its deadline and a grace: `expired`. Cancelled in Prefect: `rejected`. `lost`: the run was deleted, or ended while
    it waited, or ended an hour ago without an outcome (within that hour a crashed process may be retried), or no worker
    took it within an hour after the deadline. A run that is running is left alone, and one that is scheduled until then:
    it may hold an answer that was given in time.
    """
    ledger, now, closed = open_ledger(), utc_now(), []
    reported = {fact.run_id for fact in ledger.facts(kind="outcome")}
    for question in open_requests(ledger):
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
        closed.append(f"{describe_request(question)}: {kind}, {detail.get('why') or detail.get('reason')}")
    return closed


def _end_of(
    question: ApprovalRequest, state: State[Any] | None, now: datetime, *, reported: bool
) -> tuple[str, dict[str, Any]]:
    """Return the fact that ends a question, its kind and detail; an empty kind if it stays open."""
    late = now >= question.answer_by + scaled(ANSWER_GRACE)
    detail = {"answer_by": question.answer_by.isoformat()}
    if state is None:
        why = (
            "nobody answered, and Prefect does not know the run any more" if late else "its run was deleted in Prefect"
        )
        return ("expired" if late else "lost"), detail | {"why": why}
    if state.is_cancelled():
        reason = f"the run was cancelled while the question was open: {state.message or 'no reason given'}"
        return "rejected", {"approver": "Cancelled in Prefect", "proven": False, "reason": reason}
    if state.is_paused() or (wait_timed_out(state) and now >= question.answer_by):
        over = late or state.is_final()
        return ("expired", detail | {"why": "nobody answered in time"}) if over else ("", {})
    kind, why = _lost(question, state, now, reported=reported)
    return kind, detail | {"why": why}


def _lost(question: ApprovalRequest, state: State[Any], now: datetime, *, reported: bool) -> tuple[str, str]:
    """Return how the question of a run that neither waits nor was cancelled ends, and why; two empty strings if it does not."""
    ending = f"the run ended as {state.name} while the question was open"
    if state.is_final() and reported:
        return "expired", ending
    if state.is_final() and (ended_while_waiting(question.run_id) or now - state.timestamp >= scaled(RETRY_WITHIN)):
        return "lost", ending
    left = state.is_scheduled() or state.is_pending()
    if left and now >= question.answer_by + scaled(RETRY_WITHIN):
        return "lost", f"no worker took the run, which is {state.name}, within an hour after the deadline"
    return "", ""


@task(name="Give ended runs their outcome", **BELOW_THE_GATE)
def end_runs() -> list[str]:
    """Give every run whose question ended, and that no process will end, its named state, report, outcome and notice.

    A run that waited for word of a copy's arrival in vain becomes `OutcomeUnknown`: its copy was sent. The same holds for
    one that somebody set to Completed: the ledger has no end of it, so it becomes `RunLost` or `OutcomeUnknown`. A state
    Crashed or Cancelled stays. Returns a sentence for each run.
    """
    ended = []
    for run in unfinished(open_ledger()):
        state = state_of(run.run_id)
        error = ending(run)
        if state is not None and not (state.is_paused() or state.is_final() or _is_left(state, error)):
            continue  # its own process tells how it ended
        if run.sending and state is not None and (wait_timed_out(state) or state.is_completed()):
            error = OutcomeUnknown(f"Nobody told whether the copy to {run.destination} arrived, and it is not proven.")
        if error is None and state is not None and _is_forged(run, state):
            error = RunLost(f"The run was set to {state.name} by hand; the ledger has no end of it.")
        if error is not None and _end(run, state, error):
            ended.append(f"{plain(run.verb)} of {plain(run.destination)} (run {run.run_id}): {error.outcome}")
    return ended


def _is_left(state: State[Any], error: UnderstudyError | None) -> bool:
    """Return whether a run waits for a worker, although its question was closed because none came."""
    return isinstance(error, RunLost) and (state.is_scheduled() or state.is_pending())


def _is_forged(run: Unfinished, state: State[Any]) -> bool:
    """Return whether a run is Completed that did not end: a flow of ours records its outcome before its state.

    A process that still works may record its own within the hour.
    """
    if not state.is_completed():
        return False
    return ended_while_waiting(run.run_id) or utc_now() - state.timestamp >= scaled(RETRY_WITHIN)


@task(name="Correct states that the ledger contradicts", **BELOW_THE_GATE)
def correct_states() -> list[str]:
    """Set every run that is Completed under another name than its outcome in the ledger to that outcome, and alert.

    Only states that look good are corrected. Returns a sentence for each.
    """
    ledger, corrected = open_ledger(), []
    since = utc_now() - scaled(CORRECTED_FOR)
    outcomes = {fact.run_id: str(fact.detail["outcome"]) for fact in ledger.facts(kind="outcome") if fact.at >= since}
    for run_id, state in states_of(outcomes).items():
        outcome = outcomes[run_id]
        if not state.is_completed() or state.name == outcome:
            continue
        sentence = f"Run {run_id} ended as {outcome}; in Prefect it was set to {plain(str(state.name), 60)}."
        try:
            key = f"state-corrected:{run_id}:{state.id}"
            ledger.record("state-corrected", run_id=run_id, detail={"was": state.name, "is": outcome}, once=key)
        except AlreadyRecorded:
            continue  # another sweep did
        restore_state(run_id, outcome, sentence)
        send_notice(
            "alert", "A state was changed by hand", [sentence, "It was set back. Find out who did it."], run_id=run_id
        )
        corrected.append(sentence)
    return corrected


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
        show_end(report, rename=not state.is_final() or wait_timed_out(state) or state.is_completed())
    ledger = open_ledger()
    try:
        ledger.record("outcome", run_id=run.run_id, detail=report.model_dump(mode="json"), once=f"swept:{run.run_id}")
    except AlreadyRecorded:
        return False
    if not any(fact.detail["kind"] == "ended" for fact in ledger.facts(run_id=run.run_id, kind="notice")):
        subject = f"{plain(run.verb)} of {plain(run.destination)}: {error.outcome}"
        send_notice(
            "alert" if isinstance(error, RunLost) else "ended",
            subject,
            [plain(error.message, 600), plain(error.next_step, 600)],
            run_id=run.run_id,
        )
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
        send_notice(
            "reminder", f"{describe_request(question)} waits", reminder_lines(reminder, now), run_id=question.run_id
        )
        sent.append(f"{describe_request(question)}: reminded at {reminder.share} %")
    return sent

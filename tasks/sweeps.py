"""Sweeps: close, end and remind, because a waiting run has no process that does it.

Every step may be repeated, run twice at the same time and be interrupted anywhere: what may happen only once has a key in
the ledger, and a notice is recorded before it is sent.
"""

from datetime import datetime
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State

from tasks.estate.errors import OutcomeUnknown, RunLost, UnderstudyError
from tasks.estate.plans import Report
from tasks.estate.polling import utc_now
from tasks.ledger.approval_requests import ApprovalRequest, end_request, open_requests
from tasks.ledger.facts import Reminded, Reported, RequestExpired, RequestLost, RequestRejected, StateCorrected
from tasks.ledger.ledger import AlreadyRecorded
from tasks.rendering.sweep import describe_request, reminder_lines
from tasks.rendering.times_and_tables import plain
from tasks.runtime.notices import send_notice
from tasks.runtime.other_runs import (
    RETRY_WITHIN,
    ended_while_waiting,
    restore_state,
    state_of,
    states_of,
    wait_timed_out,
)
from tasks.runtime.publish_report import publish_for
from tasks.runtime.resources import open_ledger, scaled
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.signoff.unattended_runs import Unfinished, due_reminders, ending, unfinished

CORRECTED_FOR = 7 * 86400.0  # seconds; later changes of a state are not corrected
ANSWER_GRACE = 300.0  # seconds after the deadline; a worker may not have taken a run that was answered in time


@task(name="Close approval requests that nobody can answer", **BELOW_THE_GATE)
def close_requests() -> list[str]:
    """Record the end of every open approval request whose time or run is over; return a sentence for each.

    `expired`: past its deadline and a grace. `rejected`: cancelled in Prefect. `lost`: the run was deleted, or ended while
    it waited, or ended an hour ago without an outcome (within that hour a crashed process may be retried), or no worker
    took it within an hour after the deadline. A running run is left alone, and until then a scheduled one: it may contain an
    answer that was given in time.
    """
    ledger, now, closed = open_ledger(), utc_now(), []
    reported = {fact.run_id for fact in ledger.facts(kind=Reported.KIND)}
    for request in open_requests(ledger):
        ending = _end_of(request, state_of(request.run_id), now, reported=request.run_id in reported)
        where = {"run_id": request.run_id, "destination_id": request.destination_id, "plan": request.plan}
        if ending and end_request(ledger, ending, **where):
            why = ending.reason if isinstance(ending, RequestRejected) else ending.why
            closed.append(f"{describe_request(request)}: {ending.KIND}, {why}")
    return closed


def _end_of(
    request: ApprovalRequest, state: State[Any] | None, now: datetime, *, reported: bool
) -> RequestExpired | RequestLost | RequestRejected | None:
    """Return the fact that ends a request, or None if it stays open."""
    late = now >= request.answer_by + scaled(ANSWER_GRACE)
    if state is None and late:
        why = "nobody answered, and Prefect does not know the run any more"
        return RequestExpired(answer_by=request.answer_by, why=why)
    if state is None:
        return RequestLost(answer_by=request.answer_by, why="its run was deleted in Prefect")
    if state.is_cancelled():
        reason = f"the run was cancelled while the request was open: {state.message or 'no reason given'}"
        return RequestRejected(approver="Cancelled in Prefect", proven=False, reason=reason)
    if state.is_paused() or (wait_timed_out(state) and now >= request.answer_by):
        expired = RequestExpired(answer_by=request.answer_by, why="nobody answered in time")
        return expired if late or state.is_final() else None
    return _lost(request, state, now, reported=reported)


def _lost(
    request: ApprovalRequest, state: State[Any], now: datetime, *, reported: bool
) -> RequestExpired | RequestLost | None:
    """Return how the request of a run that neither waits nor was cancelled ends, or None if it stays open."""
    why = f"the run ended as {state.name} while the request was open"
    if state.is_final() and reported:
        return RequestExpired(answer_by=request.answer_by, why=why)
    if state.is_final() and (ended_while_waiting(request.run_id) or now - state.timestamp >= scaled(RETRY_WITHIN)):
        return RequestLost(answer_by=request.answer_by, why=why)
    left = state.is_scheduled() or state.is_pending()
    if left and now >= request.answer_by + scaled(RETRY_WITHIN):
        why = f"no worker took the run, which is {state.name}, within an hour after the deadline"
        return RequestLost(answer_by=request.answer_by, why=why)
    return None


@task(name="Set the outcome of ended runs", **BELOW_THE_GATE)
def end_runs() -> list[str]:
    """Set named state, report, outcome and notice of every run whose request ended and that no process will end.

    A run that waited for an answer about its copy's arrival until the deadline becomes `OutcomeUnknown`: its copy was sent. A
    run that somebody set to Completed becomes `RunLost` or `OutcomeUnknown`, because the ledger has no outcome of it. A state
    Crashed or Cancelled stays. Returns a sentence for each run.
    """
    ended = []
    for run in unfinished(open_ledger()):
        state = state_of(run.run_id)
        error = ending(run)
        if state is not None and not (state.is_paused() or state.is_final() or _is_left(state, error)):
            continue  # its own process reports its end
        if run.sending and state is not None and (wait_timed_out(state) or state.is_completed()):
            error = OutcomeUnknown(
                f"Nobody answered whether the copy to {run.destination} arrived, and it is not proven."
            )
        if error is None and state is not None and _is_forged(run, state):
            error = RunLost(f"The run was set to {state.name} manually; the ledger has no outcome of it.")
        if error is not None and _end(run, state, error):
            ended.append(f"{plain(run.verb)} of {plain(run.destination)} (run {run.run_id}): {error.outcome}")
    return ended


def _is_left(state: State[Any], error: UnderstudyError | None) -> bool:
    """Return whether a run still waits for a worker, although its request was closed because no worker came."""
    return isinstance(error, RunLost) and (state.is_scheduled() or state.is_pending())


def _is_forged(run: Unfinished, state: State[Any]) -> bool:
    """Return whether a run is Completed without an outcome: our flows record it before their state.

    A process that still works may record it within the hour.
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
    outcomes = {fact.run_id: fact.text("outcome") for fact in ledger.facts(kind=Reported.KIND) if fact.at >= since}
    for run_id, state in states_of(outcomes).items():
        outcome = outcomes[run_id]
        if not state.is_completed() or state.name == outcome:
            continue
        sentence = f"Run {run_id} ended as {outcome}; in Prefect it was set to {plain(str(state.name), 60)}."
        try:
            key = f"state-corrected:{run_id}:{state.id}"
            ledger.record(StateCorrected(was=state.name, outcome=outcome), run_id=run_id, once=key)
        except AlreadyRecorded:
            continue  # another sweep corrects it
        restore_state(run_id, outcome, sentence)
        send_notice(
            "alert", "A state was changed manually", [sentence, "It was set back. Find out who did it."], run_id=run_id
        )
        corrected.append(sentence)
    return corrected


def _end(run: Unfinished, state: State[Any] | None, error: UnderstudyError) -> bool:
    """Publish the end of a run; return False if another sweep recorded it."""
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
    return publish_for(report, state, "alert" if isinstance(error, RunLost) else "ended")


@task(name="Remind people of open approval requests", **BELOW_THE_GATE)
def remind_people() -> list[str]:
    """Send one notice at 50 % and one at 80 % of the time to answer, each at most once. Returns a sentence for each."""
    ledger, now, sent = open_ledger(), utc_now(), []
    for reminder in due_reminders(ledger, now):
        request = reminder.request
        try:
            ledger.record(
                Reminded(share=reminder.share),
                run_id=request.run_id,
                destination_id=request.destination_id,
                plan=request.plan,
                once=reminder.once,
            )
        except AlreadyRecorded:
            continue  # another sweep sends it
        send_notice(
            "reminder", f"{describe_request(request)} waits", reminder_lines(reminder, now), run_id=request.run_id
        )
        sent.append(f"{describe_request(request)}: reminded at {reminder.share} %")
    return sent

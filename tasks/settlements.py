"""Settlements: ask a lead in Prefect for the outcome of a call that is unknown, and release what its run holds."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException

from tasks.estate.errors import NotApproved, Refused
from tasks.estate.outcomes import SETTLED
from tasks.estate.plans import Report
from tasks.estate.polling import utc_now
from tasks.ledger.facts import PLANNED, Reported, SettleAnswered, SettleAsked, Settled, SettleRefused
from tasks.ledger.ledger import AlreadyRecorded, Fact, Ledger
from tasks.rendering.approval import settle_text
from tasks.rendering.times_and_tables import plain
from tasks.runtime.approval_forms import FormAnswer, SettleForm, await_answer, first_request, settle_form
from tasks.runtime.current_run import this_run
from tasks.runtime.notices import send_copied_passkey, send_notice
from tasks.runtime.other_runs import is_over
from tasks.runtime.publish_report import publish
from tasks.runtime.resources import open_ledger, read_leads, read_rules
from tasks.signoff import settling
from tasks.signoff.proof_use import used_before

ANSWER_WITHIN = timedelta(hours=1)  # whoever started the run is present, and a lead with them
HOUR = timedelta(hours=1)
HOWS: tuple[settling.How, ...] = ("arrived", "failed")


def settle_call(run: UUID, *, your_name: str) -> Fact:
    """Ask in this run for the outcome of another run's call, and record the answer of a lead who proves who they are.

    A plain function, because Prefect suspends only from a flow body. The proof is requested here and not in the start form:
    everybody can read a code in a run's parameters and use it elsewhere. Raises `NotFound` for a run that sent nothing,
    `Refused` for a call that is settled, `NotApproved` if no valid proof arrives in time.
    """
    ledger, run_id = open_ledger(), str(run)
    before = settling.settled_by_form(ledger, run_id, this_run())
    if before is not None:  # a retry of a run that settled it
        return before
    call = settling.open_call(ledger, run_id)
    answer_by = _deadline(call)
    for attempt in range(read_rules().answer.attempts):
        settled = _ask(ledger, call, answer_by, your_name, attempt)
        if settled is not None:
            return settled
    raise _still_unknown(run_id, "too many answers came without valid proof")


def _still_unknown(run_id: str, why: str) -> NotApproved:
    return NotApproved(
        f"The outcome of run {run_id} is still unknown: {why}.",
        next_step="Nothing was settled or released. Start `settle` again, or use `understudy settle` where the worker runs.",
    )


def _deadline(call: Fact) -> datetime:
    """Return when this run stops asking. Raises `NotApproved` if its parameters were changed since it asked first."""
    first, now = first_request(SettleAsked, ANSWER_WITHIN, call=call.run_id)
    if (first.call, first.parameters) != (now.call, now.parameters):
        raise _still_unknown(call.run_id, "the parameters of this run were changed after it asked")
    return first.answer_by


def _ask(ledger: Ledger, call: Fact, answer_by: datetime, your_name: str, attempt: int) -> Fact | None:
    """Show the form once; return the fact that settled the call, or None if the answer does not count."""
    refusals = [fact.as_(SettleRefused) for fact in ledger.facts(run_id=this_run(), kind=SettleRefused.KIND)]
    refused = {each.attempt: each.why for each in refusals}
    if attempt in refused:
        return None
    text = settle_text(call, _about(ledger, call), your_name, answer_by=answer_by, refused=refused.get(attempt - 1, ""))
    statements = {how: settling.statement_to_sign(call, how, answer_by).decode() for how in HOWS}
    subject = f"The outcome of the call of run {call.run_id} is needed"
    answer = await_answer(
        f"settle-{attempt}",
        settle_form(text, statements),
        before=lambda: send_notice("asked", subject, ["Its outcome is unknown, and it holds its destination."]),
        until=answer_by,
        now=utc_now(),
    )
    if answer.at >= answer_by:
        raise _still_unknown(call.run_id, "nobody answered in time")
    try:
        return _settle(ledger, call, answer, answer_by)
    except NotApproved as error:
        why = error.message
        if error.facts.get("alert"):
            send_copied_passkey(subject, why, run_id=this_run())
    except AlreadyRecorded as taken:
        if ledger.unsettled(call.run_id) is None:
            raise Refused(f"The call of run {call.run_id} was settled by somebody else just now.") from None
        why = used_before(taken)
    lead = read_leads().find(answer.form.approver) if isinstance(answer.form, SettleForm) else None
    refusal = SettleRefused(
        attempt=attempt, why=why, name=lead.name if lead else ""
    )  # only names of leads are recorded
    with suppress(AlreadyRecorded):
        ledger.record(refusal, run_id=this_run(), once=f"settle-refused:{this_run()}:{attempt}")
    return None


def _about(ledger: Ledger, call: Fact) -> str:
    """Return verb and destination of a call, as its plan names them."""
    planned = next(iter(ledger.facts(run_id=call.run_id, plan=call.plan, kinds=PLANNED)), None)
    if planned is None:
        return f"call of {call.destination_id}"
    name = planned.text("pair", "destination", "name") or planned.text("hostname") or call.destination_id
    return f"{planned.text('verb') or 'call'} of {name}"


def _settle(ledger: Ledger, call: Fact, answer: FormAnswer, answer_by: datetime) -> Fact:
    """Record the answer of a proven lead. Raises `NotApproved`, or `AlreadyRecorded` for a code that was used before."""
    form, now = answer.form, utc_now()
    if not isinstance(form, SettleForm):
        raise NotApproved("The run was resumed without a complete answer to this form.")
    _limit_guesses(ledger, form, now)
    settled = settling.settle(
        ledger, read_leads(), call, form.outcome, name=form.approver, proof=form.proof, reason=form.reason,
        answer_by=answer_by, given_at=answer.at, now=now, asked_by=this_run(),
    )  # fmt: skip
    ledger.record(SettleAnswered(call=call.run_id, approver=settled.as_(Settled).approver), run_id=this_run())
    return settled


def _limit_guesses(ledger: Ledger, form: SettleForm, now: datetime) -> None:
    """Raise `NotApproved` for a code after too many refused answers in this lead's name, over all runs."""
    lead = read_leads().find(form.approver)
    if lead is None or not "".join(form.proof.split()).isdecimal():
        return
    refused = [fact for fact in ledger.facts(kind=SettleRefused.KIND) if fact.as_(SettleRefused).name == lead.name]
    if sum(now - fact.at < HOUR for fact in refused) >= read_rules().answer.codes_an_hour:
        raise NotApproved("There were too many wrong codes for this lead; sign instead, or wait an hour.")


def release_if_over(ledger: Ledger, run_id: str) -> tuple[str, ...]:
    """Release what a run with a settled call holds, if the run is over; return it by the ids of the hosting API."""
    try:
        over = is_over(run_id)
    except (httpx.HTTPError, PrefectException):  # Prefect does not answer: the next run or the sweep releases it
        return ()
    return settling.free(ledger, run_id) if over else ()


def report_settlement(settled: Fact) -> State[Any]:
    """Release what the settled call's run holds, and finish: `Settled`, with the lead's answer and what is free now."""
    fact = settled.as_(Settled)
    who, how = fact.approver, fact.how.removeprefix("lead: ")
    run_id, ledger = settled.run_id, open_ledger()
    freed = release_if_over(ledger, run_id)
    released = (
        "What it held is free." if freed else "It held nothing, or its run is not over and releases it at its end."
    )
    report = Report(
        verb="settle",
        outcome=SETTLED,
        source="",
        destination="",
        run_id=this_run(),
        message=f"The call of run {run_id} is settled as {how} by {plain(who)}. {released}",
        next_step=f"Retry run {run_id}: it purges, verifies and never sends."
        if how == "arrived"
        else "Start a new run.",
        approver=who,
        reason=fact.words,
    )
    first = not ledger.facts(run_id=report.run_id, kind=Reported.KIND)  # a retry repeats the report alone
    state = publish(report, record=first)
    if first:
        lines = [f"{plain(who)}: {plain(fact.words, 300)}"]
        send_notice("decided", f"run {run_id}: settled as {how}", lines, run_id=run_id)
    return state

"""Settlements: ask a lead in Prefect what became of a call whose outcome is unknown, and free what it holds."""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import httpx
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.states import Completed

from tasks.estate.errors import NotApproved, Refused
from tasks.estate.plans import Report
from tasks.estate.waiting import utc_now
from tasks.ledger.ledger import AlreadyRecorded, Fact, Ledger
from tasks.rendering.approval import settle_text
from tasks.rendering.markdown import plain
from tasks.rendering.report import report_text
from tasks.runtime.current_run import this_run
from tasks.runtime.forms import FormAnswer, SettleForm, await_answer, settle_form
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import open_ledger, read_leads, read_rules
from tasks.runtime.states import is_over
from tasks.runtime.waiting_runs import parameters_of
from tasks.signoff import settling
from tasks.signoff.history import PLANNED

SETTLED = "Settled"
ANSWER_WITHIN = timedelta(hours=1)  # whoever started the run is at hand, and a lead with them
HOUR = timedelta(hours=1)
USED = "This code was used before; wait for the next one."
HOWS: tuple[settling.How, ...] = ("arrived", "failed")


def settle_call(run: UUID, *, your_name: str) -> Fact:
    """Ask in this run what became of the call of another, and record the answer of a lead who proves who they are.

    A plain function, because Prefect suspends only from a flow body. The proof is asked for here and not in the start form: a
    code in a run's parameters can be read by everybody, and used elsewhere. Raises `NotFound` for a run that sent nothing,
    `Refused` for a call that is settled, `NotApproved` if nobody proves in time that they may say.
    """
    ledger, run_id = open_ledger(), str(run)
    before = settling.settled_by_form(ledger, run_id, this_run())
    if before is not None:  # a retry of a run that settled it
        return before
    call = settling.open_call(ledger, run_id)
    answer_by = _deadline(ledger, call)
    for attempt in range(read_rules().answer.attempts):
        settled = _ask(ledger, call, answer_by, your_name, attempt)
        if settled is not None:
            return settled
    raise _nobody(run_id, "too many answers came without valid proof")


def _nobody(run_id: str, why: str) -> NotApproved:
    return NotApproved(
        f"The outcome of run {run_id} is still unknown: {why}.",
        next_step="Nothing was settled or freed. Start `settle` again, or use `understudy settle` where the worker runs.",
    )


def _deadline(ledger: Ledger, call: Fact) -> datetime:
    """Until when this run asks. Raises `NotApproved` if its parameters were changed since it asked first."""
    asked = ledger.facts(run_id=this_run(), kind="settle-asked")
    detail = {
        "answer_by": (utc_now() + ANSWER_WITHIN).isoformat(),
        "call": call.run_id,
        "parameters": parameters_of(this_run()),
    }
    if not asked:
        asked = [ledger.record("settle-asked", run_id=this_run(), detail=detail)]
    if any(asked[0].detail[name] != detail[name] for name in ("call", "parameters")):
        raise _nobody(call.run_id, "the parameters of this run were changed after it asked")
    return datetime.fromisoformat(asked[0].detail["answer_by"])


def _ask(ledger: Ledger, call: Fact, answer_by: datetime, your_name: str, attempt: int) -> Fact | None:
    """Put one question; return what settled the call, or None if the answer does not count."""
    refused = {
        fact.detail["attempt"]: fact.detail["why"] for fact in ledger.facts(run_id=this_run(), kind="settle-refused")
    }
    if attempt in refused:
        return None
    text = settle_text(call, _about(ledger, call), your_name, answer_by=answer_by, refused=refused.get(attempt - 1, ""))
    statements = {how: settling.statement_to_sign(call, how, answer_by).decode() for how in HOWS}
    subject = f"What became of the call of run {call.run_id}?"
    heard = await_answer(
        f"settle-{attempt}",
        settle_form(text, statements),
        text,
        before=lambda: send_notice("asked", subject, ["Its outcome is unknown, and it holds its destination."]),
        until=answer_by,
        now=utc_now(),
    )
    if heard.at >= answer_by:
        raise _nobody(call.run_id, "nobody said it in time")
    try:
        return _settle(ledger, call, heard, answer_by)
    except NotApproved as error:
        why = error.message
    except AlreadyRecorded:
        if ledger.unsettled(call.run_id) is None:
            raise Refused(f"The call of run {call.run_id} was settled by somebody else just now.") from None
        why = USED
    name = heard.form.approver if isinstance(heard.form, SettleForm) else ""
    known = read_leads().find(name)
    detail = {"attempt": attempt, "why": why, "name": known.name if known else ""}  # a stranger's words are not kept
    with suppress(AlreadyRecorded):
        ledger.record("settle-refused", run_id=this_run(), detail=detail, once=f"settle-refused:{this_run()}:{attempt}")
    return None


def _about(ledger: Ledger, call: Fact) -> str:
    """Return verb and destination of a call, as its plan names them."""
    planned = next((f.detail for f in ledger.facts(run_id=call.run_id, plan=call.plan) if f.kind in PLANNED), {})
    pair = planned.get("pair") or {}
    name = (
        (pair.get("destination") or {}).get("name")
        or (planned.get("target") or {}).get("hostname")
        or call.destination_id
    )
    return f"{planned.get('verb', 'call')} of {name}"


def _settle(ledger: Ledger, call: Fact, heard: FormAnswer, answer_by: datetime) -> Fact:
    """Record what a proven lead said. Raises `NotApproved`, or `AlreadyRecorded` for a code that was used before."""
    form, now = heard.form, utc_now()
    if not isinstance(form, SettleForm):
        raise NotApproved("The run was resumed without a complete answer to this form.")
    _limit_guesses(ledger, form, now)
    settled = settling.settle(
        ledger, read_leads(), call, form.outcome, name=form.approver, proof=form.proof, reason=form.reason,
        answer_by=answer_by, given_at=heard.at, now=now, asked_by=this_run(),
    )  # fmt: skip
    ledger.record(
        "settle-told", run_id=this_run(), detail={"call": call.run_id, "approver": settled.detail["approver"]}
    )
    return settled


def _limit_guesses(ledger: Ledger, form: SettleForm, now: datetime) -> None:
    """Raise `NotApproved` for a code after too many refused answers in this lead's name, over all runs: guessing does not pay."""
    lead = read_leads().find(form.approver)
    if lead is None or not "".join(form.proof.split()).isdecimal():
        return
    refused = [fact for fact in ledger.facts(kind="settle-refused") if fact.detail["name"] == lead.name]
    if sum(now - fact.at < HOUR for fact in refused) >= read_rules().answer.codes_an_hour:
        raise NotApproved("There were too many wrong codes for this lead; sign instead, or wait an hour.")


def release_held(run: UUID) -> tuple[str, ...]:
    """Free what the run of a settled call holds, as `release_if_over`."""
    return release_if_over(open_ledger(), str(run))


def release_if_over(ledger: Ledger, run_id: str) -> tuple[str, ...]:
    """Free what a run holds whose call is settled, if that run is over; return what was freed, by the hosting API's ids."""
    try:
        over = is_over(run_id)
    except (httpx.HTTPError, PrefectException):  # nobody can be asked: the next run or the sweep frees it
        return ()
    return settling.free(ledger, run_id) if over else ()


def report_settlement(settled: Fact, freed: tuple[str, ...]) -> State[None]:
    """The end of a run that settled a call: `Settled`, with who said what and what is free now."""
    who, how = settled.detail["approver"], str(settled.detail["how"]).removeprefix("lead: ")
    run_id, ledger = settled.run_id, open_ledger()
    held = "What it held is free." if freed else "It held nothing, or its run still lives and frees it at its end."
    report = Report(
        verb="settle",
        outcome=SETTLED,
        source="",
        destination="",
        run_id=this_run(),
        message=f"The call of run {run_id} is settled as {how} by {plain(who)}. {held}",
        next_step=f"Retry run {run_id}: it purges, verifies and never sends."
        if how == "arrived"
        else "Start a new run.",
        approver=who,
        reason=settled.detail["words"],
    )
    if not any(fact.kind == "outcome" for fact in ledger.facts(run_id=report.run_id)):
        ledger.record("outcome", run_id=report.run_id, detail=report.model_dump(mode="json"))
        said = [f"{plain(who)}: {plain(settled.detail['words'], 300)}"]
        send_notice("decided", f"run {run_id}: settled as {how}", said, run_id=run_id)
    create_markdown_artifact(report_text(report), key=f"report-{report.run_id}", description=f"settle: {SETTLED}")
    return Completed(name=SETTLED, message=f"{report.message} {report.next_step}")

"""Arrivals: if the evidence does not prove that a copy arrived, a lead reads the host's e-mail and answers."""

from datetime import datetime, timedelta

from tasks.estate.approval_sheet import Sheet
from tasks.estate.errors import OutcomeUnknown
from tasks.estate.plans import Evidence, Plan, Receipt, Signal, Verdict
from tasks.estate.polling import utc_now
from tasks.ledger.facts import ArrivalAnswered, ArrivalAsked, ArrivalRefused, Settled
from tasks.ledger.ledger import AlreadyRecorded, Fact, Ledger
from tasks.rendering.approval import arrival_text
from tasks.runtime.approval_forms import ArrivalForm, FormAnswer, arrival_form, await_answer, publish_sheet
from tasks.runtime.notices import send_copied_passkey, send_notice
from tasks.runtime.prefect_records import parameters_of
from tasks.runtime.resources import open_ledger, read_leads, read_rules
from tasks.signoff.answers import entry, where
from tasks.signoff.passkeys import CounterWentBack
from tasks.signoff.proof_use import require_counted_up, used_before, used_up_by
from tasks.signoff.proofs import BadProof, statement, verify


def ask_arrival(plan: Plan, receipt: Receipt, evidence: Evidence, *, within: timedelta) -> Evidence:
    """Return confirmed evidence. If it is not confirmed, ask a lead for the host's e-mail, which outranks every signal.

    Raises `OutcomeUnknown` if the e-mail reports a failure or is missing, if nobody answers in time, or after too many answers
    without proof.
    """
    ledger = open_ledger()
    if evidence.verdict not in (Verdict.CONFIRMED, Verdict.UNCHANGED):
        answer = _recorded(ledger, plan)
        while answer is None:
            answer = _ask(ledger, plan, receipt, evidence, within)
        read = answer.as_(ArrivalAnswered)
        detail = f"{read.approver} read the host's e-mail: {read.email} ({read.words})"
        if read.email != "completed":
            raise OutcomeUnknown(
                f"The copy to {plan.pair.destination.name} is not confirmed: {detail}.", evidence=evidence.verdict.value
            )
        person = Signal(rank=0, name="a person with the host's e-mail", seen=True, detail=detail, observed_at=utc_now())
        evidence = evidence.model_copy(update={"verdict": Verdict.CONFIRMED, "signals": (person, *evidence.signals)})
    ledger.record(Settled(how=f"evidence: {evidence.verdict.value}"), **where(plan))
    return evidence


def _recorded(ledger: Ledger, plan: Plan) -> Fact | None:
    return next(iter(ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=ArrivalAnswered.KIND)), None)


def _ask(ledger: Ledger, plan: Plan, receipt: Receipt, evidence: Evidence, within: timedelta) -> Fact | None:
    """Show the form once; return the recorded answer, or None if the answer does not count."""
    name, answer_by = plan.pair.destination.name, _deadline(ledger, plan, within)
    refused = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=ArrivalRefused.KIND)
    if len(refused) >= read_rules().answer.attempts:
        raise OutcomeUnknown(f"The arrival at {name} is not confirmed: no answer came with proof.")
    why = refused[-1].as_(ArrivalRefused).why if refused else ""

    def announce() -> None:
        publish_sheet(Sheet(plan=plan, answer_by=answer_by, question=len(refused)))
        subject = f"{plan.verb} of {plan.destination_name}: did it arrive?"
        send_notice("asked", subject, ["The evidence does not prove it; the host's e-mail does."], run_id=plan.run_id)

    text = arrival_text(plan, receipt, evidence, answer_by=answer_by, refused=why)
    key = f"arrived-{plan.fingerprint[:8]}-{len(refused)}"
    answer = await_answer(key, arrival_form(text), before=announce, until=answer_by, now=utc_now())
    if answer.at >= answer_by:
        raise OutcomeUnknown(f"Nobody answered whether the copy to {name} arrived.")
    try:
        return _record(ledger, plan, answer, answer_by)
    except (BadProof, AlreadyRecorded) as bad:
        why = str(bad) if isinstance(bad, BadProof) else used_before(bad)
        if isinstance(bad, CounterWentBack):
            send_copied_passkey(f"{plan.verb} of {plan.destination_name}", why, run_id=plan.run_id)
        ledger.record(ArrivalRefused(why=why), **where(plan))
        return _recorded(ledger, plan)


def _record(ledger: Ledger, plan: Plan, answer: FormAnswer, answer_by: datetime) -> Fact:
    """Record the answer of a proven lead. Raises `BadProof`, or `AlreadyRecorded` for a proof that was used before."""
    form, leads = answer.form, read_leads()
    if not isinstance(form, ArrivalForm):
        raise BadProof("The run was resumed without a complete answer to this form.")
    lead = leads.find(form.approver)
    if lead is None:
        raise BadProof(leads.why_not(form.approver))
    message = statement(f"arrived:{form.email}", plan.fingerprint, answer_by)
    proof = verify(leads, lead, form.proof, message=message, given_at=answer.at, now=utc_now())
    require_counted_up(ledger, proof, answer.at)
    given = ArrivalAnswered(email=form.email, approver=lead.name, words=form.words, proof=proof.kind)
    return ledger.record_together(
        plan.run_id, [*used_up_by(proof, answer.at), entry(given, plan, f"arrival:{plan.run_id}")]
    )[-1]


def _deadline(ledger: Ledger, plan: Plan, within: timedelta) -> datetime:
    """Return when the form closes. It counts from the first time, however often the run asks again."""
    asked = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=ArrivalAsked.KIND)
    if asked:
        return asked[0].as_(ArrivalAsked).answer_by
    answer_by = utc_now() + within
    # A run with a standing approval recorded no parameters before: a code that is typed here must not serve elsewhere.
    ledger.record(ArrivalAsked(answer_by=answer_by, parameters=parameters_of(plan.run_id)), **where(plan))
    return answer_by

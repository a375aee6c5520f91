"""Arrivals: where the evidence does not settle what became of a copy, a lead reads the host's e-mail and says."""

from datetime import datetime, timedelta

from tasks.estate.errors import OutcomeUnknown
from tasks.estate.plans import Evidence, Plan, Receipt, Signal, Verdict
from tasks.estate.sheets import Sheet
from tasks.estate.waiting import utc_now
from tasks.ledger.ledger import AlreadyRecorded, Entry, Fact, Ledger
from tasks.rendering.approval import arrival_text
from tasks.runtime.forms import ArrivalForm, FormAnswer, arrival_form, await_answer, publish_sheet
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import open_ledger, read_leads, read_rules
from tasks.runtime.waiting_runs import parameters_of
from tasks.signoff.answers import entry, where
from tasks.signoff.proofs import BadProof, statement, verify


def ask_arrival(plan: Plan, receipt: Receipt, evidence: Evidence, *, within: timedelta) -> Evidence:
    """Where the evidence does not confirm, ask a lead what the host's e-mail said; it outranks every other signal.

    Returns evidence with the verdict `confirmed`. Raises `OutcomeUnknown` where the e-mail says failed or is missing, where
    nobody answers in time, or where too many answers came without proof.
    """
    ledger = open_ledger()
    if evidence.verdict in (Verdict.CONFIRMED, Verdict.UNCHANGED):
        _settle(ledger, plan, evidence)
        return evidence
    told = _told(ledger, plan)
    while told is None:
        told = _ask(ledger, plan, receipt, evidence, within)
    said = f"{told.detail['approver']} read the host's e-mail: {told.detail['email']} ({told.detail['words']})"
    if told.detail["email"] != "completed":
        raise OutcomeUnknown(
            f"The copy to {plan.pair.destination.name} is not confirmed: {said}.", evidence=evidence.verdict.value
        )
    person = Signal(rank=0, name="a person with the host's e-mail", seen=True, detail=said, observed_at=utc_now())
    confirmed = evidence.model_copy(update={"verdict": Verdict.CONFIRMED, "signals": (person, *evidence.signals)})
    _settle(ledger, plan, confirmed)
    return confirmed


def _told(ledger: Ledger, plan: Plan) -> Fact | None:
    return next(iter(ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="arrival-told")), None)


def _ask(ledger: Ledger, plan: Plan, receipt: Receipt, evidence: Evidence, within: timedelta) -> Fact | None:
    """One question; gives what was told, if a lead did."""
    answer_by = _deadline(ledger, plan, within)
    refused = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="arrival-refused")
    if len(refused) >= read_rules().answer.attempts:
        raise OutcomeUnknown(
            f"The arrival at {plan.pair.destination.name} is not confirmed: no answer came with proof."
        )
    why = refused[-1].detail["why"] if refused else ""

    def announce() -> None:
        publish_sheet(Sheet(plan=plan, answer_by=answer_by, question=len(refused)))
        subject = f"{plan.verb} of {plan.destination_name}: did it arrive?"
        send_notice("asked", subject, ["The evidence does not settle it; the host's e-mail does."], run_id=plan.run_id)

    text = arrival_text(plan, receipt, evidence, answer_by=answer_by, refused=why)
    key = f"arrived-{plan.fingerprint[:8]}-{len(refused)}"
    heard = await_answer(key, arrival_form(text), text, before=announce, until=answer_by, now=utc_now())
    if heard.at >= answer_by:
        raise OutcomeUnknown(f"Nobody said whether the copy to {plan.pair.destination.name} arrived.")
    try:
        return _believe(ledger, plan, heard, answer_by)
    except (BadProof, AlreadyRecorded) as bad:
        why = str(bad) if isinstance(bad, BadProof) else "This code was used before; wait for the next one."
        ledger.record("arrival-refused", **where(plan), detail={"why": why})
        return _told(ledger, plan)


def _believe(ledger: Ledger, plan: Plan, heard: FormAnswer, answer_by: datetime) -> Fact:
    """Record what a proven lead said. Raises `BadProof`, or `AlreadyRecorded` for a code that was used before."""
    form, leads = heard.form, read_leads()
    if not isinstance(form, ArrivalForm):
        raise BadProof("The run was resumed without a complete answer to this form.")
    lead = leads.find(form.approver)
    if lead is None:
        raise BadProof(leads.why_not(form.approver))
    message = statement(f"arrived:{form.email}", plan.fingerprint, answer_by)
    proof = verify(leads, lead, form.proof, message=message, given_at=heard.at, now=utc_now())
    detail = {"email": form.email, "approver": lead.name, "words": form.words, "proof": proof.kind}
    told = entry("arrival-told", plan, detail, f"arrival:{plan.run_id}")
    used = [Entry("code-used", once=proof.used)] if proof.used else []
    return ledger.record_together(plan.run_id, [*used, told])[-1]


def _deadline(ledger: Ledger, plan: Plan, within: timedelta) -> datetime:
    """Until when the question is open: from when it was first asked, whatever runs again."""
    asked = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="arrival-asked")
    if asked:
        return datetime.fromisoformat(asked[0].detail["answer_by"])
    answer_by = utc_now() + within
    # Also of a run that asked nothing before, as nights do: a code that is typed here must not serve elsewhere.
    detail = {"answer_by": answer_by.isoformat(), "parameters": parameters_of(plan.run_id)}
    ledger.record("arrival-asked", **where(plan), detail=detail)
    return answer_by


def _settle(ledger: Ledger, plan: Plan, evidence: Evidence) -> None:
    ledger.record("settled", **where(plan), detail={"how": f"evidence: {evidence.verdict.value}"})

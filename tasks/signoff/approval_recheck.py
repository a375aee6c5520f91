"""Witnesses: an approval counts only with what proves it, checked again right before the call.

The ledger's chain has no key: whoever can write to its database can append a fact that looks right. So a fact alone is not
enough. A person's approval needs a signature over the plan, by an SSH key or a passkey, or the seal of the worker that saw a valid
code; a standing approval needs the signed entry of the reviewed file; a pre-authorised restore needs the promotion's own proven
answers.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import NotApproved
from tasks.estate.plans import BOUND, Approval, Intent, Plan
from tasks.estate.risks import Grade
from tasks.estate.sites import Direction
from tasks.ledger.approval_requests import ApprovalRequest
from tasks.ledger.facts import Answered, AnswerSettled, Asked, CodeUsed, PasskeyUsed, PreauthorisationUsed, StandingUsed
from tasks.ledger.ledger import Fact, Ledger
from tasks.safeguards.risk_rules import RiskRules
from tasks.signoff import preauthorised
from tasks.signoff.answers import counted_answers
from tasks.signoff.leads import Lead, Leads
from tasks.signoff.one_time_codes import is_sealed, may_be_production
from tasks.signoff.passkeys import verify_assertion
from tasks.signoff.proofs import NAMESPACE, BadProof, statement, verify_signature
from tasks.signoff.standing import StandingApproval, require_covered, require_load_covered
from tasks.signoff.standing_entries import standing_use

NOBODY = "the people whom it names did not answer"


def signed_decision(decision: str, *, restore: bool) -> str:
    """Return the decision as it is signed: permission to undo a failed promotion is part of it."""
    return f"{decision}+restore" if restore and decision == "approve" else decision


def require_fitting(plan: Intent, approval: Approval, rules: RiskRules) -> None:
    """Raise `NotApproved` unless an approval of this kind may open this plan, and the plan demands what the rules demand.

    A standing approval opens green refreshes and loads whose destination is not production, a pre-authorised one restores,
    people everything that is not black.
    """
    why = _misfit(plan, approval) or _too_little(plan, rules)
    if why:
        raise NotApproved(f"The approval of plan {plan.code} does not fit: {why}.")


def _misfit(plan: Intent, approval: Approval) -> str:
    if (approval.plan, approval.run_id) != (plan.fingerprint, plan.run_id):
        return "it is the approval of another plan or run"
    back = isinstance(plan, Plan) and plan.direction is Direction.BACK
    down = isinstance(plan, LoadPlan) or (isinstance(plan, Plan) and plan.direction is Direction.DOWN)
    if approval.kind == "standing" and not (
        plan.verb in ("refresh", "load_dump")
        and down
        and plan.risk.grade is Grade.GREEN
        and not may_be_production(plan)
    ):
        return f"a standing approval cannot open a {plan.risk.grade.value} {plan.verb} of {plan.destination_name}"
    if approval.kind == "pre-authorised" and not (plan.verb == "restore" and back):
        return f"a pre-authorised approval opens restores, not a {plan.verb}"
    return ""


def _too_little(plan: Intent, rules: RiskRules) -> str:
    risk = plan.risk
    if risk.grade is Grade.BLACK:
        return "nobody may approve a black plan"
    if risk.grade is Grade.GREEN and may_be_production(plan):
        return "a plan that overwrites production is never green"
    demand = rules.demand(risk.grade)
    if risk.people < demand.people or risk.signatures < demand.signatures:
        return f"the plan demands less than the rules demand for {risk.grade.value}"
    return ""


def require_witnessed(
    ledger: Ledger, plan: Intent, approval: Approval, leads: Leads, *, execute_within: timedelta | None = None
) -> None:
    """Raise `NotApproved` unless people's answers in the ledger prove this approval of this plan.

    Each of these people must still be a lead, be counted once, and have a signature or a seal that verifies; together they must be
    as many as the plan's risk demands. An approval by code for production must have settled. With `execute_within`, the approval
    must not claim to be usable for longer.
    """
    facts = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint)
    uses = {fact.once for fact in ledger.facts(run_id=plan.run_id, kinds=(CodeUsed.KIND, PasskeyUsed.KIND))}
    request = next((ApprovalRequest.of(fact) for fact in facts if fact.kind == Asked.KIND), None)
    # The answer of a lead who was suspended before the approval is not named in it.
    names = [signer.name for signer in approval.signers]
    answers = [answer for answer in counted_answers(facts) if answer.name in names]
    if request is None:
        why = NOBODY
    else:
        doubts = (_doubt(answer, plan, request.answer_by, leads, uses, facts) for answer in answers)
        why = _mismatch(plan, approval, answers) or next(filter(None, doubts), "")
    if not why and execute_within is not None:
        last = max(answer.given_at for answer in answers)
        if approval.execute_by > last + execute_within:
            why = "it claims to be usable for longer than the settings allow"
    if why:
        raise NotApproved(f"The approval of plan {plan.code} is not proven by its answers: {why}.")


def _mismatch(plan: Intent, approval: Approval, answers: Sequence[Answered]) -> str:
    names = [answer.name for answer in answers]
    if not names or names != [signer.name for signer in approval.signers]:
        return NOBODY
    if len(set(names)) < max(plan.risk.people, len(names)):
        return f"{len(set(names))} people answered, {plan.risk.people} are demanded"
    if sum(answer.proof in BOUND for answer in answers) < plan.risk.signatures:
        return f"{plan.risk.signatures} signatures are demanded"
    if any(answer.decision != "approve" for answer in answers):
        return "somebody did not approve"
    if approval.restore_within and not all(answer.restore for answer in answers):
        return "not everybody permitted to undo it"
    return ""


def _doubt(
    answer: Answered, plan: Intent, until: datetime, leads: Leads, uses: set[str | None], facts: Sequence[Fact]
) -> str:
    """Return why one answer does not hold, or "" if it does."""
    lead = leads.find(answer.name)
    if lead is None:
        return leads.why_not(answer.name).rstrip(".")
    message = statement(signed_decision(answer.decision, restore=answer.restore), plan.fingerprint, until)
    given_at, used = answer.given_at, answer.used
    if given_at > until:
        return f"the answer of {lead.name} came after the deadline"
    if answer.proof in BOUND:
        signed, use = _signed(answer, lead, message)
        if signed and use and use not in uses:
            return f"this run did not use the passkey of {lead.name}"
        return "" if signed else f"the signature of {lead.name} does not verify"
    if not is_sealed(answer.seal, leads, lead, message, given_at=given_at, used=used) or used not in uses:
        return f"no worker saw a valid code of {lead.name} for it, or the code was enrolled anew since"
    seals = [fact.as_(AnswerSettled).seal for fact in facts if fact.kind == AnswerSettled.KIND]
    if may_be_production(plan) and not any(
        is_sealed(seal, leads, lead, message, given_at=given_at, used=used, word="settled") for seal in seals
    ):
        return f"the code of {lead.name} has not settled"
    return ""


def _signed(answer: Answered, lead: Lead, message: bytes) -> tuple[bool, str]:
    """Return whether the stored signature verifies, and the ledger's key of a passkey's use; "" if the proof has no such key."""
    try:
        if answer.proof == "passkey":
            return True, verify_assertion(lead, answer.signature, message, at=answer.given_at).used
        verify_signature(lead, answer.signature, message, namespace=NAMESPACE, at=answer.given_at)
    except BadProof:
        return False, ""
    return True, ""


def require_standing(
    ledger: Ledger,
    plan: Intent,
    approval: Approval,
    entries: Sequence[StandingApproval],
    leads: Leads,
    *,
    now: datetime,
    at_most: timedelta,
) -> None:
    """Raise `NotApproved` unless a signed entry of the reviewed file covers this plan now, and is the one that the approval names."""
    if isinstance(plan, Plan):
        entry = require_covered(plan, entries, now=now, leads=leads, at_most=at_most)
    elif isinstance(plan, LoadPlan):
        entry = require_load_covered(plan, entries, now=now, leads=leads, at_most=at_most)
    else:
        raise NotApproved(f"No standing approval can cover plan {plan.code}.")
    if approval.approver != entry.named:
        raise NotApproved(
            f"The approval of plan {plan.code} names another standing approval than the one that covers it."
        )
    once = standing_use(entry, now)
    if not any(fact.once == once for fact in ledger.facts(run_id=plan.run_id, kind=StandingUsed.KIND)):
        raise NotApproved(f"Run {plan.run_id} did not use the standing approval for {entry.pair} this night.")


def require_preauthorised(
    ledger: Ledger,
    plan: Intent,
    approval: Approval,
    leads: Leads,
    *,
    at_most: timedelta,
    execute_within: timedelta,
) -> str:
    """Return the promotion whose approval permits this restore. Raise `NotApproved` unless its own answers prove it."""
    used = [fact.once or "" for fact in ledger.facts(run_id=plan.run_id, kind=PreauthorisationUsed.KIND)]
    promotion = preauthorised.promotion_of(used[0]) if len(used) == 1 else ""
    now = approval.answered_at
    if (
        not promotion
        or not isinstance(plan, Plan)
        or permitted_by(ledger, plan, promotion, leads, now=now, at_most=at_most) is None
        or approval.execute_by > now + execute_within
    ):
        raise NotApproved(f"The approval of plan {plan.code} is not permitted by that of a failed promotion.")
    return promotion


def permitted_by(
    ledger: Ledger, plan: Plan, promotion: str, leads: Leads, *, now: datetime, at_most: timedelta
) -> Approval | None:
    """Return the promotion's approval if it covers this restore now and its own answers prove it, or None if people must be asked."""
    allowed = preauthorised.allowed_by(ledger, plan, promotion, now, at_most=at_most)
    if allowed is None or allowed[1].kind != "person":
        return None
    try:
        require_witnessed(ledger, *allowed, leads)
    except NotApproved:
        return None
    return allowed[1]


def verified_signatures(facts: Sequence[Fact], leads: Leads) -> tuple[int, int]:
    """Return how many of the signatures in these facts verify with today's leads file, and how many there are."""
    signed = [fact for fact in facts if fact.kind == Answered.KIND and "signature" in fact.detail]
    return sum(_verifies(fact, leads) for fact in signed), len(signed)


def _verifies(fact: Fact, leads: Leads) -> bool:
    answer = fact.as_(Answered)
    lead, message = leads.find(answer.name), answer.statement.encode()
    return lead is not None and fact.plan.encode() in message and _signed(answer, lead, message)[0]

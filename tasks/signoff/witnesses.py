"""Witnesses: an approval counts only with what it rests on, checked again right before the call.

The ledger's chain has no key: whoever can write to its database can append a fact that looks right. So nothing that the ledger
alone says is enough. A person's yes needs a signature over the plan, or the seal of the worker that saw a valid code; a standing
approval needs the signed entry of the reviewed file; a pre-authorised restore needs the promotion's own witnessed answers.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import NotApproved
from tasks.estate.plans import Approval, Intent, Plan
from tasks.estate.risks import Grade
from tasks.estate.sites import Direction
from tasks.ledger.ledger import Fact, Ledger
from tasks.safeguards.risk_rules import RiskRules
from tasks.signoff import preauthorised
from tasks.signoff.answers import counted_answers
from tasks.signoff.codes import is_sealed, may_be_production
from tasks.signoff.leads import Lead, Leads
from tasks.signoff.proofs import NAMESPACE, BadProof, statement, verify_signature
from tasks.signoff.standing import StandingApproval, require_covered, require_load_covered
from tasks.signoff.standing_entries import standing_use


def signed_decision(decision: str, *, restore: bool) -> str:
    """Return the word that a signature is over: permission to undo a failed promotion is part of it."""
    return f"{decision}+restore" if restore and decision == "approve" else decision


def require_fitting(plan: Intent, approval: Approval, rules: RiskRules) -> None:
    """Raise `NotApproved` unless an approval of this kind may open this plan at all, and the plan demands what the rules do.

    A standing approval opens green refreshes and loads of what is not production, a pre-authorised one restores, people
    everything that is not black.
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
        return "what overwrites production is never green"
    demand = rules.demand(risk.grade)
    if risk.people < demand.people or risk.signatures < demand.signatures:
        return f"the plan demands less than the rules do for {risk.grade.value}"
    return ""


def require_witnessed(
    ledger: Ledger, plan: Intent, approval: Approval, leads: Leads, *, execute_within: timedelta | None = None
) -> None:
    """Raise `NotApproved` unless people's answers in the ledger carry this approval of this plan.

    Each of them must be a lead still, must be there once, and must have a signature or a seal that verifies; together they must
    be as many as the plan's risk demands. A code's yes for production must have settled. With `execute_within`, the approval must not
    claim to be usable for longer than that.
    """
    facts = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint)
    codes = {fact.once for fact in ledger.facts(run_id=plan.run_id, kind="code-used")}
    asked = next((fact for fact in facts if fact.kind == "asked"), None)
    why = _against(plan, approval, asked, facts) or next(
        (
            why
            for fact in _carrying(approval, facts)
            if (why := _doubt(fact, plan, _deadline(asked), leads, codes, facts))
        ),
        "",
    )
    if not why and execute_within is not None and approval.execute_by > _last_answer(approval, facts) + execute_within:
        why = "it claims to be usable for longer than the settings allow"
    if why:
        raise NotApproved(f"The approval of plan {plan.code} does not rest on its answers: {why}.")


def _carrying(approval: Approval, facts: Sequence[Fact]) -> list[Fact]:
    """Return the answers of those who are named in the approval; a yes of a lead who was suspended meanwhile is not one."""
    names = [signer.name for signer in approval.signers]
    return [fact for fact in counted_answers(facts) if fact.detail["name"] in names]


def _deadline(asked: Fact | None) -> datetime:
    assert asked is not None, "_against() looked first"  # noqa: S101  # an invariant, not input
    return datetime.fromisoformat(asked.detail["answer_by"])


def _last_answer(approval: Approval, facts: Sequence[Fact]) -> datetime:
    return max(datetime.fromisoformat(fact.detail["given_at"]) for fact in _carrying(approval, facts))


def _against(plan: Intent, approval: Approval, asked: Fact | None, facts: Sequence[Fact]) -> str:
    answers = _carrying(approval, facts)
    names = [fact.detail["name"] for fact in answers]
    if asked is None or not names or names != [signer.name for signer in approval.signers]:
        return "the people whom it names did not answer"
    if len(set(names)) < max(plan.risk.people, len(names)):
        return f"{len(set(names))} people answered, {plan.risk.people} are demanded"
    if sum(fact.detail["proof"] == "signature" for fact in answers) < plan.risk.signatures:
        return f"{plan.risk.signatures} signatures are demanded"
    if any(fact.detail["decision"] != "approve" for fact in answers):
        return "somebody did not approve"
    if approval.restore_within and not all(fact.detail["restore"] for fact in answers):
        return "not everybody permitted to undo it"
    return ""


def _doubt(
    answered: Fact, plan: Intent, until: datetime, leads: Leads, codes: set[str | None], facts: Sequence[Fact]
) -> str:
    """Return why one answer does not hold; "" if it does."""
    said = answered.detail
    lead = leads.find(said["name"])
    if lead is None:
        return leads.why_not(said["name"]).rstrip(".")
    message = statement(signed_decision(said["decision"], restore=said["restore"]), plan.fingerprint, until)
    given_at = datetime.fromisoformat(said["given_at"])
    if given_at > until:
        return f"the answer of {lead.name} came after the deadline"
    if said["proof"] == "signature":
        return "" if _holds(lead, said, message) else f"the signature of {lead.name} does not verify"
    used = str(said.get("used"))
    if not is_sealed(said.get("seal"), leads, lead, message, given_at=given_at, used=used) or used not in codes:
        return f"no worker saw a valid code of {lead.name} for it, or the code was enrolled anew since"
    if may_be_production(plan) and not any(
        fact.kind == "answer-settled"
        and is_sealed(fact.detail.get("seal"), leads, lead, message, given_at=given_at, used=used, word="settled")
        for fact in facts
    ):
        return f"the code of {lead.name} has not settled"
    return ""


def _holds(lead: Lead, said: dict[str, str], message: bytes) -> bool:
    try:
        given_at = datetime.fromisoformat(said["given_at"])
        verify_signature(lead, said.get("signature", ""), message, namespace=NAMESPACE, at=given_at)
    except BadProof:
        return False
    return True


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
    """Raise `NotApproved` unless a signed entry of the reviewed file covers exactly this plan now, and is the one it names."""
    if isinstance(plan, Plan):
        entry = require_covered(plan, entries, now=now, leads=leads, at_most=at_most)
    elif isinstance(plan, LoadPlan):
        entry = require_load_covered(plan, entries, now=now, leads=leads, at_most=at_most)
    else:
        raise NotApproved(f"Nothing can cover plan {plan.code}.")
    if approval.approver != entry.named:
        raise NotApproved(
            f"The approval of plan {plan.code} names another standing approval than the one that covers it."
        )
    once = standing_use(entry, now)
    if not any(fact.once == once for fact in ledger.facts(run_id=plan.run_id, kind="standing-used")):
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
    """Return the promotion whose approval permits this restore. Raise `NotApproved` unless its own answers carry that."""
    used = [fact.once or "" for fact in ledger.facts(run_id=plan.run_id, kind="pre-authorisation-used")]
    promotion = preauthorised.promotion_of(used[0]) if len(used) == 1 else ""
    now = approval.answered_at
    if (
        not promotion
        or not isinstance(plan, Plan)
        or permitted_by(ledger, plan, promotion, leads, now=now, at_most=at_most) is None
        or approval.execute_by > now + execute_within
    ):
        raise NotApproved(f"The approval of plan {plan.code} does not rest on that of a failed promotion.")
    return promotion


def permitted_by(
    ledger: Ledger, plan: Plan, promotion: str, leads: Leads, *, now: datetime, at_most: timedelta
) -> Approval | None:
    """Return the promotion's approval if it covers this restore now and its own answers carry it; None if people must be asked."""
    allowed = preauthorised.allowed_by(ledger, plan, promotion, now, at_most=at_most)
    if allowed is None or allowed[1].kind != "person":
        return None
    try:
        require_witnessed(ledger, *allowed, leads)
    except NotApproved:
        return None
    return allowed[1]


def verified_signatures(facts: Sequence[Fact], leads: Leads) -> tuple[int, int]:
    """How many of the signatures kept in these facts verify with today's leads file, and how many there are."""
    signed = [fact for fact in facts if fact.kind == "answered" and "signature" in fact.detail]
    return sum(_verifies(fact, leads) for fact in signed), len(signed)


def _verifies(answered: Fact, leads: Leads) -> bool:
    said = answered.detail
    lead = leads.find(said["name"])
    message = said["statement"].encode()
    return lead is not None and answered.plan.encode() in message and _holds(lead, said, message)

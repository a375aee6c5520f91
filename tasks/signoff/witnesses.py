"""Witnesses: an approval counts only with the answers it rests on, checked again from the ledger right before the call.

The ledger's chain has no key: whoever can write to its database can append a fact that looks right. A forged approval lacks
its answers, and a forged answer lacks its signature where the rules demand signatures.
"""

from collections.abc import Sequence
from datetime import datetime

from tasks.estate.errors import NotApproved
from tasks.estate.plans import Approval, Intent
from tasks.signoff.leads import Leads
from tasks.signoff.ledger import Fact, Ledger
from tasks.signoff.proofs import NAMESPACE, BadProof, statement, verify_signature


def signed_decision(decision: str, *, restore: bool) -> str:
    """The word that a signature is over: leave to undo a failed promotion is part of it."""
    return f"{decision}+restore" if restore and decision == "approve" else decision


def require_witnessed(ledger: Ledger, plan: Intent, approval: Approval, leads: Leads) -> None:
    """Raise `NotApproved` unless people's answers in the ledger carry this approval of this plan.

    Each must be a lead still, be there once, and have a signature that verifies where one is kept; together they must be as
    many as the plan's risk demands. Standing and pre-authorised approvals rest on other facts, checked where they are given.
    """
    if approval.kind != "person":
        return
    facts = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint)
    asked = next((fact for fact in facts if fact.kind == "asked"), None)
    answers = [fact for fact in facts if fact.kind == "answered"]
    why = _against(plan, approval, asked, answers, leads)
    if why:
        raise NotApproved(f"The approval of plan {plan.code} does not rest on its answers: {why}.")


def _against(plan: Intent, approval: Approval, asked: Fact | None, answers: Sequence[Fact], leads: Leads) -> str:
    said = [signer.name for signer in approval.signers]
    answers = [
        fact for fact in answers if fact.detail["name"] in said
    ]  # a yes of a lead who was suspended meanwhile is none
    names = [fact.detail["name"] for fact in answers]
    if asked is None or names != said:
        return "those who are said to have answered did not"
    if len(set(names)) < plan.risk.people:
        return f"{len(set(names))} people answered, {plan.risk.people} are demanded"
    if sum(fact.detail["proof"] == "signature" for fact in answers) < plan.risk.signatures:
        return f"{plan.risk.signatures} signatures are demanded"
    if approval.restore_within and not all(fact.detail["restore"] for fact in answers):
        return "not everybody gave leave to undo it"
    until = datetime.fromisoformat(asked.detail["answer_by"])
    return next((why for fact in answers if (why := _doubt(fact, plan, until, leads))), "")


def _doubt(answered: Fact, plan: Intent, until: datetime, leads: Leads) -> str:
    """Why one answer does not hold; "" where it does."""
    said = answered.detail
    lead = leads.find(said["name"])
    if lead is None:
        return leads.why_not(said["name"]).rstrip(".")
    if said["proof"] != "signature":
        return ""
    message = statement(signed_decision(said["decision"], restore=said["restore"]), plan.fingerprint, until)
    try:
        given_at = datetime.fromisoformat(said["given_at"])
        verify_signature(lead, said.get("signature", ""), message, namespace=NAMESPACE, at=given_at)
    except BadProof:
        return f"the signature of {lead.name} does not verify"
    return ""


def verified_signatures(facts: Sequence[Fact], leads: Leads) -> tuple[int, int]:
    """How many of the signatures kept in these facts verify with today's leads file, and how many there are."""
    signed = [fact for fact in facts if fact.kind == "answered" and "signature" in fact.detail]
    return sum(_verifies(fact, leads) for fact in signed), len(signed)


def _verifies(answered: Fact, leads: Leads) -> bool:
    said = answered.detail
    lead = leads.find(said["name"])
    message = said["statement"].encode()
    if lead is None or answered.plan.encode() not in message:
        return False
    try:
        verify_signature(
            lead, said["signature"], message, namespace=NAMESPACE, at=datetime.fromisoformat(said["given_at"])
        )
    except BadProof:
        return False
    return True

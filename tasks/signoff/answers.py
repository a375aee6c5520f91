"""Answers: what people said to exactly one plan, kept in our own ledger, where each plan's question ends once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from tasks.estate.errors import ApprovalExpired, Frozen, NotApproved, Rejected, RunLost, Superseded
from tasks.estate.plans import Approval, Intent, Signer
from tasks.ledger.approval_requests import end_of
from tasks.ledger.ledger import Entry, Fact, Ledger


@dataclass(frozen=True)
class Answer:
    """What was typed into the form, and when (UTC) it reached the Prefect server."""

    decision: str
    approver: str
    plan: str  # its code, typed
    destination: str
    proof: str
    reason: str
    given_at: datetime
    restore: bool = False  # leave to put the backup back if the verification fails


def where(plan: Intent) -> dict[str, Any]:
    """The columns of a ledger row about this plan."""
    return {"run_id": plan.run_id, "destination_id": plan.destination_id, "plan": plan.fingerprint}


def entry(kind: str, plan: Intent, detail: dict[str, Any], once: str | None = None) -> Entry:
    """A row about this plan, to be recorded together with others."""
    return Entry(kind, destination_id=plan.destination_id, plan=plan.fingerprint, detail=detail, once=once)


def recorded_answer(ledger: Ledger, plan: Intent) -> Approval | None:
    """How this run's question about this plan ended, if it did: the approval, or the same refusal as before.

    Raises `Rejected`, `ApprovalExpired`, `Superseded`, `Frozen` or `RunLost`: a no stays a no, whatever is retried.
    """
    for fact in ledger.facts(run_id=plan.run_id, plan=plan.fingerprint):
        if fact.kind == "approved":
            return Approval.model_validate(fact.detail)
        if fact.kind == "expired":
            closed = fact.detail["answer_by"]
            raise ApprovalExpired(f"Nobody approved plan {plan.code} in time: the question closed at {closed}.")
        refusal = refusal_in(fact, plan.code)
        if refusal is not None:
            raise refusal
    return None


def numbered_answers(facts: Sequence[Fact]) -> list[tuple[int, Fact]]:
    """Return every `answered` fact among those of one question that was not voided afterwards, with its number.

    The number counts the answers before it, refused ones too: it is part of Prefect's key for the form.
    """
    void = {fact.detail["index"] for fact in facts if fact.kind == "answer-void"}
    given = [fact for fact in facts if fact.kind in ("answered", "answer-refused")]
    return [(index, fact) for index, fact in enumerate(given) if fact.kind == "answered" and index not in void]


def counted_answers(facts: Sequence[Fact]) -> list[Fact]:
    """Return every `answered` fact among those of one question that was not voided afterwards, oldest first."""
    return [fact for _, fact in numbered_answers(facts)]


def refusal_in(fact: Fact, code: str) -> NotApproved | Frozen | None:
    """The error that a fact which ended the question about this plan stands for; None for any other fact."""
    said = fact.detail
    if fact.kind == "rejected":
        who = said["approver"] + ("" if said.get("proven") else " (not proven)")
        return Rejected(f"{who} rejected plan {code}: {said['reason']}")
    if fact.kind == "superseded":
        return Superseded(f"Plan {code} gave way to the newer plan {said['code']} of run {said['by']}.")
    if fact.kind == "frozen":
        return Frozen(said["why"])
    if fact.kind == "lost":
        return RunLost(f"Plan {code} cannot be approved any more: {said['why']}.")
    return None


def record_approval(
    ledger: Ledger,
    plan: Intent,
    *,
    kind: Literal["person", "standing", "pre-authorised"],
    approver: str,
    reason: str,
    answered_at: datetime,
    execute_within: timedelta,
    signers: tuple[Signer, ...] = (),
    restore_within: timedelta = timedelta(0),
    besides: tuple[Entry, ...] = (),
) -> Approval:
    """Record the one approval of this run to this plan, with what must be recorded in the same transaction.

    It may be used until `execute_within` after the last answer. Raises `AlreadyRecorded` where the question has ended.
    """
    approval = Approval(
        id=str(uuid4()),
        plan=plan.fingerprint,
        run_id=plan.run_id,
        kind=kind,
        approver=approver,
        reason=reason,
        answered_at=answered_at,
        execute_by=answered_at + execute_within,
        signers=signers,
        restore_within=int(restore_within.total_seconds()),
    )
    approved = entry("approved", plan, approval.model_dump(mode="json"), end_of(plan.run_id, plan.fingerprint))
    ledger.record_together(plan.run_id, [*besides, approved])
    return approval

"""Answers: what a person said to exactly one plan, checked against our own ledger and recorded once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from tasks.estate.errors import ApprovalExpired, NotApproved, Rejected
from tasks.estate.plans import Approval, Intent
from tasks.estate.waiting import utc_now
from tasks.signoff.ledger import Ledger

GRACE = timedelta(minutes=5)  # an answer given in time reaches the worker late: rescheduling, process start, queue


@dataclass(frozen=True)
class Answer:
    """What was typed into the form."""

    decision: str
    approver: str
    reason: str
    destination: str


def where(plan: Intent) -> dict[str, Any]:
    """The columns of a ledger row about this plan."""
    return {"run_id": plan.run_id, "destination_id": plan.destination_id, "plan": plan.fingerprint}


def recorded_answer(ledger: Ledger, plan: Intent) -> Approval | None:
    """The answer that this run already has to this plan. Raises `Rejected` for a recorded no: it stays a no."""
    for fact in ledger.facts(run_id=plan.run_id, plan=plan.fingerprint):
        if fact.kind == "rejected":
            raise Rejected(f"{fact.detail['approver']} rejected plan {plan.code}: {fact.detail['reason']}")
        if fact.kind == "approved":
            return Approval.model_validate(fact.detail)
    return None


def first_asked(ledger: Ledger, plan: Intent) -> datetime:
    """When this plan was first put to a person: later passes of the flow body do not move the deadline."""
    asked = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="asked")
    if asked:
        return datetime.fromisoformat(asked[0].detail["at"])
    now = utc_now()
    ledger.record("asked", **where(plan), detail={"at": now.isoformat()})
    return now


def accept_answer(
    ledger: Ledger, plan: Intent, answer: Answer, *, answer_by: datetime, execute_within: timedelta
) -> Approval:
    """The checks of the gate, made on the worker because Prefect's own can be walked around by anyone with its API.

    Raises `Rejected`, `ApprovalExpired` or `NotApproved`; otherwise records the approval and returns it.
    """
    now = utc_now()
    if answer.decision != "approve":
        said = {"approver": answer.approver, "reason": answer.reason}
        ledger.record("rejected", **where(plan), detail=said, once=_once(plan))
        raise Rejected(f"{answer.approver} rejected plan {plan.code}: {answer.reason}")
    if now > answer_by + GRACE:
        raise ApprovalExpired(f"The answer to plan {plan.code} came after {answer_by:%Y-%m-%d %H:%M} UTC.")
    if answer.destination != plan.destination_name:
        raise NotApproved(f"The destination typed for plan {plan.code} is not {plan.destination_name!r}.")
    if len(answer.approver.strip()) < 3 or len(answer.reason.strip()) < 5:
        raise NotApproved(f"The answer to plan {plan.code} has no name or no reason.")
    return record_approval(
        ledger,
        plan,
        kind="person",
        approver=answer.approver,
        reason=answer.reason,
        now=now,
        execute_within=execute_within,
    )


def record_approval(
    ledger: Ledger,
    plan: Intent,
    *,
    kind: Literal["person", "standing"],
    approver: str,
    reason: str,
    now: datetime,
    execute_within: timedelta,
) -> Approval:
    """Record the one approval of this run to this plan."""
    approval = Approval(
        id=str(uuid4()),
        plan=plan.fingerprint,
        run_id=plan.run_id,
        kind=kind,
        approver=approver,
        reason=reason,
        answered_at=now,
        execute_by=now + execute_within,
    )
    ledger.record("approved", **where(plan), detail=approval.model_dump(mode="json"), once=_once(plan))
    return approval


def _once(plan: Intent) -> str:
    return f"answer:{plan.run_id}:{plan.fingerprint}"

"""Answers of people to one plan, and the approval of it, in our own ledger, where each approval request ends once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from tasks.estate.plans import Approval, Intent, Signer
from tasks.ledger.approval_requests import end_of
from tasks.ledger.facts import ENDINGS, ENDS, Answered, AnswerRefused, AnswerVoided, Approved, Recorded
from tasks.ledger.ledger import Entry, Fact, Ledger


@dataclass(frozen=True)
class Answer:
    """What was typed into the form, and when (UTC) it reached the Prefect server."""

    decision: str
    approver: str
    plan: str  # its code, as the choice names it
    destination: str  # typed; "" if it was not
    proof: str
    reason: str
    given_at: datetime
    restore: bool = False  # permission to restore the backup if the verification fails
    phrase: str = ""  # the risk phrase, typed


def where(plan: Intent) -> dict[str, Any]:
    """Return the columns of a ledger row about this plan."""
    return {"run_id": plan.run_id, "destination_id": plan.destination_id, "plan": plan.fingerprint}


def entry(fact: Recorded, plan: Intent, once: str | None = None) -> Entry:
    """Return a row about this plan, to be recorded together with others."""
    return Entry(fact, plan.destination_id, plan.fingerprint, once)


def recorded_answer(ledger: Ledger, plan: Intent) -> Approval | None:
    """Return the approval that this run's request about this plan ended with, or None if it is open or was never made.

    Raises `Rejected`, `ApprovalExpired`, `Superseded`, `Frozen` or `RunLost` if it ended otherwise: a retry changes no end.
    """
    for fact in ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kinds=ENDS):
        ending = fact.as_(ENDINGS[fact.kind])
        if isinstance(ending, Approved):
            return ending.approval
        if error := ending.error(plan.code):
            raise error
    return None


def numbered_answers(facts: Sequence[Fact]) -> list[tuple[int, Answered]]:
    """Return every approval by a person among the facts of one request that was not voided, with its number.

    The number counts the answers before it, refused ones too: it is part of Prefect's key for the form.
    """
    void = {fact.as_(AnswerVoided).index for fact in facts if fact.kind == AnswerVoided.KIND}
    given = [fact for fact in facts if fact.kind in (Answered.KIND, AnswerRefused.KIND)]
    return [
        (index, fact.as_(Answered))
        for index, fact in enumerate(given)
        if fact.kind == Answered.KIND and index not in void
    ]


def counted_answers(facts: Sequence[Fact]) -> list[Answered]:
    """Return every approval by a person among the facts of one request that was not voided, oldest first."""
    return [answered for _, answered in numbered_answers(facts)]


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
    also: tuple[Entry, ...] = (),
) -> Approval:
    """Record and return the one approval of this plan by this run, and record `also` in the same transaction.

    It may be used until `execute_within` after the last answer. Raises `AlreadyRecorded` if the request has ended.
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
    approved = entry(Approved(approval=approval), plan, end_of(plan.run_id, plan.fingerprint))
    ledger.record_together(plan.run_id, [*also, approved])
    return approval

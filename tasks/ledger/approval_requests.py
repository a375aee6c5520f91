"""Questions: which plans wait for an answer, read from the ledger alone."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tasks.ledger.ledger import AlreadyRecorded, Fact, Ledger

ENDS = (
    "approved",
    "rejected",
    "expired",
    "superseded",
    "frozen",
    "lost",
)  # a question ends in exactly one of these facts


def end_of(run_id: str, plan: str) -> str:
    """The key under which the question of a run about a plan ends: one of `ENDS`."""
    return f"answer:{run_id}:{plan}"


@dataclass(frozen=True)
class ApprovalRequest:
    """One plan that was put to people and has no end yet. Times are UTC; `people` must say yes."""

    run_id: str
    plan: str
    code: str
    verb: str
    destination_id: str
    destination: str
    source_id: str
    requested_by: str
    people: int
    asked_at: datetime
    answer_by: datetime

    @classmethod
    def of(cls, asked: Fact) -> "ApprovalRequest":
        """The question that an `asked` fact put."""
        said = asked.detail
        return cls(
            run_id=asked.run_id,
            plan=asked.plan,
            code=said["code"],
            verb=said["verb"],
            destination_id=asked.destination_id,
            destination=said["destination"],
            source_id=said["source_id"],
            requested_by=said["requested_by"],
            people=said["people"],
            asked_at=datetime.fromisoformat(said["at"]),
            answer_by=datetime.fromisoformat(said["answer_by"]),
        )


def every_request(ledger: Ledger) -> list[ApprovalRequest]:
    """Every question that was ever put, oldest first, but for those of earlier ledgers, which said less."""
    return [ApprovalRequest.of(fact) for fact in ledger.facts(kind="asked") if "answer_by" in fact.detail]


def open_requests(ledger: Ledger) -> list[ApprovalRequest]:
    """Every question without an end, oldest first; overdue ones too, until somebody records that they expired."""
    ended = {(fact.run_id, fact.plan) for fact in ledger.facts(kinds=ENDS)}
    return [question for question in every_request(ledger) if (question.run_id, question.plan) not in ended]


def close_own(ledger: Ledger, run_id: str, why: str) -> None:
    """Close every open question of a run that cannot go on, because of `why`: an answer could not be used any more."""
    for question in open_requests(ledger):
        if question.run_id == run_id:
            with suppress(AlreadyRecorded):  # somebody answered at this very moment: that counts
                ledger.record(
                    "rejected",
                    run_id=run_id,
                    destination_id=question.destination_id,
                    plan=question.plan,
                    detail={"approver": "The gate", "reason": why, "proven": True},
                    once=end_of(run_id, question.plan),
                )

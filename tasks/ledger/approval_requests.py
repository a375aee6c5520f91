"""Approval requests: which plans wait for an approval, read from the ledger alone."""

from dataclasses import dataclass
from datetime import datetime

from tasks.ledger.facts import ENDS, THE_GATE, Asked, Ending, RequestRejected
from tasks.ledger.ledger import AlreadyRecorded, Fact, Ledger


def end_of(run_id: str, plan: str) -> str:
    """Return the key under which the request of a run about a plan ends, so that it ends once."""
    return f"answer:{run_id}:{plan}"


@dataclass(frozen=True)
class ApprovalRequest:
    """One plan that was put to people. Times are UTC; `people` is how many must approve."""

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
    def of(cls, fact: Fact) -> "ApprovalRequest | None":
        """Return the request of an `Asked` fact, or None if the fact is too old to have a deadline."""
        asked = fact.as_(Asked)
        if asked.at is None or asked.answer_by is None:
            return None
        return cls(
            run_id=fact.run_id,
            plan=fact.plan,
            code=asked.code,
            verb=asked.verb,
            destination_id=fact.destination_id,
            destination=asked.destination,
            source_id=asked.source_id,
            requested_by=asked.requested_by,
            people=asked.people,
            asked_at=asked.at,
            answer_by=asked.answer_by,
        )


def every_request(ledger: Ledger) -> list[ApprovalRequest]:
    """Return every request that has a deadline, oldest first."""
    return [request for fact in ledger.facts(kind=Asked.KIND) if (request := ApprovalRequest.of(fact))]


def open_requests(ledger: Ledger) -> list[ApprovalRequest]:
    """Return every request without an end, oldest first; also overdue ones whose expiry is not recorded yet."""
    return [request for fact in ledger.without_end(Asked.KIND, ENDS) if (request := ApprovalRequest.of(fact))]


def end_request(ledger: Ledger, ending: Ending, *, run_id: str, destination_id: str, plan: str) -> bool:
    """Record how a request ended. Returns False if it had ended before, for example by an answer a moment ago."""
    try:
        ledger.record(ending, run_id=run_id, destination_id=destination_id, plan=plan, once=end_of(run_id, plan))
    except AlreadyRecorded:
        return False
    return True


def close_own(ledger: Ledger, run_id: str, why: str) -> None:
    """Reject every open request of a run that cannot continue because of `why`."""
    ending = RequestRejected(approver=THE_GATE, reason=why, proven=True)
    for request in open_requests(ledger):
        if request.run_id == run_id:
            end_request(ledger, ending, run_id=run_id, destination_id=request.destination_id, plan=request.plan)

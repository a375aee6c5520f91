"""Approvals: ask a person about exactly this plan, and verify the answer on the worker."""

import re
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import ConfigDict, Field, create_model

from tasks import wording
from tasks.estate.errors import ApprovalExpired, NotApproved, OutcomeUnknown, Rejected
from tasks.estate.plans import Approval, Comparison, Evidence, Plan, Receipt, Signal, Verdict
from tasks.estate.settings import load_settings
from tasks.estate.waiting import utc_now
from tasks.policy import open_ledger
from tasks.signoff.standing import load_standing, require_covered

MISSED = timedelta(hours=6)  # a nightly run later than this belongs to another day
GRACE = timedelta(minutes=5)  # an answer given in time reaches the worker late: rescheduling, process start, queue


class ApprovalAnswer(RunInput):
    """The form a lead fills in. No field has a default: an empty answer is no answer."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["reject", "approve"] = Field(
        title="Decision",
        description="reject: nothing is overwritten. approve: this plan, once.",
        json_schema_extra={"position": 0},
    )
    approver: str = Field(
        title="Your name",
        description="Goes into the ledger and the report.",
        min_length=3,
        max_length=80,
        json_schema_extra={"position": 1},
    )
    destination: str = Field(
        title="Type the name of the destination",
        description="The install that will be overwritten.",
        max_length=40,
        json_schema_extra={"position": 2},
    )
    reason: str = Field(
        title="Reason",
        description="Why, in a few words.",
        min_length=5,
        max_length=500,
        json_schema_extra={"position": 3},
    )


class ArrivalAnswer(RunInput):
    """What the host's e-mail said about this copy: the one documented signal of its end."""

    model_config = ConfigDict(extra="forbid")

    email: Literal["no e-mail yet", "failed", "completed"] = Field(
        title="The host's e-mail about this copy says",
        description="'completed' only if you read it.",
        json_schema_extra={"position": 0},
    )
    approver: str = Field(
        title="Your name",
        min_length=3,
        max_length=80,
        description="Goes into the ledger.",
        json_schema_extra={"position": 1},
    )
    words: str = Field(
        title="Its words and time",
        description="For example: 'Copy complete', 14:32.",
        min_length=5,
        max_length=300,
        json_schema_extra={"position": 2},
    )


def form_for(plan: Plan, description: str) -> type[ApprovalAnswer]:
    """The form for one plan: the server refuses any typed destination but the plan's own."""
    name = plan.pair.destination.name
    typed = Field(
        title=f"Type the name of the install that will be overwritten: {name}",
        description="The install that will be overwritten.",
        pattern=f"^{re.escape(name)}$",
        json_schema_extra={"position": 2},
    )
    form = create_model("ApprovalAnswer", __base__=ApprovalAnswer, destination=(str, typed))
    return form.with_initial_data(description=description)


def ask(plan: Plan, comparison: Comparison, *, within: timedelta, notes: tuple[str, ...] = ()) -> Approval:
    """Suspend the run until a person answers, verify the answer here, record it, and return it.

    A plain function, because Prefect suspends only from a flow body. A run that was answered before gets the recorded
    answer: its use is limited by the ledger, not by asking again. Raises `Rejected`, `ApprovalExpired`, `NotApproved`.
    """
    ledger = open_ledger()
    recorded = _recorded(plan)
    if recorded is not None:
        return recorded
    asked_at = _asked_at(plan)
    description = wording.approval_text(plan, comparison, answer_by=asked_at + within, notes=notes)
    answer = suspend_flow_run(
        wait_for_input=form_for(plan, description),
        timeout=int(within.total_seconds()),
        key=f"approve-{plan.fingerprint[:12]}",
    )
    now = utc_now()
    _require_valid(plan, answer, now=now, answer_by=asked_at + within)
    approval = Approval(
        id=str(uuid4()),
        plan=plan.fingerprint,
        run_id=plan.run_id,
        kind="person",
        approver=answer.approver,
        reason=answer.reason,
        answered_at=now,
        execute_by=now + timedelta(seconds=load_settings().execute_within),
    )
    ledger.record(
        "approved",
        **_where(plan),
        detail=approval.model_dump(mode="json"),
        once=f"answer:{plan.run_id}:{plan.fingerprint}",
    )
    return approval


def _where(plan: Plan) -> dict[str, Any]:
    return {"run_id": plan.run_id, "destination_id": plan.pair.destination.id, "plan": plan.fingerprint}


def _recorded(plan: Plan) -> Approval | None:
    """The answer that this run already has to this plan. A recorded no stays a no."""
    ledger = open_ledger()
    for fact in ledger.facts(run_id=plan.run_id, plan=plan.fingerprint):
        if fact.kind == "rejected":
            raise Rejected(f"{fact.detail['approver']} rejected plan {plan.code}: {fact.detail['reason']}")
        if fact.kind == "approved":
            return Approval.model_validate(fact.detail)
    return None


def _asked_at(plan: Plan) -> datetime:
    """When this plan was first put to a person: later passes of the flow body do not move the deadline."""
    ledger = open_ledger()
    asked = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="asked")
    if asked:
        return datetime.fromisoformat(asked[0].detail["at"])
    now = utc_now()
    ledger.record("asked", **_where(plan), detail={"at": now.isoformat()})
    return now


def _require_valid(plan: Plan, answer: ApprovalAnswer, *, now: datetime, answer_by: datetime) -> None:
    """The checks of the gate, made here because Prefect's own can be walked around by anyone with its API."""
    ledger = open_ledger()
    said = {"approver": answer.approver, "reason": answer.reason}
    if answer.decision != "approve":
        ledger.record("rejected", **_where(plan), detail=said, once=f"answer:{plan.run_id}:{plan.fingerprint}")
        raise Rejected(f"{answer.approver} rejected plan {plan.code}: {answer.reason}")
    if now > answer_by + GRACE:
        raise ApprovalExpired(f"The answer to plan {plan.code} came after {answer_by:%Y-%m-%d %H:%M} UTC.")
    if answer.destination != plan.pair.destination.name:
        raise NotApproved(f"The destination typed for plan {plan.code} is not {plan.pair.destination.name!r}.")
    if len(answer.approver.strip()) < 3 or len(answer.reason.strip()) < 5:
        raise NotApproved(f"The answer to plan {plan.code} has no name or no reason.")


def ask_or_standing(
    plan: Plan, comparison: Comparison, *, mode: Literal["ask", "standing"], within: timedelta
) -> Approval:
    """For a refresh only: the standing approval of exactly this pair, or a person. Raises `NotApproved` with the reason."""
    if mode == "ask":
        return ask(plan, comparison, within=within)
    recorded = _recorded(plan)
    if recorded is not None:
        return recorded
    now = utc_now()
    _require_timely(now)
    entry = require_covered(plan, load_standing(load_settings().standing_file), now.date())
    approval = Approval(
        id=str(uuid4()),
        plan=plan.fingerprint,
        run_id=plan.run_id,
        kind="standing",
        approver=f"{entry.issuer} (standing, until {entry.until.isoformat()})",
        reason=entry.reason,
        answered_at=now,
        execute_by=now + timedelta(seconds=load_settings().execute_within),
    )
    open_ledger().record(
        "approved",
        **_where(plan),
        detail=approval.model_dump(mode="json"),
        once=f"answer:{plan.run_id}:{plan.fingerprint}",
    )
    return approval


def _require_timely(now: datetime) -> None:
    """A worker that was down for days starts every missed night at once: only the newest may go on by itself."""
    due = flow_run.get_scheduled_start_time()
    if due is not None and now - due > MISSED:
        raise NotApproved(
            f"This run was due at {due:%Y-%m-%d %H:%M} UTC and starts more than {MISSED} late; a standing approval does "
            "not cover missed runs.",
            next_step="Nothing was overwritten. The next night's run goes on by itself, or start `refresh` now.",
        )


def ask_arrival(plan: Plan, receipt: Receipt, evidence: Evidence, *, within: timedelta) -> Evidence:
    """Where the evidence does not confirm, ask a person what the host's e-mail said; it outranks every other signal.

    Returns evidence with the verdict `confirmed`. Raises `OutcomeUnknown` where the e-mail says failed or is missing.
    """
    ledger = open_ledger()
    if evidence.verdict is Verdict.CONFIRMED:
        _settle(plan, evidence)
        return evidence
    told = next(iter(ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="arrival-told")), None)
    if told is None:
        answer = suspend_flow_run(
            wait_for_input=ArrivalAnswer.with_initial_data(description=wording.arrival_text(plan, receipt, evidence)),
            timeout=int(within.total_seconds()),
            key=f"arrived-{plan.fingerprint[:12]}",
        )
        detail = {"email": answer.email, "approver": answer.approver, "words": answer.words}
        told = ledger.record("arrival-told", **_where(plan), detail=detail, once=f"arrival:{plan.run_id}")
    said = f"{told.detail['approver']} read the host's e-mail: {told.detail['email']} ({told.detail['words']})"
    if told.detail["email"] != "completed":
        raise OutcomeUnknown(
            f"The copy to {plan.pair.destination.name} is not confirmed: {said}.", evidence=evidence.verdict.value
        )
    person = Signal(rank=0, name="a person with the host's e-mail", seen=True, detail=said, observed_at=utc_now())
    confirmed = evidence.model_copy(update={"verdict": Verdict.CONFIRMED, "signals": (person, *evidence.signals)})
    _settle(plan, confirmed)
    return confirmed


def _settle(plan: Plan, evidence: Evidence) -> None:
    open_ledger().record("settled", **_where(plan), detail={"how": f"evidence: {evidence.verdict.value}"})

"""Approvals: ask a person about exactly this plan, and verify the answer on the worker."""

import re
from datetime import datetime, timedelta
from typing import Literal

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import ConfigDict, Field, create_model

from tasks import dump_wording, wording
from tasks.dumps.targets import require_host
from tasks.estate.dumps import RISK_PHRASE, LoadPlan
from tasks.estate.errors import NotApproved, OutcomeUnknown, RiskNotAccepted
from tasks.estate.plans import Approval, Comparison, Evidence, Intent, Plan, Receipt, Signal, Verdict
from tasks.estate.settings import load_settings
from tasks.estate.waiting import utc_now
from tasks.policy import open_ledger
from tasks.signoff.answers import Answer, accept_answer, first_asked, record_approval, recorded_answer, where
from tasks.signoff.standing import StandingApproval, load_standing, require_covered, require_load_covered

MISSED = timedelta(hours=6)  # a nightly run later than this belongs to another day


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
    recorded = recorded_answer(ledger, plan)
    if recorded is not None:
        return recorded
    asked_at = first_asked(ledger, plan)
    description = wording.approval_text(plan, comparison, answer_by=asked_at + within, notes=notes)
    answer = suspend_flow_run(
        wait_for_input=form_for(plan, description),
        timeout=int(within.total_seconds()),
        key=f"approve-{plan.fingerprint[:12]}",
    )
    given = Answer(answer.decision, answer.approver, answer.reason, answer.destination)
    return accept_answer(ledger, plan, given, answer_by=asked_at + within, execute_within=_execute_within())


def _execute_within() -> timedelta:
    return timedelta(seconds=load_settings().execute_within)


def ask_or_standing(
    plan: Plan, comparison: Comparison, *, mode: Literal["ask", "standing"], within: timedelta
) -> Approval:
    """For a refresh only: the standing approval of exactly this pair, or a person. Raises `NotApproved` with the reason."""
    if mode == "ask":
        return ask(plan, comparison, within=within)
    recorded = recorded_answer(open_ledger(), plan)
    if recorded is not None:
        return recorded
    now = utc_now()
    _require_timely(now)
    entry = require_covered(plan, load_standing(load_settings().standing_file), now.date())
    return _stand(plan, entry, now)


class LoadAnswer(RunInput):
    """The form before a load: the original workflow's fields, none of them with a default."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["reject", "approve"] = Field(
        title="Are you sure?",
        description="reject: nothing is loaded. approve: staging's data is replaced, once.",
        json_schema_extra={"position": 0},
    )
    hostname: str = Field(
        title="Type the hostname of the staging instance",
        description="It is compared with the real target.",
        max_length=255,
        json_schema_extra={"position": 1},
    )
    approver: str = Field(
        title="Your name",
        description="Goes into the ledger and the report.",
        min_length=3,
        max_length=80,
        json_schema_extra={"position": 2},
    )
    reason: str = Field(
        title="Reason",
        description="Why, in a few words.",
        min_length=5,
        max_length=500,
        json_schema_extra={"position": 3},
    )


class RiskyLoadAnswer(LoadAnswer):
    """The same, where an anonymizer is switched off."""

    risk: str = Field(
        title=dump_wording.RISK_LABEL,
        description="Personal data of production will be on staging.",
        max_length=60,
        json_schema_extra={"position": 4},
    )


def ask_load(plan: LoadPlan, *, mode: Literal["ask", "standing"], within: timedelta) -> Approval:
    """Leave to load exactly this plan: the standing approval of this pair, or a person's answer.

    Raises `Rejected`, `ApprovalExpired`, `NotApproved`, `WrongHost` or `RiskNotAccepted`.
    """
    ledger = open_ledger()
    recorded = recorded_answer(ledger, plan)
    if recorded is not None:
        return recorded
    now = utc_now()
    if mode == "standing":
        _require_timely(now)
        return _stand(plan, require_load_covered(plan, load_standing(load_settings().standing_file), now.date()), now)
    answer_by = first_asked(ledger, plan) + within
    form = RiskyLoadAnswer if plan.arrives_raw else LoadAnswer
    answer = suspend_flow_run(
        wait_for_input=form.with_initial_data(description=dump_wording.load_text(plan, answer_by=answer_by)),
        timeout=int(within.total_seconds()),
        key=f"approve-{plan.fingerprint[:12]}",
    )
    if answer.decision == "approve":
        require_host(answer.hostname, plan.hostname)
        if isinstance(answer, RiskyLoadAnswer) and answer.risk != RISK_PHRASE:
            raise RiskNotAccepted(
                f"The risk field of plan {plan.code} does not hold the phrase; expected {RISK_PHRASE}."
            )
    given = Answer(answer.decision, answer.approver, answer.reason, plan.hostname)
    return accept_answer(ledger, plan, given, answer_by=answer_by, execute_within=_execute_within())


def _stand(plan: Intent, entry: StandingApproval, now: datetime) -> Approval:
    words = f"{entry.issuer} (standing, until {entry.until.isoformat()})"
    return record_approval(
        open_ledger(),
        plan,
        kind="standing",
        approver=words,
        reason=entry.reason,
        now=now,
        execute_within=_execute_within(),
    )


def _require_timely(now: datetime) -> None:
    """A worker that was down for days starts every missed night at once: only the newest may go on by itself."""
    due = flow_run.get_scheduled_start_time()
    if due is not None and now - due > MISSED:
        raise NotApproved(
            f"This run was due at {due:%Y-%m-%d %H:%M} UTC and starts more than {MISSED} late; a standing approval does "
            "not cover missed runs.",
            next_step="Nothing was overwritten. The next night's run goes on by itself, or start one by hand now.",
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
        told = ledger.record("arrival-told", **where(plan), detail=detail, once=f"arrival:{plan.run_id}")
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
    open_ledger().record("settled", **where(plan), detail={"how": f"evidence: {evidence.verdict.value}"})

"""Conditions of a run under a standing approval: it is skipped if one of them does not hold. `RiskRules` has the numbers."""

from collections.abc import Iterator
from datetime import datetime

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import Skipped
from tasks.estate.outcomes import FAILED_CALLS, IN_PART
from tasks.estate.plans import Comparison, Plan
from tasks.ledger.approval_requests import ApprovalRequest, every_request, open_requests
from tasks.ledger.facts import Approved, Consumed, LoadPlanned
from tasks.ledger.journal import End, ends_of, standing_ends
from tasks.ledger.ledger import Ledger
from tasks.safeguards.holds import active_holds
from tasks.safeguards.risk_rules import RiskRules
from tasks.safeguards.unpromoted_work import WorkUnknown, unpromoted_work

MANUALLY = "start the run manually with approval 'ask': a person then sees what is lost."
CORRECT = (
    "Nothing was overwritten. Look at the runs that the message names, correct what failed, and start one run manually: when it "
    "ends well, scheduled runs continue."
)


def require_met(ledger: Ledger, plan: Plan, comparison: Comparison, rules: RiskRules, *, now: datetime) -> None:
    """Raise `Skipped` with the first reason not to refresh under a standing approval now.

    Reasons, in this order: a promotion or restore of one of both installs waits or is about to be sent; the destination is
    held; the last `failures_in_a_row` runs that overwrote it failed; so many standing runs of all pairs failed that
    `stop_the_line` applies; the destination holds work that was never promoted.
    """
    _require_nothing_waits(ledger, plan, now)
    require_load_met(ledger, plan, rules, now=now)
    _require_no_work(ledger, plan, comparison)


def require_load_met(ledger: Ledger, plan: Plan | LoadPlan, rules: RiskRules, *, now: datetime) -> None:
    """Raise `Skipped` with the first reason not to load under a standing approval now: as `require_met`, without pairs."""
    for hold in active_holds(ledger, plan.destination_name, now):
        raise Skipped(
            f"{plan.destination_name} is {hold.words}.",
            next_step=f"Nothing was overwritten. Talk to {hold.by}, or wait. To continue now, {MANUALLY}",
        )
    require_no_failures_in_a_row(ledger, plan.destination_id, plan.destination_name, rules.failures_in_a_row)
    require_line_not_stopped(ledger, rules, now)


def newly_emptied(ledger: Ledger, plan: LoadPlan) -> tuple[str, ...] | None:
    """Return the tables that this load empties if the last load that people approved emptied others; None if it did not.

    A load that was approved before such lists were recorded counts as one that emptied no table.
    """
    for fact in reversed(ledger.facts(destination_id=plan.destination_id, kind=Approved.KIND)):
        if fact.text("kind") == "person":
            planned = [f for f in ledger.facts(run_id=fact.run_id, plan=fact.plan) if f.kind == LoadPlanned.KIND]
            known = planned[-1].as_(LoadPlanned).emptied if planned else ()
            return None if set(known) == set(plan.emptied) else plan.emptied
    return plan.emptied or None


def _require_nothing_waits(ledger: Ledger, plan: Plan, now: datetime) -> None:
    """Raise `Skipped` if a refresh would change an install of a promotion or restore that people are deciding about."""
    for request in filter(lambda each: _would_be_spoilt(each, plan), open_requests(ledger)):
        if now < request.answer_by:
            raise Skipped(
                f"A {request.verb} of {request.destination} waits for its answer until {request.answer_by:%Y-%m-%d %H:%M} UTC: plan "
                f"{request.code} of run {request.run_id}. A refresh of {plan.destination_name} would invalidate it.",
                next_step="Nothing was overwritten. Answer that approval request; the next scheduled run tries again.",
            )
    for request in _about_to_be_sent(ledger, plan, now):
        raise Skipped(
            f"Plan {request.code} of run {request.run_id} for this pair is approved and about to be sent.",
            next_step="Nothing was overwritten. The next scheduled run tries again.",
        )


def _would_be_spoilt(request: ApprovalRequest, plan: Plan) -> bool:
    shared = {plan.pair.source.id, plan.pair.destination.id} & {request.source_id, request.destination_id}
    return request.verb in ("promote", "restore") and bool(shared)


def _about_to_be_sent(ledger: Ledger, plan: Plan, now: datetime) -> Iterator[ApprovalRequest]:
    """Yield the requests of promotions and restores whose approval may still be used."""
    for request in every_request(ledger):
        if _would_be_spoilt(request, plan):
            run = ledger.facts(run_id=request.run_id, plan=request.plan)
            approved = [fact.as_(Approved).approval for fact in run if fact.kind == Approved.KIND]
            used = any(fact.kind == Consumed.KIND for fact in run)
            if not used and any(now <= approval.execute_by for approval in approved):
                yield request


def require_no_failures_in_a_row(ledger: Ledger, destination_id: str, name: str, limit: int) -> None:
    """Raise `Skipped` as a circuit breaker: what failed repeatedly is not tried again without a person."""
    failed: list[str] = []
    for end in ends_of(ledger, destination_id):
        if end.outcome in ("", *FAILED_CALLS):  # a run that made its call and has no report is not a success
            failed.append(_described(end))
        elif not end.refused and end.outcome != IN_PART:  # a result that is not known neither counts nor ends the count
            break
        if len(failed) >= limit:
            raise Skipped(
                f"The last {len(failed)} runs that overwrote {name} did not end well: {', '.join(failed)}.",
                next_step=CORRECT,
            )


def require_line_not_stopped(ledger: Ledger, rules: RiskRules, now: datetime) -> None:
    """Raise `Skipped` if so many runs failed that the cause is not in one pair: the remaining runs would fail as well."""
    stop = rules.stop_the_line
    ended = [end for end in standing_ends(ledger, now - stop.within) if end.outcome]
    failed = [_described(end) for end in ended if end.outcome in FAILED_CALLS]
    if len(ended) >= stop.runs and len(failed) >= stop.share * len(ended):
        raise Skipped(
            f"{len(failed)} of {len(ended)} runs with standing approvals in the last {stop.within.total_seconds() / 3600:g} h did not "
            f"end well, so the remaining runs are skipped: {', '.join(failed)}.",
            next_step=CORRECT,
        )


def _described(end: End) -> str:
    return f"{end.outcome or 'no report'} (run {end.run_id})"


def _require_no_work(ledger: Ledger, plan: Plan, comparison: Comparison) -> None:
    name, source = plan.pair.destination.name, plan.pair.source.name
    try:
        work = unpromoted_work(ledger, plan, comparison)
    except WorkUnknown as why:
        raise Skipped(
            f"Whether {name} holds work that was never promoted is not known: {why}.",
            next_step=f"Nothing was overwritten. To continue, {MANUALLY}",
        ) from None
    if work:
        raise Skipped(
            f"{name} holds work that was never promoted to {source}: {'; '.join(work)}.",
            next_step=f"Nothing was overwritten. Promote it, or, if it may be lost, {MANUALLY}",
        )

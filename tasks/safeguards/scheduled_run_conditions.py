"""Conditions: a standing approval covers a pair, and still not every night. What speaks against going on unasked now.

The numbers are arguments; the reviewed risk rules hold them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import Skipped
from tasks.estate.outcomes import IN_PART
from tasks.estate.plans import Comparison, Plan
from tasks.ledger.approval_requests import every_request, open_requests
from tasks.ledger.facts import Approved, Consumed, LoadPlanned
from tasks.ledger.journal import End, ends_of, standing_ends
from tasks.ledger.ledger import Ledger
from tasks.safeguards.holds import active_holds
from tasks.safeguards.unpromoted_work import CannotBeTold, unpromoted_work

BAD = (
    "VerifyFailed",
    "OutcomeUnknown",
    "NotVerified",
    "NotLoaded",
    "LeakFound",
)  # ends of runs that had been let go on
WEIGHTY = ("promote", "restore")  # verbs whose open question a refresh of one of their installs would spoil
BY_HAND = "start it by hand with approval 'ask': a person then sees what is lost."
LOOK = "Look at the runs that the message names, correct what failed, and start one run by hand: when it ends well, the nights go on."


def require_met(
    ledger: Ledger,
    plan: Plan,
    comparison: Comparison,
    *,
    now: datetime,
    failures_in_a_row: int = 2,
    stop_runs: int = 3,
    stop_share: float = 0.5,
    stop_within: timedelta = timedelta(hours=12),
) -> None:
    """Raise `Skipped` with the first reason not to refresh under a standing approval now.

    Reasons, in this order: a promotion or restore of this pair waits or is about to be sent; somebody holds the destination; the last
    `failures_in_a_row` runs that overwrote it ended badly; of at least `stop_runs` standing runs anywhere within
    `stop_within`, a share of `stop_share` or more did; the destination holds work that was never promoted.
    """
    _require_nothing_waits(ledger, plan, now)
    _require_free(ledger, plan, now)
    _require_working(ledger, plan, failures_in_a_row)
    _require_line(ledger, now, stop_runs, stop_share, stop_within)
    _require_no_work(ledger, plan, comparison)


def require_load_met(
    ledger: Ledger,
    plan: LoadPlan,
    *,
    now: datetime,
    failures_in_a_row: int = 2,
    stop_runs: int = 3,
    stop_share: float = 0.5,
    stop_within: timedelta = timedelta(hours=12),
) -> None:
    """Raise `Skipped` with the first reason not to load under a standing approval now: as `require_met`, without pairs."""
    _require_free(ledger, plan, now)
    _require_working(ledger, plan, failures_in_a_row)
    _require_line(ledger, now, stop_runs, stop_share, stop_within)


def newly_emptied(ledger: Ledger, plan: LoadPlan) -> tuple[str, ...] | None:
    """Return the tables that this load empties, if they are others than those of the last load that people approved; None if
    they are the same. An approval of before such lists were recorded approved an empty one.
    """
    for fact in reversed(ledger.facts(destination_id=plan.destination_id, kind=Approved.KIND)):
        if fact.text("kind") == "person":
            planned = [f for f in ledger.facts(run_id=fact.run_id, plan=fact.plan) if f.kind == LoadPlanned.KIND]
            known = planned[-1].as_(LoadPlanned).emptied if planned else ()
            return None if set(known) == set(plan.emptied) else plan.emptied
    return plan.emptied or None


def _require_nothing_waits(ledger: Ledger, plan: Plan, now: datetime) -> None:
    """Overwriting one side of a promotion that people look at would void their answers; a restore is as weighty."""
    pair = {plan.pair.source.id, plan.pair.destination.id}
    for question in open_requests(ledger):
        same = pair & {question.source_id, question.destination_id}
        if question.verb in WEIGHTY and same and now < question.answer_by:
            raise Skipped(
                f"A {question.verb} of {question.destination} waits for its answer until {question.answer_by:%Y-%m-%d %H:%M} UTC: "
                f"plan {question.code} of run {question.run_id}. Refreshing {plan.destination_name} would spoil it.",
                next_step="Nothing was overwritten. Answer that question; the next night tries again.",
            )
    for run_id, code in _about_to_be_sent(ledger, pair, now):
        raise Skipped(
            f"Plan {code} of run {run_id} for this pair is approved and about to be sent.",
            next_step="Nothing was overwritten. The next night tries again.",
        )


def _about_to_be_sent(ledger: Ledger, pair: set[str], now: datetime) -> Iterator[tuple[str, str]]:
    """Promotions and restores with an approval that still may be used: run and plan's code."""
    for question in every_request(ledger):
        if question.verb not in WEIGHTY or not pair & {question.source_id, question.destination_id}:
            continue
        run = ledger.facts(run_id=question.run_id, plan=question.plan)
        approved = [f.as_(Approved).approval for f in run if f.kind == Approved.KIND]
        if any(now <= a.execute_by for a in approved) and not any(f.kind == Consumed.KIND for f in run):
            yield question.run_id, question.code


def _require_free(ledger: Ledger, plan: Plan | LoadPlan, now: datetime) -> None:
    for hold in active_holds(ledger, plan.destination_name, now):
        raise Skipped(
            f"{plan.destination_name} is {hold.words}.",
            next_step=f"Nothing was overwritten. Talk to {hold.by}, or wait; to go on now, {BY_HAND}",
        )


def _require_working(ledger: Ledger, plan: Plan | LoadPlan, failures_in_a_row: int) -> None:
    """The circuit breaker: what failed again and again is not tried another night without a person."""
    bad: list[str] = []
    for end in ends_of(ledger, plan.destination_id):
        if end.outcome in ("", *BAD):  # a run that made its call and says nothing more is no success
            bad.append(_said(end))
        elif not end.refused and end.outcome != IN_PART:  # not known: no failure, and no success that ends the row
            break
        if len(bad) >= failures_in_a_row:
            raise Skipped(
                f"The last {len(bad)} runs that overwrote {plan.destination_name} did not end well: {', '.join(bad)}.",
                next_step=f"Nothing was overwritten. {LOOK}",
            )


def _require_line(ledger: Ledger, now: datetime, runs: int, share: float, within: timedelta) -> None:
    """Stop the line: when many fail in one night, the reason is not in one pair, and the others would fail as well."""
    ended = [end for end in standing_ends(ledger, now - within) if end.outcome]
    bad = [_said(end) for end in ended if end.outcome in BAD]
    if len(ended) >= runs and len(bad) >= share * len(ended):
        raise Skipped(
            f"{len(bad)} of {len(ended)} runs with standing approvals in the last {within.total_seconds() / 3600:g} h did not "
            f"end well, so that the others are called off: {', '.join(bad)}.",
            next_step=f"Nothing was overwritten. {LOOK}",
        )


def _said(end: End) -> str:
    return f"{end.outcome or 'no report'} (run {end.run_id})"


def _require_no_work(ledger: Ledger, plan: Plan, comparison: Comparison) -> None:
    name, source = plan.pair.destination.name, plan.pair.source.name
    try:
        work = unpromoted_work(ledger, plan, comparison)
    except CannotBeTold as why:
        raise Skipped(
            f"Whether {name} holds work that was never promoted cannot be told: {why}.",
            next_step=f"Nothing was overwritten. To go on, {BY_HAND}",
        ) from None
    if work:
        raise Skipped(
            f"{name} holds work that was never promoted to {source}: {'; '.join(work)}.",
            next_step=f"Nothing was overwritten. Promote it, or, if it may be lost, {BY_HAND}",
        )

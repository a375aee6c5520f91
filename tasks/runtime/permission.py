"""Permission: this worker's approval gate, the freezes and holds that a plan overrides, and the last check before a call."""

from datetime import datetime, timedelta

from tasks.configuration.settings import load_settings
from tasks.estate.errors import LedgerBroken, NotApproved, PlanIsStale
from tasks.estate.plans import Approval, Intent, Plan
from tasks.estate.polling import utc_now
from tasks.runtime.other_runs import state_of
from tasks.runtime.prefect_records import require_scheduled, require_unmoved
from tasks.runtime.resources import open_ledger, read_leads, read_rules, recipe_after, scaled
from tasks.safeguards.freezes import load_calendar
from tasks.safeguards.holds import active_holds, require_no_hold
from tasks.signoff.approval_recheck import require_fitting, require_preauthorised, require_standing, require_witnessed
from tasks.signoff.gate import Gate, Terms
from tasks.signoff.preauthorised import FAILED
from tasks.signoff.standing import load_standing

CODE_SETTLES = (
    60.0  # seconds: a code is accepted for at most 60 s after it was shown; by then it cannot be used elsewhere
)


def approval_gate() -> Gate:
    """Return the approval gate of this worker, with its ledger, leads, rules and calendar."""
    rules = read_rules()
    terms = Terms(
        code_settles=scaled(CODE_SETTLES),
        attempts=rules.answer.attempts,
        codes_an_hour=rules.answer.codes_an_hour,
        execute_within=timedelta(seconds=load_settings().execute_within),
        restore_within=rules.restore_within,
    )
    return Gate(open_ledger(), read_leads(), terms, require_open)


def require_open(plan: Intent, moment: datetime) -> None:
    """Raise `Frozen` while the calendar is closed for this plan's destination, unless the plan overrides that freeze."""
    calendar = load_calendar(load_settings().freeze_file)
    environment = plan.destination_environment
    calendar.require_open(plan.verb, plan.destination_name, environment, moment, overrides=plan.overrides)


def require_permission(plan: Intent, approval: Approval) -> None:
    """Check, right before a destructive call, the ledger, rules, calendar, holds, and what the approval depends on.

    Raises `LedgerBroken`, `PlanIsStale` (the risk rules or the steps after the copy changed), `Frozen`, `OnHold` or
    `NotApproved`.
    """
    now, ledger, rules = utc_now(), open_ledger(), read_rules()
    problems = ledger.verify()
    if problems:
        raise LedgerBroken(f"The ledger does not verify: {problems[0]}")
    if plan.risk.rules != rules.fingerprint:
        raise PlanIsStale(f"The risk rules changed after plan {plan.code} was graded by them.")
    _require_same_recipe(plan)
    require_open(plan, now)
    require_no_hold(ledger, plan.destination_name, now, overrides=plan.overrides)
    require_fitting(plan, approval, rules)
    _require_evidence(plan, approval, now)


def _require_same_recipe(plan: Intent) -> None:
    """Raise `PlanIsStale` if estate or settings would now plan other steps after the copy than were approved."""
    if not isinstance(plan, Plan):
        return
    now = recipe_after(plan.direction, plan.pair.source.name, plan.pair.destination)
    was, found = plan.after_copy.digest if plan.after_copy else "", now.digest if now else ""
    if was != found:
        raise PlanIsStale(
            f"The steps after the copy changed after plan {plan.code} was shown: the recipe was {was[:8] or 'none'}, "
            f"is {found[:8] or 'none'}."
        )


def _require_evidence(plan: Intent, approval: Approval, now: datetime) -> None:
    """Check again what this kind of approval depends on: signatures and seals, the signed entry, or the promotion's answers."""
    ledger, leads, rules = open_ledger(), read_leads(), read_rules()
    execute_within = timedelta(seconds=load_settings().execute_within)
    if approval.kind == "person":
        require_witnessed(ledger, plan, approval, leads, execute_within=execute_within)
        require_unmoved(plan)
    elif approval.kind == "standing":
        require_scheduled(plan)
        entries = load_standing(load_settings().standing_file)
        require_standing(ledger, plan, approval, entries, leads, now=now, at_most=rules.standing_at_most)
    else:
        promotion = require_preauthorised(
            ledger, plan, approval, leads, at_most=rules.restore_within, execute_within=execute_within
        )
        state = state_of(promotion)
        if state is None or state.name != FAILED:
            raise NotApproved(
                f"Run {promotion} is {state.name if state else 'unknown to Prefect'}; a pre-authorised restore requires {FAILED}."
            )


def find_overrides(verb: str, destination: str, environment: str, *, break_glass: str = "") -> tuple[str, ...]:
    """Return the freezes and holds that a plan overrides and must show: `freeze:<name>`, `hold:<seq>`.

    Raises `Frozen` during a freeze if there is no break-glass reason.
    """
    now = utc_now()
    calendar = load_calendar(load_settings().freeze_file)
    closing = calendar.all_closing(destination, environment, now) if verb != "restore" else ()
    if closing and not break_glass:
        calendar.require_open(verb, destination, environment, now)
    return (
        *(window.mark for window in closing),
        *(hold.mark for hold in active_holds(open_ledger(), destination, now)),
    )

"""Leave: the gate of this worker, what stands against a plan, and the last look before a destructive call."""

from datetime import datetime, timedelta

from tasks.estate.errors import LedgerBroken, PlanIsStale
from tasks.estate.plans import Approval, Intent
from tasks.estate.settings import load_settings
from tasks.estate.waiting import utc_now
from tasks.policy import open_ledger, read_leads, read_rules
from tasks.signoff.freezes import load_calendar
from tasks.signoff.gate import Gate, Terms
from tasks.signoff.holds import active_holds, require_no_hold
from tasks.signoff.witnesses import require_witnessed


def the_gate() -> Gate:
    """The gate of this worker: its ledger, leads, rules and calendar."""
    rules = read_rules()
    terms = Terms(
        attempts=rules.answer.attempts,
        codes_an_hour=rules.answer.codes_an_hour,
        execute_within=timedelta(seconds=load_settings().execute_within),
        restore_within=rules.restore_within,
    )
    return Gate(open_ledger(), read_leads(), terms, require_open)


def require_open(plan: Intent, moment: datetime) -> None:
    """Raises `Frozen` while the calendar is closed for this plan's destination, unless the plan overrides that freeze."""
    calendar = load_calendar(load_settings().freeze_file)
    environment = plan.destination_environment
    calendar.require_open(plan.verb, plan.destination_name, environment, moment, overrides=plan.overrides)


def require_leave(plan: Intent, approval: Approval) -> None:
    """The last look before a destructive call: at the ledger, the rules, the calendar, the holds and the answers themselves.

    Raises `LedgerBroken`, `PlanIsStale` (it was graded by other rules), `Frozen`, `OnHold` or `NotApproved`.
    """
    now, ledger = utc_now(), open_ledger()
    problems = ledger.verify()
    if problems:
        raise LedgerBroken(f"The ledger does not verify: {problems[0]}")
    if plan.risk.rules != read_rules().fingerprint:
        raise PlanIsStale(f"The risk rules changed after plan {plan.code} was graded by them.")
    require_open(plan, now)
    require_no_hold(ledger, plan.destination_name, now, overrides=plan.overrides)
    require_witnessed(ledger, plan, approval, read_leads())


def standing_against(verb: str, destination: str, environment: str, *, break_glass: str = "") -> tuple[str, ...]:
    """Freezes and holds that a plan must name, so that whoever approves it sees them: `freeze:<name>`, `hold:<seq>`.

    Raises `Frozen` where a freeze holds and nobody has given a break-glass reason.
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

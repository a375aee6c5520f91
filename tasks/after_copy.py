"""The steps after a copy: make staging safe to use, or free production of what staging added to itself."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from prefect import get_run_logger, task

from tasks.configuration.estate_settings import read_estate
from tasks.configuration.settings import load_settings
from tasks.estate.errors import (
    CommandRefused,
    Misconfigured,
    NotNeutralised,
    Refused,
    StagingRemains,
    Transient,
)
from tasks.estate.plans import CopyOptions, Evidence, Plan, Receipt
from tasks.estate.recipes import CopyStep, PlannedSteps, StepCount, StepDone
from tasks.estate.sites import Direction, Install, Pair
from tasks.ledger.facts import StepsBegun, StepTaken
from tasks.ledger.ledger import AlreadyRecorded
from tasks.neutralisation import leaks, visibility
from tasks.neutralisation.context import Context, table_prefix
from tasks.neutralisation.steps import STEPS
from tasks.rendering.after_copy import dangers, step_words
from tasks.runtime.current_run import this_run
from tasks.runtime.inside_install import look_at_origin, work_inside
from tasks.runtime.resources import open_connection, open_ledger, recipe_after, run_keyring
from tasks.runtime.retries import ABOVE_THE_GATE, BELOW_THE_GATE
from tasks.runtime.step_results import kept_in_ledger
from tasks.signoff.answers import where
from tasks.wpcli.access import has_access

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

T = TypeVar("T")

COUNTED_WITHIN = 7200  # seconds for all dry runs: each command has its own limit, and a big site has many tables
DONE_WITHIN = 14_400  # seconds for one step: millions of rows are masked in slices
MOST_PLACES = 12  # columns that a message names


@task(
    name="Plan the steps after the copy",
    task_run_name="Count on {pair.source.name}",
    timeout_seconds=COUNTED_WITHIN,
    **ABOVE_THE_GATE,
)
@kept_in_ledger
def plan_steps(pair: Pair, options: CopyOptions, undoes: Plan | None = None) -> PlannedSteps | None:
    """Return what is done inside of the destination after the copy, with counts of a dry run on the source.

    None if this worker has no WP-CLI access to the destination, or if production gets its own backup back. `undoes`: the plan that
    a restore undoes. Raises `Misconfigured` if the database of a staging that was made safe would be promoted to a production
    without access; what the gateway raises, before anything is overwritten. Retried 4 times on `Transient`, backing off with jitter.
    """
    source, destination, up = pair.source, pair.destination, pair.direction is Direction.UP
    recipe = recipe_after(pair.direction, source.name, destination)
    if recipe is None:
        if up and options.database:
            _require_untouched(source, destination)
        return None
    steps = recipe.steps_after(database=options.database)
    if up:
        steps = (CopyStep.REPLACE_URLS,) if options.database else ()
    if CopyStep.MASK_PEOPLE in steps:
        run_keyring(this_run())  # refuses a missing or weak key
    with open_connection(destination.name):
        pass  # who cannot log in now could not make it safe after the copy
    planned = PlannedSteps(recipe=recipe, digest=recipe.digest, origin=_origin(pair, undoes), steps=steps)
    if undoes is not None or not _can_read(planned.origin):
        return planned

    def count(connection: "Connection", context: Context) -> tuple[StepCount, ...]:
        return tuple(_count(connection, context, step) for step in steps)

    return planned.model_copy(update={"counts": look_at_origin(destination.name, planned, count)})


def _can_read(install: str) -> bool:
    return has_access(install, load_settings(), read_estate())


def _origin(pair: Pair, undoes: Plan | None) -> str:
    """Return the install whose URLs and people the copy contains. What a restored staging contains came from there, too."""
    if undoes is None:
        return pair.source.name
    if undoes.after_copy is not None:
        return undoes.after_copy.origin
    site = read_estate().site_of(pair.destination.name)
    return site.production if site and undoes.verb == "restore" else undoes.pair.source.name


def _require_untouched(staging: Install, production: Install) -> None:
    """Raise `Misconfigured` if an earlier run made this staging safe: production would get that, and could not be freed of it."""
    taken = open_ledger().facts(destination_id=staging.id, kind=StepTaken.KIND)
    if taken:
        raise Misconfigured(
            f"Run {taken[-1].run_id} made {staging.name} safe for staging, and its database would bring that to "
            f"{production.name}; expected WP-CLI access to {production.name}, to remove it there.",
            next_step=f"Nothing was sent. Allow SSH to {production.name} (docs/ssh.md), or promote the files only.",
        )


def take_steps(plan: Plan, receipt: Receipt, evidence: Evidence) -> tuple[StepDone, ...]:
    """Take the planned steps in their order, and let visitors in if all of them are done. Returns what each of them did.

    A step that fails does not keep the others from being taken: each makes the site safer. A retry of the run takes those that
    are not done. Raises nothing: `require_done` does, after the caches are purged.
    """
    steps = plan.after_copy
    if steps is None:
        return ()
    _begin(plan, evidence)
    taken = {step: _take(plan, receipt, step) for step in steps.steps}
    if plan.direction is Direction.UP:
        return (_or_dangerous(plan, CopyStep.MARK_STAGING, lambda: remove_marks(plan, receipt)), *taken.values())
    if CopyStep.KEEP_OUT in taken and all(each.is_safe for each in taken.values()):
        taken[CopyStep.KEEP_OUT] = _or_dangerous(plan, CopyStep.KEEP_OUT, lambda: let_visitors_in(plan, receipt))
    return tuple(taken.values())


def require_done(plan: Plan, steps: tuple[StepDone, ...]) -> None:
    """Raise `NotNeutralised`, or `StagingRemains` for production, with all that is not known to be done."""
    name, up = plan.pair.destination.name, plan.direction is Direction.UP
    left = dangers(steps, production=up)
    if not left:
        return
    if up:
        raise StagingRemains(
            f"The copy to {name} arrived, and {name} still has what belongs to staging: {'; '.join(left)}."
        )
    kept = next((each for each in steps if each.step is CopyStep.KEEP_OUT), None)
    visitors = "VISITORS ARE NOT KEPT OUT."
    if kept is not None and kept.checked is not False:
        visitors = "Visitors are kept out." if kept.is_safe else "WHETHER VISITORS ARE KEPT OUT IS NOT KNOWN."
    raise NotNeutralised(f"The copy to {name} arrived, and {name} is not safe to use: {'; '.join(left)}. {visitors}")


def _begin(plan: Plan, evidence: Evidence) -> None:
    with suppress(AlreadyRecorded):
        once = f"after-copy:{plan.run_id}:{plan.fingerprint}"
        open_ledger().record(StepsBegun(evidence=evidence), **where(plan), once=once)


def _take(plan: Plan, receipt: Receipt, step: CopyStep) -> StepDone:
    """Take a step, unless this run has taken it and nothing was copied onto the install since then."""
    ledger = open_ledger()
    calls = ledger.generation(plan.destination_id)
    for fact in reversed(ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=StepTaken.KIND)):
        before = fact.as_(StepTaken)
        if before.done.step is step and before.calls == calls and before.done.is_safe and step is not CopyStep.KEEP_OUT:
            return before.done
    if step is CopyStep.MASK_PEOPLE:
        return _or_dangerous(plan, step, lambda: _mask_and_search(plan, receipt))
    return _or_dangerous(plan, step, lambda: take_step(plan, receipt, step))


def _mask_and_search(plan: Plan, receipt: Receipt) -> StepDone:
    """Mask people, and search for values of production's people afterwards: a reviewed list of tables can lack one."""
    done = take_step(plan, receipt, CopyStep.MASK_PEOPLE)
    found = search_people(plan, receipt)
    if not found:
        return done
    places = ", ".join(f"{place} ({rows:,} rows)" for place, rows in sorted(found.items())[:MOST_PLACES])
    dangerous = "; ".join(filter(None, (done.still_dangerous, f"the leak search found people in {places}")))
    return done.model_copy(update={"checked": False, "still_dangerous": dangerous})


def _or_dangerous(plan: Plan, step: CopyStep, take: Callable[[], StepDone]) -> StepDone:
    """Take a step and record what it did. A step that failed is recorded as dangerous, with its error."""
    try:
        done = take()
    except (Refused, Transient, Misconfigured) as error:
        words = step_words(step, production=plan.direction is Direction.UP)
        get_run_logger().error("Not done: %s. %s", words, error.message)
        done = StepDone(step=step, changed=None, checked=None, still_dangerous=error.message.rstrip("."))
    ledger = open_ledger()
    ledger.record(StepTaken(done=done, calls=ledger.generation(plan.destination_id)), **where(plan))
    return done


@task(
    name="Take a step after the copy",
    task_run_name="{step}: {plan.pair.destination.name}",
    timeout_seconds=DONE_WITHIN,
    **BELOW_THE_GATE,
)
def take_step(plan: Plan, receipt: Receipt, step: CopyStep) -> StepDone:
    """Take one step on the destination, read it back, and return what it did. It may be repeated, and continues where it stopped.

    Raises `GatewayRefused`, `CommandRefused` and `Misconfigured`. Retried 4 times on `Transient`, backing off with jitter.
    """
    return _inside(plan, receipt, STEPS[step].apply)


@task(
    name="Search for production's people",
    task_run_name="Search {plan.pair.destination.name} for people",
    timeout_seconds=DONE_WITHIN,
    **BELOW_THE_GATE,
)
def search_people(plan: Plan, receipt: Receipt) -> dict[str, int]:
    """Search staging for a hashed sample of production's values. Returns how many rows of each column contain one.

    Nothing is searched without WP-CLI access to production. Raises and is retried as `take_step`.
    """
    steps = _planned(plan)
    if steps.origin == plan.pair.destination.name or not _can_read(steps.origin):
        return {}

    def search(connection: "Connection", context: Context) -> dict[str, int]:
        with open_connection(steps.origin) as source:
            sample = leaks.sample_people(source, context, prefix=table_prefix(source))
        return leaks.search_people(connection, context, sample)

    return _inside(plan, receipt, search)


@task(name="Let visitors in", task_run_name="Let visitors into {plan.pair.destination.name}", **BELOW_THE_GATE)
def let_visitors_in(plan: Plan, receipt: Receipt) -> StepDone:
    """Let visitors in again, after all other steps. Raises and is retried as `take_step`."""
    return _inside(plan, receipt, visibility.let_in)


@task(name="Remove what staging added", task_run_name="Free {plan.pair.destination.name} of staging", **BELOW_THE_GATE)
def remove_marks(plan: Plan, receipt: Receipt) -> StepDone:
    """Remove mail stop, banner and hiding from production after a promotion. Raises and is retried as `take_step`."""

    def remove(connection: "Connection", context: Context) -> StepDone:
        left = visibility.remove_marks(connection, context)
        remains = f"staging's {', '.join(left)} on production" if left else ""
        return StepDone(step=CopyStep.MARK_STAGING, changed=None, checked=not left, still_dangerous=remains)

    return _inside(plan, receipt, remove)


def _planned(plan: Plan) -> PlannedSteps:
    assert plan.after_copy is not None, "only planned steps are taken"  # noqa: S101  # an invariant, not input
    return plan.after_copy


def _inside(plan: Plan, receipt: Receipt, work: Callable[["Connection", Context], T]) -> T:
    return work_inside(plan.pair.destination.name, _planned(plan), work, copied_at=receipt.sent_at)


def _count(connection: "Connection", context: Context, step: CopyStep) -> StepCount:
    """Count for one step. What cannot be counted is not known, and keeps nobody from deciding."""
    try:
        return STEPS[step].count(connection, context)
    except (CommandRefused, Transient) as error:
        return StepCount(step=step, places=None, note=error.message)

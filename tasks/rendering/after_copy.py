"""The steps after a copy in words: what a plan will do inside of its destination, and what a run did."""

from tasks.estate.plans import Plan
from tasks.estate.recipes import CopyStep, Recipe, StepCount, StepDone
from tasks.estate.sites import Direction
from tasks.rendering.times_and_tables import bullets, plain

DOES: dict[CopyStep, str] = {
    CopyStep.KEEP_OUT: "keep visitors out until the other steps are done",
    CopyStep.STOP_MAIL: "stop e-mails",
    CopyStep.PAUSE_JOBS: "cancel jobs that would reach people",
    CopyStep.TEST_PAYMENTS: "set payments to test mode",
    CopyStep.DISABLE_WEBHOOKS: "disable webhooks",
    CopyStep.HIDE_FROM_SEARCH: "hide the site from search engines",
    CopyStep.REPLACE_URLS: "replace URLs of the source",
    CopyStep.MARK_STAGING: "mark the site as staging",
    CopyStep.MASK_PEOPLE: "mask people",
    CopyStep.FLUSH: "flush caches and rewrite rules",
}
FREES = {CopyStep.MARK_STAGING: "remove what staging added", CopyStep.REPLACE_URLS: "replace URLs of staging"}
OFF = "SWITCHED OFF"
NOT_UNDONE = (
    "not undone: people who were masked on staging, payments in test mode, disabled webhooks and cancelled jobs come with the "
    "database"
)
MAIL = {
    "stop": "stop e-mails",
    "log": "stop e-mails and keep a log of them",
    "redirect": "send e-mails to {address} only",
}


def planned_sentences(plan: Plan) -> list[str]:
    """Return what will be done inside of the destination after the copy, a phrase for each step, in plain text."""
    name, steps = plan.pair.destination.name, plan.after_copy
    if steps is None:
        warning = untouched_warning(plan)
        return [warning] if warning else []
    counts = {each.step: each for each in steps.counts}
    if plan.direction is Direction.UP:
        removed = "remove what staging added: mail stop, banner, hiding from search engines"
        replaced = [_counted(f"replace URLs of {steps.origin}", counts.get(step)) for step in steps.steps]
        return [removed, *replaced, *([NOT_UNDONE] if steps.steps else [])]
    off = [f"{OFF}: {does(steps.recipe, step)}" for step in CopyStep if step in steps.recipe.off]
    kept = [] if plan.options.database else [f"the database of {name} is not copied: what it contains stays as it is"]
    return [_counted(does(steps.recipe, step), counts.get(step)) for step in steps.steps] + off + kept


def untouched_warning(plan: Plan) -> str:
    """Return a warning if the plan overwrites a staging site and no step makes it safe; "" for others."""
    destination = plan.pair.destination
    if plan.after_copy is not None or plan.direction is Direction.UP or destination.environment.may_be_production:
        return ""
    return (
        f"Nothing inside of {destination.name} is neutralised, because this worker has no WP-CLI access to it: it sends "
        "e-mails, charges cards and contains people's data as far as the copied site does."
    )


def does(recipe: Recipe, step: CopyStep) -> str:
    """Return what a step does, in words."""
    return MAIL[recipe.mail.mode].format(address=recipe.mail.address) if step is CopyStep.STOP_MAIL else DOES[step]


def _counted(words: str, count: StepCount | None) -> str:
    if count is None:
        return words
    if count.places is None:
        return f"{words}: {count.note or 'not counted'}"
    return f"{words}: {_places(count.places)}" + (f" ({count.note})" if count.note else "")


def _places(number: int) -> str:
    return "1 place" if number == 1 else f"{number:,} places"


def planned_lines(plan: Plan) -> list[str]:
    """Return the same as Markdown for the approval form: one item for all steps, and one for each warning. It fits on a phone."""
    sentences = planned_sentences(plan)
    if plan.after_copy is None:
        return [f"* **{plain(each, 400)}**" for each in sentences]
    warnings = [each for each in sentences if each.startswith((OFF, NOT_UNDONE))]
    steps = "; ".join(plain(each, 400) for each in sentences if each not in warnings)
    head = f"* After the copy, inside of {plain(plan.pair.destination.name)} (recipe {plan.after_copy.digest[:8]}): {steps}"
    return [head, *(f"* After the copy, **{plain(each, 400)}**" for each in warnings)]


def done_lines(steps: tuple[StepDone, ...], *, production: bool) -> list[str]:
    """Return what each step did, as a list for a report. What is not known never reads as done."""
    return bullets(done_line(each, production=production) for each in steps)


def done_line(done: StepDone, *, production: bool = False) -> str:
    """Return what one step did, as inert Markdown; `production`: after a promotion."""
    result = "ok" if done.is_safe else "**unknown**" if done.checked is None else "**NOT DONE**"
    changed = "" if done.changed is None else f": {_places(done.changed)} changed"
    rest = f". Still dangerous: {plain(done.still_dangerous, 400)}" if done.still_dangerous else ""
    return f"{result} · {step_words(done.step, production=production)}{changed}{rest}"


def dangers(steps: tuple[StepDone, ...], *, production: bool) -> list[str]:
    """Return what is not known to be safe after the steps, in plain text; nothing if every step was read back."""
    return [
        f"{step_words(each.step, production=production)}: {each.still_dangerous or 'its result could not be read'}"
        for each in steps
        if not each.is_safe
    ]


def step_words(step: CopyStep, *, production: bool) -> str:
    """Return what a step is called: on production, what removes staging's marks is recorded as the step that made them."""
    return FREES.get(step, DOES[step]) if production else DOES[step]

"""The steps after a copy in words: a form names each of them, and a report never calls a step done that is not known to be."""

import pytest

from tasks.estate.plans import CopyOptions, Plan, Report
from tasks.estate.recipes import CopyStep, Mail, PlannedSteps, Recipe, StepCount, StepDone
from tasks.rendering.after_copy import dangers, done_line, planned_lines, planned_sentences, untouched_warning
from tasks.rendering.report_text import report_text
from tests.tasks.safeguards.ledger_histories import PROD, STAGE, plan


def planned(recipe: Recipe, *counts: StepCount, verb: str = "refresh", database: bool = True) -> Plan:
    """Return a plan with the steps of this recipe."""
    up = verb == "promote"
    steps = ((CopyStep.REPLACE_URLS,) if database else ()) if up else recipe.steps_after(database=database)
    sides = (STAGE, PROD) if up else (PROD, STAGE)
    after = PlannedSteps(recipe=recipe, digest=recipe.digest, origin=sides[0].name, steps=steps, counts=counts)
    return plan(verb, *sides, options=CopyOptions(database=database), after_copy=after)


def test_a_form_names_every_step_with_its_count() -> None:
    """Each step is in the item; what could not be counted is not shown as zero."""
    recipe = Recipe(mail=Mail(mode="redirect", address="team@school.example"))
    counts = (
        StepCount(step=CopyStep.MASK_PEOPLE, places=1234),
        StepCount(step=CopyStep.REPLACE_URLS, places=1, note="wp_posts"),
        StepCount(step=CopyStep.FLUSH, places=None, note="what caches hold cannot be counted"),
    )
    (line,) = planned_lines(planned(recipe, *counts))
    head, _, steps = line.partition(": ")
    assert head == f"* After the copy, inside of stage (recipe {recipe.digest[:8]})"
    assert len(steps.split("; ")) == len(CopyStep)
    assert {
        "mask people: 1,234 places",
        "replace URLs of the source: 1 place (wp\\_posts)",
        "send e-mails to team@school.example only",
        "flush caches and rewrite rules: what caches hold cannot be counted",
    } <= {*steps.split("; ")}


def test_a_step_that_is_off_is_shown_as_off() -> None:
    """What protects nobody in this recipe has an item of its own."""
    steps, warning = planned_lines(planned(Recipe(off=(CopyStep.MASK_PEOPLE,))))
    assert warning == "* After the copy, **SWITCHED OFF: mask people**"
    assert "mask people" not in steps


def test_without_the_database_its_steps_are_not_promised() -> None:
    """If only files are copied, nobody is masked, and the form states it."""
    sentences = planned_sentences(planned(Recipe.safe(), database=False))
    assert "mask people" not in sentences
    assert sentences[-1] == "the database of stage is not copied: what it contains stays as it is"


def test_a_promotion_names_what_is_removed_and_what_is_not_undone() -> None:
    """People who promote a database that was masked read what comes with it."""
    count = StepCount(step=CopyStep.REPLACE_URLS, places=14)
    removed, replaced, not_undone = planned_sentences(planned(Recipe.safe(), count, verb="promote"))
    assert removed.startswith("remove what staging added")
    assert replaced == "replace URLs of stage: 14 places"
    assert not_undone.startswith("not undone: people who were masked on staging")
    assert len(planned_sentences(planned(Recipe.safe(), verb="promote", database=False))) == 1


@pytest.mark.parametrize(
    ("made", "warned"),
    [
        (plan("refresh"), True),
        (plan("provision"), True),
        (plan("restore", STAGE, STAGE), True),
        (plan("restore", PROD, PROD), False),
        (plan("promote", STAGE, PROD), False),
        (planned(Recipe.safe()), False),
    ],
)
def test_only_a_staging_that_nothing_makes_safe_is_warned_of(made: Plan, warned: bool) -> None:
    """Production and a staging with steps need no warning; the warning is on the form and in the report."""
    assert bool(untouched_warning(made)) is warned
    assert any("Nothing inside of stage is neutralised" in line for line in planned_lines(made)) is warned


@pytest.mark.parametrize(
    ("done", "line"),
    [
        ({"changed": 12, "checked": True}, "ok · mask people: 12 places changed"),
        ({"changed": None, "checked": None}, "**unknown** · mask people"),
        ({"changed": 1, "checked": False}, "**NOT DONE** · mask people: 1 place changed"),
        (
            {"changed": 1, "checked": True, "still_dangerous": "no rule knows wp_x"},
            "**NOT DONE** · mask people: 1 place changed. Still dangerous: no rule knows wp\\_x",
        ),
    ],
)
def test_only_a_step_that_was_read_back_is_ok(done: dict[str, object], line: str) -> None:
    """Not known is never ok, and neither is a step that leaves something dangerous."""
    made = StepDone.model_validate({"step": "mask_people"} | done)
    assert done_line(made) == line
    assert (dangers((made,), production=False) == []) is line.startswith("ok")
    report = Report(verb="refresh", outcome="x", source="a", destination="b", run_id="r", after_copy=(made,))
    assert f"* {line}" in report_text(report).splitlines()


def test_what_frees_production_has_words_of_its_own() -> None:
    """A promotion does not mark production as staging."""
    made = StepDone(step=CopyStep.MARK_STAGING, changed=None, checked=False, still_dangerous="understudy-mail.php")
    assert done_line(made, production=True).startswith("**NOT DONE** · remove what staging added. Still dangerous: ")
    assert dangers((made,), production=True) == ["remove what staging added: understudy-mail.php"]

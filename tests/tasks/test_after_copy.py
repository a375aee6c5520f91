"""The plan of the steps after a copy: what it contains, what it counts, and what is refused before anything is overwritten."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.sandbox.host.host import Host
from tasks.after_copy import plan_steps, require_done
from tasks.configuration.settings import forget_settings
from tasks.estate.errors import GatewayRefused, Misconfigured, NotNeutralised, StagingRemains
from tasks.estate.plans import CopyOptions
from tasks.estate.recipes import CopyStep, PlannedSteps, Recipe, StepDone
from tasks.estate.sites import Direction, Pair
from tasks.installs import resolve_pair
from tasks.ledger.facts import StepTaken
from tasks.ledger.ledger import Ledger
from tests.tasks.safeguards.ledger_histories import PROD, STAGE, plan

FILES = CopyOptions(database=False)
MASKED = StepDone(step=CopyStep.MASK_PEOPLE, changed=12, checked=True)


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Allow SSH to these installs only."""

    def only(installs: str) -> None:
        monkeypatch.setenv("UNDERSTUDY_SSH_INSTALLS", installs)
        forget_settings()

    return only


def down() -> Pair:
    """Return the pair of a refresh."""
    return resolve_pair.fn("schulprod", "schulstage", Direction.DOWN)


def up() -> Pair:
    """Return the pair of a promotion."""
    return resolve_pair.fn("schulstage", "schulprod", Direction.UP)


def planned(pair: Pair, options: CopyOptions = CopyOptions()) -> PlannedSteps | None:  # noqa: B008  # immutable
    """Return the steps that are planned for this pair."""
    steps: PlannedSteps | None = plan_steps.fn(pair, options)
    return steps


def test_a_refresh_plans_the_safe_recipe_with_counts_of_the_source(inside: Host) -> None:
    """Every step is planned and counted; people and URLs are those of production."""
    steps = planned(down())
    assert steps is not None
    assert (steps.recipe, steps.steps, steps.origin) == (Recipe.safe(), tuple(CopyStep), "schulprod")
    counts = {each.step: each.places for each in steps.counts}
    assert counts.keys() == set(CopyStep)
    assert all(counts[step] for step in (CopyStep.MASK_PEOPLE, CopyStep.REPLACE_URLS, CopyStep.DISABLE_WEBHOOKS))
    assert counts[CopyStep.FLUSH] is None


def test_production_without_access_is_not_counted(inside: Host, allow: Callable[[str], None]) -> None:
    """Staging can be made safe without a login to production; nothing is counted then."""
    allow("schulstage")
    steps = planned(down())
    assert steps is not None
    assert (steps.steps, steps.counts) == (tuple(CopyStep), ())


def test_what_cannot_be_counted_is_not_known(inside: Host) -> None:
    """A command that fails on production leaves its count open, and stops nothing."""
    inside.switch_on("ssh-php-fails", install="schulprod", path="search-replace")
    steps = planned(down())
    assert steps is not None
    (count,) = [each for each in steps.counts if each.step is CopyStep.REPLACE_URLS]
    assert (count.places, "PHP fails" in count.note) == (None, True)


def test_without_access_nothing_is_planned(inside: Host, allow: Callable[[str], None]) -> None:
    """A worker that may log in to production only makes nothing on staging safe, and does not pretend to."""
    allow("schulprod")
    assert planned(down()) is None


def test_a_files_only_refresh_plans_no_step_of_the_database(inside: Host) -> None:
    """People are masked in the database alone, which is not copied."""
    steps = planned(down(), FILES)
    assert steps is not None
    assert CopyStep.MASK_PEOPLE not in steps.steps
    assert CopyStep.STOP_MAIL in steps.steps


def test_a_run_that_cannot_log_in_ends_before_anything_is_overwritten(inside: Host) -> None:
    """A refused key is found while the plan is made."""
    inside.switch_on("ssh-key-refused", install="schulstage")
    with pytest.raises(GatewayRefused):
        planned(down())


def test_people_are_masked_with_a_key_or_the_run_stops(inside: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing masking key is found while the plan is made; a recipe that masks nobody needs none."""
    monkeypatch.setenv("UNDERSTUDY_MASKING_KEY", "")
    forget_settings()
    with pytest.raises(Misconfigured, match="UNDERSTUDY_MASKING_KEY"):
        planned(down())
    assert planned(down(), FILES) is not None


def test_a_promotion_counts_the_urls_of_staging(inside: Host) -> None:
    """With the database, URLs are replaced; files bring none."""
    steps = planned(up())
    assert steps is not None
    assert (steps.steps, steps.origin) == ((CopyStep.REPLACE_URLS,), "schulstage")
    assert [each.step for each in steps.counts] == [CopyStep.REPLACE_URLS]
    files = planned(up(), FILES)
    assert files is not None
    assert (files.steps, files.counts) == ((), ())


def test_a_database_that_was_made_safe_is_not_promoted_to_where_nothing_can_be_removed(
    inside: Host, ledger: Ledger, allow: Callable[[str], None]
) -> None:
    """Without access to production, a staging that no run changed may be promoted, and afterwards its files only."""
    allow("schulstage")
    assert planned(up()) is None
    ledger.record(StepTaken(done=MASKED), run_id="tonight", destination_id=up().source.id)
    with pytest.raises(Misconfigured, match=r"Run tonight made schulstage safe .* expected WP-CLI access to schulprod"):
        planned(up())
    assert planned(up(), FILES) is None


def test_a_site_of_the_estate_has_its_own_recipe(inside: Host, tmp_path: Path, allow: Callable[[str], None]) -> None:
    """`ssh` and `after_copy` of the site decide, without a list in the settings."""
    allow("")
    site = "{name: Schulfest, production: schulprod, staging: schulstage, ssh: true, after_copy: {off: [flush]}}"
    (tmp_path / "estate.yaml").write_text(f"sites: [{site}]")
    steps = planned(down())
    assert steps is not None
    assert steps.recipe == Recipe(off=(CopyStep.FLUSH,))
    assert steps.digest == steps.recipe.digest


NOT_READ = StepDone(step=CopyStep.STOP_MAIL, changed=0, checked=None)
KEPT = StepDone(step=CopyStep.KEEP_OUT, changed=1, checked=True)
OPEN = KEPT.model_copy(update={"checked": False, "still_dangerous": "visitors still see the site"})


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((KEPT, NOT_READ), "stop e-mails: its result could not be read. Visitors are kept out."),
        ((OPEN, MASKED), "visitors still see the site. VISITORS ARE NOT KEPT OUT."),
        ((NOT_READ,), "VISITORS ARE NOT KEPT OUT."),
        ((KEPT.model_copy(update={"checked": None}),), "WHETHER VISITORS ARE KEPT OUT IS NOT KNOWN."),
    ],
)
def test_a_step_that_is_not_known_to_be_done_is_an_outcome(steps: tuple[StepDone, ...], message: str) -> None:
    """Not known is not safe, and the message states whether visitors are kept out."""
    with pytest.raises(NotNeutralised) as error:
        require_done(plan(), steps)
    assert error.value.message.endswith(message)


def test_what_is_left_on_production_has_an_outcome_of_its_own() -> None:
    """A promotion is not neutralised; production has what belongs to staging."""
    with pytest.raises(StagingRemains, match="prod still has what belongs to staging: stop e-mails"):
        require_done(plan("promote", STAGE, PROD), (NOT_READ,))


def test_steps_that_are_done_end_nothing() -> None:
    """Neither do steps that were not planned."""
    require_done(plan(), (KEPT, MASKED))
    require_done(plan(), ())

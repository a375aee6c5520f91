"""Each step on a copied shop: counted, applied, read back, repeated; and what the site does by itself before and after."""

from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.site_tables import PLANTED
from tasks.estate.recipes import CopyStep
from tasks.neutralisation.context import Context, is_network, table_prefix
from tasks.neutralisation.steps import STEPS
from tasks.neutralisation.visibility import let_in
from tests.tasks.neutralisation.conftest import Direct, tables, visit

EXPECTED = {  # places of each step right after a copy of the emulated shop
    CopyStep.KEEP_OUT: 1,
    CopyStep.STOP_MAIL: 1,
    CopyStep.PAUSE_JOBS: 8,
    CopyStep.TEST_PAYMENTS: 1,
    CopyStep.DISABLE_WEBHOOKS: 1,
    CopyStep.HIDE_FROM_SEARCH: 2,
    CopyStep.REPLACE_URLS: 3,
    CopyStep.MARK_STAGING: 2,
    CopyStep.MASK_PEOPLE: 67,
    CopyStep.FLUSH: None,
}


def test_every_step_has_its_work() -> None:
    """No step of a recipe is without an implementation, and their order is that of the recipe."""
    assert tuple(STEPS) == tuple(CopyStep)


@pytest.mark.parametrize("step", CopyStep)
def test_a_step_counts_applies_and_reads_back(step: CopyStep, connection: Any, context: Context) -> None:
    """The dry run counts, the step leaves nothing, and a repetition changes nothing."""
    assert STEPS[step].count(connection, context).places == EXPECTED[step]
    assert STEPS[step].apply(connection, context).is_safe
    assert STEPS[step].count(connection, context).places in (0, None)
    again = STEPS[step].apply(connection, context)
    assert again.is_safe
    assert not again.changed


@pytest.mark.parametrize("step", CopyStep)
def test_a_dry_run_changes_nothing(step: CopyStep, source: Any, context: Context, estate: Host) -> None:
    """Counting on production leaves its tables, files and options as they are."""
    before = estate.named("schulprod")
    STEPS[step].count(source, context)
    after = estate.named("schulprod")
    assert after["database"] == before["database"]
    assert not any(file["text"] for file in after["files"].get("must_use", {}).values())


def test_an_untouched_copy_does_everything_a_second_time(estate: Host) -> None:
    """Without the steps, staging mails and charges production's customers and calls its webhooks."""
    estate.pass_hour("schulstage")
    sent = [(row["kind"], row["to"]) for row in estate.outbox("schulstage")]
    assert ("charge", "planted.greta@customer.example") in sent
    assert ("mail", "planted.irma@customer.example") in sent
    assert ("webhook", "https://erp.example/hook") in sent


def test_after_the_steps_nothing_leaves_staging(connection: Any, context: Context, estate: Host) -> None:
    """No e-mail, no charge, no webhook, nobody's data in any table, the banner in the page, and production as it was."""
    production = estate.named("schulprod")["database"]
    for step in context.recipe.steps:
        STEPS[step].apply(connection, context)
    estate.pass_hour("schulstage")  # while visitors are kept out
    assert visit(estate).status == 503
    let_in(connection, context)
    estate.pass_hour("schulstage")
    assert estate.outbox("schulstage") == []
    assert not [value for value in PLANTED if value in tables(estate).replace("planted-live-key", "")]
    page = visit(estate)
    assert page.status == 200
    assert b"Staging: a copy of production (schulprod, 2026-01-02 03:04 UTC)" in page.body
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert estate.named("schulprod")["database"] == production


def test_a_site_without_a_shop_needs_less(estate: Host, context: Context) -> None:
    """Tables and plugins that are absent are no places and no errors."""
    plain: Any = Direct(estate, "schuldev")
    assert STEPS[CopyStep.DISABLE_WEBHOOKS].apply(plain, context).changed == 0
    assert STEPS[CopyStep.TEST_PAYMENTS].apply(plain, context).is_safe
    assert STEPS[CopyStep.MASK_PEOPLE].apply(plain, context).changed == 0


def test_the_facts_of_a_site_are_read(connection: Any) -> None:
    """The prefix of its tables, and that it is not a network."""
    assert table_prefix(connection) == "wp_"
    assert not is_network(connection)

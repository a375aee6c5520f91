"""A site on which nothing has changed: a copy succeeds, its report states that, and no lock is left."""

from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from flows.promote import promote
from flows.refresh import refresh
from tasks.ledger.ledger import Ledger

DOWN = {"source": "schulprod", "destination": "schulstage"}


@pytest.fixture
def equal(start: Callable[..., Any], worker: Host) -> None:
    """Staging is production's twin: it was just refreshed."""
    worker.publish("schulprod", "files")
    first = start(refresh, **DOWN).approve()
    assert first.state == "Verified", first.message


def test_a_second_refresh_of_a_quiet_site_ends_well(
    equal: None, start: Callable[..., Any], worker: Host, ledger: Ledger
) -> None:
    """Nothing differed, so nothing can be seen to arrive: the closing checkpoint settles it, and the locks are free."""
    run = start(refresh, **DOWN).approve()
    assert (run.state, worker.copies_received()) == ("Verified", 2), run.message
    assert "Nothing that can be seen differed" in run.message
    (settled,) = ledger.facts(run_id=run.id, kind="settled")
    assert settled.detail["how"] == "evidence: unchanged"
    up = start(promote, source="schulstage", destination="schulprod")
    assert up.state == "Suspended", up.message  # production is not held by the quiet refresh


@pytest.mark.drill
def test_without_checkpoints_a_quiet_site_waits_for_the_deadline(
    equal: None, start: Callable[..., Any], worker: Host
) -> None:
    """A host without checkpoints never shows that it is done: the run waits until its time is over."""
    worker.switch_on("checkpoints-absent")
    run = start(refresh, **DOWN).approve()
    assert run.state == "Verified", run.message
    assert "Nothing that can be seen differed" in run.message


@pytest.mark.drill
def test_a_copy_that_never_lands_is_unknown_where_something_differed(
    equal: None, start: Callable[..., Any], worker: Host
) -> None:
    """One new post on the source, and the host stays silent: that is not a quiet site."""
    worker.publish("schulprod", "post")
    worker.switch_on("copy-never-lands")
    run = start(refresh, **DOWN).approve()
    assert run.state == "OutcomeUnknown", run.message

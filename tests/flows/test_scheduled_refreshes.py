"""Nights in a row: a standing approval serves if nothing is lost; otherwise the refresh is skipped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deployments.sandbox.host.host import Host
from flows.promote import promote
from flows.refresh import refresh
from tests.people import write_standing

PAIR = {"source": "schulprod", "destination": "schulstage"}
UP = {"source": "schulstage", "destination": "schulprod"}


@pytest.fixture
def night(start: Callable[..., Any], worker: Host, tmp_path: Path) -> Callable[[], Any]:
    """Refresh staging manually once, as people do before they add a schedule; return the scheduled refresh.

    Each is another night: the entry is signed anew, because one serves one run a night.
    """
    assert start(refresh, **PAIR).approve().state == "Verified"

    def next_night() -> Any:
        write_standing(tmp_path, "schulprod", "schulstage", reason=f"for the night of {uuid4()}")
        return start(refresh, **PAIR, approval="standing", proceed_when="probable")

    return next_night


def test_a_night_starts_by_the_schedule_and_once(start: Callable[..., Any], worker: Host) -> None:
    """The standing approval covers one scheduled run a night, and no run that a person started."""
    assert start(refresh, **PAIR).approve().state == "Verified"
    copies = worker.copies_received()
    manual = start(refresh, **PAIR, approval="standing", proceed_when="probable", manually=True)
    assert (manual.state, worker.copies_received()) == ("NotApproved", copies), manual.message
    assert "was started by a person" in manual.message
    night = start(refresh, **PAIR, approval="standing", proceed_when="probable")
    assert (night.state, worker.copies_received()) == ("Verified", copies + 1), night.message
    second = start(refresh, **PAIR, approval="standing", proceed_when="probable")
    assert (second.state, worker.copies_received()) == ("Skipped", copies + 1), second.message
    assert f"used this night already, by run {night.id}" in second.message


@pytest.mark.drill
def test_a_night_goes_on_after_the_other_until_somebody_works_there(night: Callable[[], Any], worker: Host) -> None:
    """What a copy leaves on staging is no work, even if production changes; a page that somebody wrote on staging is."""
    worker.publish("schulprod", "post", "News")
    assert (first := night()).state == "Verified", first.message
    worker.publish("schulstage", "page", "A draft of the new menu")
    worker.publish("schulprod", "post", "More news")  # production is newer all the same
    copies = worker.copies_received()
    by = night()
    assert (by.state, worker.copies_received()) == ("Skipped", copies), by.message
    assert "schulstage holds work that was never promoted to schulprod" in by.message
    assert "public pages against" in by.message


def test_a_night_goes_by_while_a_promotion_waits_and_on_when_it_is_done(
    night: Callable[[], Any], start: Callable[..., Any], worker: Host
) -> None:
    """Acceptance test 15: the refresh is skipped with the plan's code and the reason; after the promotion it runs."""
    worker.publish("schulstage", "files")
    waiting = start(promote, **UP)
    assert waiting.state == "Suspended", waiting.message
    by = night()
    assert by.state == "Skipped"
    assert waiting.request.code in by.message
    assert f"run {waiting.id}" in by.message
    waiting.approve()
    if waiting.state == "Suspended":
        waiting.arrived("completed")
    assert waiting.state == "Verified", waiting.message
    assert (after := night()).state == "Verified", after.message

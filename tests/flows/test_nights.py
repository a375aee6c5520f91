"""Nights in a row: a standing approval goes on where nothing is lost, and lets the night go by where something would be."""

from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.capi import Estate
from flows.promote import promote
from flows.refresh import refresh

PAIR = {"source": "schulprod", "destination": "schulstage"}
UP = {"source": "schulstage", "destination": "schulprod"}


@pytest.fixture
def night(start: Callable[..., Any], worker: Estate) -> Callable[[], Any]:
    """Refresh staging by hand once, as somebody does before there are nights; gives the nightly refresh."""
    assert start(refresh, **PAIR).approve("schulstage").state == "Verified"
    return lambda: start(refresh, **PAIR, approval="standing", proceed_when="probable")


@pytest.mark.drill
def test_a_night_goes_on_after_the_other_until_somebody_works_there(night: Callable[[], Any], worker: Estate) -> None:
    """What a copy leaves behind is no work, even where production moves on; a page that somebody wrote on staging is."""
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
    night: Callable[[], Any], start: Callable[..., Any], worker: Estate
) -> None:
    """Acceptance test 15: the refresh is skipped with the plan's code and the reason; after the promotion it goes on."""
    worker.publish("schulstage", "files")
    waiting = start(promote, **UP)
    assert waiting.state == "Suspended", waiting.message
    by = night()
    assert by.state == "Skipped"
    assert waiting.question.code in by.message
    assert f"run {waiting.id}" in by.message
    waiting.approve("schulprod")
    if waiting.state == "Suspended":
        waiting.arrived("completed")
    assert waiting.state == "Verified", waiting.message
    assert (after := night()).state == "Verified", after.message

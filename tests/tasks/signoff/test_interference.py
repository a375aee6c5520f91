"""Waits: signs that a code may have been moved from a waiting run, and what a healthy run does."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tasks.ledger.ledger import Ledger
from tasks.signoff.interference import Change, Wait, disturbed, tampered, waits_since
from tests.raw_facts import raw_fact
from tests.tasks.signoff.approval_desk import NOW, Desk

SINCE = NOW - timedelta(minutes=2)


def waited(desk: Desk, *facts: tuple[str, dict[str, Any], float], answer_by: float = 3600) -> Wait:
    """Return a run that asked an hour ago and has these facts: kind, detail, and seconds from now."""
    desk.now = NOW - timedelta(hours=1)
    asked = {"parameters": "same", "answer_by": at(answer_by).isoformat()}
    desk.ledger.record(raw_fact("asked", asked), run_id="x", plan="p")
    for kind, detail, seconds in facts:
        desk.now = NOW + timedelta(seconds=seconds)
        desk.ledger.record(raw_fact(kind, detail), run_id="x", plan="p")
    (found,) = waits_since(desk.ledger, SINCE)
    return found


def states(*later: tuple[str, float]) -> list[Change]:
    """Return the states of a run that suspended an hour ago, and then these: type, and seconds from now."""
    began = [Change("PENDING", at(-3602)), Change("RUNNING", at(-3601)), Change("PAUSED", at(-3600))]
    return [*began, *(Change(kind, at(seconds)) for kind, seconds in later)]


def at(seconds: float) -> datetime:
    """Return the time so many seconds from now."""
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("kind", ["arrival-asked", "hold-end-asked", "settle-asked"])
def test_a_request_that_expired_before_the_code_is_not_a_wait(desk: Desk, kind: str) -> None:
    """Prefect accepts no answer to it any more, so its run may be deleted. While it is open, that voids the code."""
    for seconds, open_then in ((-121.0, True), (-130.0, False)):
        desk.ledger.record(
            raw_fact(kind, {"parameters": "same", "answer_by": at(seconds).isoformat()}), run_id=f"{kind}{seconds}"
        )
        found = [wait.run_id for wait in waits_since(desk.ledger, SINCE)]
        assert (f"{kind}{seconds}" in found) is open_then


RESUMED = (("SCHEDULED", -20.0), ("PENDING", -15.0), ("RUNNING", -14.0))


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        ((), states()),
        ((("answered", {}, -12.0),), states(*RESUMED, ("PAUSED", -11.0))),
        ((("answered", {}, -12.0), ("approved", {}, -12.0)), states(*RESUMED, ("COMPLETED", -5.0))),
        ((("rejected", {"proven": True, "approver": "Anna"}, -12.0),), states(*RESUMED, ("FAILED", -5.0))),
        ((("arrival-told", {}, -12.0),), states(*RESUMED, ("COMPLETED", -5.0))),
        ((("superseded", {}, -20.0),), states(("FAILED", -20.0))),
        ((), states(("SCHEDULED", -200.0), ("RUNNING", -190.0), ("PAUSED", -189.0))),  # before the code was valid
    ],
)  # fmt: skip
def test_a_healthy_run_is_not_reported(desk: Desk, facts: tuple[Any, ...], changes: list[Change]) -> None:
    """A run that waits, was answered with proof, or superseded shows no sign of a moved code."""
    assert disturbed(waited(desk, *facts), changes, "same", SINCE) == ""


@pytest.mark.parametrize(
    "facts", [(), (("expired", {"answer_by": at(-30).isoformat()}, -12.0),)], ids=["open", "recorded"]
)
def test_a_request_that_ran_out_is_not_reported(desk: Desk, facts: tuple[Any, ...]) -> None:
    """Prefect fails a run at its deadline, before the sweep records that. The same state at an earlier moment was forced."""
    wait = waited(desk, *facts, answer_by=-30)
    assert disturbed(wait, states(("FAILED", -28.0)), "same", SINCE) == ""
    assert "continued" in disturbed(wait, states(("FAILED", -40.0)), "same", SINCE)
    assert "continued" in disturbed(wait, states(("COMPLETED", -28.0)), "same", SINCE)


def test_the_deadline_of_an_earlier_request_explains_nothing(desk: Desk) -> None:
    """A run that asks again has a new deadline, so that a failure before it was forced."""
    wait = waited(desk, ("asked", {"parameters": "same", "answer_by": at(3600).isoformat()}, -100.0), answer_by=-120)
    again = (("SCHEDULED", -119.0), ("RUNNING", -110.0), ("PAUSED", -100.0))
    assert "continued" in disturbed(wait, states(*again, ("FAILED", -20.0)), "same", NOW - timedelta(seconds=90))


@pytest.mark.parametrize(
    ("facts", "changes", "parameters", "why"),
    [
        ((), None, "same", "was deleted"),
        ((("expired", {"answer_by": at(3600).isoformat()}, -1.0),), None, "same", "was deleted"),
        ((), states(), "other", "parameters"),
        ((), states(*RESUMED), "same", "continued"),  # not evaluated yet
        ((("answer-refused", {"why": "", "kind": "proof"}, -12.0),), states(*RESUMED, ("PAUSED", -11.0)), "same", "continued"),
        ((("rejected", {"proven": False, "approver": "Anna"}, -12.0),), states(*RESUMED, ("FAILED", -9.0)), "same", "continued"),
        ((("rejected", {"proven": True, "approver": "The gate"}, -12.0),), states(*RESUMED, ("FAILED", -9.0)), "same", "continued"),
        ((), states(("SCHEDULED", -20.0), ("PAUSED", -19.0)), "same", "set to wait again|continued"),
        ((), states(("PAUSED", -19.0)), "same", "set to wait again"),
        ((), states(("CANCELLED", -19.0)), "same", "continued"),
        ((), states(("COMPLETED", -19.0)), "same", "continued"),
        ((("expired", {"answer_by": at(3600).isoformat()}, -12.0),), states(("FAILED", -19.0)), "same", "continued"),
        ((("superseded", {}, -20.0),), states(("COMPLETED", -19.0)), "same", "continued"),
        # a proven answer explains the wait that it ended, but no earlier or later one
        ((("answered", {}, -12.0),), states(*RESUMED, ("PAUSED", -11.0), ("SCHEDULED", -6.0)), "same", "continued"),
        ((("answered", {}, -30.0),), states(*RESUMED), "same", "continued"),
        (
            (("answered", {}, -12.0),),
            states(("SCHEDULED", -100.0), ("RUNNING", -99.0), ("PAUSED", -98.0), *RESUMED, ("PAUSED", -11.0)), "same", "continued",
        ),
    ],
)  # fmt: skip
def test_a_sign_of_a_moved_code_is_reported(
    desk: Desk, facts: tuple[Any, ...], changes: list[Change] | None, parameters: str, why: str
) -> None:
    """A run that was deleted, changed, forced or resumed without a proven answer voids a code that was valid then."""
    found = disturbed(waited(desk, *facts), changes, parameters, SINCE)
    assert found
    assert any(word in found for word in why.split("|"))


def test_only_runs_that_waited_while_the_code_was_valid_are_checked(desk: Desk) -> None:
    """Open requests and those that ended since are returned; earlier ones, and a terminal's without Prefect, are not."""
    book: Ledger = desk.ledger
    desk.now = at(-600)
    for run in ("open", "ended", "late"):
        book.record(raw_fact("asked", {"parameters": "d"}), run_id=run, plan="p")
    book.record(raw_fact("asked", {"parameters": ""}), run_id="terminal", plan="p")
    for kind in ("arrival-asked", "hold-end-asked"):
        book.record(raw_fact(kind, {"parameters": "d"}), run_id=kind, plan="p")
    desk.now = at(-300)
    book.record(raw_fact("approved"), run_id="ended", plan="p")
    desk.now = at(-100)
    book.record(raw_fact("expired", {"answer_by": NOW.isoformat()}), run_id="late", plan="p")
    assert {wait.run_id for wait in waits_since(book, SINCE)} == {"open", "late", "arrival-asked", "hold-end-asked"}


@pytest.mark.parametrize(
    ("changes", "given", "why"),
    [
        (states(*RESUMED), -19.9, ""),
        (states(("SCHEDULED", -20), ("SCHEDULED", -18), *RESUMED[1:]), -19.9, ""),  # waited for a slot
        (states(*RESUMED), -20.1, "without the form"),
        (states(*RESUMED), -14.9, "without the form"),
        (states(("RUNNING", -20)), -19.9, "not given by resuming"),
        (states(), -19.9, "not given by resuming"),
        (states(*RESUMED, ("PAUSED", -13)), -19.9, "manually"),
        (states(*RESUMED, ("CANCELLING", -13)), -19.9, "manually"),
    ],
)  # fmt: skip
def test_an_answer_that_was_not_given_by_resuming_the_run_is_reported(
    changes: list[Change], given: float, why: str
) -> None:
    """Prefect stores an answer right after the state that resumes the run; any other was written without the form."""
    found = tampered(changes, at(given))
    assert (why in found) if why else found == ""

"""Whether a destination is free is checked in the same way before people are asked and at the call."""

from datetime import timedelta
from typing import Any

import pytest

from tasks.estate.errors import DestinationBusy
from tasks.ledger.approval_requests import close_own, open_requests
from tasks.ledger.ledger import Ledger
from tests.tasks.safeguards.ledger_histories import STAGE, Story, content
from tests.tasks.signoff.approval_desk import NOW, Desk, draft

DAY = timedelta(days=365)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a desk with a ledger in memory."""
    return Desk.create(monkeypatch)


@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("how", ["", "evidence: confirmed"])
def test_the_check_before_a_request_agrees_with_the_lock(desk: Desk, over: bool, arrived: bool, how: str) -> None:
    """A running holder and an unproven call refuse both; the message names the install, not its id."""
    book: Ledger = desk.ledger
    Story(book).call(content(), how=how)
    test: dict[str, Any] = {
        "is_over": lambda _: over, "settles": lambda _: arrived, "horizon": DAY, "now": NOW, "name": "schulstage",
    }  # fmt: skip
    refused = not over or (not how and not arrived)
    for act in (book.require_takeable, book.take_lock):
        if refused:
            with pytest.raises(DestinationBusy, match=r"^schulstage is held by run run-1") as busy:
                act(STAGE.id, "tonight", **test)
            assert STAGE.id not in busy.value.message
        else:
            act(STAGE.id, "tonight", **test)


@pytest.mark.parametrize("over", [True, False])
def test_a_restore_needs_the_run_that_it_undoes_to_be_over(desk: Desk, over: bool) -> None:
    """An unproven call does not refuse the restore that undoes it; a run that is not over does.

    Only the lock of an approved restore settles the call: the check and a refusal do not.
    """
    book = desk.ledger
    Story(book).call(content(), how="")
    test: dict[str, Any] = {
        "is_over": lambda _: over, "settles": lambda _: False, "horizon": DAY, "now": NOW, "name": "schulstage", "undoes": "run-1",
    }  # fmt: skip
    for act, settled in ((book.require_takeable, []), (book.take_lock, ["restore tonight was approved"])):
        if over:
            act(STAGE.id, "tonight", **test)
        else:
            with pytest.raises(DestinationBusy, match=r"^schulstage is held by run run-1, which is not over"):
                act(STAGE.id, "tonight", **test)
        found = [fact.detail["how"] for fact in book.facts(run_id="run-1", kind="settled")]
        assert found == (settled if over else [])
    assert book.lock_holder(STAGE.id) == ("tonight" if over else "run-1")


def test_a_restore_does_not_take_the_lock_of_an_unrelated_run(desk: Desk) -> None:
    """The call of a third run that is over and unproven refuses a restore as it refuses a copy."""
    Story(desk.ledger).call(content(), how="")
    test: dict[str, Any] = {"is_over": lambda _: True, "settles": lambda _: False, "horizon": DAY, "now": NOW}
    for act in (desk.ledger.require_takeable, desk.ledger.take_lock):
        with pytest.raises(DestinationBusy, match="run-1"):
            act(STAGE.id, "tonight", name="schulstage", undoes="run-0", **test)


def test_the_check_takes_no_lock(desk: Desk) -> None:
    """A free install and an install that the run has locked pass, and stay as they are."""
    test: dict[str, Any] = {"is_over": lambda _: False, "settles": lambda _: False, "horizon": DAY, "now": NOW}
    desk.ledger.require_takeable(STAGE.id, "tonight", name="stage", **test)
    assert desk.ledger.lock_holder(STAGE.id) is None
    desk.ledger.take_lock(STAGE.id, "tonight", **test)
    desk.ledger.require_takeable(STAGE.id, "tonight", name="stage", **test)


def test_a_run_that_cannot_continue_closes_its_own_request(desk: Desk) -> None:
    """Only its own request is rejected, once, with the reason."""
    mine, other = draft("mine"), draft("other", destination=draft().pair.source, source=STAGE)
    for each in (mine, other):
        desk.ask(each)
    for _ in range(2):
        close_own(desk.ledger, "mine", "schulstage is held by run x.")
    assert [request.run_id for request in open_requests(desk.ledger)] == ["other"]
    (end,) = desk.ledger.facts(run_id="mine", kind="rejected")
    assert end.detail["reason"] == "schulstage is held by run x."

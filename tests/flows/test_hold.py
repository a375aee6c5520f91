"""Hold: it stops scheduled refreshes, is found by its destination, and its owner or a lead ends it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from pyotp import TOTP

from deployments.sandbox.host.host import Host
from flows.hold import hold
from flows.refresh import refresh
from tasks.configuration.settings import forget_settings
from tasks.ledger.ledger import Ledger
from tasks.safeguards.holds import active_holds
from tests.people import CODES, DEMO_LEAD

WHO = {"your_name": "Cleo", "reason": "the new menu is not done"}


def tomorrow() -> str:
    """A day from now, as Prefect's form writes it."""
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


def test_a_hold_keeps_the_night_off_until_it_is_ended(start: Callable[..., Any], worker: Host, ledger: Ledger) -> None:
    """During a hold the scheduled refresh is skipped with name and reason; afterwards it runs."""
    held = start(hold, destination="SchulStage", until=tomorrow(), **WHO)
    assert held.state == "Held", held.message
    assert "schulstage is held until" in held.message
    night = start(refresh, source="schulprod", destination="schulstage", approval="standing")
    assert (night.state, worker.copies_received()) == ("Skipped", 0), night.message
    assert "by Cleo: the new menu is not done" in night.message
    freed = start(hold, destination="schulstage", your_name="Ben", end_hold=True)
    assert freed.state == "Suspended", freed.message
    for proof in ("000000", "not-the-word"):  # whoever has neither the owner's word nor a lead's proof ends nothing
        assert freed.answer(approver=DEMO_LEAD, proof=proof) == "ACCEPT"
        assert freed.go().state == "Suspended", freed.message
    assert not ledger.facts(kind="hold-ended")
    assert freed.answer(approver=DEMO_LEAD, proof=TOTP(CODES[DEMO_LEAD]).now()) == "ACCEPT"
    assert freed.go().state == "Released", freed.message
    assert [fact.detail["by"] for fact in ledger.facts(kind="hold-ended")] == [DEMO_LEAD]
    assert start(hold, destination="schulstage", your_name="Ben", end_hold=True).state == "NotFound"


def test_the_owner_ends_a_hold_with_the_word_that_was_kept(
    start: Callable[..., Any], worker: Host, ledger: Ledger
) -> None:
    """The owner need not be a lead; the release word ends only its own hold."""
    word = "a word that only Cleo has"
    start(hold, destination="schulstage", until=tomorrow(), release=sha256(word.encode()).hexdigest(), **WHO)
    start(hold, destination="schulstage", until=tomorrow(), **WHO | {"your_name": "Dora"})
    freed = start(hold, destination="schulstage", your_name="Cleo", end_hold=True)
    assert freed.answer(approver="Cleo", proof=word) == "ACCEPT"
    assert freed.go().state == "Released", freed.message
    (ended,) = ledger.facts(kind="hold-ended")
    assert ended.detail["proof"] == "the owner's word"
    assert [each.by for each in active_holds(ledger, "schulstage", datetime.now(UTC))] == ["Dora"]


def test_a_retry_does_not_hold_twice(start: Callable[..., Any], worker: Host, ledger: Ledger) -> None:
    """A run that is retried finds the hold that it placed."""
    start(hold, destination="schulstage", until=tomorrow(), **WHO).restart().go()
    assert len(ledger.facts(kind="hold")) == 1


def test_a_typo_holds_nothing(start: Callable[..., Any], worker: Host, ledger: Ledger) -> None:
    """A name that no install has is refused, and nothing is recorded as held."""
    run = start(hold, destination="schulstag", until=tomorrow(), **WHO)
    assert (run.state, ledger.facts(kind="hold")) == ("NotFound", [])
    assert "Nothing is held" in run.message


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, "no end"),
        ({"until": "2026-01-01T00:00:00+00:00"}, "after now"),
        ({"until": "2100-01-01T00:00:00+00:00"}, "at most 30 days"),
        ({"until": "2100-01-01T00:00:00"}, "no time zone"),
        ({"reason": ""}, "reason of the hold has 0 characters"),
    ],
)
def test_an_invalid_form_is_refused(
    start: Callable[..., Any], worker: Host, ledger: Ledger, form: dict[str, str], expected: str
) -> None:
    """An end that is missing, past, too far or without a zone, and a missing reason, are named."""
    given = {"until": tomorrow()} if "reason" in form else {}
    run = start(hold, destination="schulstage", **WHO | given | form)
    assert (run.state, ledger.facts(kind="hold")) == ("Misconfigured", [])
    assert expected in run.message


def test_the_target_of_loads_is_found_without_the_hosting_api(
    start: Callable[..., Any], worker: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that only loads databases has one destination, its hostname."""
    monkeypatch.setenv("UNDERSTUDY_API_USER", "")
    monkeypatch.setenv("UNDERSTUDY_TARGET_HOSTNAME", "staging.schule.example")
    forget_settings()
    assert start(hold, destination="Staging.Schule.example", until=tomorrow(), **WHO).state == "Held"
    assert start(hold, destination="schulstage", until=tomorrow(), **WHO).state == "NotFound"

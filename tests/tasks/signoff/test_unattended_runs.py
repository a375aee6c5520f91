"""Leftovers: reminders that are due and runs without an outcome, from the facts of the ledger."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ledger.approval_requests import ApprovalRequest
from tasks.ledger.ledger import Ledger
from tasks.signoff.unattended_runs import _share, due_reminders, ending, outcomes_since, unfinished
from tests.raw_facts import raw_fact

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ENDS: list[tuple[str, dict[str, Any], str, str]] = [
    ("expired", {"answer_by": NOW.isoformat()}, "Expired", "nobody answered in time"),
    ("expired", {"answer_by": NOW.isoformat(), "why": "the run ended"}, "Expired", "the run ended"),
    (
        "rejected",
        {"approver": "Ada", "proven": False, "reason": "no"},
        "Rejected",
        "Ada (not proven) rejected plan C: no",
    ),
    ("rejected", {"approver": "Ada", "proven": True, "reason": "no"}, "Rejected", "Ada rejected plan C: no"),
    ("superseded", {"by": "r2", "code": "D"}, "Superseded", "plan D of run r2"),
    ("frozen", {"why": "closed until Monday"}, "Frozen", "closed until Monday"),
]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield ledger
    ledger._engine.dispose()


def ask(book: Ledger, run: str = "r", *, ago: int = 5, left: int = 5) -> None:
    """Record a plan and its approval request, some hours before `NOW`, with some hours left."""
    at, until = NOW - timedelta(hours=ago), NOW + timedelta(hours=left)
    detail = {
        "at": at.isoformat(), "answer_by": until.isoformat(), "verb": "promote", "code": "C", "source_id": "s",
        "destination": "prod", "people": 2, "requested_by": "Dora",
    }  # fmt: skip
    book.record(raw_fact("planned", {"pair": {"source": {"name": "stage"}}}), run_id=run, destination_id="d", plan="p")
    book.record(raw_fact("asked", detail), run_id=run, destination_id="d", plan="p")


def test_a_reminder_is_due_once_and_names_the_approvers(book: Ledger) -> None:
    """After it is recorded, a reminder is not due again."""
    ask(book)
    book.record(raw_fact("answered", {"name": "Ada"}), run_id="r", plan="p")
    (due,) = due_reminders(book, NOW)
    assert (due.share, due.yes, due.once) == (50, ("Ada",), "reminded:r:p:50")
    book.record(raw_fact("reminded"), run_id="r", plan="p", once=due.once)
    assert due_reminders(book, NOW) == []


def test_an_ended_request_needs_no_reminder(book: Ledger) -> None:
    """No reminder is due for a request that is past its deadline or has ended."""
    ask(book, "late", ago=5, left=-1)
    ask(book, "done")
    book.record(raw_fact("approved"), run_id="done", plan="p")
    assert due_reminders(book, NOW) == []


@given(st.integers(0, 200), st.integers(1, 200))
def test_a_reminder_has_the_latest_share_that_is_over(passed: int, whole: int) -> None:
    """The reminder is the one with the largest share of the time that is over, and no reminder is due after the deadline."""
    minutes = timedelta(minutes=1)
    request = ApprovalRequest("r", "p", "C", "promote", "d", "prod", "s", "Dora", 1, NOW, NOW + whole * minutes)
    share = _share(request, NOW + passed * minutes)
    over = [each for each in (50, 80) if passed / whole * 100 >= each]
    assert share == (None if passed >= whole or not over else max(over))


@pytest.mark.parametrize(("kind", "detail", "outcome", "words"), ENDS)
def test_an_end_becomes_the_error_that_the_run_would_have_raised(
    book: Ledger, kind: str, detail: dict[str, Any], outcome: str, words: str
) -> None:
    """Each end of a request has the outcome and message that its run would have had."""
    ask(book)
    book.record(raw_fact(kind, detail), run_id="r", plan="p")
    (run,) = unfinished(book)
    error = ending(run)
    assert error is not None
    assert error.outcome == outcome
    assert words in error.message
    assert (run.verb, run.source, run.destination, run.code) == ("promote", "stage", "prod", "C")


def test_only_runs_without_an_outcome_are_unfinished(book: Ledger) -> None:
    """A run with an outcome is finished. An approval is not an end, and a call counts as sent until it is settled."""
    for run in ("finished", "sent", "settled"):
        ask(book, run)
        book.record(raw_fact("approved"), run_id=run, plan="p")
        book.record(raw_fact("sending"), run_id=run, plan="p")
    book.record(raw_fact("outcome", {"outcome": "Verified"}), run_id="finished")
    book.record(raw_fact("settled"), run_id="settled")
    sent, settled = unfinished(book)
    assert (sent.run_id, bool(sent.sending), ending(sent)) == ("sent", True, None)
    assert (settled.run_id, settled.sending) == ("settled", None)


def test_a_load_is_named_by_its_dump(book: Ledger) -> None:
    """Its source is the dump's file, and its destination the target's id until an approval is requested."""
    book.record(raw_fact("planned-load", {"dump": "a.json.gz", "code": "C"}), run_id="r", destination_id="1/2")
    (run,) = unfinished(book)
    assert run.is_load
    assert (run.verb, run.source, run.destination, run.code) == ("load_dump", "a.json.gz", "1/2", "C")


def test_outcomes_are_counted_by_name(book: Ledger) -> None:
    """Outcomes before the given time are not counted."""
    for name in ("Verified", "Expired", "Verified"):
        book.record(raw_fact("outcome", {"outcome": name}), run_id="r")
    since = book.facts()[1].at
    assert outcomes_since(book, since) == {"Expired": 1, "Verified": 1}

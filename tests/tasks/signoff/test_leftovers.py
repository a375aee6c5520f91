"""Leftovers: what the ledger says is still to be done, read from facts alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ledger.approval_requests import ApprovalRequest
from tasks.ledger.ledger import Ledger
from tasks.signoff.leftovers import _share, due_reminders, ending, outcomes_since, unfinished
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
    """A question of a run, asked and to be answered some hours from `NOW`."""
    at, until = NOW - timedelta(hours=ago), NOW + timedelta(hours=left)
    said = {
        "at": at.isoformat(), "answer_by": until.isoformat(), "verb": "promote", "code": "C", "source_id": "s",
        "destination": "prod", "people": 2, "requested_by": "Dora",
    }  # fmt: skip
    book.record(raw_fact("planned", {"pair": {"source": {"name": "stage"}}}), run_id=run, destination_id="d", plan="p")
    book.record(raw_fact("asked", said), run_id=run, destination_id="d", plan="p")


def test_reminds_with_who_said_yes(book: Ledger) -> None:
    """A reminder names who said yes; recorded, it is not due again."""
    ask(book)
    book.record(raw_fact("answered", {"name": "Ada"}), run_id="r", plan="p")
    (due,) = due_reminders(book, NOW)
    assert (due.share, due.yes, due.once) == (50, ("Ada",), "reminded:r:p:50")
    book.record(raw_fact("reminded"), run_id="r", plan="p", once=due.once)
    assert due_reminders(book, NOW) == []


def test_reminds_of_nothing_that_is_over(book: Ledger) -> None:
    """A question past its deadline, or with an end, needs no reminder."""
    ask(book, "late", ago=5, left=-1)
    ask(book, "done")
    book.record(raw_fact("approved"), run_id="done", plan="p")
    assert due_reminders(book, NOW) == []


@given(st.integers(0, 200), st.integers(1, 200))
def test_the_share_is_the_latest_that_is_over(passed: int, whole: int) -> None:
    """At any moment the reminder is the latest whose share of the time is over, and none past the deadline."""
    minutes = timedelta(minutes=1)
    question = ApprovalRequest("r", "p", "C", "promote", "d", "prod", "s", "Dora", 1, NOW, NOW + whole * minutes)
    share = _share(question, NOW + passed * minutes)
    over = [each for each in (50, 80) if passed / whole * 100 >= each]
    assert share == (None if passed >= whole or not over else max(over))


@pytest.mark.parametrize(("kind", "detail", "outcome", "words"), ENDS)
def test_an_end_reads_like_the_gates_own(
    book: Ledger, kind: str, detail: dict[str, Any], outcome: str, words: str
) -> None:
    """Each end of a question becomes the outcome that the run would have had, with its message."""
    ask(book)
    book.record(raw_fact(kind, detail), run_id="r", plan="p")
    (run,) = unfinished(book)
    error = ending(run)
    assert error is not None
    assert error.outcome == outcome
    assert words in error.message
    assert (run.verb, run.source, run.destination, run.code) == ("promote", "stage", "prod", "C")


def test_knows_what_was_sent_and_what_is_settled(book: Ledger) -> None:
    """A run with an outcome is finished; a yes is no end; a call counts as sent until it is settled."""
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
    """The plan of a load has other words: the dump's file, and the target's id until it was asked about."""
    book.record(raw_fact("planned-load", {"dump": "a.json.gz", "code": "C"}), run_id="r", destination_id="1/2")
    (run,) = unfinished(book)
    assert run.is_load
    assert (run.verb, run.source, run.destination, run.code) == ("load_dump", "a.json.gz", "1/2", "C")


def test_counts_outcomes_of_a_time(book: Ledger) -> None:
    """Outcomes are counted by name, those before the time left out."""
    for name in ("Verified", "Expired", "Verified"):
        book.record(raw_fact("outcome", {"outcome": name}), run_id="r")
    since = book.facts()[1].at
    assert outcomes_since(book, since) == {"Expired": 1, "Verified": 1}

"""The texts of a sweep: durations, reminders, and lists that end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.ledger.approval_requests import ApprovalRequest
from tasks.ledger.ledger import Ledger
from tasks.rendering.sweep import SHOWN, digest_lines, duration, reminder_lines, sweep_text
from tasks.signoff.unattended_runs import Reminder

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=2, hours=3, minutes=4), "2 d 3 h"),
        (timedelta(hours=3, minutes=4), "3 h 4 min"),
        (timedelta(minutes=4, seconds=59), "4 min"),
        (timedelta(seconds=-5), "0 min"),
    ],
)
def test_durations(left: timedelta, words: str) -> None:
    """A duration has its two largest units and is never negative."""
    assert duration(left) == words


@pytest.mark.parametrize(
    ("people", "approved", "words"),
    [
        (1, (), "1 of 1 lead must still answer."),
        (2, (), "2 of 2 leads must still answer."),
        (2, ("Ada",), "Ada approved; 1 of 2 leads must still answer."),
    ],
)
def test_a_reminder_names_who_approved(people: int, approved: tuple[str, ...], words: str) -> None:
    """People who approved are named, missing people are counted, markup from outside is inert."""
    hour = timedelta(hours=1)
    request = ApprovalRequest(
        "r", "p", "C", "promote", "d", "[prod](x)", "s", "Dora", people, NOW - hour, NOW + hour
    )  # fmt: skip
    first, until, who = reminder_lines(Reminder(request, 50, approved), NOW)
    assert "promote of \\[prod\\](x), plan C, requested by Dora" in first
    assert "1 h 0 min, until 2026-11-21 13:00:00 UTC" in until
    assert who == words


def test_a_digest_ends(tmp_path: Path) -> None:
    """A digest shows a limited number of items of each kind and counts the rest; an empty ledger has none."""
    stuck = [f"run {number}" for number in range(SHOWN + 3)]
    lines = digest_lines(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), NOW, standing=[], stuck=stuck)
    assert lines[0] == "Ended in 24 hours: nothing."
    assert lines.count("Stuck:") == 1
    assert lines[-2:] == ["* and 3 more", "The ledger is whole."]


def test_an_empty_report_has_a_sentence() -> None:
    """A report without any text would look like a lost one."""
    assert sweep_text("Swept", {}) == "# sweep: Swept\n\nThere was nothing to do.\n"
    assert "## Stuck\n\n* a\n* b\n" in sweep_text("Swept", {"Stuck": ["a", "* b"]})

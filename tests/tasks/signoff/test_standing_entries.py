"""Entries of the standing approvals file: their windows when clocks change, and what is signed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.signoff.standing_entries import StandingApproval, standing_statement
from tests.tasks.signoff.approval_desk import ENTRY


def entry(opens: str, closes: str, zone: str) -> StandingApproval:
    """Return an entry with this window."""
    return StandingApproval.model_validate(ENTRY | {"window": {"from": opens, "to": closes}, "zone": zone})


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (("02:15", "02:45"), "2026-03-28T12:00+01:00", "2026-03-30T02:15+02:00"),  # do not exist on the 29th
        (("02:15", "04:00"), "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
        (("02:15", "02:45"), "2026-10-25T02:50+02:00", "2026-10-25T02:15+01:00"),  # occur twice
    ],
)
def test_a_window_opens_correctly_when_clocks_change(hours: tuple[str, str], now: str, opens: str) -> None:
    """If clocks are set forward, a window begins later or not at all; if they are set back, it opens twice."""
    mine = entry(*hours, "Europe/Vienna")
    moment = datetime.fromisoformat(now)
    assert not mine.is_open(moment)
    found = mine.opens_next(moment)
    assert found is not None
    assert found.isoformat(timespec="minutes") == opens


CLOCKS = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")


@given(
    opens=CLOCKS,
    closes=CLOCKS,
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda d: d.replace(tzinfo=UTC)),
    zone=st.sampled_from(["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
def test_the_next_opening_is_the_first_minute_inside_the_window(
    opens: str, closes: str, now: datetime, zone: str
) -> None:
    """A minute before the next opening the window is closed. A window and its reverse never overlap."""
    if opens == closes:
        return
    mine = entry(opens, closes, zone)
    reverse = entry(closes, opens, zone)
    assert mine.is_open(now) is not reverse.is_open(now)
    if not mine.is_open(now):
        found = mine.opens_next(now)
        assert found is None or (found > now and mine.is_open(found) and not mine.is_open(found - timedelta(minutes=1)))
        assert found is not None or "02:" in opens + closes or "01:" in opens + closes  # only a lost hour hides it


def test_the_statement_contains_every_field() -> None:
    """The statement is the same text for the same entry, and contains all fields except the signature."""
    earlier = entry("22:30", "05:00", "Europe/Vienna")
    mine = earlier.model_copy(update={"recipe": "0f" * 32})
    statement = standing_statement(mine.model_copy(update={"signature": "U1NI"}))
    assert statement == standing_statement(mine)
    assert b"recipe" not in standing_statement(earlier), (
        "an entry signed before entries had recipes keeps its signature"
    )
    text = statement.decode()
    assert text.startswith("understudy standing approval 1\n{\n")
    for field in set(StandingApproval.model_fields) - {"signature"}:
        assert f'"{field}": ' in text
    assert '"from": "22:30:00"' in text

"""Entries of the standing approvals file: their hours in their zone, whatever the clocks there do."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.signoff.standing_entries import StandingApproval, standing_statement


def entry(opens: str, closes: str, zone: str) -> StandingApproval:
    """An entry with these hours."""
    fields = {
        "source": "prod", "destination": "stage", "issuer": "Anna Lead", "reason": "nightly refresh", "issued": "2026-01-01",
        "until": "2026-03-31", "include_database": True, "window": {"from": opens, "to": closes}, "zone": zone,
    }  # fmt: skip
    return StandingApproval.model_validate(fields)


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (
            ("02:15", "02:45"),
            "2026-03-28T12:00+01:00",
            "2026-03-30T02:15+02:00",
        ),  # these hours do not exist on the 29th
        (("02:15", "04:00"), "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
        (("02:15", "02:45"), "2026-10-25T02:50+02:00", "2026-10-25T02:15+01:00"),  # they come twice on that night
    ],
)
def test_a_window_knows_the_nights_when_clocks_change(hours: tuple[str, str], now: str, opens: str) -> None:
    """Where clocks are set forward a window begins later or not at all; set back, it comes twice."""
    mine = entry(*hours, "Europe/Vienna")
    moment = datetime.fromisoformat(now)
    assert not mine.is_open(moment)
    told = mine.opens_next(moment)
    assert told is not None
    assert told.isoformat(timespec="minutes") == opens


CLOCKS = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")


@given(
    opens=CLOCKS,
    closes=CLOCKS,
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda d: d.replace(tzinfo=UTC)),
    zone=st.sampled_from(["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
def test_the_next_opening_is_the_first_moment_inside(opens: str, closes: str, now: datetime, zone: str) -> None:
    """At the told moment the window is open and a minute before it was closed; a window and its reverse never overlap."""
    if opens == closes:
        return
    mine = entry(opens, closes, zone)
    reverse = entry(closes, opens, zone)
    assert mine.is_open(now) is not reverse.is_open(now)
    if not mine.is_open(now):
        told = mine.opens_next(now)
        assert told is None or (told > now and mine.is_open(told) and not mine.is_open(told - timedelta(minutes=1)))
        assert told is not None or "02:" in opens + closes or "01:" in opens + closes  # only a lost hour hides it


def test_what_is_signed_can_be_read_and_names_every_field() -> None:
    """The statement is the same text for the same entry, and holds all of it but the signature."""
    mine = entry("22:30", "05:00", "Europe/Vienna")
    said = standing_statement(mine.model_copy(update={"signature": "U1NI"}))
    assert said == standing_statement(mine)
    text = said.decode()
    assert text.startswith("understudy standing approval 1\n{\n")
    for field in set(StandingApproval.model_fields) - {"signature"}:
        assert f'"{field}": ' in text
    assert '"from": "22:30:00"' in text

"""The freeze calendar: deny overrides allow, allow closes the rest, and local times stay local when the clocks change."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.estate.errors import Frozen
from tasks.safeguards.freezes import LOOK_AHEAD, Calendar, Window

VIENNA, NEW_YORK = "Europe/Vienna", "America/New_York"


def window(rule: str = "deny", **more: Any) -> Window:
    """Return a window in Vienna, by default the Christmas freeze."""
    fields: dict[str, Any] = {
        "rule": rule, "name": "Christmas", "zone": VIENNA, "start": datetime(2026, 12, 20), "lasts": "P18D",
        "reason": "nobody is here", "owner": "Demo Lead",
    }  # fmt: skip
    return Window(**(fields | more))


def at(*when: int, zone: str = VIENNA) -> datetime:
    """Return a local time in Vienna, or in another zone: year, month, day, hour, minute."""
    return datetime(*when, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type,misc]  # year, month, day are always there


CHRISTMAS_EVE = at(2026, 12, 24, 9)
HOURS = window(
    "allow", name="hours", start=datetime(2026, 1, 5, 9), lasts="PT8H", recurs="FREQ=WEEKLY;BYDAY=MO,TU,WE,TH",
    destinations=("schul*",),
)  # fmt: skip


def test_a_deny_window_closes_and_reports_when_it_reopens() -> None:
    """The error names the window, its reason, its owner and its end, in its zone and in UTC."""
    with pytest.raises(Frozen) as caught:
        Calendar([window()]).require_open("promote", "schulprod", "production", CHRISTMAS_EVE)
    for part in (
        "schulprod",
        "'Christmas'",
        "nobody is here",
        "Demo Lead",
        "2027-01-07 00:00 Europe/Vienna (2027-01-06 23:00 UTC)",
    ):
        assert part in caught.value.message
    assert caught.value.facts == {"reopens": "2027-01-06T23:00:00+00:00"}


def test_a_deny_window_is_closed_from_its_first_instant_to_before_its_end() -> None:
    """The instant before its beginning and the instant of its end are open."""
    calendar = Calendar([window()])
    begin, end, tick = at(2026, 12, 20), at(2027, 1, 7), timedelta(microseconds=1)
    for moment, closed in ((begin - tick, False), (begin, True), (end - tick, True), (end, False)):
        assert (calendar.closed_by("schulprod", "production", moment) is not None) is closed
    calendar.require_open("promote", "schulprod", "production", end)


def test_a_restore_is_exempt() -> None:
    """Nothing prevents the way back during a freeze."""
    Calendar([window()]).require_open("restore", "schulprod", "production", CHRISTMAS_EVE)


def test_deny_overrides_allow() -> None:
    """A release window inside a freeze stays closed."""
    calendar = Calendar([window("allow", name="release day", lasts="P30D"), window()])
    closed = calendar.closed_by("schulprod", "production", CHRISTMAS_EVE)
    assert closed is not None
    assert closed.rule == "deny"


def test_an_allow_window_closes_the_rest() -> None:
    """If release hours exist, all other time is closed for the destinations that they match."""
    calendar = Calendar([HOURS])
    assert calendar.closed_by("schulprod", "production", at(2026, 11, 24, 10)) is None
    assert calendar.closed_by("schulprod", "production", at(2026, 11, 27, 10)) is HOURS
    assert calendar.closed_by("shopprod", "production", at(2026, 11, 27, 10)) is None
    assert calendar.reopens("schulprod", "production", at(2026, 11, 27, 10)) == at(2026, 11, 30, 9)
    with pytest.raises(Frozen, match="schulprod is only open in the freeze calendar's 'hours'"):
        calendar.require_open("refresh", "schulprod", "production", at(2026, 11, 27, 10))


def test_any_of_several_allow_windows_is_enough() -> None:
    """A destination is open in each of its allow windows."""
    friday = window("allow", name="friday", start=datetime(2026, 1, 2, 9), lasts="PT2H", recurs="FREQ=WEEKLY;BYDAY=FR")
    calendar = Calendar([HOURS, friday])
    assert calendar.closed_by("schulprod", "production", at(2026, 11, 27, 10)) is None
    assert calendar.reopens("schulprod", "production", at(2026, 11, 26, 20)) == at(2026, 11, 27, 9)


def test_a_plan_overrides_the_windows_that_it_names() -> None:
    """A window whose mark the plan contains does not count; another active one does."""
    audit = window(name="audit", start=datetime(2026, 12, 23), lasts="P3D")
    calendar = Calendar([window(), audit])
    both = calendar.all_closing("schulprod", "production", CHRISTMAS_EVE)
    assert [each.mark for each in both] == ["freeze:Christmas", "freeze:audit"]
    calendar.require_open("promote", "schulprod", "production", CHRISTMAS_EVE, overrides=[each.mark for each in both])
    with pytest.raises(Frozen, match=r"'audit'.*2026-12-26 00:00 Europe/Vienna"):
        calendar.require_open(
            "promote", "schulprod", "production", CHRISTMAS_EVE, overrides=["freeze:Christmas", "hold:7"]
        )


def test_overriding_one_allow_window_opens_the_time_outside_of_all() -> None:
    """One override is enough for all allow windows; a deny window needs its own."""
    calendar = Calendar([HOURS, window("allow", name="more hours", lasts="PT1H"), window()])
    closing = calendar.all_closing("schulprod", "production", at(2026, 12, 27, 10))
    assert [each.name for each in closing] == ["Christmas", "hours"]
    marks = {each.mark for each in closing}
    assert calendar.closed_by("schulprod", "production", at(2026, 12, 27, 10), overrides=marks) is None
    left = calendar.closed_by("schulprod", "production", at(2026, 12, 27, 10), overrides={"freeze:hours"})
    assert left is not None
    assert left.name == "Christmas"


@pytest.mark.parametrize(
    ("moment", "closed"),
    [
        (at(2026, 3, 28, 23, 30), True),  # Vienna, the night before the clocks go forward
        (at(2026, 3, 29, 4, 59), True),  # six hours, of which the clocks skip one
        (at(2026, 3, 29, 5, 0), False),
        (at(2026, 3, 29, 21, 59), False),
        (at(2026, 3, 29, 22, 0), True),
        (at(2026, 10, 25, 1, 30), True),  # the night in which an hour comes twice
        (at(2026, 10, 25, 2, 59).replace(fold=1), True),
        (at(2026, 10, 25, 3, 0), False),
        (at(2026, 10, 25, 21, 59), False),
        (at(2026, 10, 25, 22, 0), True),
    ],
)
def test_a_nightly_window_begins_at_its_local_time(moment: datetime, closed: bool) -> None:
    """It begins at 22:00 local time before and after both changes of the clocks, and lasts six elapsed hours."""
    night = window(name="night", start=datetime(2026, 1, 1, 22), lasts="PT6H", recurs="FREQ=DAILY")
    assert (Calendar([night]).closed_by("schulprod", "production", moment) is not None) is closed


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        (VIENNA, datetime(2026, 3, 29)),
        (VIENNA, datetime(2026, 10, 25)),
        (NEW_YORK, datetime(2026, 3, 8)),
        (NEW_YORK, datetime(2026, 11, 1)),
    ],
)
@pytest.mark.parametrize("recurs", ["", "FREQ=WEEKLY"])
def test_whole_days_end_at_the_same_time_of_day(zone: str, change: datetime, recurs: str) -> None:
    """A day from midnight ends at midnight, after 23 or 25 hours; a weekly one begins at midnight a week later."""
    rule = window(zone=zone, start=change, lasts="P1D", recurs=recurs)
    tick = timedelta(microseconds=1)
    begin, end = change.replace(tzinfo=ZoneInfo(zone)), (change + timedelta(days=1)).replace(tzinfo=ZoneInfo(zone))
    assert end.astimezone(UTC) - begin.astimezone(UTC) != timedelta(days=1)
    for moment, covered in ((begin, True), (end.astimezone(UTC) - tick, True), (end, False)):
        assert rule.covers(moment) is covered
    assert rule.covers((change + timedelta(days=7)).replace(tzinfo=ZoneInfo(zone))) is bool(recurs)


def test_a_start_that_the_clocks_skip_begins_an_hour_later() -> None:
    """02:30 does not exist on that morning in New York; the window still occurs."""
    rule = window(zone=NEW_YORK, start=datetime(2026, 1, 1, 2, 30), lasts="PT1H", recurs="FREQ=DAILY")
    assert not rule.covers(at(2026, 3, 8, 3, 29, zone=NEW_YORK))
    assert rule.covers(at(2026, 3, 8, 3, 30, zone=NEW_YORK))
    assert rule.covers(at(2026, 3, 8, 4, 29, zone=NEW_YORK))
    assert not rule.covers(at(2026, 3, 8, 4, 30, zone=NEW_YORK))


@pytest.mark.parametrize(
    ("fields", "destination", "environment", "matches"),
    [
        ({}, "schulstage", "staging", True),
        ({"environments": ["production"]}, "schulstage", "staging", False),
        ({"environments": ["production"]}, "schulprod", "production", True),
        ({"environments": ["production"]}, "schulprod", "unknown", True),
        ({"environments": ["production"]}, "schulprod", "a new word", True),
        ({"environments": ["staging", "development"]}, "schulprod", "production", False),
        ({"environments": ["staging", "development"]}, "schulprod", "unknown", False),
        ({"destinations": ["schul*"]}, "schulprod", "production", True),
        ({"destinations": ["schul*"]}, "Schulprod", "production", True),
        ({"destinations": ["schul*", "shop"]}, "shop", "production", True),
        ({"destinations": ["schul*", "shop"]}, "shop2", "production", False),
        ({"destinations": ["schul?"], "environments": ["production"]}, "schul1", "staging", False),
    ],
)
def test_a_window_matches_some_destinations(
    fields: dict[str, Any], destination: str, environment: str, matches: bool
) -> None:
    """Names are matched by globs, and environments; what is not known to be staging counts as production."""
    assert window(**fields).matches(destination, environment) is matches


ZONES = st.sampled_from([VIENNA, NEW_YORK, "Asia/Kolkata", "UTC", "Australia/Lord_Howe", "Pacific/Apia"])
RULES = st.sampled_from(
    ["", "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,FR", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=YEARLY", "FREQ=DAILY;COUNT=9"]
)
STARTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 6, 1)).map(
    lambda start: start.replace(second=0, microsecond=0)
)
LENGTHS = st.one_of(
    st.integers(1, 3000).map(lambda minutes: f"PT{minutes}M"), st.integers(1, 40).map(lambda days: f"P{days}D")
)
WINDOWS = st.builds(window, st.sampled_from(["deny", "allow"]), zone=ZONES, recurs=RULES, start=STARTS, lasts=LENGTHS)


def occurrences(rule: Window) -> list[tuple[datetime, datetime]]:
    """Return the occurrences by definition: local starts; days are added in local time, the rest as elapsed time."""
    starts = [rule.start]
    if rule.recurs:
        starts = rrulestr(rule.recurs, dtstart=rule.start).between(datetime(2025, 1, 1), datetime(2029, 1, 1), inc=True)
    zone, days = ZoneInfo(rule.zone), timedelta(days=rule.lasts.days)
    begins = [start.replace(tzinfo=zone).astimezone(UTC) for start in starts]
    ends = [(start + days).replace(tzinfo=zone).astimezone(UTC) + (rule.lasts - days) for start in starts]
    return list(zip(begins, ends, strict=True))


def covered(rules: list[Window], moment: datetime) -> bool:
    """Return whether an occurrence of one of the rules contains the moment."""
    return any(begin <= moment < end for rule in rules for begin, end in occurrences(rule))


@settings(max_examples=60)
@given(WINDOWS, st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)), st.integers(-1, 1))
def test_a_window_covers_what_its_definition_covers(rule: Window, moment: datetime, tick: int) -> None:
    """This holds for any zone, recurrence and length, at any moment and on both sides of the edges near it."""
    aware = moment.replace(tzinfo=UTC)
    edges = [edge for span in occurrences(rule) for edge in span if abs(edge - aware) < timedelta(days=9)]
    for each in [aware, *(edge + tick * timedelta(microseconds=1) for edge in edges[:8])]:
        assert rule.covers(each) is covered([rule], each)


@settings(max_examples=40)
@given(st.lists(WINDOWS, min_size=1, max_size=3), st.datetimes(datetime(2026, 1, 1), datetime(2027, 6, 30)))
def test_a_calendar_agrees_with_its_definition(rules: list[Window], moment: datetime) -> None:
    """Open means in no deny window and, if there are allow windows, in one of them; it reopens at the first such instant."""
    named = [rule.model_copy(update={"name": f"window {number}"}) for number, rule in enumerate(rules)]
    spans = {
        rule: [(begin, end) for each in named if each.rule == rule for begin, end in occurrences(each)]
        for rule in ("deny", "allow")
    }

    def is_open(at: datetime) -> bool:
        denied, allowed = (any(begin <= at < end for begin, end in spans[rule]) for rule in ("deny", "allow"))
        return not denied and (allowed or not spans["allow"])

    now, calendar = moment.replace(tzinfo=UTC), Calendar(named)
    assert (calendar.closed_by("a", "production", now) is None) is is_open(now)
    again = calendar.reopens("a", "production", now)
    edges = sorted({now, *(edge for both in spans.values() for span in both for edge in span)})
    first = next((edge for edge in edges if now <= edge < now + LOOK_AHEAD and is_open(edge)), None)
    assert again == first
    assert again is None or again.utcoffset() == timedelta(0)
    closed_until = first or now + LOOK_AHEAD
    assert not any(is_open(now + (closed_until - now) * share / 50) for share in range(50)) or first == now


def test_years_of_closed_windows_are_searched() -> None:
    """A year that is closed has an end, and ten years of windows without a gap have none: only edges are compared, not minutes."""
    year = window(start=datetime(2026, 1, 1), lasts="P365D")
    daily = [window(name=f"day {n}", start=datetime(2016, 1, 1), lasts="P1D", recurs="FREQ=DAILY") for n in range(3)]
    assert Calendar([year]).reopens("a", "production", at(2026, 1, 1)) == at(2027, 1, 1)
    assert Calendar(daily).reopens("a", "production", at(2026, 1, 1)) is None


def test_a_calendar_that_never_reopens_reports_it() -> None:
    """The search ends even in a freeze of ten years."""
    with pytest.raises(Frozen, match="does not reopen within 400 days") as caught:
        Calendar([window(lasts="P3650D")]).require_open("promote", "a", "production", CHRISTMAS_EVE)
    assert caught.value.facts == {"reopens": None}

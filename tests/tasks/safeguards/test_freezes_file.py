"""The file of the freeze calendar: what it may contain; a mistake closes everything."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.estate.errors import Misconfigured
from tasks.safeguards.freezes import load_calendar

ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {
    "rule": "deny",
    "name": "abc",
    "zone": "UTC",
    "start": "2026-01-01",
    "lasts": "P1D",
    "reason": "because",
    "owner": "Ann",
}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"rule": "forbid"}, "Entry 1 of .*freezes.yaml is not a window: rule: "),
        ({"zone": "Europe/Wien"}, "zone: 'Europe/Wien' is not an IANA time zone"),
        ({"zone": "../UTC"}, "not an IANA time zone"),
        ({"start": "2026-01-01T00:00:00Z"}, "start: it is local time"),
        ({"start": 20260101}, "start: it is local time"),
        ({"start": "1026-01-01"}, "a year between 2000 and 2200"),
        ({"lasts": 18}, "lasts: expected an ISO 8601 duration"),
        ({"lasts": "18 days"}, "lasts: expected an ISO 8601 duration"),
        ({"lasts": "P1M"}, "lasts: expected an ISO 8601 duration"),
        ({"lasts": "P1Y"}, "lasts: expected an ISO 8601 duration"),
        ({"lasts": "P"}, "lasts: expected an ISO 8601 duration"),
        ({"lasts": "P1DT"}, "lasts: expected an ISO 8601 duration"),
        ({"lasts": "-P1D"}, "lasts: expected an ISO 8601 duration"),
        ({"lasts": "PT0H"}, "lasts: expected more than nothing"),
        ({"lasts": "P9999999999999D"}, "at most ten years"),
        ({"recurs": "DAILY"}, "recurs: expected an RRULE that begins with FREQ="),
        ({"recurs": "FREQ=HOURLY"}, "recurs: expected an RRULE that begins with FREQ="),
        ({"recurs": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL=0 never recurs"),
        ({"recurs": "FREQ=DAILY;COUNT=0"}, "this RRULE never occurs"),
        ({"recurs": "FREQ=DAILY;UNTIL=20270101T000000Z"}, "UNTIL is local time"),
        ({"recurs": "FREQ=WEEKLY;BYDAY=XX"}, "this is not an RRULE"),
        ({"recurs": "FREQ=DAILY\nDTSTART:20260101"}, "expected an RRULE"),
        ({"destinations": "schul*"}, "destinations: "),
        ({"destinations": []}, "destinations: "),
        ({"environments": ["prod"]}, r"environments\.0: "),
        ({"reason": ""}, "reason: "),
    ],
)
def test_a_wrong_window_is_named_and_closes_everything(changed: dict[str, Any], named: str, tmp_path: Path) -> None:
    """A calendar with a mistake is an error and not an empty calendar; a number is not a duration."""
    path = tmp_path / "freezes.yaml"
    path.write_text(yaml.safe_dump([GOOD]))
    assert len(load_calendar(path).windows) == 1
    path.write_text(yaml.safe_dump([GOOD | changed]))
    with pytest.raises(Misconfigured, match=named):
        load_calendar(path)


def test_two_windows_of_one_name_are_refused(tmp_path: Path) -> None:
    """A plan overrides a window by its name, so names are unique."""
    path = tmp_path / "freezes.yaml"
    path.write_text(yaml.safe_dump([GOOD, GOOD | {"name": "ABC"}]))
    with pytest.raises(Misconfigured, match=r"freezes\.yaml: Two windows have the name 'abc'"):
        load_calendar(path)


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("P18D", timedelta(days=18)),
        ("P2W", timedelta(weeks=2)),
        ("PT90M", timedelta(minutes=90)),
        ("P1DT12H30M", timedelta(1, 45000)),
    ],
)
def test_durations_are_iso_8601(text: str, lasts: timedelta, tmp_path: Path) -> None:
    """A duration has weeks, days, hours and minutes."""
    path = tmp_path / "freezes.yaml"
    path.write_text(yaml.safe_dump([GOOD | {"lasts": text}]))
    assert load_calendar(path).windows[0].lasts == lasts


def test_the_shipped_calendar_is_empty_and_its_example_is_valid(tmp_path: Path) -> None:
    """The shipped file has no windows; its example, uncommented, has Christmas and release hours."""
    shipped = ROOT / "deployments" / "freezes.yaml"
    assert load_calendar(shipped).windows == ()
    example = [line[2:] for line in shipped.read_text().splitlines() if line.startswith(("# - ", "#   "))]
    path = tmp_path / "freezes.yaml"
    path.write_text("\n".join(example))
    christmas, hours = load_calendar(path).windows
    assert (christmas.start, christmas.lasts) == (datetime(2026, 12, 20), timedelta(days=18))
    assert hours.covers(datetime(2026, 1, 5, 8, tzinfo=UTC))
    assert not hours.covers(datetime(2026, 1, 9, 9, tzinfo=UTC))  # a Friday


def test_without_a_calendar_nothing_is_frozen(tmp_path: Path) -> None:
    """The file is optional."""
    assert (
        load_calendar(tmp_path / "none.yaml").closed_by("a", "production", datetime(2026, 12, 24, tzinfo=UTC)) is None
    )

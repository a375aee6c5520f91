"""Freeze windows: a reviewed calendar of when destinations may be overwritten, with IANA time zones and recurrence.

Deny windows override allow windows. If any allow window matches a destination, all time outside the allow windows is closed.
Restores are exempt: they must be possible when something is wrong. A call that was sent before a window began is not stopped.
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr
from pydantic import BeforeValidator, Field, field_validator, model_validator

from tasks.configuration.reviewed_files import read_entries
from tasks.estate.errors import Frozen, Misconfigured
from tasks.estate.sites import Environment, Immutable

LOOK_AHEAD = timedelta(days=400)  # how far a reopening is searched for: more than a year, for yearly windows
LONGEST = timedelta(days=3660)  # ten years; a longer window is a mistake
SLACK = timedelta(days=2)  # local time differs from UTC by at most 14 hours and a change of the clocks
# Weeks, days, hours and minutes. pydantic would also accept 18 as seconds, and P1M as 30 days.
DURATION = re.compile(r"P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?)?")

Span = tuple[datetime, datetime]  # UTC, without its last instant


def _duration(given: Any) -> Any:
    if isinstance(given, timedelta):
        return given
    found = DURATION.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise ValueError("expected an ISO 8601 duration in weeks, days, hours and minutes: P18D, P2W, PT8H, P1DT12H30M")
    weeks, days, hours, minutes = (int(number or 0) for number in found.groups())
    try:
        return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
    except OverflowError:
        return timedelta.max  # too long: refused by the validator of `lasts`


class Window(Immutable):
    """One window: allow or deny, for destinations whose names match, once or recurring.

    `start` is local time in `zone`, and so is the start of every recurrence (`recurs`, an RFC 5545 RRULE): 22:00 stays 22:00
    on both sides of a change of the clocks. Whole days of `lasts` are calendar days, hours are hours: P1D from midnight ends
    at midnight, PT8H ends eight hours later. A start in the hour that the clocks skip begins an hour later by the clock; a start
    in an hour that occurs twice is its first occurrence.
    """

    rule: Literal["allow", "deny"]
    name: str = Field(min_length=3, max_length=80)
    destinations: tuple[str, ...] = Field(("*",), min_length=1)
    environments: tuple[Environment, ...] = ()
    zone: str
    start: datetime
    lasts: Annotated[timedelta, BeforeValidator(_duration)]
    recurs: str = ""
    reason: str = Field(min_length=5)
    owner: str = Field(min_length=3)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not an IANA time zone, like Europe/Vienna") from None
        return zone

    @field_validator("start")
    @classmethod
    def _local(cls, start: datetime) -> datetime:
        if start.tzinfo is not None:
            raise ValueError("it is local time in `zone`; expected no offset, no Z, and no plain number")
        if not 2000 <= start.year <= 2200:
            raise ValueError("expected a year between 2000 and 2200")
        return start

    @field_validator("lasts")
    @classmethod
    def _some_time(cls, lasts: timedelta) -> timedelta:
        if not timedelta(0) < lasts <= LONGEST:
            raise ValueError("expected more than nothing, and at most ten years (P3660D)")
        return lasts

    @model_validator(mode="after")
    def _recurring(self) -> "Window":
        if self.recurs:
            if not re.fullmatch(r"FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;[A-Z]+=[A-Z0-9,+-]+)*", self.recurs):
                raise ValueError("recurs: expected an RRULE that begins with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY")
            if re.search(r";INTERVAL=0+(;|$)", self.recurs):  # dateutil would search for ever
                raise ValueError("recurs: INTERVAL=0 never recurs; expected 1 or more")
            if re.search(r";UNTIL=\w+Z(;|$)", self.recurs):
                raise ValueError("recurs: UNTIL is local time in `zone`; expected no Z")
            try:
                first = next(iter(self._rule()), None)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"recurs: this is not an RRULE: {error}") from None
            if first is None:
                raise ValueError("recurs: this RRULE never occurs")
        return self

    @property
    def mark(self) -> str:
        """Its name in the `overrides` of a plan."""
        return f"freeze:{self.name}"

    def matches(self, destination: str, environment: str) -> bool:
        """Return whether the window is for this destination. What is not known to be staging counts as production."""
        if not any(fnmatchcase(destination.casefold(), glob.casefold()) for glob in self.destinations):
            return False
        known = Environment(environment) if environment in {*map(str, Environment)} else Environment.UNKNOWN
        as_production = known.may_be_production and Environment.PRODUCTION in self.environments
        return not self.environments or known in self.environments or as_production

    def covers(self, moment: datetime) -> bool:
        """Return whether an occurrence contains the moment (aware); its last instant does not belong to it."""
        return any(begin <= moment < end for begin, end in self.spans(moment, moment))

    def spans(self, since: datetime, until: datetime) -> list[Span]:
        """Return the occurrences that may overlap this time (both ends aware), in order of their beginnings."""
        zone = ZoneInfo(self.zone)
        if self.recurs:
            first, last = (_naive(since) - self.lasts - SLACK, _naive(until) + SLACK)
            starts = self._rule().between(first, last, inc=True)
        else:
            starts = [self.start]
        return [(_placed(start, zone), self._end(start, zone)) for start in starts]

    def _end(self, start: datetime, zone: ZoneInfo) -> datetime:
        days = timedelta(days=self.lasts.days)
        return _placed(start + days, zone) + (self.lasts - days)

    def _rule(self) -> rrule:
        rule = rrulestr(self.recurs, dtstart=self.start)
        assert isinstance(rule, rrule), "one line is one rule"  # noqa: S101  # for the type checker
        return rule


def _placed(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


class Calendar:
    """All windows. Raises `Misconfigured` if two have the same name, because a plan overrides a window by its name."""

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        self.windows = tuple(windows)
        names = [window.name.casefold() for window in self.windows]
        for window in self.windows:
            if names.count(window.name.casefold()) > 1:
                raise Misconfigured(f"Two windows have the name {window.name!r}; expected one.")

    def closed_by(
        self, destination: str, environment: str, moment: datetime, *, overrides: Collection[str] = ()
    ) -> Window | None:
        """Return a window that closes this destination at this moment (aware), or None if it is open."""
        return next(iter(self.all_closing(destination, environment, moment, overrides=overrides)), None)

    def all_closing(
        self, destination: str, environment: str, moment: datetime, *, overrides: Collection[str] = ()
    ) -> tuple[Window, ...]:
        """Return every window that closes it: deny windows at this moment, then one allow window if the moment is outside of all.

        A break-glass plan must override each of these (`Window.mark`). Overriding one allow window opens the time outside of all
        of them.
        """
        denies, allows = self._about(destination, environment, overrides)
        closing = [window for window in denies if window.covers(moment)]
        if allows and not any(window.covers(moment) for window in allows):
            closing.append(allows[0])
        return tuple(closing)

    def reopens(
        self, destination: str, environment: str, moment: datetime, *, overrides: Collection[str] = ()
    ) -> datetime | None:
        """Return when it is open again (UTC): `moment` itself if it is open then, None if not within 400 days."""
        denies, allows = self._about(destination, environment, overrides)
        last = moment + LOOK_AHEAD
        closed = list(_merged(denies, moment, last))
        opened = list(_merged(allows, moment, last)) if allows else [(moment, last + LONGEST)]
        # It can only open when an allowed time begins or a denied one ends.
        edges = {moment, *(end for _, end in closed), *(begin for begin, _ in opened)}
        for edge in sorted(edge for edge in edges if moment <= edge < last):
            if _within(edge, opened) and not _within(edge, closed):
                return edge.astimezone(UTC)
        return None

    def require_open(
        self, verb: str, destination: str, environment: str, moment: datetime, *, overrides: Collection[str] = ()
    ) -> None:
        """Raise `Frozen` if it is closed, naming the window, its reason, and when it reopens (also as the fact `reopens`: ISO, UTC).

        A restore is exempt. A window whose mark is among `overrides` does not count: people approved a plan that contains it.
        """
        window = self.closed_by(destination, environment, moment, overrides=overrides)
        if verb == "restore" or window is None:
            return
        again = self.reopens(destination, environment, moment, overrides=overrides)
        when = f"it reopens at {_in_words(again, window.zone)}" if again else "it does not reopen within 400 days"
        kind = "is closed by" if window.rule == "deny" else "is only open in"
        raise Frozen(
            f"{destination} {kind} the freeze calendar's {window.name!r} ({window.reason}; owner {window.owner}); {when}.",
            reopens=again.isoformat() if again else None,
        )

    def _about(
        self, destination: str, environment: str, overrides: Collection[str]
    ) -> tuple[list[Window], list[Window]]:
        """Return the deny windows and the allow windows that count for this destination."""
        mine = [window for window in self.windows if window.matches(destination, environment)]
        denies = [window for window in mine if window.rule == "deny" and window.mark not in overrides]
        allows = [window for window in mine if window.rule == "allow"]
        return denies, [] if any(window.mark in overrides for window in allows) else allows


def _merged(windows: Iterable[Window], since: datetime, until: datetime) -> Iterator[Span]:
    """Yield the occurrences of all these windows as spans that do not touch, in order."""
    spans = sorted(span for window in windows for span in window.spans(since, until))
    while spans:
        begin, end = spans[0]
        joined = 0
        while joined < len(spans) and spans[joined][0] <= end:
            end = max(end, spans[joined][1])
            joined += 1
        yield begin, end
        spans = spans[joined:]


def _within(moment: datetime, spans: list[Span]) -> bool:
    """Return whether one of these spans, which are in order and do not touch, contains the moment."""
    before = bisect_right(spans, moment, key=lambda span: span[0])
    return before > 0 and moment < spans[before - 1][1]


def _in_words(moment: datetime, zone: str) -> str:
    utc = f"{moment:%Y-%m-%d %H:%M} UTC"
    return utc if zone == "UTC" else f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone} ({utc})"


def load_calendar(path: Path) -> Calendar:
    """Return the calendar of a YAML file; without the file it has no windows.

    Raises `Misconfigured`, which closes everything, if the file cannot be read or an entry is wrong: it may be a freeze.
    """
    windows = read_entries(path, Window, called="a window")
    try:
        return Calendar(windows)
    except Misconfigured as error:
        raise Misconfigured(f"{path}: {error.message}") from None

"""Dates: birth dates reduced to a year, and dates moved by a keyed offset that keeps the intervals of one person."""

import re
from typing import Annotated, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import Field

from tasks.masking.makers.maker import Maker, Place, Row
from tasks.masking.session_settings import Session

# How the three types print (ISO, UTC). A masked NULL counts as this one.
EPOCH = {"date": "1970-01-01", "timestamp": "1970-01-01 00:00:00", "timestamptz": "1970-01-01 00:00:00+00"}
PRINTED = re.compile(r"(\d{4,})-(\d\d)-(\d\d)(.*?)( BC)?", re.DOTALL)
ERA = 146_097  # days in 400 years of the Gregorian calendar


class Dated(Maker):
    """A maker for date, timestamp and timestamptz columns."""

    def problems(self, place: Place) -> list[str]:
        """Require one of the three types: dates in text have too many forms to read safely."""
        if place.column.array:
            return [f"{place.column.type} is an array: use `array` with a maker for each element"]
        return [] if place.column.base in EPOCH else [f"{place.column.type} is not a date or timestamp"]


class DateShift(Dated):
    """The same moment on another day: moved by an odd number of days, at most `days`, never zero.

    One offset per `by` keeps the intervals of a person; without `by`, one per value. Infinity stays.
    """

    maker: Literal["date_shift"] = "date_shift"
    days: Annotated[int, Field(ge=1, le=36_500)] = 90

    @property
    def _half(self) -> int:
        return (self.days + 1) // 2

    def sql(self, place: Place, session: Session) -> Composable:
        """Return an expression of the column's own type. Offsets are odd, so that one number is sign and size and never zero."""
        epoch = EPOCH[place.column.base]
        drawn = SQL("mod({}, {})").format(session.number(place.group, place.message), Quoted(2 * self._half))
        offset = SQL("(2 * {} - {})::int").format(drawn, Quoted(2 * self._half - 1))
        kind = SQL(place.column.base)
        start = SQL("coalesce({}::{}, {}::{})").format(place.read, kind, Quoted(epoch), kind)
        step = offset if place.column.base == "date" else SQL("make_interval(days => {})").format(offset)
        return SQL("{} + {}").format(start, step)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        number = session.number_of(place.group, place.message_of(original, row))
        return moved(original or EPOCH[place.column.base], 2 * (number % (2 * self._half)) - (2 * self._half - 1))


class BirthDate(Dated):
    """A birth date as 1 January of its year (`year`) or of the first year of a band of `band` years (`band`), or moved
    like any date (`shift`, by at most `days`). Infinity stays.
    """

    maker: Literal["birth_date"] = "birth_date"
    mode: Literal["year", "band", "shift"] = "year"
    band: Annotated[int, Field(ge=2, le=100)] = 5
    days: Annotated[int, Field(ge=1, le=36_500)] = 90

    def sql(self, place: Place, session: Session) -> Composable:
        """Return an expression of the column's own type; timestamps become midnight."""
        if self.mode == "shift":
            return DateShift(days=self.days).sql(place, session)
        kind = SQL(place.column.base)
        read = SQL("coalesce({}::{}, 'epoch')").format(place.read, kind)
        if self.mode == "year":
            # Without this cast a date takes twice as long.
            start = SQL("{}::timestamp").format(read) if place.column.base == "date" else read
            return SQL("date_trunc('year', {})::{}").format(start, kind)
        year = SQL("extract(year FROM {})::int / {} * {}").format(read, Quoted(self.band), Quoted(self.band))
        first = SQL("make_date(coalesce(nullif({}, 0), 1), 1, 1)::{}").format(year, kind)
        return SQL("CASE WHEN isfinite({}) THEN {} ELSE {} END").format(read, first, read)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        if self.mode == "shift":
            return DateShift(days=self.days).value(original, place, session, row)
        epoch = EPOCH[place.column.base]
        printed = PRINTED.fullmatch(original or epoch)
        if printed is None:
            return original
        year, era = int(printed[1]), printed[5] or ""
        if self.mode == "band":
            year = year // self.band * self.band
            year, era = (year, era) if year else (1, "")
        return f"{year:04}-01-01{epoch[10:]}{era}"


def moved(printed: str, days: int) -> str:
    """Return a printed date or timestamp, `days` later. Python's own dates end at 9999 and have no years BC."""
    parts = PRINTED.fullmatch(printed)
    if parts is None:
        return printed  # infinity and -infinity
    year = 1 - int(parts[1]) if parts[5] else int(parts[1])  # 1 BC is the year 0 of astronomers
    year, month, day = _civil(_ordinal(year, int(parts[2]), int(parts[3])) + days)
    shown, suffix = (year, "") if year > 0 else (1 - year, " BC")
    return f"{shown:04}-{month:02}-{day:02}{parts[4]}{suffix}"


def _ordinal(year: int, month: int, day: int) -> int:
    """Return the days since 1 March of the year 0: years that begin in March have their leap day at the end."""
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    era, of_era = divmod(year, 400)
    return era * ERA + of_era * 365 + of_era // 4 - of_era // 100 + (153 * month + 2) // 5 + day - 1


def _civil(ordinal: int) -> tuple[int, int, int]:
    """Return year, month and day: the inverse of `_ordinal`."""
    era, of_era = divmod(ordinal, ERA)
    year = next(y for y in range(of_era // 365, -1, -1) if y * 365 + y // 4 - y // 100 <= of_era)
    of_year = of_era - (year * 365 + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    return era * 400 + year + (month >= 10), month + 3 if month < 10 else month - 9, day

"""The calendar of one place: its nights, and the freeze windows and holds that close it, for the next days."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployments.place_status import Circumstances, night_at
from deployments.places import Place
from tasks.estate.outcomes import GREEN
from tasks.estate.sites import Environment
from tasks.safeguards.holds import active_holds

AHEAD = timedelta(days=14)  # what the calendar shows


@dataclass(frozen=True)
class Entry:
    """One line. Times are UTC. `marked` is what deserves a look: what closes the place, and a night that may not run."""

    at: datetime
    what: str
    result: str
    until: datetime | None = None
    marked: bool = True


def calendar_of(place: Place, around: Circumstances, starts: Mapping[str, Sequence[datetime]]) -> list[Entry]:
    """Return what happens to a place from now on, by time. `starts` are the starts of each scheduled deployment, by its name."""
    found = [*_nights(place, around, starts), *_freezes(place, around), *_holds(place, around)]
    return sorted(found, key=lambda entry: entry.at)


def _nights(place: Place, around: Circumstances, starts: Mapping[str, Sequence[datetime]]) -> Iterator[Entry]:
    name = place.destination.casefold()
    verified = any(run.outcome in GREEN for run in around.runs if run.destination.casefold() == name)
    for nightly in place.nightly:
        for at in starts.get(nightly.name, ()):
            night = night_at(place, at, around, verified=verified)
            word = {True: "runs", False: "does not run", None: "not known"}[night.runs]
            result = f"{word}: {night.why}" if night.why else word
            yield Entry(at, nightly.name, result, marked=not night.runs)


def _freezes(place: Place, around: Circumstances) -> Iterator[Entry]:
    environment = Environment.PRODUCTION if place.production else Environment.STAGING
    until = around.now + AHEAD
    for window in around.calendar.windows:
        if window.matches(place.destination, environment.value):
            closes = window.rule == "deny"
            kind, when = ("Freeze", "During it") if closes else ("Open", "Outside of such windows")
            result = (
                f"{when} nothing but a restore overwrites it, unless two people approve a reason to break the freeze."
            )
            for begin, end in window.spans(around.now, until):
                if begin < until and end > around.now:
                    yield Entry(begin, f"{kind} {window.name!r}: {window.reason}", result, end, marked=closes)


def _holds(place: Place, around: Circumstances) -> Iterator[Entry]:
    for hold in active_holds(around.ledger, place.destination, around.now):
        what = f"Held by {hold.by}: {hold.reason}"
        yield Entry(hold.placed_at, what, "No run by schedule overwrites it.", hold.until)

"""How each place stands: last verified, next night and whether it will run, holds, and what waits. From the ledger and the files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deployments.places import Place
from tasks.estate.errors import UnderstudyError
from tasks.estate.outcomes import LOADED, VERIFIED
from tasks.estate.sites import Environment
from tasks.ledger.approval_requests import ApprovalRequest, open_requests
from tasks.ledger.facts import PLANNED
from tasks.ledger.ledger import Fact, Ledger
from tasks.safeguards.freezes import Calendar
from tasks.safeguards.holds import Hold, active_holds
from tasks.safeguards.risk_rules import RiskRules
from tasks.safeguards.scheduled_run_conditions import require_line_not_stopped, require_no_failures_in_a_row
from tasks.signoff.history import RunRecord, history
from tasks.signoff.leads import Leads
from tasks.signoff.standing import StandingApproval, why_invalid

GOOD = (VERIFIED, LOADED)
EARLIEST = timedelta(days=3650)  # how far back the ledger is read: everything


@dataclass(frozen=True)
class Night:
    """The next scheduled run of a place. `runs` is None if that is not known; `why` is the first reason if it does not run."""

    at: datetime | None
    runs: bool | None
    why: str = ""


@dataclass(frozen=True)
class PlaceStatus:
    """How one place stands. `verified` and `last` are the last run that ended well, and the last that ended."""

    place: Place
    verified: RunRecord | None = None
    last: RunRecord | None = None
    night: Night | None = None
    holds: tuple[Hold, ...] = ()
    waiting: tuple[ApprovalRequest, ...] = ()


@dataclass(frozen=True)
class Circumstances:
    """What decides about nights: the ledger with its runs, the reviewed files, and when Prefect starts which deployment.

    `starts` is None if Prefect did not answer.
    """

    ledger: Ledger
    facts: Sequence[Fact]
    rules: RiskRules
    leads: Leads
    calendar: Calendar
    starts: Mapping[str, datetime] | None
    now: datetime
    runs: tuple[RunRecord, ...] = field(init=False)

    def __post_init__(self) -> None:
        read = history(self.facts, since=self.now - EARLIEST, until=self.now)
        object.__setattr__(self, "runs", read.runs)


def status_of(place: Place, around: Circumstances) -> PlaceStatus:
    """Return how one place stands."""
    runs = [run for run in around.runs if run.destination.casefold() == place.destination.casefold() and run.ended]
    runs.sort(key=lambda run: run.ended or around.now)
    verified = [run for run in runs if run.outcome in GOOD]
    waiting = [each for each in open_requests(around.ledger) if each.destination == place.destination]
    return PlaceStatus(
        place,
        verified=verified[-1] if verified else None,
        last=runs[-1] if runs else None,
        night=next_night(place, around, verified=bool(verified)),
        holds=tuple(active_holds(around.ledger, place.destination, around.now)),
        waiting=tuple(waiting),
    )


def next_night(place: Place, around: Circumstances, *, verified: bool) -> Night | None:
    """Return the next scheduled run of a place, or None if nothing is scheduled and no standing approval names it.

    `verified`: whether a run onto it ever ended well.
    """
    if not place.nightly and not place.standing:
        return None
    if around.starts is None:
        opens = [opened for entry in place.standing if (opened := entry.opens_next(around.now))]
        return Night(min(opens, default=None), None, "Prefect does not answer, so its schedules are not known.")
    planned = [around.starts[each.name] for each in place.nightly if each.name in around.starts]
    if not planned:
        paused = [each.name for each in place.nightly if each.paused]
        why = f"The schedule of {', '.join(paused)} is paused." if paused else "No deployment is scheduled for it."
        return Night(None, False, why)
    return night_at(place, min(planned), around, verified=verified)


def night_at(place: Place, at: datetime, around: Circumstances, *, verified: bool) -> Night:
    """Return whether a scheduled run of a place at this time will overwrite it, as far as that is known now."""
    if why := next(_obstacles(place, at, around), ""):
        return Night(at, False, why)
    if verified:
        return Night(at, True)
    if place.database:
        return Night(at, False, "The ledger has no load of it: the first one needs a person. Start `reload` once.")
    return Night(at, None, "The ledger has no verified copy onto it: the run is skipped if it differs from its source.")


def _obstacles(place: Place, at: datetime, around: Circumstances) -> Iterator[str]:
    """Yield why the scheduled run at that time would not overwrite the place, as far as that is known now."""
    refusals = [_uncovered(entry, at, around) for entry in place.standing]
    if not refusals or all(refusals):
        yield refusals[0] if refusals else "No standing approval names it, so the run ends as NotApproved."
    for hold in active_holds(around.ledger, place.destination, at):
        yield f"It is {hold.words}."
    for request in open_requests(around.ledger):
        spoilt = request.verb in ("promote", "restore") and {place.source, place.destination} & {request.destination}
        if spoilt and at < request.answer_by:
            yield f"Plan {request.code} of {request.destination} waits for an answer until then."
    environment = Environment.STAGING.value
    for window in around.calendar.all_closing(place.destination, environment, at):
        yield f"The freeze window {window.name!r} closes it: {window.reason}"
    yield from _failures(place, around)


def _uncovered(entry: StandingApproval, at: datetime, around: Circumstances) -> str:
    if why := why_invalid(entry, around.leads, at):
        return f"The standing approval does not cover it: {why}"
    if not entry.is_open(at):
        return f"The standing approval does not cover it: its window is closed at {entry.local(at):%H:%M} {entry.zone}."
    return ""


def _failures(place: Place, around: Circumstances) -> Iterator[str]:
    ids = {
        fact.destination_id for fact in around.facts if fact.kind in PLANNED and _destination(fact) == place.destination
    }
    try:
        for each in sorted(ids):
            require_no_failures_in_a_row(around.ledger, each, place.destination, around.rules.failures_in_a_row)
        require_line_not_stopped(around.ledger, around.rules, around.now)
    except UnderstudyError as skipped:
        yield skipped.message


def _destination(fact: Fact) -> str:
    return fact.text("pair", "destination", "name") or fact.text("hostname")

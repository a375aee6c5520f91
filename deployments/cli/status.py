"""`status` and `history`: how each place stands, and what was done to one. Both read the ledger, and run where the worker runs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from deployments.cli.ledger import open_existing_ledger
from deployments.cli.output import Alert, Caution, Result, columns, print_aside
from deployments.place_status import EARLIEST, Circumstances, Night, PlaceStatus, status_of
from deployments.places import Place, known_places
from deployments.prefect_server import connected
from deployments.schedules import every_deployment, next_starts
from tasks.configuration.estate_file import load_estate
from tasks.configuration.settings import load_settings
from tasks.estate.errors import NotFound, UnderstudyError
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Ledger
from tasks.runtime.resources import read_leads, read_rules
from tasks.safeguards.freezes import load_calendar
from tasks.signoff.history import RunRecord
from tasks.signoff.history import history as read_history
from tasks.signoff.standing import load_standing

WHERE = Annotated[str, typer.Argument(metavar="PLACE", help="Name of an install, or hostname of a database.")]


def status(
    place: Annotated[
        str, typer.Argument(metavar="[PLACE]", help="An install or hostname; without it, every place.")
    ] = "",
) -> Result:
    """Show how each place stands: last verified, next night and whether it will run, holds, and what waits.

    Places are known from the estate, the standing approvals, the deployments in Prefect and the ledger. What only the night
    itself can see, like work on staging that was never promoted, may still skip a run.
    """
    with open_existing_ledger() as ledger:
        places, around = _look(ledger)
        found = [status_of(each, around) for each in _chosen(places, place)]
    documents = [_document(each, around.now) for each in found]
    if not found:
        return Result({"places": []}, ["No place is known yet: describe one in the estate, or start a run."])
    rows = [_row(each, around.now) for each in found]
    head = ("place", "site", "last verified", "last outcome", "next night")
    lines: list[str] = [*columns(rows, head=head), ""]
    for each in found:
        lines += _remarks(each)
    return Result({"places": documents}, lines)


def history(
    place: WHERE,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many runs are shown, the newest first.")] = 20,
) -> Result:
    """Show what was done to one place, from the ledger: runs, who asked, who approved, how they ended; and holds."""
    now = utc_now()
    with open_existing_ledger() as ledger:
        facts = ledger.facts()
        read = read_history(facts, since=now - EARLIEST, until=now, destination=place)
        if not read.runs and not read.holds:
            everything = read_history(facts, since=now - EARLIEST, until=now)
            names = sorted({run.destination for run in everything.runs if run.destination})
            raise NotFound(
                f"The ledger has no run and no hold of {place!r}.",
                next_step=f"It knows: {', '.join(names) or 'no place yet'}.",
            )
    runs = sorted(read.runs, key=lambda run: run.at, reverse=True)
    document = {
        "place": place,
        "runs": [run.model_dump(mode="json") for run in runs[:limit]],
        "holds": [hold.model_dump(mode="json") for hold in read.holds],
        "left_out": max(0, len(runs) - limit),
    }
    lines = columns(
        [_past(run) for run in runs[:limit]], head=("began", "verb", "from", "outcome", "approved by", "run")
    )
    holds = [
        f"Held from {hold.at:%Y-%m-%d %H:%M} until {hold.until} by {hold.by}: {hold.reason}" for hold in read.holds
    ]
    more = [f"{len(runs) - limit} older runs are left out: --limit {len(runs)}"] if len(runs) > limit else []
    return Result(document, [*(lines if runs else []), *more, *holds])


def _look(ledger: Ledger) -> tuple[list[Place], Circumstances]:
    settings, now = load_settings(), utc_now()
    deployments, starts = _prefect()
    standing = load_standing(settings.standing_file)
    around = Circumstances(
        ledger, ledger.facts(), read_rules(), read_leads(), load_calendar(settings.freeze_file), starts, now
    )
    return known_places(load_estate(settings.estate_file), standing, deployments, around.runs), around


def _prefect() -> tuple[Sequence[Any], dict[str, datetime] | None]:
    """Return the deployments and when they start next; nothing and None if Prefect does not answer."""
    try:
        with connected() as server:
            return every_deployment(server.client), next_starts(server.client)
    except UnderstudyError as error:
        print_aside(Caution(f"{error.message} {error.next_step} The rest is from the ledger and the files."))
        return (), None


def _chosen(places: Sequence[Place], name: str) -> list[Place]:
    found = [
        each for each in places if not name or name.casefold() in (each.destination.casefold(), each.site.casefold())
    ]
    if name and not found:
        known = ", ".join(each.destination for each in places) or "no place yet"
        raise NotFound(f"No place is called {name!r}.", next_step=f"Known are: {known}.")
    return found


def _row(found: PlaceStatus, now: datetime) -> list[str]:
    verified = found.verified
    since = f"{age(now - verified.ended)} ago" if verified and verified.ended else "never"
    night = _night(found.night)
    return [found.place.destination, found.place.site, since, found.last.outcome if found.last else "", night]


def _night(night: Night | None) -> str:
    if night is None:
        return "none"
    at = f"{night.at:%Y-%m-%d %H:%M} UTC" if night.at else "none"
    return f"{at}: {'runs' if night.runs else 'not known' if night.runs is None else 'will not run'}"


def _remarks(found: PlaceStatus) -> list[str]:
    name = found.place.destination
    remarks: list[str] = []
    if found.night is not None and found.night.why:
        kind = Caution if found.night.runs is None else Alert
        remarks.append(kind(f"{name}: {found.night.why}"))
    remarks += [Caution(f"{name} is {hold.words}.") for hold in found.holds]
    remarks += [
        Caution(
            f"{name}: plan {each.code} ({each.verb}) waits until {each.answer_by:%Y-%m-%d %H:%M} UTC: understudy show {each.code}"
        )
        for each in found.waiting
    ]
    return remarks


def _document(found: PlaceStatus, now: datetime) -> dict[str, Any]:
    place, night, verified, last = found.place, found.night, found.verified, found.last
    ended = verified.ended if verified else None
    return {
        "place": place.destination,
        "source": place.source,
        "site": place.site,
        "owners": list(place.owners),
        "database": place.database,
        "last_verified": {
            "at": ended.isoformat(),
            "run": verified.run_id,
            "seconds_ago": int((now - ended).total_seconds()),
        }
        if verified and ended
        else None,
        "last": {"outcome": last.outcome, "verb": last.verb, "run": last.run_id} if last else None,
        "next_night": {"at": night.at.isoformat() if night.at else None, "runs": night.runs, "why": night.why}
        if night
        else None,
        "holds": [{"until": hold.until.isoformat(), "by": hold.by, "reason": hold.reason} for hold in found.holds],
        "waiting": [
            {"plan": each.code, "verb": each.verb, "run": each.run_id, "answer_by": each.answer_by.isoformat()}
            for each in found.waiting
        ],
    }


def _past(run: RunRecord) -> list[str]:
    who = ", ".join(answer.name for answer in run.answers if answer.decision.startswith("approve")) or run.approver
    return [f"{run.at:%Y-%m-%d %H:%M} UTC", run.verb, run.source, run.outcome or "open", who, run.run_id]


def age(apart: timedelta) -> str:
    """Return a length of time in the largest unit of which there are two."""
    seconds = int(apart.total_seconds())
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"

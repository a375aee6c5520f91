"""What can be started from the desk: a run onto a place, its hold, and the undo of a run. Each is a run that the worker checks.

A run that overwrites asks for an approval, whoever started it: to start one is no right, in Prefect neither.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployments.places import Place
from tasks.estate.errors import Misconfigured, NotApproved
from tasks.estate.estate import Estate
from tasks.safeguards.holds import require_valid
from tasks.signoff.history import RunRecord

UNDONE = ("promote", "refresh", "provision")  # verbs whose runs `restore` can undo
SHORTEST_NAME, LONGEST_NAME = 3, 80  # characters, as in the start forms
NOTHING = "Nothing was started."


@dataclass(frozen=True)
class Start:
    """A run to be started: the flow, which is also the name of its deployment, and its parameters."""

    flow: str
    parameters: Mapping[str, Any]
    word: str = ""  # that ends a hold early; only whoever placed it gets it


@dataclass(frozen=True)
class Offer:
    """What can be started onto a place, and from which sources."""

    flow: str
    sources: tuple[str, ...]
    database: bool  # whether the database travels unless somebody chooses otherwise


def offer_of(place: Place, estate: Estate, runs: Sequence[RunRecord]) -> Offer | None:
    """Return what can be started onto a place; None if nobody names a source of it. `runs` are those onto it, newest first."""
    if place.database:
        known = next((each.policy for each in estate.databases if each.hostname == place.destination), place.source)
        return Offer("reload", (known,), database=True) if known else None
    site = estate.site_of(place.destination)
    if site is not None and site.production != place.destination:
        return Offer("refresh", (site.production,), database=True)
    if site is not None:
        return Offer("promote", site.lower, database=False) if site.lower else None
    last = next((run for run in runs if run.verb in UNDONE and run.source), None)
    if last is not None:
        flow = "promote" if last.verb == "promote" else "refresh"
        return Offer(flow, (last.source,), database=flow == "refresh")
    return Offer("refresh", (place.source,), database=True) if place.source else None


def run_onto(place: Place, offer: Offer | None, given: Mapping[str, str]) -> Start:
    """Return the run that somebody filled in. Raises `NotApproved` for what no run could have."""
    source = given.get("source", "")
    if offer is None or source not in offer.sources:
        raise NotApproved(f"{source!r} is no source of {place.destination}.", next_step=NOTHING)
    parameters: dict[str, Any] = {"requested_by": _name(given)}
    if offer.flow == "reload":
        return Start(offer.flow, parameters | {"hostname": place.destination, "policy": source})
    what = {name: given.get(name) == "yes" for name in ("files", "database")}
    if not any(what.values()):
        raise NotApproved("Neither files nor the database are chosen.", next_step=NOTHING)
    return Start(offer.flow, parameters | {"source": source, "destination": place.destination, **what})


def hold_of(destination: str, given: Mapping[str, str], now: datetime) -> Start:
    """Return the run that holds a place. Raises `Misconfigured` for an end, name or reason that is not accepted."""
    until, reason, name = _moment(given), given.get("why", ""), given.get("who", "")
    require_valid(until=until, by=name, reason=reason, now=now)
    word = secrets.token_urlsafe(16)
    release = hashlib.sha256(word.encode()).hexdigest()
    asked = {"destination": destination, "until": until.isoformat(), "reason": reason, "your_name": name}
    return Start("hold", asked | {"end_hold": False, "release": release}, word)


def undo_of(run_id: str, given: Mapping[str, str]) -> Start:
    """Return the run that undoes another one."""
    asked = {"promotion": run_id, "requested_by": _name(given), "database": given.get("database") == "yes"}
    return Start("restore", asked)


def _name(given: Mapping[str, str]) -> str:
    name = " ".join(given.get("who", "").split())
    if not SHORTEST_NAME <= len(name) <= LONGEST_NAME:
        raise NotApproved(
            f"The name has {len(name)} characters; expected {SHORTEST_NAME} to {LONGEST_NAME}.", next_step=NOTHING
        )
    return name


def _moment(given: Mapping[str, str]) -> datetime:
    """Return the time that was picked: in UTC if the browser converted it, otherwise typed as UTC."""
    text = given.get("until_utc", "") or given.get("until", "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"{text[:40]!r} is no date and time.", next_step="Nothing is held.") from None
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)

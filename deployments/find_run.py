"""Find one run by what a person types: its id, the code of its plan, a place, its name, or the beginning of one."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from prefect.client.schemas.objects import FlowRun

from deployments.open_requests import find_past_run
from deployments.prefect_server import Server
from tasks.estate.errors import Misconfigured, NotFound
from tasks.estate.form_choices import chosen_database, chosen_name, chosen_pair

PREFIX = re.compile("[0-9a-f][0-9a-f-]{3,35}")  # of an id: shorter ones are words
RECENT = 500  # runs that are searched, the newest


def find_run(server: Server, named: str) -> FlowRun:
    """Return the run that is meant: the newest one, where several runs have one name or one place.

    Raise `NotFound` if none is, or if what was typed is the beginning of several names or ids.
    """
    run = find_past_run(server, named)
    if run is not None:
        return run
    runs, wanted = server.recent(RECENT), named.casefold()
    for run in runs:
        if wanted == run.name.casefold() or wanted in map(str.casefold, places_of(run)):
            return run
    begun = {_label(run, wanted): run for run in reversed(runs) if _label(run, wanted)}
    if len(begun) == 1:
        return next(iter(begun.values()))
    if begun:
        shown = [f"{run.name} ({str(run.id)[:8]})" for run in begun.values()]
        raise NotFound(
            f"{len(begun)} runs begin with {named!r}: {', '.join(shown[-5:])}.", next_step="Type more of it."
        )
    raise NotFound(
        f"None of the newest {RECENT} runs is called {named!r}, and none is about a place of that name.",
        next_step="`understudy waiting` lists the runs that wait; Prefect's page Runs lists all.",
    )


def _label(run: FlowRun, wanted: str) -> str:
    """Return the name or id that begins so; empty if neither does."""
    if run.name.casefold().startswith(wanted):
        return run.name
    return str(run.id) if PREFIX.fullmatch(wanted) and str(run.id).startswith(wanted) else ""


def places_of(run: FlowRun) -> list[str]:
    """Return the places that a run is about: what it overwrites, holds or looks at, as far as its parameters tell."""
    return [place for place in _places(run.parameters) if place]


def _places(given: Mapping[str, Any]) -> Iterator[str]:
    text = {name: value for name, value in given.items() if isinstance(value, str)}
    with suppress(Misconfigured):
        yield chosen_pair(text.get("site", ""), text.get("source", ""), text.get("destination", ""))[1]
    with suppress(Misconfigured):
        yield chosen_database(text.get("loaded", ""), text.get("policy", ""), text.get("hostname", ""))[1]
    for name in ("install", "destination"):
        yield chosen_name(text.get(name, ""))
    if "source" in text:
        yield text.get("name", "")  # the install that a run provisions
    yield text.get("promotion", "").partition(": ")[0]  # of a run to undo, if it was picked from the list

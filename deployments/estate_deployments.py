"""The deployments of an estate: every flow of prefect.yaml with a form of its choices, and one scheduled run for each night.

`understudy deploy` writes them to Prefect. Descriptions, tags and limits are those of prefect.yaml; its nightly deployments are
examples for one pair, and the nights of the estate take their place.
"""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow

from deployments.start_forms import parameters_of, schema_of
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Database, Estate, Nightly, Site

PROJECT = Path(__file__).resolve().parents[1]
NIGHTLY = "nightly"  # tag of a deployment that a schedule starts for one pair; the beginning of its name
BY_SCHEDULE = "nightly schedule"
WHO = {
    "standing": "Nobody is asked: the reviewed file `deployments/standing.yaml` must cover exactly this pair.",
    "ask": "Each run waits for a lead's answer on its page (button **Resume**).",
}


@dataclass(frozen=True)
class Schedule:
    """When a deployment starts by itself. `slug` names the schedule in Prefect."""

    slug: str
    cron: str
    zone: str

    def __str__(self) -> str:
        """Return the schedule as people read it: a time of each day, or the cron line."""
        minute, hour, *days = self.cron.split()
        daily = days == ["*", "*", "*"] and minute.isdecimal() and hour.isdecimal()
        return f"every day at {int(hour):02}:{int(minute):02} {self.zone}" if daily else f"{self.cron} {self.zone}"


@dataclass(frozen=True)
class Wanted:
    """One deployment as it should be in Prefect."""

    flow: str
    name: str
    entrypoint: str
    description: str
    tags: tuple[str, ...]
    version: str
    pool: str
    limit: int
    collision: str
    parameters: dict[str, Any]
    schema: dict[str, Any]
    schedules: tuple[Schedule, ...] = ()

    @property
    def full_name(self) -> str:
        """Flow and deployment, as Prefect names both."""
        return f"{self.flow}/{self.name}"


def wanted_deployments(estate: Estate, *, undoable: Sequence[str] = ()) -> list[Wanted]:
    """Return every deployment of the estate. Raise `Misconfigured` for an estate without entries.

    `undoable`: choices of the runs that `restore` can undo.
    """
    if not estate.sites and not estate.databases:
        raise Misconfigured(
            "The estate describes neither a site nor a database; expected one of them.",
            next_step="Nothing was changed. Describe it in the estate file (docs/estate.md), or use `prefect deploy --all`.",
        )
    listed = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    by_flow = {each["name"]: each for each in listed if NIGHTLY not in each["tags"]}
    plain = [_plain(entry, estate, undoable) for entry in by_flow.values()]
    return [*plain, _end_of_holds(by_flow["hold"], estate), *_nights(estate, by_flow)]


def _plain(entry: dict[str, Any], estate: Estate, undoable: Sequence[str]) -> Wanted:
    flow = _flow(entry)
    schedules = tuple(Schedule(each["slug"], each["cron"], each["timezone"]) for each in entry.get("schedules", ()))
    return _wanted(
        entry,
        description=entry["description"],
        parameters=parameters_of(flow, estate) | entry.get("parameters", {}),
        schema=schema_of(flow, estate, undoable=undoable),
        schedules=schedules,
    )


def _end_of_holds(entry: dict[str, Any], estate: Estate) -> Wanted:
    """Return the form that ends holds: it needs neither a time nor a reason, which the form of `hold` does."""
    return _wanted(
        entry | {"name": "end-hold"},
        description="Ends the holds of one destination early. The run asks for the owner's release word or a lead's proof.",
        parameters={"end_hold": True},
        schema=schema_of(_flow(entry), estate, deployment="end-hold"),
    )


def _nights(estate: Estate, by_flow: dict[str, dict[str, Any]]) -> Iterator[Wanted]:
    for site in estate.sites:
        if site.nightly is not None:
            yield _refresh_night(site, site.nightly.destination, site.nightly, by_flow["refresh"])
    for database in estate.databases:
        if database.nightly is not None:
            yield _reload_night(database, database.nightly, by_flow["reload"])


def _refresh_night(site: Site, role: str, nightly: Nightly, entry: dict[str, Any]) -> Wanted:
    destination = str(getattr(site, role))
    # probable: after a day without changes, no content distinguishes the copy from what was there before (docs/evidence.md).
    pair = {"source": site.production, "destination": destination, "proceed_when": "probable"}
    what = f"overwrites **{destination}** with **{site.production}** ({site.name})"
    return _night(entry, f"{NIGHTLY}-{destination}", what, nightly, site.owners, pair)


def _reload_night(database: Database, nightly: Nightly, entry: dict[str, Any]) -> Wanted:
    pair = {"hostname": database.hostname, "policy": database.policy}
    what = f"replaces the data of **{database.hostname}** with an anonymized dump of {database.source_hostname} ({database.name})"
    return _night(entry, f"{NIGHTLY}-{database.policy}", what, nightly, database.owners, pair)


def _night(
    entry: dict[str, Any], name: str, what: str, nightly: Nightly, owners: Sequence[str], pair: dict[str, Any]
) -> Wanted:
    opens = nightly.window.opens
    owned = f" Owned by {', '.join(owners)}." if owners else ""
    return _wanted(
        entry | {"name": name, "tags": [*entry["tags"][:2], NIGHTLY, *entry["tags"][2:]]},
        description=f"Every day at {opens:%H:%M} {nightly.zone}, {what}. {WHO[nightly.approval]}{owned}",
        parameters=pair | {"approval": nightly.approval, "requested_by": BY_SCHEDULE},
        schema=_flow(entry).parameters.model_dump(mode="json"),
        schedules=(Schedule(NIGHTLY, f"{opens.minute} {opens.hour} * * *", nightly.zone),),
    )


def _wanted(entry: dict[str, Any], **given: Any) -> Wanted:
    limit = entry["concurrency_limit"]
    return Wanted(
        flow=entry["entrypoint"].rpartition(".")[2],
        name=entry["name"],
        entrypoint=entry["entrypoint"],
        tags=tuple(entry["tags"]),
        version=entry["version"],
        pool=entry["work_pool"]["name"],
        limit=limit["limit"],
        collision=limit["collision_strategy"],
        **given,
    )


def _flow(entry: dict[str, Any]) -> Flow[..., Any]:
    module, _, name = entry["entrypoint"].rpartition(".")
    flow: Flow[..., Any] = getattr(importlib.import_module(module), name)
    return flow

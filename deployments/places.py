"""Places: the installs and databases that are overwritten, as far as estate, standing approvals, deployments and ledger know them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.estate.estate import Estate
from tasks.signoff.history import RunRecord
from tasks.signoff.standing import StandingApproval

DATABASES = ("load_dump", "reload")  # verbs whose destination is a hostname


@dataclass(frozen=True)
class Nightly:
    """A deployment that a schedule starts: its name, and the verb that it runs."""

    name: str
    paused: bool = False


@dataclass(frozen=True)
class Place:
    """One destination. `source` is an install, or an application for a database; "" if nobody names one."""

    destination: str
    source: str = ""
    database: bool = False
    site: str = ""  # the name that people use
    owners: tuple[str, ...] = ()
    standing: tuple[StandingApproval, ...] = ()
    nightly: tuple[Nightly, ...] = ()
    production: bool = False  # as the estate describes it


@dataclass
class _Known:
    """Places by destination, the first source that is known of each."""

    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, destination: str, **facts: Any) -> dict[str, Any]:
        """Add what is known of a place, and return everything that is; what was known first stays."""
        known = self.found.setdefault(destination, {"destination": destination})
        for name, value in facts.items():
            known[name] = known.get(name) or value
        return known


def known_places(
    estate: Estate = Estate(),  # noqa: B008  # it is frozen
    standing: Sequence[StandingApproval] = (),
    deployments: Iterable[Any] = (),
    runs: Iterable[RunRecord] = (),
) -> list[Place]:
    """Return every place that any of these name, by destination. `deployments` are those of Prefect's server."""
    known = _Known()
    for site in estate.sites:
        known.add(site.production, site=site.name, owners=site.owners, production=True)
    for site, name in estate.pairs():
        known.add(name, source=site.production, site=site.name, owners=site.owners)
    for database in estate.databases:
        if database.hostname:
            facts = {"source": database.application, "site": database.name, "owners": database.owners}
            known.add(database.hostname, database=True, **facts)
    for entry in standing:
        each = known.add(entry.destination, source=entry.source, database="." in entry.destination)
        each["standing"] = (*each.get("standing", ()), entry)
    for deployment in deployments:
        _add_deployment(known, deployment)
    for run in runs:
        if run.destination:
            known.add(run.destination, source=run.source, database=run.verb in DATABASES)
    return [Place(**known.found[name]) for name in sorted(known.found)]


def _add_deployment(known: _Known, deployment: Any) -> None:
    """Add the place of a deployment that has schedules and names what it overwrites."""
    given: Mapping[str, Any] = deployment.parameters or {}
    destination = given.get("destination") or given.get("hostname")
    if not deployment.schedules or not destination:
        return
    source = given.get("source") or given.get("policy") or ""
    each = known.add(str(destination), source=str(source), database="hostname" in given)
    active = not deployment.paused and any(schedule.active for schedule in deployment.schedules)
    each["nightly"] = (*each.get("nightly", ()), Nightly(deployment.name, paused=not active))


def pairs_of_sites(places: Iterable[Place]) -> list[tuple[str, str]]:
    """Return source and destination of each place that is an install with a known source."""
    return [(place.source, place.destination) for place in places if place.source and not place.database]

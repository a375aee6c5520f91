"""The last look: each fact that an approval rests on, changed alone, makes the plan stale; nothing else does."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from tasks.capi.client import Client
from tasks.estate.errors import NotFound, PlanIsStale, Unreachable, WrongDestination
from tasks.estate.plans import Backup, Baseline, CopyOptions, Plan
from tasks.estate.rules import pins
from tasks.estate.sites import Direction, Pair
from tasks.estate.version import code_version
from tasks.estate.waiting import utc_now
from tasks.probes.websites import Prober
from tasks.surveys.recheck import listed_backup_ids, recheck
from tasks.surveys.survey import survey_install
from tests.tasks.surveys.test_checks import made, reading

GENERATION = 4
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class World:
    """A promotion that was approved, and the emulated host as it is now."""

    host: Host
    client: Client
    prober: Prober
    plan: Plan
    backup: Backup
    states: dict[str, str | None]  # what the host says of each backup

    def look(self, *, generation: int = GENERATION, other_site: bool = False, **changes: Any) -> Baseline:
        """Look again, at the plan with these changes."""
        plan, backup = self.plan.model_copy(update=changes), self.backup
        return recheck(self.client, self.prober, plan, backup, generation=generation, other_site=other_site)

    def change(self, side: str, **fields: Any) -> None:
        """Change an install at the host."""
        install = getattr(self.plan.pair, side)
        self.host.store.put("installs", (self.host.store.get("installs", install.id) or {}) | fields)

    def backup_now(self) -> Backup:
        """Make another backup of the destination, which the host calls completed."""
        install = self.plan.pair.destination
        asked = self.client.request_backup(install.id, "of this run", ["ops@host.example"])
        self.states[asked.id] = "completed"
        return Backup(id=asked.id, install_id=install.id, install_name=install.name, requested_at=utc_now())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Staging is about to be promoted, with a completed backup of production."""
    host = Host(scale=1 / 6000)
    with reading(host) as (client, prober):
        ids = {install.name: install.id for install in client.installs()}
        source, destination = (
            survey_install(client, prober, ids["schulstage"]),
            survey_install(client, prober, ids["schulprod"]),
        )
        options = CopyOptions()
        pinned = pins(source, destination, Direction.UP, options)
        changes = {"generation": GENERATION, "pinned": pinned, "code_version": code_version()}
        plan = made("promote", source, destination, options).model_copy(update=changes)
        scene = World(host, client, prober, plan, plan.backup, {})
        real = client.backup

        def backup(install_id: str, backup_id: str) -> Any:
            return real(install_id, backup_id).model_copy(update={"status": scene.states[backup_id]})

        monkeypatch.setattr(client, "backup", backup)
        monkeypatch.setattr(client, "server_time", lambda: NOW)
        scene.backup = scene.backup_now()
        scene.plan = plan.model_copy(update={"backup": scene.backup})
        yield scene


def test_an_unchanged_world_gives_the_baseline(world: World) -> None:
    """Both sides, the host's clock and the ids of all backups are what evidence is compared with."""
    seen = world.look()
    assert (seen.source.install.name, seen.destination.install.name) == ("schulstage", "schulprod")
    assert seen.backup_ids is not None
    assert world.backup.id in seen.backup_ids
    assert seen.server_time == NOW


def test_other_code_than_that_which_drafted_the_plan_is_stale(world: World) -> None:
    """What people approved was drafted by code that may do something else than this."""
    with pytest.raises(PlanIsStale, match="drafted by other code"):
        world.look(code_version="another")


@pytest.mark.parametrize("generation", [GENERATION - 1, GENERATION + 1, 0])
def test_another_call_since_then_is_stale(world: World, generation: int) -> None:
    """A copy or restore of either install that was journaled in between, whatever it changed."""
    with pytest.raises(PlanIsStale, match="Another copy or restore"):
        world.look(generation=generation)


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize(("field", "value"), [("php_version", "7.4"), ("wp_version", "5.0"), ("name", "renamed")])
def test_a_pinned_fact_that_moved_is_stale(world: World, side: str, field: str, value: str) -> None:
    """The message names the fact of that side, with what it was and is."""
    world.change(side, **{field: value})
    with pytest.raises(PlanIsStale, match=f"{side}.*, is {value}") as raised:
        world.look()
    assert len(raised.value.facts["changed"]) == 1


def test_a_pair_that_is_not_allowed_any_more_is_refused(world: World) -> None:
    """Whatever the plan pinned: the rules of the direction are applied to the pair as it is now."""
    world.change("destination", status="pending")
    with pytest.raises(WrongDestination, match="expected 'active'"):
        world.look(pinned={})


def test_another_site_is_allowed_only_where_it_was(world: World) -> None:
    """The explicit permission for two sites counts again at the call."""
    world.change("source", site={"id": "another"})
    with pytest.raises(WrongDestination, match="expected one site"):
        world.look(pinned={})
    assert world.look(pinned={}, other_site=True)


@pytest.mark.parametrize("status", ["aborted", "in_progress", "requested", None])
@pytest.mark.parametrize("which", ["the plan's", "the newer one", "the one to put back"])
def test_each_backup_must_be_completed(world: World, which: str, status: str | None) -> None:
    """That of the plan, the newer one of a late answer, and the one that a restore puts back."""
    other = world.backup_now()
    changes: dict[str, Any] = {}
    if which == "the newer one":
        world.backup = other
    elif which == "the one to put back":
        changes = {"restore_backup_id": other.id}
    assert world.look(**changes)
    world.states[world.plan.backup.id if which == "the plan's" else other.id] = status
    with pytest.raises(PlanIsStale, match="expected 'completed'"):
        world.look(**changes)


def test_a_restore_looks_at_its_one_install_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source and destination of a restore are the same install: two readings of it could differ."""
    asked: list[str] = []
    real = world.client.install
    monkeypatch.setattr(world.client, "install", lambda of: (asked.append(of), real(of))[1])
    install = world.plan.pair.destination
    pair = Pair(source=install, destination=install, direction=Direction.BACK)
    seen = world.look(pair=pair, direction=Direction.BACK, pinned={})
    assert (asked, seen.source) == ([install.id], seen.destination)


def test_a_host_without_a_list_of_backups_is_told_apart_from_one_with_none() -> None:
    """None is not an empty list: then no checkpoint can ever be seen as new."""

    class Host:
        def __init__(self, found: Any) -> None:
            self.found = found

        def backups(self, install_id: str) -> list[Any]:
            if isinstance(self.found, Exception):
                raise self.found
            return list(self.found)

    def ids(found: Any) -> tuple[str, ...] | None:
        return listed_backup_ids(Host(found), "i")  # type: ignore[arg-type]  # a host that lists backups and no more

    assert ids([]) == ()
    assert ids(NotFound("no such endpoint")) is None
    with pytest.raises(Unreachable):
        ids(Unreachable("lost"))

"""The last check: a change of any approved fact makes the plan stale, and nothing else does."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from tasks.capi.client import Client
from tasks.configuration.code_version import code_version
from tasks.estate.copy_rules import pins
from tasks.estate.errors import NotFound, PlanIsStale, Unreachable, WrongDestination
from tasks.estate.plans import Backup, Baseline, CopyOptions, Plan
from tasks.estate.polling import utc_now
from tasks.estate.sites import Appearance, Content, Direction, Environment, Install, Pair, Survey
from tasks.surveys.recheck import _with_files_of, listed_backup_ids, recheck
from tasks.surveys.survey import survey_install, with_appearance
from tasks.websites.wordpress_site import Prober
from tests.sites import made, reading

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
    states: dict[str, str | None]  # status of each backup

    def look(self, *, generation: int = GENERATION, other_site: bool = False, **changes: Any) -> Baseline:
        """Check again, with these changes of the plan."""
        plan, backup = self.plan.model_copy(update=changes), self.backup
        return recheck(self.client, self.prober, plan, backup, generation=generation, other_site=other_site)

    def change(self, side: str, **fields: Any) -> None:
        """Change an install at the host."""
        install = getattr(self.plan.pair, side)
        self.host.store.put("installs", (self.host.store.get("installs", install.id) or {}) | fields)

    def backup_now(self) -> Backup:
        """Make another completed backup of the destination."""
        install = self.plan.pair.destination
        asked = self.client.request_backup(install.id, "of this run", ["ops@host.example"])
        self.states[asked.id] = "completed"
        return Backup(id=asked.id, install_id=install.id, install_name=install.name, requested_at=utc_now())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A promotion of staging, with a completed backup of production."""
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


def test_the_baseline_is_returned_if_nothing_changed(world: World) -> None:
    """The baseline contains both sides, the host's clock and the ids of all backups."""
    seen = world.look()
    assert (seen.source.install.name, seen.destination.install.name) == ("schulstage", "schulprod")
    assert seen.backup_ids is not None
    assert world.backup.id in seen.backup_ids
    assert seen.server_time == NOW
    assert seen.destination.appearance == Appearance(status=200, host="www.schulfest.example", hidden=False)


def test_an_install_without_a_primary_domain_has_no_appearance() -> None:
    """There is no front page to read."""
    survey = survey_with({})
    nowhere = survey.model_copy(update={"install": survey.install.model_copy(update={"primary_domain": None})})
    assert with_appearance(Prober("http"), nowhere) == nowhere


def test_a_plan_of_another_version_of_the_code_is_stale(world: World) -> None:
    """Another version of the code may do something else than what was approved."""
    with pytest.raises(PlanIsStale, match="made by another version"):
        world.look(code_version="another")


@pytest.mark.parametrize("generation", [GENERATION - 1, GENERATION + 1, 0])
def test_another_call_since_then_is_stale(world: World, generation: int) -> None:
    """A copy or restore of either install since then makes the plan stale, whatever it changed."""
    with pytest.raises(PlanIsStale, match="was sent after this plan was made"):
        world.look(generation=generation)


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize(("field", "value"), [("php_version", "7.4"), ("wp_version", "5.0"), ("name", "renamed")])
def test_a_pinned_fact_that_moved_is_stale(world: World, side: str, field: str, value: str) -> None:
    """The message contains the fact of that side, with its old and new value."""
    world.change(side, **{field: value})
    with pytest.raises(PlanIsStale, match=f"{side}.*, is {value}") as raised:
        world.look()
    assert len(raised.value.facts["changed"]) == 1


def test_a_pair_that_is_not_allowed_any_more_is_refused(world: World) -> None:
    """The rules of the direction are applied again to the pair as it is now."""
    world.change("destination", status="pending")
    with pytest.raises(WrongDestination, match="expected 'active'"):
        world.look(pinned={})


def test_another_site_must_be_allowed_at_the_call(world: World) -> None:
    """Another site is refused at the call unless it is allowed."""
    world.change("source", site={"id": "another"})
    with pytest.raises(WrongDestination, match="expected one site"):
        world.look(pinned={})
    assert world.look(pinned={}, other_site=True)


@pytest.mark.parametrize("status", ["aborted", "in_progress", "requested", None])
@pytest.mark.parametrize("which", ["the plan's", "the newer one", "the one to restore"])
def test_each_backup_must_be_completed(world: World, which: str, status: str | None) -> None:
    """The backup of the plan, a newer one, and the one to restore must be completed."""
    other = world.backup_now()
    changes: dict[str, Any] = {}
    if which == "the newer one":
        world.backup = other
    elif which == "the one to restore":
        changes = {"restore_backup_id": other.id}
    assert world.look(**changes)
    world.states[world.plan.backup.id if which == "the plan's" else other.id] = status
    with pytest.raises(PlanIsStale, match="expected 'completed'"):
        world.look(**changes)


def test_a_restore_reads_its_install_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source and destination of a restore are the same install, which is read once: two readings could differ."""
    asked: list[str] = []
    real = world.client.install
    monkeypatch.setattr(world.client, "install", lambda of: (asked.append(of), real(of))[1])
    install = world.plan.pair.destination
    pair = Pair(source=install, destination=install, direction=Direction.BACK)
    seen = world.look(pair=pair, direction=Direction.BACK, pinned={})
    assert (asked, seen.source) == ([install.id], seen.destination)


def test_a_host_without_a_list_of_backups_differs_from_an_empty_list() -> None:
    """Without a list the ids are None, because no checkpoint can ever be seen as new."""

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


def survey_with(assets: dict[str, str]) -> Survey:
    """Return a survey of a site whose front page uses these files."""
    install = Install(
        id="i", name="site", account_id="a", site_id="s", environment=Environment.STAGING, status="active",
        primary_domain="site.example",
    )  # fmt: skip
    return Survey(install=install, content=Content(reachable=True, assets=assets), taken_at=utc_now())


def test_the_baseline_contains_files_that_only_the_source_shows() -> None:
    """A missing file has an empty digest, a file that is there its digest, and an unreadable one no entry."""

    class Disk:
        def asset(self, domain: str, path: str) -> str | None:
            return {"plugins/new.js": "", "plugins/old.js": "22"}.get(path)

    shown = dict.fromkeys(("plugins/new.js", "plugins/old.js", "plugins/other.js", "themes/a.css"), "11")
    source, destination = (survey_with(assets) for assets in (shown, {"themes/a.css": "33"}))
    seen = _with_files_of(source, Disk(), destination).content.assets  # type: ignore[arg-type]  # only `asset` is asked
    assert seen == {"plugins/new.js": "", "plugins/old.js": "22", "themes/a.css": "33"}

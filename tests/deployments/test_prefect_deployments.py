"""Deployments in Prefect: written once, changed if they differ, and a pause by a person survives."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.states import Suspended

from deployments import bootstrap
from deployments.estate_deployments import Schedule, Wanted, wanted_deployments
from deployments.prefect_deployments import Change, find_changes
from deployments.prefect_server import Server
from tasks.configuration.estate_file import load_estate

ROOT = Path(__file__).parents[2]
UNDO = "schulprod: promote 5 Nov 22:31, 7K3F-92QD"
NIGHT = "refresh/nightly-schulstage"


@pytest.fixture(scope="module")
def wanted() -> dict[str, Wanted]:
    """Two deployments of the sandbox's estate by name: one with a form, one with a schedule."""
    estate = load_estate(ROOT / "deployments" / "sandbox" / "estate.yaml")
    found = {each.full_name: each for each in wanted_deployments(estate, undoable=[UNDO])}
    return {name: found[name] for name in ("promote/promote", NIGHT)}


@pytest.fixture
def client(prefect_server: None, wanted: dict[str, Wanted]) -> Iterator[SyncPrefectClient]:
    """A server with our work pool and without these deployments."""
    with get_client(sync_client=True) as client:
        bootstrap.bootstrap(client)
        yield client
        for name in (*wanted, "refresh/nightly-refresh"):
            try:
                client.delete_deployment(client.read_deployment_by_name(name).id)
            except ObjectNotFound:
                continue


def write(client: SyncPrefectClient, wanted: Sequence[Wanted]) -> list[tuple[str, str]]:
    """Make the changes, and return each with its kind. Deployments of other tests are left alone."""
    changes = _ours(find_changes(client, wanted))
    for change in changes:
        change.apply()
    return [(change.deployment, change.kind) for change in changes]


def _ours(changes: Sequence[Change]) -> list[Change]:
    return [change for change in changes if change.deployment != "reload/nightly-reload"]


def schedule_of(client: SyncPrefectClient, name: str = NIGHT) -> tuple[str, str | None, bool]:
    """Return cron line, zone and whether it is active of a deployment's only schedule."""
    (found,) = client.read_deployment_by_name(name).schedules
    assert isinstance(found.schedule, CronSchedule)
    return found.schedule.cron, found.schedule.timezone, found.active


def test_a_second_run_changes_nothing(client: SyncPrefectClient, wanted: dict[str, Wanted]) -> None:
    """The first run creates every deployment as it should be; nothing differs afterwards, and the worker accepts it."""
    assert sorted(write(client, [*wanted.values()])) == sorted((name, "created") for name in wanted)
    assert write(client, [*wanted.values()]) == []
    found = client.read_deployment_by_name("promote/promote")
    assert (found.entrypoint, found.work_pool_name, found.enforce_parameter_schema) == (
        "flows.promote.promote", "understudy", True,
    )  # fmt: skip
    assert found.global_concurrency_limit is not None
    assert found.global_concurrency_limit.limit == 1
    assert schedule_of(client) == ("0 3 * * *", "Europe/Vienna", True)


def test_a_paused_schedule_stays_paused(client: SyncPrefectClient, wanted: dict[str, Wanted]) -> None:
    """Also if its time changes, and that is reported; nothing is written before a change is applied."""
    write(client, [*wanted.values()])
    night = client.read_deployment_by_name(NIGHT)
    client.update_deployment_schedule(night.id, night.schedules[0].id, active=False)
    later = replace(wanted[NIGHT], schedules=(Schedule("nightly", "30 1 * * *", "Europe/Berlin"),))
    changes = _ours(find_changes(client, [wanted["promote/promote"], later]))
    assert [(change.kind, *change.lines) for change in changes] == [
        ("changed", "runs every day at 01:30 Europe/Berlin"),
        ("kept", "its schedule is paused in Prefect, and stays paused"),
    ]
    assert schedule_of(client) == ("0 3 * * *", "Europe/Vienna", False)
    changes[0].apply()
    assert schedule_of(client) == ("30 1 * * *", "Europe/Berlin", False)


def test_new_choices_are_listed(client: SyncPrefectClient, wanted: dict[str, Wanted]) -> None:
    """The difference names each choice that is new or gone."""
    write(client, [*wanted.values()])
    promote = wanted["promote/promote"]
    site = promote.schema["properties"]["site"] | {"enum": ["Verein: vereinstage to vereinprod"]}
    schema = promote.schema | {"properties": promote.schema["properties"] | {"site": site}}
    (change,) = _ours(find_changes(client, [replace(promote, schema=schema), wanted[NIGHT]]))
    assert change.lines == (
        "Site: + Verein: vereinstage to vereinprod",
        "Site: - Schulfest: schulstage to schulprod",
        "Site: - Schulfest: schuldev to schulprod",
    )


def test_a_night_that_the_estate_has_no_more_is_removed(client: SyncPrefectClient, wanted: dict[str, Wanted]) -> None:
    """Its deployment goes; while a run of it waits, only its schedule does. What replaces it inherits its pause."""
    old = replace(wanted[NIGHT], name="nightly-refresh")
    write(client, [wanted["promote/promote"], old])
    found = client.read_deployment_by_name("refresh/nightly-refresh")
    client.update_deployment_schedule(found.id, found.schedules[0].id, active=False)
    run: UUID = client.create_flow_run_from_deployment(found.id).id
    client.set_flow_run_state(run, Suspended(timeout_seconds=600), force=True)
    assert set(write(client, [*wanted.values()])) == {(NIGHT, "created"), ("refresh/nightly-refresh", "removed")}
    assert schedule_of(client)[2] is False
    assert client.read_deployment_by_name("refresh/nightly-refresh").schedules == []
    client.delete_flow_run(run)
    assert ("refresh/nightly-refresh", "removed") in write(client, [*wanted.values()])
    with pytest.raises(ObjectNotFound):
        client.read_deployment_by_name("refresh/nightly-refresh")


def test_programs_name_installs_and_people_pick_them(client: SyncPrefectClient, wanted: dict[str, Wanted]) -> None:
    """A form has the list alone; a program may name both sides, and the flow's own rules still apply."""
    write(client, [*wanted.values()])
    server = Server(client)
    asked = {"source": "schulstage", "destination": "schulprod", "requested_by": "Ada Admin"}
    run = client.read_flow_run(server.start("promote/promote", asked))
    assert run.parameters == asked
    picked = {
        "site": "Schulfest: schulstage to schulprod",
        "requested_by": "Ada Admin",
        "files": True,
        "database": False,
    }
    run = client.read_flow_run(server.start("promote/promote", picked | {"answer_within": "8 hours"}))
    assert run.parameters["site"] == picked["site"]

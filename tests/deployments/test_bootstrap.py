"""Bootstrap: it prepares a server for our deployments, and a second run changes nothing."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from deployments import bootstrap


@pytest.fixture
def client(prefect_server: None) -> Iterator[SyncPrefectClient]:
    """A client of a server that has nothing of ours yet."""
    with get_client(sync_client=True) as client:
        _forget(client)
        yield client
        _forget(client)


def _forget(client: SyncPrefectClient) -> None:
    for automation in client.read_automations_by_name(bootstrap.ZOMBIES):
        assert automation.id is not None
        client.delete_automation(automation.id)
    with contextlib.suppress(ObjectNotFound):
        client.delete_work_pool(bootstrap.POOL)


def test_creates_what_is_missing(client: SyncPrefectClient) -> None:
    """On a new server it creates the process pool and the automation, and reports each in one sentence."""
    changes = bootstrap.bootstrap(client)
    assert changes == [
        "Created the work pool 'understudy' of type 'process'.",
        "Created the automation 'understudy: end runs without a heartbeat'.",
    ]
    assert client.read_work_pool("understudy").type == "process"
    assert len(client.read_automations_by_name(bootstrap.ZOMBIES)) == 1


def test_changes_nothing_twice(client: SyncPrefectClient) -> None:
    """A second run changes nothing and keeps the same automation."""
    bootstrap.bootstrap(client)
    first = client.read_automations_by_name(bootstrap.ZOMBIES)
    assert bootstrap.bootstrap(client) == []
    assert [a.id for a in client.read_automations_by_name(bootstrap.ZOMBIES)] == [a.id for a in first]


def test_removes_duplicates(client: SyncPrefectClient) -> None:
    """Prefect keeps several automations of one name; bootstrap keeps one."""
    bootstrap.bootstrap(client)
    client.create_automation(bootstrap.zombie_automation(heartbeat=180))
    assert bootstrap.bootstrap(client) == ["Deleted an outdated automation 'understudy: end runs without a heartbeat'."]
    assert len(client.read_automations_by_name(bootstrap.ZOMBIES)) == 1


def test_follows_the_heartbeat(client: SyncPrefectClient) -> None:
    """When the heartbeat changes, the automation is replaced: a window that is too short would end healthy runs."""
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
        bootstrap.bootstrap(client)
        assert _window(client) == timedelta(seconds=90)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 60}):
        assert len(bootstrap.bootstrap(client)) == 2
        assert _window(client) == timedelta(seconds=180)


def _window(client: SyncPrefectClient) -> timedelta:
    (automation,) = client.read_automations_by_name(bootstrap.ZOMBIES)
    return automation.trigger.within  # type: ignore[union-attr,no-any-return]  # it is an event trigger, and we made it


def test_without_a_heartbeat_here_assumes_the_default(client: SyncPrefectClient) -> None:
    """If the setting is off, the window is three times Prefect's default of 180 s, which fits a worker with that default."""
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        bootstrap.bootstrap(client)
    assert _window(client) == timedelta(seconds=540)


def test_keeps_an_automation_that_somebody_paused(client: SyncPrefectClient) -> None:
    """An automation that somebody paused in the UI remains paused."""
    bootstrap.bootstrap(client)
    (automation,) = client.read_automations_by_name(bootstrap.ZOMBIES)
    assert automation.id is not None
    client.pause_automation(automation.id)
    assert bootstrap.bootstrap(client) == []
    assert client.read_automations_by_name(bootstrap.ZOMBIES)[0].enabled is False


def test_leaves_a_foreign_pool_alone(client: SyncPrefectClient) -> None:
    """A pool of our name and another type is somebody else's: it is reported and not changed."""
    client.create_work_pool(WorkPoolCreate(name="understudy", type="docker"))
    with pytest.raises(bootstrap.WrongPool, match="has type 'docker'; expected 'process'"):
        bootstrap.bootstrap(client)
    assert client.read_work_pool("understudy").type == "docker"


def test_what_it_cannot_do_is_a_sentence(client: SyncPrefectClient) -> None:
    """A foreign pool and an address without the API end the program with a sentence and a remedy, not a traceback."""
    client.create_work_pool(WorkPoolCreate(name="understudy", type="docker"))
    with pytest.raises(SystemExit, match=r"has type 'docker'.*Delete it"):
        bootstrap.main([])
    address = f"{str(PREFECT_API_URL.value()).removesuffix('/api')}/elsewhere/api"
    with (
        temporary_settings({PREFECT_API_URL: address}),
        pytest.raises(SystemExit, match=r"responded with 404.*Check PREFECT_API_URL"),
    ):
        bootstrap.main([])


def test_prints_what_it_changed(client: SyncPrefectClient, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints each change, or that nothing was changed."""
    bootstrap.main([])
    assert "Created the work pool 'understudy'" in capsys.readouterr().out
    bootstrap.main([])
    assert capsys.readouterr().out.startswith("Nothing to change on http://")


def test_asking_for_help_changes_nothing(client: SyncPrefectClient, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` explains the command and creates no pool."""
    with pytest.raises(SystemExit) as ended:
        bootstrap.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())  # lines are wrapped to the terminal
    assert (ended.value.code, "May be repeated" in shown) == (0, True)
    with pytest.raises(ObjectNotFound):
        client.read_work_pool(bootstrap.POOL)


def test_without_a_server_nothing_is_bootstrapped(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a configured server, the command names the setting; it does not start a temporary server."""
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(SystemExit) as ended:
        bootstrap.main([])
    assert (ended.value.code, "PREFECT_API_URL" in capsys.readouterr().err) == (2, True)

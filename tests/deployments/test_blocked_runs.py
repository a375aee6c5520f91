"""Obstacles: everything that a run can wait for is reported with its remedy."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.objects import FlowRun, StateDetails, Worker, WorkPool, WorkQueue
from prefect.states import Cancelling, Paused, Pending, Running, Scheduled, State

from deployments.blocked_runs import Surroundings, find_obstacle
from deployments.prefect_server import Server
from tests.deployments.conftest import DIAGNOSE, Pool

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
POOL = WorkPool(name="understudy", type="process", base_job_template={})


def ago(**time: float) -> datetime:
    """Return a moment before now."""
    return NOW - timedelta(**time)


def queue(**more: Any) -> WorkQueue:
    """Return the pool's queue, which a worker has just polled."""
    return WorkQueue(name="default", work_pool_id=uuid4(), **{"last_polled": ago(seconds=5)} | more)


def online(**more: Any) -> Worker:
    """Return a worker that is alive."""
    given = {
        "name": "one",
        "status": "ONLINE",
        "last_heartbeat_time": ago(seconds=20),
        "heartbeat_interval_seconds": 30,
    }
    return Worker(work_pool_id=uuid4(), **given | more)


def run_in(state: State[Any] | None, pool: str | None = "understudy") -> FlowRun:
    """Return a run in this state."""
    return FlowRun(flow_id=uuid4(), work_pool_name=pool, state=state)


def seen(state: State[Any] | None, **scene: Any) -> Any:
    """Return the obstacle of a run in this state, by default with a healthy pool, worker and queue."""
    healthy = {"pool": POOL, "queue": queue(), "workers": [online()]}
    return find_obstacle(run_in(state), Surroundings(NOW, **healthy | scene))


DUE = Scheduled(scheduled_time=ago(seconds=40))
LATE = Scheduled(scheduled_time=ago(seconds=40), name="Late")
AT_WORK = Running(timestamp=ago(minutes=30))
STUCK: dict[str, tuple[State[Any], dict[str, Any], str, str]] = {
    "no worker": (DUE, {"workers": []}, "No worker is online for pool 'understudy'.", "understudy-worker --pool"),
    "workers that ended": (
        LATE, {"workers": [online(status="OFFLINE", last_heartbeat_time=ago(hours=1))]}, "last one was seen at 11:00:00 UTC",
        "understudy-worker --pool",
    ),
    "a worker that was killed": (
        LATE, {"workers": [online(last_heartbeat_time=ago(minutes=3))]}, "No worker is online", "understudy-worker --pool",
    ),
    "pool paused": (DUE, {"pool": POOL.model_copy(update={"is_paused": True})}, "is paused", "work-pool resume understudy"),
    "pool gone": (DUE, {"pool": None, "workers": []}, "no longer exists", "deployments.bootstrap"),
    "queue paused": (DUE, {"queue": queue(is_paused=True)}, "queue 'default' of pool", "work-queue resume default"),
    "pool limit 0": (DUE, {"pool": POOL.model_copy(update={"concurrency_limit": 0})}, "limit of 0", "work-pool set-"),
    "queue limit 0": (DUE, {"queue": queue(concurrency_limit=0)}, "queue 'default' has a concurrency", "work-queue set-"),
    "another queue": (DUE, {"queue": queue(last_polled=ago(hours=2))}, "since 10:00:00 UTC", "worker's log"),
    "never polled": (DUE, {"queue": queue(last_polled=None)}, "at all", "another queue"),
    "taken, not started": (Pending(timestamp=ago(minutes=5)), {}, "took it at 11:55:00 UTC", "prefect flow-run cancel"),
    "taken, worker gone": (Pending(timestamp=ago(minutes=5)), {"workers": []}, "No worker is online", "understudy-worker"),
    "process gone": (
        AT_WORK, {"heartbeats": [ago(minutes=2), ago(minutes=2.5), ago(minutes=3)]}, "silent since 11:58:00", "flow-run retry",
    ),
    "process gone after a long wait": (
        AT_WORK, {"heartbeats": [ago(minutes=2), ago(minutes=2.5), ago(minutes=3), ago(hours=9)]}, "silent since", "retry",
    ),
    "process unknown": (AT_WORK, {"workers": []}, "its process may be gone", "flow-run retry"),
    "cancelled, no worker": (Cancelling(), {"workers": []}, "to be cancelled, but no worker", "understudy-worker --pool"),
    "paused manually": (Paused(), {}, "shows no form", "resume it in Prefect's UI"),
}  # fmt: skip
PASSING: dict[str, tuple[State[Any] | None, dict[str, Any], str]] = {
    "no state": (None, {}, "no state yet"),
    "later": (Scheduled(scheduled_time=NOW + timedelta(hours=3)), {"workers": []}, "scheduled for 15:00:00 UTC"),
    "a retry": (Scheduled(scheduled_time=NOW + timedelta(minutes=1), name="AwaitingRetry"), {}, "(AwaitingRetry)"),
    "its turn": (
        Scheduled(scheduled_time=NOW + timedelta(seconds=30), name="AwaitingConcurrencySlot"), {}, "another run of the same",
    ),
    "pool full": (DUE, {"pool": POOL.model_copy(update={"concurrency_limit": 2, "active_slots": 2})}, "limit of 2 runs"),
    "queue full": (DUE, {"queue": queue(concurrency_limit=1, active_slots=1)}, "queue 'default' is at its limit of 1"),
    "worker full": (LATE, {}, "own `--limit`"),
    "at work": (AT_WORK, {"steps": ["Await backup"], "heartbeats": [ago(seconds=50), ago(seconds=80)]}, "work: Await backup"),
    "at work without heartbeats": (AT_WORK, {}, "It is at work."),
    "at work, worker gone": (AT_WORK, {"workers": [], "heartbeats": [ago(seconds=9), ago(seconds=39)]}, "It is at work."),
    "one heartbeat": (AT_WORK, {"heartbeats": [ago(minutes=8)]}, "It is at work."),
    "just resumed": (Running(timestamp=ago(seconds=40)), {"heartbeats": [ago(hours=3), ago(hours=3.01)]}, "It is at work."),
    "cancelled": (Cancelling(), {}, "being cancelled"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STUCK)
def test_an_obstacle_that_does_not_pass_has_a_remedy(kind: str) -> None:
    """An obstacle that somebody must remove states what it is and how to remove it."""
    state, scene, what, remedy = STUCK[kind]
    found = seen(state, **scene)
    assert (what in found.what, remedy in found.remedy, found.passes) == (True, True, False), str(found)


@pytest.mark.parametrize("kind", PASSING)
def test_an_obstacle_that_passes_needs_no_action(kind: str) -> None:
    """A run that is queued, scheduled or at work is reported as such, and no action is requested."""
    state, scene, what = PASSING[kind]
    found = seen(state, **scene)
    assert (what in found.what, found.passes) == (True, True), str(found)


def test_a_run_without_a_pool_is_reported() -> None:
    """A run of a deployment without a work pool is reported, because no worker takes it."""
    found = find_obstacle(run_in(DUE, pool=None), Surroundings(NOW))
    assert "names no work pool" in str(found)


def test_the_server_reads_the_surroundings_of_a_run(pool: Pool) -> None:
    """Through Prefect's API: no worker, then one that is online, a paused queue, a pool with limit 0, a paused pool, a running run."""
    run = pool.start(DIAGNOSE)
    with get_client(sync_client=True) as client:
        server = Server(client)

        def waits_for() -> str:
            return str(server.obstacle(server.run(run)))

        assert f"No worker is online for pool '{pool.name}'" in waits_for()
        client.send_worker_heartbeat(pool.name, "one", heartbeat_interval_seconds=30)
        assert "none has polled the queue 'default' at all" in waits_for()
        client.update_work_queue(client.read_flow_run(run).work_queue_id, is_paused=True)
        assert "The work queue 'default'" in waits_for()
        client.update_work_pool(pool.name, WorkPoolUpdate(concurrency_limit=0))
        client.update_work_queue(client.read_flow_run(run).work_queue_id, is_paused=False)
        assert "limit of 0" in waits_for()
        client.update_work_pool(pool.name, WorkPoolUpdate(is_paused=True))
        assert "is paused. Resume it" in waits_for()
        state = Running(state_details=StateDetails(flow_run_id=run))
        client.set_flow_run_state(run, state, force=True)
        assert "It is at work." in waits_for()

"""What a run waits for that neither asks nor ends, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median_low
from typing import Any

from prefect.client.schemas.objects import FlowRun, State, Worker, WorkPool, WorkQueue

MISSED = 3  # heartbeats after which a worker or the process of a run counts as gone, as in `deployments.bootstrap`
POLLED_WITHIN = timedelta(minutes=2)  # a worker polls every 10 to 20 s, and every minute while its server is away
DUE_SOON = timedelta(seconds=10)  # a run that starts sooner than this counts as due
QUEUED = "AwaitingConcurrencySlot"  # Prefect's name of the state in which a run waits for another of its deployment


@dataclass(frozen=True)
class Surroundings:
    """The pool, queue, workers and process of a run: None or empty for what does not exist. `now` is the server's time."""

    now: datetime
    pool: WorkPool | None = None
    queue: WorkQueue | None = None
    workers: Sequence[Worker] = ()
    heartbeats: Sequence[datetime] = ()  # of the run's process, newest first
    steps: Sequence[str] = ()  # names of the steps that run now


@dataclass(frozen=True)
class Obstacle:
    """What a run waits for. If it `passes`, it ends without anybody's action."""

    what: str
    remedy: str = ""
    passes: bool = False

    def __str__(self) -> str:
        """Return both as one text."""
        return f"{self.what} {self.remedy}".strip()


def find_obstacle(run: FlowRun, around: Surroundings) -> Obstacle:
    """Return what this run waits for, derived from its state and surroundings."""
    state = run.state
    if state is None:
        return Obstacle("The run has no state yet.", passes=True)
    if state.is_paused():
        return Obstacle(
            "It is paused, and shows no form to answer.",
            "If somebody paused it manually, resume it in Prefect's UI. Otherwise cancel it with "
            f"`prefect flow-run cancel {run.id}`.",
        )
    if state.is_cancelling():
        return _cancelling(run, around)
    if state.is_running():
        return _running(run, state, around)
    if state.name == QUEUED:
        what = "It waits until another run of the same deployment has ended or asks."
        return Obstacle(what, f"Look at the runs of pool {run.work_pool_name!r} in Prefect.", passes=True)
    due = state.state_details.scheduled_time
    if state.is_scheduled() and due is not None and due > around.now + DUE_SOON:
        return Obstacle(f"It is scheduled for {_at(due)} UTC ({state.name}).", passes=True)
    return _not_taken(run, state, around)


def _cancelling(run: FlowRun, around: Surroundings) -> Obstacle:
    if _online(around):
        return Obstacle("It is being cancelled; its worker ends its process.", passes=True)
    what = f"It is to be cancelled, but no worker is online for pool {run.work_pool_name!r} to end its process."
    return Obstacle(what, f"Start one: `understudy-worker --pool {run.work_pool_name}`.")


def _running(run: FlowRun, state: State[Any], around: Surroundings) -> Obstacle:
    if around.heartbeats:
        last = max(around.heartbeats[0], state.timestamp)  # a process that has just started has sent none yet
        if around.now - last > MISSED * _interval(around.heartbeats):
            return Obstacle(
                f"Its process has been silent since {_at(last)} UTC: the process or its machine is gone.",
                f"Make sure that a worker is online, then retry the run: `prefect flow-run retry {run.id}`. A retry never "
                "sends a call again. `python -m deployments.bootstrap` creates the automation that ends such runs.",
            )
    elif not _online(around):
        return Obstacle(
            f"It is running according to Prefect, but no worker is online for pool {run.work_pool_name!r}: its process may "
            "be gone.",
            f"Start a worker (`understudy-worker --pool {run.work_pool_name}`). If the run does not continue, retry it: "
            f"`prefect flow-run retry {run.id}`. A retry never sends a call again.",
        )
    steps = f": {', '.join(around.steps[:3])}" if around.steps else ""
    return Obstacle(f"It is at work{steps}.", passes=True)


def _interval(heartbeats: Sequence[datetime]) -> timedelta:
    """Return the usual time between two heartbeats: the median, because a run sends none while it waits for an answer."""
    apart = [newer - older for newer, older in pairwise(heartbeats)]
    return median_low(apart) if apart else timedelta(seconds=180)  # Prefect's default


def _not_taken(run: FlowRun, state: State[Any], around: Surroundings) -> Obstacle:
    """Return why a run does not start that is due, or that a worker has taken without starting a process."""
    pool, queue, name = around.pool, around.queue, run.work_pool_name
    if name is None:
        return Obstacle(
            "Its deployment names no work pool, so no worker takes it.", "Deploy prefect.yaml: `prefect deploy --all`."
        )
    if pool is None:
        return Obstacle(
            f"Its work pool {name!r} no longer exists.", "Create it with `python -m deployments.bootstrap`."
        )
    start = f"Start one: `understudy-worker --pool {name}`."
    if pool.is_paused:
        return Obstacle(f"The work pool {name!r} is paused.", f"Resume it: `prefect work-pool resume {name}`.")
    if queue is not None and queue.is_paused:
        resume = f"Resume it: `prefect work-queue resume {queue.name} --pool {name}`."
        return Obstacle(f"The work queue {queue.name!r} of pool {name!r} is paused.", resume)
    if not _online(around):
        seen = max((each.last_heartbeat_time for each in around.workers if each.last_heartbeat_time), default=None)
        last = f" (the last one was seen at {_at(seen)} UTC)" if seen else ""
        return Obstacle(f"No worker is online for pool {name!r}{last}.", start)
    for kind, each in (("pool", pool), ("queue", queue)):
        if each is not None and each.concurrency_limit == 0:
            change = f"Set another: `prefect work-{kind} set-concurrency-limit {each.name} NUMBER`."
            return Obstacle(f"The work {kind} {each.name!r} has a concurrency limit of 0, so nothing starts.", change)
        if each is not None and each.concurrency_limit and (each.active_slots or 0) >= each.concurrency_limit:
            what = f"The work {kind} {each.name!r} is at its limit of {each.concurrency_limit} runs at a time."
            return Obstacle(what, "It starts when one of them ends or asks.", passes=True)
    if state.is_pending():
        return Obstacle(
            f"A worker took it at {_at(state.timestamp)} UTC, and its process has not started.",
            f"Look at the worker's log. If that worker is gone, cancel the run (`prefect flow-run cancel {run.id}`) and "
            "start a new one: nothing was sent.",
        )
    if queue is not None and (queue.last_polled is None or around.now - queue.last_polled > POLLED_WITHIN):
        since = f"since {_at(queue.last_polled)} UTC" if queue.last_polled else "at all"
        return Obstacle(
            f"A worker is online for pool {name!r}, but none has polled the queue {queue.name!r} {since}.",
            f"Look at the worker's log, and check whether it was started for another queue. {start}",
        )
    what = f"A worker is online for pool {name!r} and has not taken the run yet: it may be at its own `--limit`."
    return Obstacle(what, f"It starts when one of that worker's runs ends or asks. Or: {start}", passes=True)


def _online(around: Surroundings) -> bool:
    """Return whether any worker is alive. Prefect detects a killed worker late, so its heartbeat counts as well."""
    return any(is_online(worker, around.now) for worker in around.workers)


def is_online(worker: Worker, now: datetime) -> bool:
    """Return whether a worker is alive at this time of the server's clock."""
    return str(getattr(worker.status, "value", worker.status)) != "OFFLINE" and not _silent(worker, now)


def _silent(worker: Worker, now: datetime) -> bool:
    every = timedelta(seconds=worker.heartbeat_interval_seconds or 30)  # Prefect's default
    return worker.last_heartbeat_time is not None and now - worker.last_heartbeat_time > MISSED * every


def _at(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}"

"""Worker: one fixed command for each run, and what the standard worker would do instead."""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling
from prefect.workers.process import ProcessWorker

from deployments import worker as worker_module
from deployments.sandbox.capi import Estate
from deployments.worker import Worker
from tests.deployments.conftest import DIAGNOSE, Pool
from tests.people import Run

SHELL = "prefect.deployments.steps.run_shell_script"
REFRESH = "flows.refresh.refresh"
REFRESHED = {"source": "schulprod", "destination": "schulstage", "requested_by": "Dora Developer"}


def take(pool: Pool, kind: Callable[..., ProcessWorker] = Worker) -> None:
    """A worker takes every scheduled run once and waits until their processes have ended."""
    asyncio.run(kind(pool.name, limit=20).start(run_once=True, printer=lambda _: None))


def attacks(pool: Pool, folder: Path) -> dict[str, UUID]:
    """Runs of one flow of ours, by what else they are to do: make a file in `folder`, named after the attack."""
    command = f"touch {shlex.quote(str(folder / 'command'))}"
    step = {SHELL: {"script": f"touch {shlex.quote(str(folder / 'pull'))}"}}
    return {
        "command": pool.start(DIAGNOSE, job_variables={"command": command}),
        "pull": pool.start(DIAGNOSE, pull_steps=[step]),
    }


def test_the_standard_worker_runs_what_the_api_says(pool: Pool, tmp_path: Path) -> None:
    """The hole that this worker closes: a command of the API, run by a process that has the worker's secrets."""
    pool.start(DIAGNOSE, job_variables={"command": f"touch {shlex.quote(str(tmp_path / 'command'))}"})
    take(pool, ProcessWorker)
    assert (tmp_path / "command").exists()


@pytest.mark.drill  # two Python processes one after the other
def test_the_standard_worker_runs_the_steps_of_a_deployment(pool: Pool, worker: Estate, tmp_path: Path) -> None:
    """The same hole by pull steps, before a flow of ours."""
    attacks(pool, tmp_path)
    take(pool, ProcessWorker)
    assert (tmp_path / "command").exists()
    assert (tmp_path / "pull").exists()


def test_our_worker_does_nothing_of_it(pool: Pool, worker: Estate, tmp_path: Path) -> None:
    """No command, step or variable of the API reaches a process; each run ends as Refused and says by which names."""
    runs = attacks(pool, tmp_path) | {
        "env": pool.start(DIAGNOSE, job_variables={"env": {"PYTHONPATH": str(tmp_path)}, "a\nforged line": 1}),
        "dotted": pool.start(DIAGNOSE, job_variables={"env.PREFECT_API_URL": "http://127.0.0.1:9/api"}),
    }
    take(pool)
    assert not (tmp_path / "command").exists()
    assert not (tmp_path / "pull").exists()
    assert {name: pool.end(run) for name, run in runs.items()} == dict.fromkeys(runs, "Refused")
    assert "run: command" in str(pool.state(runs["command"]).message)
    assert "run: a?forged line, run: env." in str(pool.state(runs["env"]).message)
    assert "run: env.PREFECT_API_URL" in str(pool.state(runs["dotted"]).message)
    assert "127.0.0.1:9" not in str(pool.state(runs["dotted"]).message)


def test_a_changed_pool_or_deployment_is_refused(pool: Pool) -> None:
    """What the pool's template or a deployment's job variables set counts like what a run sets."""
    runs = [pool.start(DIAGNOSE, job_variables=None), pool.start(DIAGNOSE)]
    deployment = pool.client.read_flow_run(runs[1]).deployment_id
    change = {"job_variables": {"working_dir": "/tmp", "stream_output": True, "env": {}}}  # noqa: S108  # only named
    pool.client.request("PATCH", f"/deployments/{deployment}", json=change).raise_for_status()
    template = ProcessWorker.get_default_base_job_template()
    template["job_configuration"]["command"] = "touch mark"
    template["variables"]["properties"]["env"]["default"] = {"LD_PRELOAD": "theirs.so"}
    pool.client.update_work_pool(pool.name, WorkPoolUpdate(base_job_template=template))
    take(pool)
    messages = [str(pool.state(run).message) for run in runs]
    assert all("pool: command, pool variable: env" in message for message in messages)
    assert "deployment: working_dir" in messages[1]
    assert "stream_output" not in messages[1]
    assert "touch" not in messages[0]


class Deployed(Run):
    """A run that a worker of our own takes from the pool."""

    def __init__(self, pool: Pool, entrypoint: str, flow: str, parameters: dict[str, Any]) -> None:
        self.pool = pool
        self._uuid = pool.start(entrypoint, flow=flow, parameters=parameters)
        self.id = str(self._uuid)

    def go(self) -> "Deployed":
        """To its end or question."""
        take(self.pool)
        return self

    def answer(self, **fields: str) -> str:
        """Through the public API; it is scheduled again then."""
        return str(self.pool.client.resume_flow_run(self._uuid, run_input=fields).status.value)


@pytest.mark.drill
def test_a_question_ends_the_process_and_its_answer_starts_another(pool: Pool, worker: Estate) -> None:
    """A suspended run needs no process; after a lead's yes a new one goes on, to the run's own outcome."""
    run = Deployed(pool, REFRESH, "refresh", REFRESHED).go()
    assert run.state == "Suspended"
    assert run.approve().state == "Verified", run.message


@pytest.mark.drill
def test_cancelling_ends_the_process(pool: Pool, worker: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cancelled while it waits for the host ends as Cancelled, and its process is gone."""
    monkeypatch.setenv("UNDERSTUDY_PACE", "1")  # it looks again after seconds, not at once
    worker.scale = 1.0
    run = pool.start(REFRESH, flow="refresh", parameters=REFRESHED)

    async def cancel() -> int:
        taking = asyncio.create_task(Worker(pool.name, limit=1).start(run_once=True, printer=lambda _: None))
        while not pool.state(run).is_running():
            await asyncio.sleep(0.1)
        process = int(pool.client.read_flow_run(run).infrastructure_pid or 0)
        pool.client.set_flow_run_state(run, Cancelling(), force=True)
        await taking
        return process

    process = asyncio.run(cancel())
    assert pool.end(run) == "Cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_without_a_server_it_does_not_start() -> None:
    """No address of a Prefect server: a message, no worker that waits for nothing."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(SystemExit, match="PREFECT_API_URL"):
        worker_module.main([])


def test_the_command_takes_the_flags_of_the_standard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--pool`, `--name` and `--limit` reach the worker."""
    made: list[tuple[Any, ...]] = []

    async def start(self: Worker) -> None:
        made.append((self._work_pool_name, self.name, self._limit, self._create_pool_if_not_found))

    monkeypatch.setattr(Worker, "start", start)
    monkeypatch.setattr(worker_module, "setup_signal_handlers_worker", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["understudy-worker", "--name", "one", "--limit", "2"])
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        worker_module.main()
    assert made == [("understudy", "one", 2, False)]

"""Worker: it starts one fixed command for each run, unlike the standard worker."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling
from prefect.workers.process import ProcessWorker

from deployments.sandbox.host.host import Host
from deployments.worker import worker as worker_module
from deployments.worker.worker import Worker, serve
from tests.deployments.conftest import DIAGNOSE, Pool
from tests.people import Run

SHELL = "prefect.deployments.steps.run_shell_script"
REFRESH = "flows.refresh.refresh"
REFRESHED = {"source": "schulprod", "destination": "schulstage", "requested_by": "Dora Developer"}


def take(pool: Pool, kind: Callable[..., ProcessWorker] = Worker) -> None:
    """Let a worker take every scheduled run once, and wait for the end of their processes."""
    asyncio.run(kind(pool.name, limit=20).start(run_once=True, printer=lambda _: None))


def hostile_runs(pool: Pool, folder: Path) -> dict[str, UUID]:
    """Return runs of one of our flows by what they try in addition: to create a file of that name in `folder`."""
    command = f"touch {shlex.quote(str(folder / 'command'))}"
    step = {SHELL: {"script": f"touch {shlex.quote(str(folder / 'pull'))}"}}
    return {
        "command": pool.start(DIAGNOSE, job_variables={"command": command}),
        "pull": pool.start(DIAGNOSE, pull_steps=[step]),
    }


def test_the_standard_worker_runs_what_the_api_says(pool: Pool, tmp_path: Path) -> None:
    """The standard worker runs a command from the API in a process with the worker's secrets."""
    pool.start(DIAGNOSE, job_variables={"command": f"touch {shlex.quote(str(tmp_path / 'command'))}"})
    take(pool, ProcessWorker)
    assert (tmp_path / "command").exists()


@pytest.mark.drill  # two Python processes one after the other
def test_the_standard_worker_runs_the_steps_of_a_deployment(pool: Pool, worker: Host, tmp_path: Path) -> None:
    """The standard worker runs pull steps from the API before one of our flows."""
    hostile_runs(pool, tmp_path)
    take(pool, ProcessWorker)
    assert (tmp_path / "command").exists()
    assert (tmp_path / "pull").exists()


def test_our_worker_does_nothing_of_it(pool: Pool, worker: Host, tmp_path: Path) -> None:
    """No command, step or variable of the API reaches a process; each run ends as Refused with their names."""
    runs = hostile_runs(pool, tmp_path) | {
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
    """Settings in the pool's template or a deployment's job variables are refused as those of a run are."""
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
    """A run that our worker takes from the pool."""

    def __init__(self, pool: Pool, entrypoint: str, flow: str, parameters: dict[str, Any]) -> None:
        self.pool = pool
        self._uuid = pool.start(entrypoint, flow=flow, parameters=parameters)
        self.id = str(self._uuid)

    def go(self) -> "Deployed":
        """Run until it ends or asks."""
        take(self.pool)
        return self

    def answer(self, **fields: str) -> str:
        """Answer through the public API, which schedules the run again."""
        return str(self.pool.client.resume_flow_run(self._uuid, run_input=fields).status.value)


@pytest.mark.drill
def test_a_suspension_ends_the_process_and_its_answer_starts_another(pool: Pool, worker: Host) -> None:
    """A suspended run has no process; after its approval, a new one continues to the run's outcome."""
    run = Deployed(pool, REFRESH, "refresh", REFRESHED).go()
    assert run.state == "Suspended"
    assert run.approve().state == "Verified", run.message


@pytest.mark.drill
def test_cancelling_ends_the_process(pool: Pool, worker: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cancelled while it waits for the host ends as Cancelled, and its process is gone."""
    monkeypatch.setenv("UNDERSTUDY_PACE", "1")  # it polls after seconds, not at once
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


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The exit codes with which the worker ends its process; this process's signal handlers are restored afterwards."""
    forced: list[int] = []
    monkeypatch.setattr(worker_module.os, "_exit", forced.append)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield forced
    for number, handler in before.items():
        signal.signal(number, handler)


class Idle(Worker):
    """A worker without runs, but with processes to end. `grip`: seconds that it takes to be cancelled."""

    @classmethod
    def __dispatch_key__(cls) -> str:
        """Return another name than ours."""
        return "idle"

    def __init__(self, grip: float = 0.0) -> None:
        super().__init__("pool", name="idle")
        self.grip = grip
        self.ended = False

    async def start(self, *_: Any, **__: Any) -> None:
        """Run until cancelled."""
        try:
            await asyncio.sleep(60)
        finally:
            self.ended = True
            await asyncio.sleep(self.grip)


def stopped(worker: Idle, *numbers: int) -> float:
    """Serve, send these signals one after the other, and return the seconds from the first to the end."""

    async def run() -> float:
        serving = asyncio.create_task(serve(worker))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        for number in numbers:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.05)
        await serving
        return time.monotonic() - began

    return asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_worker_at_once(
    number: int, signals: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    """It prints the signal, its loops are cancelled, and nothing is forced."""
    worker = Idle()
    assert stopped(worker, number) < 30
    assert (worker.ended, signals) == (True, [0])
    assert signal.Signals(number).name in capfd.readouterr().out


def test_a_second_signal_or_a_worker_that_hangs_is_ended_by_force(
    signals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second signal ends it at once; after `SHUTDOWN_WITHIN` seconds it ends whatever Prefect waits for."""
    stopped(Idle(grip=2.0), signal.SIGTERM, signal.SIGTERM)
    assert signals == [128 + signal.SIGTERM, 0]
    assert worker_module.SHUTDOWN_WITHIN < 5
    monkeypatch.setattr(worker_module, "SHUTDOWN_WITHIN", 0.2)
    stopped(Idle(grip=0.6), signal.SIGTERM)
    assert signals[2:] == [128 + signal.SIGTERM, 0]


POLITE = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print(1, flush=True); signal.pause()"
)
RUDE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"


@pytest.mark.parametrize(("program", "code"), [(POLITE, 7), (RUDE, -signal.SIGKILL)])
def test_processes_of_runs_can_end_first(
    program: str, code: int, signals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each receives SIGTERM, with time to record its end, and is then killed. The worker ends after them."""
    monkeypatch.setattr(worker_module, "GRACE", 0.5)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    worker = Idle()

    class Seen(set[int]):
        def __bool__(self) -> bool:  # as the executor, which notices the end of a process
            return process.poll() is None

    worker._processes = Seen({process.pid})
    assert stopped(worker, signal.SIGTERM) < 30  # the process would sleep for a minute
    assert (process.wait(5), worker.ended, signals) == (code, True, [0])


@pytest.mark.drill  # a worker of its own, and a run
@pytest.mark.parametrize("busy", [False, True])
def test_sigterm_ends_a_real_worker_within_five_seconds(
    pool: Pool, worker: Host, monkeypatch: pytest.MonkeyPatch, busy: bool, tmp_path: Path
) -> None:
    """A run that waits for its backup ends as Crashed, its process is gone, and nothing is copied."""
    monkeypatch.setenv("UNDERSTUDY_PACE", "1")
    worker.scale = 1.0
    run = pool.start(REFRESH, flow="refresh", parameters=REFRESHED) if busy else None
    environment = os.environ | {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PYTHONPATH": str(worker_module.PROJECT),
    }
    environment |= {"PREFECT_LOCAL_STORAGE_PATH": str(tmp_path), "PREFECT_WORKER_QUERY_SECONDS": "1"}
    command = [sys.executable, "-m", "deployments.worker", "--pool", pool.name]
    output = tmp_path / "output"
    with output.open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=worker_module.PROJECT, stdout=log, stderr=log)
    child, deadline = 0, time.monotonic() + 90
    while time.monotonic() < deadline:
        if run is None and "started!" in output.read_text():
            break
        if run is not None and any("backups" in row["path"] for row in worker.journal()):
            child = int(pool.client.read_flow_run(run).infrastructure_pid or 0)
            break
        time.sleep(0.1)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert time.monotonic() - began < 5, output.read_text()[-2000:]
    if run is not None:
        assert pool.end(run) in ("Crashed", "Failed")  # Failed: the signal came while Prefect made a step
        assert worker.copies_received() == 0
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)

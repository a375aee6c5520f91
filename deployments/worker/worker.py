"""The worker: takes runs from our pool and starts one fixed command for each, whatever the Prefect API specifies.

Run as `python -m deployments.worker --pool understudy`. The standard `prefect worker start` takes command, environment and
folder of a run from the API, where everybody who can write a deployment or the pool can set them. This worker starts only
`deployments.worker.execute`; a run that asks for anything else ends as `Refused`.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import anyio.abc
import anyio.to_thread
import httpx
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled
from prefect.utilities.processutils import command_to_string
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult
from pydantic import PrivateAttr

from deployments.bootstrap import POOL, POOL_TYPE
from deployments.server_address import failed_request, server_address, unreachable
from deployments.worker.execute import PROJECT, alert, printable, refusal
from deployments.worker.prefect_private import (
    EngineCommandStarter,
    FlowRunExecutionResult,
    FlowRunExecutorContext,
    ProcessHandle,
)
from tasks.estate.connection_failures import why_failed
from tasks.estate.errors import Misconfigured

MODULE = "deployments.worker.execute"
SHUTDOWN_WITHIN = 4.5  # seconds from a signal to the end of the worker; service managers kill after 10
GRACE = 2.5  # of these, seconds in which the processes of runs can record their end


def foreign_settings(pool: WorkPool, deployment: DeploymentResponse | None, run: FlowRun) -> tuple[str, ...]:
    """Return the names of everything that the API sets for the process of a run: `deployment: command`, `pool: env`, …

    Empty values, and the defaults of every new pool, do not count.
    """
    default = ProcessWorker.get_default_base_job_template()
    template = pool.base_job_template
    usual = _defaults(default)
    return (
        *_set_in("pool", template.get("job_configuration", {}), default["job_configuration"]),
        *_set_in("pool variable", _defaults(template), usual),
        *_set_in("deployment", (deployment and deployment.job_variables) or {}, usual),
        *_set_in("run", run.job_variables or {}, usual),
    )


def _defaults(template: Mapping[str, Any]) -> dict[str, Any]:
    properties = template.get("variables", {}).get("properties", {})
    return {name: attributes.get("default") for name, attributes in properties.items()}


def _set_in(where: str, values: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    for key, value in sorted(values.items()):
        if value not in (None, "", {}, []) and value != usual.get(key):
            yield f"{where}: {key}"


class FixedJob(ProcessJobConfiguration):
    """The configuration of a run's process. It takes no value from the API, only the names of what the API sets."""

    _foreign: tuple[str, ...] = PrivateAttr(default=())

    @property
    def foreign(self) -> tuple[str, ...]:
        """Names of settings for which the run is refused."""
        return self._foreign

    @classmethod
    async def resolve_for_flow_run(
        cls,
        flow_run: FlowRun,
        *,
        client: PrefectClient,
        work_pool: WorkPool,
        worker_name: str,
        worker_id: UUID | None = None,
        deployment: DeploymentResponse | None = None,
    ) -> "FixedJob":
        """Return a configuration without any value from the API. No template is filled in, no block or variable looked up."""
        if deployment is None and flow_run.deployment_id is not None:
            deployment = await client.read_deployment(flow_run.deployment_id)
        job = cls()
        job._foreign = foreign_settings(work_pool, deployment, flow_run)
        flow = await client.read_flow(flow_run.flow_id)
        job._related_objects = {"deployment": deployment, "flow": flow, "flow-run": flow_run}
        return job


class NoHooks:
    """A runner of no hooks: our flows have none, and to find a flow's hooks, Prefect would run its deployment's pull steps."""

    async def run_cancellation_hooks(self, flow_run: FlowRun, state: State[Any]) -> None:
        """Do nothing."""

    async def run_crashed_hooks(self, flow_run: FlowRun, state: State[Any]) -> None:
        """Do nothing."""


class Worker(ProcessWorker):
    """A process worker for one project. Heartbeats, limits, cancellation and crash reports are Prefect's."""

    job_configuration: type[ProcessJobConfiguration] = FixedJob

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._processes: set[int] = set()  # started, and not known to have ended
        self._stopping = False
        self._without_pool = False

    async def sync_with_backend(self) -> None:
        """Update what is known of the pool, and report once if the server no longer has it."""
        await super().sync_with_backend()
        missing = self._work_pool is None
        if missing and not self._without_pool:
            print(missing_pool(self._work_pool_name), file=sys.stderr, flush=True)
        self._without_pool = missing

    @classmethod
    def __dispatch_key__(cls) -> str:
        """Return a name of its own in Prefect's registry of workers, so that type `process` remains the standard one."""
        return "understudy"

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Start the fixed command for this run and wait for its end, or refuse the run."""
        started = task_status or anyio.TASK_STATUS_IGNORED
        if self._stopping:  # taken while the worker ends: another worker, or this one after its restart, takes the run
            await self.client.set_flow_run_state(flow_run.id, Scheduled(), force=True)
            started.started(0)  # no process
            return ProcessWorkerResult(status_code=0, identifier="given back")
        foreign = configuration.foreign if isinstance(configuration, FixedJob) else ("another configuration",)
        if foreign:
            await self._refuse(flow_run, foreign)
            started.started(0)  # no process
            return ProcessWorkerResult(status_code=0, identifier="refused")
        async with FlowRunExecutorContext() as context:
            starter = EngineCommandStarter(
                command=command_to_string([sys.executable, "-m", MODULE, str(flow_run.id)]),
                cwd=PROJECT,
                control_channel=context.control_channel,
                isolate_process_group=True,
            )
            executor = context.create_executor(flow_run, starter, propose_submitting=False, hook_runner=NoHooks())
            done: list[FlowRunExecutionResult | None] = []

            async def submit(*, task_status: anyio.abc.TaskStatus[ProcessHandle]) -> None:
                done.append(await executor.submit(task_status=task_status))

            async with anyio.create_task_group() as group:
                process = await group.start(submit)
                self._processes.add(process.pid)
                started.started(process.pid)
            self._processes.discard(process.pid)
        if not done or done[0] is None or done[0].status_code is None:
            raise RuntimeError(f"The process of flow run {flow_run.id} did not start.")
        return ProcessWorkerResult(status_code=done[0].status_code, identifier=str(process.pid))

    async def end_processes(self) -> None:
        """Send SIGTERM to the processes of all runs, wait `GRACE` seconds for them, and kill those that are left.

        Such a run is Crashed in Prefect, as after a crash of the machine: a retry continues it and sends no call again.
        """
        self._stopping = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self._processes:
                with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended
                    os.killpg(process, number)
            with anyio.move_on_after(GRACE if number == signal.SIGTERM else 0.5):
                while self._processes:
                    await anyio.sleep(0.05)

    async def _refuse(self, flow_run: FlowRun, foreign: Sequence[str]) -> None:
        names = printable(", ".join(foreign))
        self._logger.warning("Refused flow run %s: these are set for its process: %s", flow_run.id, names)
        reason = f"These are set for its process, and must be empty: {names}."
        await self.client.set_flow_run_state(flow_run.id, refusal(reason), force=True)  # forced: never retried
        await anyio.to_thread.run_sync(alert, flow_run.id, reason)


async def serve(worker: Worker) -> None:
    """Take runs until SIGTERM or SIGINT, then end within `SHUTDOWN_WITHIN` seconds. A second signal ends at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    received: list[int] = []

    def on_signal(number: int, _: object) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        print(f"Received {signal.Signals(number).name}: ending the processes of runs, then the worker.", flush=True)
        timer = threading.Timer(SHUTDOWN_WITHIN, os._exit, (128 + number,))  # Prefect may wait minutes for its server
        timer.daemon = True
        timer.start()
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    serving, stopped = asyncio.create_task(worker.start()), asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        await worker.end_processes()
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    if stop.is_set():
        sys.stdout.flush()
        os._exit(0)  # a normal exit would wait for Prefect's threads, which may wait for the server


def require_usable(address: str, pool: str) -> None:
    """Exit with a message if the server's certificate is not accepted, or if the server has no such work pool for this worker.

    A server that is away is reported and not an error: Prefect itself waits for it.
    """
    with get_client(sync_client=True) as client:
        failed = client.api_healthcheck()
        if failed is None:
            _require_pool(client, address, pool)
            return
    away = unreachable(address, failed)
    if why_failed(failed)[0].startswith("TLS:"):
        raise SystemExit(f"{away.message} {away.next_step}")
    print(f"{away.message} The worker waits for it.", file=sys.stderr, flush=True)


def _require_pool(client: SyncPrefectClient, address: str, name: str) -> None:
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        raise SystemExit(missing_pool(name)) from None
    except (httpx.TransportError, httpx.HTTPStatusError) as error:
        refused = failed_request(address, error)
        raise SystemExit(f"{refused.message} {refused.next_step}") from None
    if pool.type != POOL_TYPE:
        raise SystemExit(
            f"The work pool {name!r} has type {pool.type!r}; expected {POOL_TYPE!r}. Choose another --pool."
        )


def missing_pool(name: str) -> str:
    """Return the message about a work pool that the server does not have."""
    made = "Run `python -m deployments.bootstrap`, which creates it" if name == POOL else f"The usual one is {POOL!r}"
    return f"Prefect has no work pool {name!r}, so this worker gets no runs. {made}; `--pool` names another one."


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a worker until a signal. Exit with a message if no Prefect server is configured, or it has no such work pool."""
    parser = argparse.ArgumentParser(
        prog="understudy-worker", description="Run this project's flows, and nothing else."
    )
    parser.add_argument("--pool", default=POOL, help="work pool to take runs from (default: %(default)s)")
    parser.add_argument("--name", help="name of the worker in Prefect (default: a generated one)")
    parser.add_argument("--limit", type=int, help="maximum number of runs at the same time (default: no limit)")
    given = parser.parse_args(arguments)
    try:
        require_usable(server_address(), given.pool)
    except Misconfigured as error:
        raise SystemExit(f"{error.message} {error.next_step}") from None
    asyncio.run(serve(Worker(given.pool, name=given.name, limit=given.limit, create_pool_if_not_found=False)))


if __name__ == "__main__":
    main()

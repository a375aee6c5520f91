"""What the worker needs of Prefect: the tested version, a pool with a worker, every deployment, and no foreign automation."""

from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from deployments.blocked_runs import Surroundings, is_online
from deployments.bootstrap import POOL, POOL_TYPE, ZOMBIES
from deployments.doctor.examination import Finding, bad, good, unknown
from deployments.prefect_server import Server
from deployments.schedules import last_run
from deployments.worker.prefect_private import TESTED_WITH
from tasks.automations import harmful_automations

FLOWS = Path(__file__).resolve().parents[2] / "flows"
BOOTSTRAP = "Run `python -m deployments.bootstrap`."
DEPLOY = "Run `prefect deploy --all --no-prompt` in the project's folder."
SWEPT_WITHIN = timedelta(hours=1)  # it runs every 15 minutes
CLOCK = timedelta(seconds=30)  # as for the host


def examine_server(server: Server, client: SyncPrefectClient) -> Iterator[Finding]:
    """Yield the findings about versions, pool, workers, deployments, the sweep and automations."""
    here, there = version("prefect"), client.api_version()
    if here == there == TESTED_WITH:
        yield good("Prefect's version", f"{here}, here and on the server.")
    else:
        detail = f"The server runs {there}, here is {here}; expected {TESTED_WITH}."
        yield bad("Prefect's version", detail, "Run `pip install -c constraints.txt -e .` where the other version is.")
    yield from _pool(server, client)
    yield from _deployments(client)
    yield from _sweep(server, client)
    yield from _automations(client)


def _pool(server: Server, client: SyncPrefectClient) -> Iterator[Finding]:
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        yield bad("work pool", f"There is no work pool {POOL!r}.", BOOTSTRAP)
        return
    start = f"Start one where the settings are: understudy-worker --pool {POOL}"
    if pool.type != POOL_TYPE:
        yield bad("work pool", f"{POOL!r} has type {pool.type!r}; expected {POOL_TYPE!r}.", f"Delete it. {BOOTSTRAP}")
    if pool.is_paused:
        yield bad("work pool", f"{POOL!r} is paused.", f"Resume it: prefect work-pool resume {POOL}")
    workers = client.read_workers_for_work_pool(POOL)
    around = Surroundings(now=server.now(), pool=pool, workers=workers)
    online = [worker for worker in workers if is_online(worker, around.now)]
    if online:
        yield good("worker", f"Online for {POOL!r}: {', '.join(worker.name for worker in online)}.")
    else:
        yield bad("worker", f"No worker is online for {POOL!r}; {len(workers)} were seen before.", start)


def _deployments(client: SyncPrefectClient) -> Iterator[Finding]:
    verbs = sorted(path.stem for path in FLOWS.glob("*.py") if path.stem != "__init__")
    named = DeploymentFilter(name=DeploymentFilterName(any_=verbs))
    found = {each.name: each for each in client.read_deployments(deployment_filter=named)}
    missing = [verb for verb in verbs if verb not in found]
    paused = [name for name, each in found.items() if each.paused]
    if missing:
        yield bad("deployments", f"Not deployed: {', '.join(missing)}.", DEPLOY)
    if paused:
        yield unknown(
            "deployments",
            f"Paused: {', '.join(paused)}.",
            "Resume them in Prefect's UI, if nobody paused them on purpose.",
        )
    if not missing and not paused:
        yield good("deployments", f"All {len(verbs)} flows are deployed.")


def _sweep(server: Server, client: SyncPrefectClient) -> Iterator[Finding]:
    last = last_run(client, "sweep", "sweep")
    if last is None or last.end_time is None:
        yield unknown("sweep", "No sweep has ended yet.", "Wait a quarter of an hour, or start `sweep` in Prefect.")
        return
    ago = server.now() - last.end_time
    state = _state(last)
    remedy = "Look at its last run in Prefect: reminders, expiries and alerts depend on it."
    if not (last.state and last.state.is_completed()):
        yield bad("sweep", f"The last one ended as {state}.", remedy)
    elif ago > SWEPT_WITHIN:
        yield bad(
            "sweep",
            f"The last one ended {ago.total_seconds() / 3600:.0f} h ago; it should run every 15 minutes.",
            remedy,
        )
    else:
        yield good("sweep", f"The last one ended {ago.total_seconds() / 60:.0f} min ago as {state}.")


def _state(run: FlowRun) -> str:
    return str(run.state.name) if run.state else "unknown"


def _automations(client: SyncPrefectClient) -> Iterator[Finding]:
    ours = client.read_automations_by_name(ZOMBIES)
    if not any(automation.enabled for automation in ours):
        what = "is paused" if ours else "does not exist"
        yield bad("automation for lost runs", f"{ZOMBIES!r} {what}: a lost run keeps its locks.", BOOTSTRAP)
    else:
        yield good("automation for lost runs", "It ends runs whose process is gone.")
    harmful = harmful_automations(client)
    for sentence in harmful:
        detail, _, remedy = sentence.partition(". ")
        yield bad("foreign automations", f"{detail}.", remedy)
    if not harmful:
        yield good("foreign automations", "No automation of others acts on runs that wait.")

"""Prepare a Prefect server for our deployments and print what was changed. May be repeated at any time.

Run as `python -m deployments.bootstrap`, with `PREFECT_API_URL` naming the server, before `prefect deploy`. It creates one
work pool, and one automation that ends runs whose machine was lost. Not here, on purpose: concurrency limits (the lock is
in our ledger), blocks (secrets are environment variables of the worker), and standing approvals (they are in
`standing.yaml`, because everybody who reaches the Prefect API can edit a variable).
"""

import argparse
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from deployments.server_address import failed_request, server_address
from tasks.automations import harmful_automations
from tasks.estate.errors import Misconfigured

POOL = "understudy"
POOL_TYPE = "process"
ZOMBIES = "understudy: end runs without a heartbeat"
MISSED_HEARTBEATS = 3  # one or two may be late on a busy machine; a shorter window would end healthy runs
DEFAULT_HEARTBEAT = 180  # seconds; Prefect's default, for when the setting is off here but not on the worker


class WrongPool(Exception):
    """A work pool of our name has another type. It is somebody else's, and is not changed."""


def bootstrap(client: SyncPrefectClient) -> list[str]:
    """Create what is missing on the server, and return one sentence for each change.

    Raise `WrongPool`, and httpx errors if the server does not respond.
    """
    return [*_ensure_pool(client), *_ensure_automation(client, zombie_automation(_heartbeat()))]


def zombie_automation(heartbeat: int) -> AutomationCore:
    """Return the automation that marks a run `Crashed` when its process and its worker are gone.

    `heartbeat`: seconds between two heartbeats, as set on the *workers* (`PREFECT_FLOWS_HEARTBEAT_FREQUENCY`). Without
    this automation, such a run remains `Running` and keeps its lock.
    """
    return AutomationCore(
        name=ZOMBIES,
        description=f"A run silent for {MISSED_HEARTBEATS} × {heartbeat} s has lost its process; mark it Crashed.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=MISSED_HEARTBEATS * heartbeat),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="No heartbeat: the process or machine is gone.")],
    )


def _heartbeat() -> int:
    return get_current_settings().flows.heartbeat_frequency or DEFAULT_HEARTBEAT


def _ensure_pool(client: SyncPrefectClient) -> list[str]:
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        description = "Runs Understudy's flows as processes of a worker that has the UNDERSTUDY_… variables."
        client.create_work_pool(WorkPoolCreate(name=POOL, type=POOL_TYPE, description=description))
        return [f"Created the work pool {POOL!r} of type {POOL_TYPE!r}."]
    if pool.type != POOL_TYPE:
        raise WrongPool(
            f"The work pool {POOL!r} has type {pool.type!r}; expected {POOL_TYPE!r}. Delete it, then run this again."
        )
    return []


def _ensure_automation(client: SyncPrefectClient, wanted: AutomationCore) -> list[str]:
    """Keep or create exactly one automation of that name, as wanted. Prefect allows several of one name."""
    existing = client.read_automations_by_name(wanted.name)
    right = [automation for automation in existing if _same(automation, wanted)]
    changes = []
    for automation in existing:
        if automation.id is not None and automation not in right[:1]:
            client.delete_automation(automation.id)
            changes.append(f"Deleted an outdated automation {wanted.name!r}.")
    if not right:
        client.create_automation(wanted)
        changes.append(f"Created the automation {wanted.name!r}.")
    return changes


def _same(found: Automation, wanted: AutomationCore) -> bool:
    """Compare what we set. `enabled` is left out: somebody may have paused the automation on purpose."""
    trigger = set(EventTrigger.model_fields) - {"id"}  # the server numbers triggers
    compared: Any = {"name": True, "description": True, "actions": True, "trigger": trigger}
    return found.model_dump(mode="json", include=compared) == wanted.model_dump(mode="json", include=compared)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare the server of the current settings and print what was changed. Exit with 2 if no server is configured."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.bootstrap", description=(__doc__ or "").splitlines()[0]
    )
    parser.parse_args(arguments)
    try:
        address = server_address()  # without one, Prefect would start a temporary server and change that
    except Misconfigured as error:
        parser.error(f"{error.message} {error.next_step}")
    try:
        with get_client(sync_client=True) as client:
            changes = bootstrap(client)
            warnings = harmful_automations(client)
            server = client.api_url
    except (httpx.TransportError, httpx.HTTPStatusError) as error:
        away = failed_request(address, error)
        raise SystemExit(f"{away.message} {away.next_step}") from None
    except WrongPool as wrong:
        raise SystemExit(str(wrong)) from None
    for line in [*changes, *(f"Warning: {warning}" for warning in warnings)]:
        print(line)
    if not changes:
        print(f"Nothing to change on {server}.")


if __name__ == "__main__":
    main()

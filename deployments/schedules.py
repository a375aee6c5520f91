"""The schedules of a Prefect server: its deployments, when each starts next, and how the last run of one ended."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from pydantic import BaseModel

PAGE = 100  # deployments per request; the server's limit is 200


def last_run(client: SyncPrefectClient, flow: str, deployment: str) -> FlowRun | None:
    """Return the run of this deployment that ended last, or None."""
    ended = FlowRunFilterState(type=FlowRunFilterStateType(any_=[*TERMINAL_STATES]))
    found = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment])),
        flow_run_filter=FlowRunFilter(state=ended),
        sort=FlowRunSort.END_TIME_DESC,
        limit=1,
    )
    return found[0] if found else None


def every_deployment(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """Return every deployment of this server, with its parameters and schedules."""
    found: list[DeploymentResponse] = []
    while page := client.read_deployments(limit=PAGE, offset=len(found)):
        found += page
    return found


def starts_between(
    deployments: Iterable[DeploymentResponse], since: datetime, until: datetime
) -> dict[str, list[datetime]]:
    """Return when each of these deployments starts by its active schedules, by its name. Prefect plans a few runs ahead only."""
    found: dict[str, list[datetime]] = {}
    for deployment in deployments:
        if not deployment.paused:
            times = [at for each in deployment.schedules if each.active for at in _times(each.schedule, since, until)]
            found.setdefault(deployment.name, []).extend(times)
    return {name: sorted(times) for name, times in found.items()}


def _times(schedule: BaseModel, since: datetime, until: datetime) -> list[datetime]:
    from prefect.server.schemas import schedules as server  # loads the server: only the calendar needs it

    kind = getattr(server, type(schedule).__name__)  # the client's kinds have the names of the server's
    return [*asyncio.run(kind(**schedule.model_dump(exclude_unset=True)).get_dates(start=since, end=until))]


def next_starts(client: SyncPrefectClient) -> dict[str, datetime]:
    """Return when the next run that Prefect has scheduled of each deployment starts, by the deployment's name."""
    names = {each.id: each.name for each in every_deployment(client) if each.schedules}
    waits = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    starts: dict[str, datetime] = {}
    for deployment, name in names.items():
        found = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
            flow_run_filter=FlowRunFilter(state=waits),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=1,
        )
        if found and found[0].next_scheduled_start_time:
            starts[name] = found[0].next_scheduled_start_time
    return starts

"""The schedules of a Prefect server: its deployments, when each starts next, and how the last run of one ended."""

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

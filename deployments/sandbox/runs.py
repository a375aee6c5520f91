"""The sandbox's runs, started and read through Prefect's public API as any client could."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled

from deployments.prefect_server import Server


class Runs(Server):
    """The sandbox's Prefect server, with what only the demo and its tests need; made by `connected_to`."""

    def start_by_schedule(self, deployment: str) -> UUID:
        """Create the next run of the deployment's own schedule, start it now, and return its id.

        A standing approval covers only runs that Prefect's scheduler created, and the demo does not wait until night.
        """
        found = self._client.read_deployment_by_name(deployment)
        path = f"/deployments/{found.id}/schedule"
        self._client.request("POST", path, json={"min_runs": 1, "max_runs": 1})  # type: ignore[arg-type]  # Prefect's list of paths lacks this one
        chosen = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[found.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        )
        waiting = self._client.read_flow_runs(flow_run_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        run = next(each.id for each in waiting if each.auto_scheduled)
        self._client.set_flow_run_state(run, Scheduled(), force=True)
        return run


@contextmanager
def connected_to(api_url: str) -> Iterator[Runs]:
    """Connect to the server at `api_url` (with `/api` at its end). The caller's own Prefect profile and proxies are not used."""
    with SyncPrefectClient(api_url, httpx_settings={"trust_env": False}) as client:
        yield Runs(client)

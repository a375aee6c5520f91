"""The sandbox's runs, started and read through Prefect's public API as any client could."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import Artifact, StateType
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
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

    def progress(self, run: UUID) -> list[Artifact]:
        """Return the progress artifacts of a run, oldest first."""
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        found = [a for a in self._client.read_artifacts(flow_run_filter=chosen) if a.type == "progress"]
        return sorted(found, key=lambda artifact: str(artifact.created))

    def report(self, run: UUID) -> str:
        """Return the Markdown report of a run; empty if it wrote none."""
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        found = self._client.read_artifacts(flow_run_filter=chosen, sort=ArtifactSort.CREATED_DESC)
        return next((str(a.data) for a in found if (a.key or "").startswith("report-")), "")


@contextmanager
def connected_to(api_url: str) -> Iterator[Runs]:
    """Connect to the server at `api_url` (with `/api` at its end). The caller's own Prefect profile and proxies are not used."""
    with SyncPrefectClient(api_url, httpx_settings={"trust_env": False}) as client:
        yield Runs(client)

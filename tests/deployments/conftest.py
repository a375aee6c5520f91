"""A work pool on the test server, with deployments that anybody with access to Prefect's API could create."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State

DIAGNOSE = "flows.diagnose.diagnose"
DIAGNOSED = {"install": "schulprod", "compare_with": ""}


@dataclass(frozen=True)
class Pool:
    """One pool of type process, and runs in it."""

    name: str
    client: SyncPrefectClient

    def start(
        self,
        entrypoint: str | None,
        *,
        flow: str = "diagnose",
        parameters: dict[str, Any] | None = None,
        job_variables: dict[str, Any] | None = None,
        **deployment: Any,
    ) -> UUID:
        """Start a run of a new deployment. `job_variables` are those of the run; other options are the deployment's."""
        made = self.client.create_deployment(
            flow_id=self._flow(flow),
            name=uuid4().hex,
            entrypoint=entrypoint,
            work_pool_name=self.name,
            enforce_parameter_schema=False,
            **deployment,
        )
        run = self.client.create_flow_run_from_deployment(
            made, parameters=DIAGNOSED if parameters is None else parameters, job_variables=job_variables
        )
        return run.id

    def start_without_deployment(self) -> UUID:
        """Start a run that names the pool itself."""
        body = {
            "flow_id": str(self._flow("diagnose")),
            "parameters": DIAGNOSED,
            "state": {"type": "SCHEDULED"},
            "work_pool_name": self.name,
        }
        response = self.client.request("POST", "/flow_runs/", json=body)
        response.raise_for_status()
        return UUID(response.json()["id"])

    def _flow(self, name: str) -> UUID:
        response = self.client.request("POST", "/flows/", json={"name": name})
        response.raise_for_status()
        return UUID(response.json()["id"])

    def state(self, run: UUID) -> State[Any]:
        """Return the state of the run."""
        state = self.client.read_flow_run(run).state
        assert state is not None
        return state

    def end(self, run: UUID) -> str:
        """Return the name of the run's state."""
        return str(self.state(run).name)


@pytest.fixture
def pool(prefect_server: None) -> Iterator[Pool]:
    """A new, empty pool."""
    with get_client(sync_client=True) as client:
        name = f"pool-{uuid4().hex[:8]}"
        client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        yield Pool(name, client)
        client.delete_work_pool(name)

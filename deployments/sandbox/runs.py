"""Start, watch and answer runs of the sandbox through Prefect's public API, as any other client could."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
)
from prefect.client.schemas.objects import Artifact, FlowRun, StateType, TaskRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled

from deployments.cli.server import FORM_WITHIN, Server


class NotAnswered(Exception):
    """Prefect did not take an answer; the message has its reason."""


@dataclass(frozen=True)
class Question:
    """What a suspended run asks: its key, the Markdown above the form, and the form's fields (JSON schema)."""

    key: str
    text: str
    fields: dict[str, Any]

    @property
    def plan_code(self) -> str:
        """The code that has to be typed, as the form's label says it."""
        return str(self.fields["plan"]["title"]).rpartition(" ")[2]


class Runs:
    """The runs of one Prefect server; a context manager."""

    def __init__(self, api_url: str) -> None:
        """`api_url`: with `/api` at its end. The settings of the caller's own Prefect profile are not used."""
        self._client = SyncPrefectClient(api_url, httpx_settings={"trust_env": False})
        self._server = Server(self._client)

    def __enter__(self) -> "Runs":
        """Open the connection."""
        self._client.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Close the connection."""
        self._client.__exit__(*error)

    def start(self, deployment: str, **parameters: Any) -> UUID:
        """Start a deployment, named `flow/deployment`, with these parameters over its own; gives the run's id."""
        found = self._client.read_deployment_by_name(deployment)
        return self._client.create_flow_run_from_deployment(found.id, parameters=parameters).id

    def start_by_schedule(self, deployment: str) -> UUID:
        """Have the next run of the deployment's own schedule made, and start it now; return the run's id.

        A standing approval covers only what Prefect's scheduler made, and the demo does not wait until night.
        """
        found = self._client.read_deployment_by_name(deployment)
        made = f"/deployments/{found.id}/schedule"
        self._client.request("POST", made, json={"min_runs": 1, "max_runs": 1})  # type: ignore[arg-type]  # Prefect's list of paths lacks this one
        chosen = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[found.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        )
        waiting = self._client.read_flow_runs(flow_run_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
        run = next(each.id for each in waiting if each.auto_scheduled)
        self._client.set_flow_run_state(run, Scheduled(), force=True)
        return run

    def read(self, run: UUID) -> FlowRun:
        """The run as it is now."""
        return self._client.read_flow_run(run)

    def obstacle(self, run: FlowRun) -> str:
        """For what a run waits that neither asks nor ends, and the remedy."""
        return str(self._server.obstacle(run))

    def steps(self, run: UUID) -> list[TaskRun]:
        """The steps of the run so far, oldest first."""
        chosen = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run]))
        found = self._client.read_task_runs(task_run_filter=chosen)
        return sorted(found, key=lambda step: str(step.expected_start_time))

    def progress(self, run: UUID) -> list[Artifact]:
        """The progress artifacts of the run, oldest first."""
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        found = [a for a in self._client.read_artifacts(flow_run_filter=chosen) if a.type == "progress"]
        return sorted(found, key=lambda artifact: str(artifact.created))

    def report(self, run: UUID) -> str:
        """The Markdown report of the run; empty if it wrote none."""
        chosen = ArtifactFilter(key=ArtifactFilterKey(any_=[f"report-{run}"]))
        found = self._client.read_artifacts(artifact_filter=chosen)
        latest = max(found, key=lambda artifact: str(artifact.created), default=None)
        return str(latest.data) if latest else ""

    def question(self, run: UUID) -> Question | None:
        """What the run asks right now; None if it is not waiting, or its form is not stored yet."""
        form = self._server.form(self.read(run))
        return Question(form.key, form.text, dict(form.fields)) if form is not None else None

    def answer(self, run: UUID, fields: dict[str, str], *, within: float = FORM_WITHIN) -> None:
        """Fill in the form of a suspended run. Raises `NotAnswered` with Prefect's reason.

        Only "no form stored yet" is tried again, for up to `within` seconds; every other refusal is final.
        """
        reason = self._server.answer(run, fields, within=within)
        if reason:
            raise NotAnswered(f"Prefect refused the answer to run {run}: {reason}")

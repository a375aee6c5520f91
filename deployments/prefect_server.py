"""The Prefect server of the current settings: its runs, and the forms of runs that wait for an answer."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import Artifact, FlowRun, State, StateType, TaskRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import ArtifactCollectionSort, ArtifactSort, FlowRunSort
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from deployments.blocked_runs import DUE_SOON, Obstacle, Surroundings, find_obstacle
from deployments.deployed_flows import is_ours, why_refused_by_flow
from deployments.server_address import VARIABLE, explanation_of, failed_request, server_address
from tasks.estate.errors import Misconfigured, NotApproved, NotFound
from tasks.runtime.undo_choices import create_run
from tasks.signoff.form_fields import REJECT

T = TypeVar("T")

SCHEMA_NOT_FOUND = "Run input schema not found"  # a run is reported as suspended a moment before its form is stored
FORM_WITHIN = 15.0  # seconds to wait for that form
POLL_EVERY = 0.25  # seconds between two requests for it
TIMEOUT = 20.0  # seconds for one response; whoever follows a run is informed of a longer silence
HEARTBEATS = 6  # heartbeats of a run to read, enough to derive their interval
PAGE = 100  # runs or artifacts per request; the server's limit is 200


@dataclass(frozen=True)
class Form:
    """The form of a suspended run: its key, its Markdown, and the fields (JSON schema) as an approval must fill them in."""

    key: str
    text: str
    fields: Mapping[str, Any]
    required: tuple[str, ...]

    @property
    def approval(self) -> str:
        """The choice that approves, and permits nothing else; "" if the form offers none."""
        return next((each for each in self.fields.get("decision", {}).get("enum", []) if each != REJECT), "")


class Server:
    """An open connection to the Prefect API; made by `connected`."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def start(self, deployment: str, parameters: Mapping[str, Any]) -> UUID:
        """Start a run of `flow/deployment` and return its id.

        `parameters` override the deployment's own. They may name what its form offers as a list: then they are checked here
        against the flow. Raise `NotFound` if there is no such deployment, and `Misconfigured` if a parameter is refused.
        """
        key = uuid4().hex  # Prefect's client repeats a request whose response is lost
        found = self.deployment(deployment)
        try:
            return self._client.create_flow_run_from_deployment(
                found.id, parameters=dict(parameters), idempotency_key=key
            ).id
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
                raise
            why = explanation_of(error)
            if is_ours(found):  # the explanation is about the lists of the form: what counts is the flow
                why = why_refused_by_flow(found, parameters)
            if why:
                raise Misconfigured(
                    f"The parameters of {deployment!r} are refused: {why}",
                    next_step="Nothing was started. Correct the parameter that the message names.",
                ) from error
        return create_run(self._client, found.id, parameters, idempotency_key=key)

    def deployment(self, name: str) -> DeploymentResponse:
        """Return a deployment by `flow/name`, with its parameters and the form of the rest. Raise `NotFound`."""
        try:
            return self._client.read_deployment_by_name(name)
        except ObjectNotFound as error:
            raise NotFound(
                f"Prefect has no deployment {name!r}.",
                next_step="Nothing was started. Run `prefect deploy --all`, then try again.",
            ) from error

    def has_pool(self, name: str) -> bool:
        """Return whether the server has a work pool of this name."""
        try:
            return bool(self._client.read_work_pool(name))
        except ObjectNotFound:
            return False

    def using(self, act: Callable[[SyncPrefectClient], T]) -> T:
        """Return what `act` returns for the open client, for what has a file of its own."""
        return act(self._client)

    def run(self, run: UUID) -> FlowRun:
        """Return the present state of a run. Raise `NotFound` if Prefect does not have it."""
        try:
            return self._client.read_flow_run(run)
        except ObjectNotFound as error:
            raise NotFound(
                f"Prefect has no run {run}: it was deleted, or belongs to another server.",
                next_step=f"Check the id and {VARIABLE}. `understudy ledger export` shows what the run did.",
            ) from error

    @property
    def client(self) -> SyncPrefectClient:
        """Prefect's own client."""
        return self._client

    def obstacle(self, run: FlowRun) -> Obstacle:
        """Return what a run waits for that has neither ended nor asked."""
        running = run.state is not None and run.state.is_running()
        pool = queue = None
        workers: list[Any] = []
        with suppress(ObjectNotFound):
            if run.work_pool_name:
                pool = self._client.read_work_pool(run.work_pool_name)
                workers = self._client.read_workers_for_work_pool(run.work_pool_name)
            if run.work_queue_id:
                queue = self._client.read_work_queue(run.work_queue_id)
        surroundings = Surroundings(
            now=self.now(),
            pool=pool,
            queue=queue,
            workers=workers,
            heartbeats=self._heartbeats(run.id) if running else (),
            steps=[step.name for step in self.steps(run.id, running=True)] if running else (),
        )
        return find_obstacle(run, surroundings)

    def now(self) -> datetime:
        """Return the time of the server's clock, which dates heartbeats and states."""
        date = self._client.request("GET", "/health").headers.get("date")
        return parsedate_to_datetime(date) if date else datetime.now(UTC)

    def _heartbeats(self, run: UUID) -> list[datetime]:
        """Return the times of a run's latest heartbeats, newest first."""
        chosen = EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
        )
        found = self._client.read_events(chosen, limit=HEARTBEATS).events
        return sorted((event.occurred for event in found), reverse=True)

    def steps(self, run: UUID, *, running: bool = False) -> list[TaskRun]:
        """Return the steps of a run, oldest first; with `running`, only those that run now."""
        states = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING])) if running else None
        chosen = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run]), state=states)
        return sorted(
            self._client.read_task_runs(task_run_filter=chosen), key=lambda step: str(step.expected_start_time)
        )

    def progress(self, run: UUID) -> list[Artifact]:
        """Return the progress bars of a run, oldest first."""
        return [each for each in self._artifacts(run) if each.type == "progress"]

    def report(self, run: UUID) -> str:
        """Return the Markdown of a run's newest report; empty if it wrote none."""
        reports = [str(each.data) for each in self._artifacts(run) if (each.key or "").startswith("report-")]
        return reports[-1] if reports else ""

    def _artifacts(self, run: UUID) -> list[Artifact]:
        """Return what a run shows in Prefect, oldest first."""
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        return self._client.read_artifacts(flow_run_filter=chosen, sort=ArtifactSort.CREATED_DESC)[::-1]

    def paused(self) -> list[FlowRun]:
        """Return every run that waits for an answer."""
        waits = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
        found: list[FlowRun] = []
        while page := self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=waits), limit=PAGE, offset=len(found)
        ):
            found += page
        return found

    def recent(self, limit: int) -> list[FlowRun]:
        """Return the newest runs, the latest first, without those that a schedule starts later."""
        due = FlowRunFilterExpectedStartTime(before_=self.now() + DUE_SOON)
        found: list[FlowRun] = []
        while len(found) < limit and (
            page := self._client.read_flow_runs(
                flow_run_filter=FlowRunFilter(expected_start_time=due),
                sort=FlowRunSort.EXPECTED_START_TIME_DESC,
                limit=min(PAGE, limit - len(found)),
                offset=len(found),
            )
        ):
            found += page
        return found

    def newest(self, keys: list[str]) -> dict[str, str]:
        """Return the newest Markdown artifact under each of these keys; a key without one is absent."""
        found: dict[str, str] = {}
        for start in range(0, len(keys), PAGE):
            chosen = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=keys[start : start + PAGE]))
            artifacts = self._client.read_latest_artifacts(artifact_filter=chosen)
            found |= {artifact.key: str(artifact.data) for artifact in artifacts}
        return found

    def newest_under(self, prefix: str) -> dict[str, str]:
        """Return the newest Markdown artifacts whose key begins so, by key: the latest of each, 200 at most."""
        chosen = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(like_=f"{prefix}%"))
        newest = ArtifactCollectionSort.UPDATED_DESC
        found = self._client.read_latest_artifacts(artifact_filter=chosen, sort=newest, limit=2 * PAGE)
        return {artifact.key: str(artifact.data) for artifact in found}

    def form(self, run: FlowRun, *, wait: bool = False) -> Form | None:
        """Return the form of a suspended run; None if it asks nothing or is not stored, with `wait` within `FORM_WITHIN` s."""
        keys = form_keys(run.state)
        deadline = time.monotonic() + (FORM_WITHIN if wait else 0.0)
        schema = self._input(run.id, keys["schema"]) if keys else None
        while keys and schema is None and time.monotonic() < deadline:
            time.sleep(POLL_EVERY)
            schema = self._input(run.id, keys["schema"])
        if not isinstance(schema, dict):
            return None
        return form_of(schema, keys["schema"], str(self._input(run.id, keys["description"]) or ""))

    def _input(self, run: UUID, key: str) -> Any:
        try:
            answer = self._client.request("GET", "/flow_runs/{id}/input/{key}", path_params={"id": run, "key": key})
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return None
            raise
        return answer.json()

    def answer(self, run: UUID, fields: Mapping[str, str], *, within: float = FORM_WITHIN) -> None:
        """Submit the form of a suspended run. Raise `NotApproved` with Prefect's reason if it is refused.

        Only "form not stored yet" is tried again, for up to `within` seconds; every other refusal is final.
        """
        deadline = time.monotonic() + within
        while (result := self._client.resume_flow_run(run, run_input=dict(fields))).status.value != "ACCEPT":
            reason = str(getattr(result.details, "reason", "") or result.status.value)
            if SCHEMA_NOT_FOUND not in reason or time.monotonic() >= deadline:
                if proof := fields.get("proof"):
                    reason = reason.replace(proof, "(your proof)")  # a schema's refusal repeats the refused value
                raise NotApproved(
                    f"Prefect did not accept the answer to run {run}: {reason}",
                    next_step="Check with `understudy waiting` whether the run still waits, then answer again.",
                )
            time.sleep(POLL_EVERY)


@contextmanager
def connected() -> Iterator[Server]:
    """Connect to the Prefect server of the current profile. Raise `Misconfigured` without one, `Unreachable` if it fails."""
    address = server_address()
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": TIMEOUT}) as client:
            yield Server(client)
    except (httpx.TransportError, httpx.HTTPStatusError) as error:
        raise failed_request(address, error) from error


def form_of(schema: Mapping[str, Any], key: str, text: str = "") -> Form:
    """Return the form of a JSON schema. Without a `text` of its own, as in version 0.1, its text is the help of its first field."""
    needed = schema.get("else", {}).get("properties", {})  # of an approval; a rejection may leave these fields empty
    fields = {name: {**rules, **needed.get(name, {})} for name, rules in schema.get("properties", {}).items()}
    first: Mapping[str, Any] = min(fields.values(), key=lambda rules: rules.get("position", 0), default={})
    return Form(key, text or str(first.get("description", "")), fields, tuple(schema.get("required", ())))


def form_keys(state: State[Any] | None) -> Mapping[str, str]:
    """Return the keys under which Prefect stores the form of a suspended run; empty if the run asks nothing."""
    if state is None or not state.is_paused():
        return {}
    return state.state_details.run_input_keyset or {}


def link(run: UUID) -> str:
    """Return the address of the run's page in Prefect's UI."""
    return url_for("flow-run", obj_id=run) or f"run {run}"

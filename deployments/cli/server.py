"""The Prefect server of the current profile: start runs, find those that wait, read what they ask, answer them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from deployments.cli.obstacles import Obstacle, Scene, obstacle
from deployments.reaching import server_address, unreachable, without_login
from tasks.estate.errors import Misconfigured, NotFound, Unreachable

SCHEMA_LATE = "Run input schema not found"  # a run is shown as suspended a moment before its form is stored
FORM_WITHIN = 15.0  # seconds for that moment
EVERY = 0.25  # seconds between two looks for it
ANSWERS_WITHIN = 20.0  # seconds for one answer of the server; whoever waits is to hear of a longer silence
HEARTBEATS = 6  # of a run, to know how often it sends one
PAGE = 100  # runs or artifacts in one request; the server gives at most 200


@dataclass(frozen=True)
class Form:
    """What a suspended run asks: its key, the Markdown above the form, and the form's fields (JSON schema)."""

    key: str
    text: str
    fields: Mapping[str, Any]
    required: tuple[str, ...]


class Server:
    """An open connection to the Prefect API; made by `connected`."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self._client = client

    def start(self, deployment: str, parameters: Mapping[str, Any]) -> UUID:
        """Start `flow/deployment` with these parameters over its own. Raises `NotFound`, or `Misconfigured` for a parameter."""
        try:
            found = self._client.read_deployment_by_name(deployment)
            made = self._client.create_flow_run_from_deployment(
                found.id,
                parameters=dict(parameters),
                idempotency_key=uuid4().hex,  # Prefect's client repeats a request whose answer is lost
            )
            return made.id
        except ObjectNotFound as error:
            raise NotFound(
                f"Prefect knows no deployment {deployment!r}.",
                next_step="Nothing was started. Deploy with `prefect deploy --all`, then try again.",
            ) from error
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
                raise
            raise Misconfigured(
                f"Prefect refused the parameters of {deployment!r}: {_reason(error)}",
                next_step="Nothing was started. Correct the parameter that the message names.",
            ) from error

    def run(self, run: UUID) -> FlowRun:
        """The run as it is now. Raises `NotFound`."""
        try:
            return self._client.read_flow_run(run)
        except ObjectNotFound as error:
            raise NotFound(
                f"Prefect knows no run {run}: it was deleted, or belongs to another server.",
                next_step="Check the id and PREFECT_API_URL. What the run did is in `understudy ledger export`.",
            ) from error

    def obstacle(self, run: FlowRun) -> Obstacle:
        """Return for what a run waits that neither asks nor ends."""
        return obstacle(run, self._scene(run))

    def _scene(self, run: FlowRun) -> Scene:
        """Return the surroundings of a run. What was deleted is left out."""
        pool = queue = None
        workers: list[Any] = []
        with suppress(ObjectNotFound):
            if run.work_pool_name:
                pool = self._client.read_work_pool(run.work_pool_name)
                workers = self._client.read_workers_for_work_pool(run.work_pool_name)
            if run.work_queue_id:
                queue = self._client.read_work_queue(run.work_queue_id)
        running = run.state is not None and run.state.is_running()
        return Scene(
            now=self._now(),
            pool=pool,
            queue=queue,
            workers=workers,
            heartbeats=self._heartbeats(run.id) if running else (),
            steps=self._steps(run.id) if running else (),
        )

    def _now(self) -> datetime:
        """The time by the server's clock, by which it dates heartbeats and states."""
        date = self._client.request("GET", "/health").headers.get("date")
        return parsedate_to_datetime(date) if date else datetime.now(UTC)

    def _heartbeats(self, run: UUID) -> list[datetime]:
        """When the process of a run last sent a sign of life, the newest first; empty if it sends none."""
        chosen = EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
        )
        return sorted(
            (event.occurred for event in self._client.read_events(chosen, limit=HEARTBEATS).events), reverse=True
        )

    def _steps(self, run: UUID) -> list[str]:
        """The names of the steps of a run that run now, the oldest first."""
        chosen = TaskRunFilter(
            flow_run_id=TaskRunFilterFlowRunId(any_=[run]),
            state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING])),
        )
        found = self._client.read_task_runs(task_run_filter=chosen, limit=PAGE)
        return [step.name for step in sorted(found, key=lambda step: str(step.start_time))]

    def paused(self) -> list[FlowRun]:
        """Every run that waits for an answer."""
        waits = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
        found: list[FlowRun] = []
        while page := self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=waits), limit=PAGE, offset=len(found)
        ):
            found += page
        return found

    def newest(self, keys: list[str]) -> dict[str, str]:
        """The newest Markdown under each of these artifact keys; absent where there is none."""
        found: dict[str, str] = {}
        for start in range(0, len(keys), PAGE):
            chosen = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=keys[start : start + PAGE]))
            artifacts = self._client.read_latest_artifacts(artifact_filter=chosen)
            found |= {artifact.key: str(artifact.data) for artifact in artifacts}
        return found

    def form(self, run: FlowRun, *, patiently: bool = False) -> Form | None:
        """What the run asks right now; None if it does not wait, or its form is not stored yet: `patiently` waits for it."""
        keys = form_keys(run.state)
        deadline = time.monotonic() + (FORM_WITHIN if patiently else 0.0)
        schema = self._input(run.id, keys["schema"]) if keys else None
        while keys and schema is None and time.monotonic() < deadline:
            time.sleep(EVERY)
            schema = self._input(run.id, keys["schema"])
        if not isinstance(schema, dict):
            return None
        text = str(self._input(run.id, keys.get("description", "")) or "")
        return Form(keys["schema"], text, schema.get("properties", {}), tuple(schema.get("required", ())))

    def _input(self, run: UUID, key: str) -> Any:
        try:
            answer = self._client.request("GET", "/flow_runs/{id}/input/{key}", path_params={"id": run, "key": key})
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return None
            raise
        return answer.json()

    def answer(self, run: UUID, fields: Mapping[str, str], *, within: float = FORM_WITHIN) -> str:
        """Fill in the form of a suspended run; gives Prefect's reason for a no, nothing for a yes.

        Only "no form stored yet" is tried again, for up to `within` seconds; every other no is final.
        """
        deadline = time.monotonic() + within
        while True:
            result = self._client.resume_flow_run(run, run_input=dict(fields))
            if result.status.value == "ACCEPT":
                return ""
            reason = str(getattr(result.details, "reason", "") or result.status.value)
            if SCHEMA_LATE not in reason or time.monotonic() >= deadline:
                return reason
            time.sleep(EVERY)


@contextmanager
def connected() -> Iterator[Server]:
    """Connect to the Prefect server of the current profile. Raises `Misconfigured` without one, `Unreachable` if it fails."""
    address = server_address()
    try:
        with get_client(sync_client=True, httpx_settings={"timeout": ANSWERS_WITHIN}) as client:
            yield Server(client)
    except httpx.HTTPStatusError as error:
        raise Unreachable(
            f"The Prefect server at {without_login(address)} answered {error.response.status_code}: {_reason(error)}",
            next_step="Look whether the answer or run arrived (`understudy waiting`), then try again.",
        ) from error
    except httpx.TransportError as error:
        raise unreachable(address, error) from error


def form_keys(state: State[Any] | None) -> Mapping[str, str]:
    """The keys under which Prefect keeps the form of a suspended run; empty where it asks nothing."""
    asks = state is not None and state.is_paused() and state.state_details.run_input_keyset
    return state.state_details.run_input_keyset or {} if state is not None and asks else {}


def link(run: UUID) -> str:
    """Where people see the run: its page in Prefect's UI."""
    return url_for("flow-run", obj_id=run) or f"run {run}"


def _reason(error: httpx.HTTPStatusError) -> str:
    """The server's own words; a refused parameter may come back in them, never an answer to a form."""
    try:
        said = error.response.json()
    except ValueError:
        return error.response.reason_phrase
    return str(said.get("detail", said) if isinstance(said, dict) else said)[:500]

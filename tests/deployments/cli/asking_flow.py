"""A small flow that asks as ours do, and the answers that Prefect stores."""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.flow_runs import suspend_flow_run
from prefect.runtime import flow_run
from prefect.states import Pending

from tasks.estate.approval_sheet import Sheet, digest
from tasks.estate.plans import Backup, Comparison, CopyOptions, Difference, Plan, Severity
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Content, Direction, Environment, Install, Pair, Survey
from tasks.runtime.approval_forms import ArrivalForm, form_for

ANSWER_BY = datetime(2099, 1, 1, 12, tzinfo=UTC)
THEN = datetime(2026, 11, 1, tzinfo=UTC)
RED = Risk(grade=Grade.RED, reasons=("the destination is newer",), people=2, signatures=1)
YELLOW = Risk(grade=Grade.YELLOW, reasons=("it is production",))


def _install(name: str, environment: Environment) -> Install:
    return Install(
        id=f"id-{name}",
        name=name,
        account_id="a",
        site_id="s",
        environment=environment,
        status="active",
        primary_domain=f"{name}.example",
    )


def _comparison(pair: Pair) -> Comparison:
    source, destination = (
        Survey(install=install, content=Content(reachable=True), taken_at=THEN)
        for install in (pair.source, pair.destination)
    )
    return Comparison(
        source=source,
        destination=destination,
        differences=(Difference(aspect="PHP", source="8.3", destination="8.2", severity=Severity.WARN),),
        losses=("two posts of production",),
        destination_is_newer=True,
    )


def sheet_of(run_id: str, destination: str = "schulprod", risk: Risk = RED) -> Sheet:
    """Return the sheet of a promotion, by default one that two people must approve."""
    pair = Pair(
        source=_install("schulstage", Environment.STAGING),
        destination=_install(destination, Environment.PRODUCTION),
        direction=Direction.UP,
    )
    comparison = _comparison(pair)
    plan = Plan(
        verb="promote",
        direction=pair.direction,
        pair=pair,
        options=CopyOptions(database=False),
        backup=Backup(id="backup-1", install_id=pair.destination.id, install_name=destination, requested_at=THEN),
        generation=0,
        pinned={},
        risk=risk,
        overrides=("hold:3",),
        shown=digest(comparison),
        requested_by="Ada Admin",
        run_id=run_id,
    )
    return Sheet(plan=plan, comparison=comparison, answer_by=ANSWER_BY)


@flow(name="gated", retries=0)  # asks as ours do; retries are not tested here
def gated(kind: str = "appr", text: str = "", shown: str = "schulprod", sheet: str = "whole") -> None:
    """Ask with the given text and destination instead of the true ones; `sheet`: whole, none or bad."""
    run_id = str(flow_run.get_id())
    markdown = {"whole": sheet_of(run_id).as_markdown(), "bad": "```json\n{}\n```"}.get(sheet)
    if markdown:
        create_markdown_artifact(markdown, key=f"plan-{run_id}")
    plan = sheet_of(run_id, shown).plan
    words = text or f"Promotion onto **{shown}**, plan **{plan.code}**"
    form = ArrivalForm if kind == "arrived" else form_for(plan, words, undoable=True)
    suspend_flow_run(
        wait_for_input=form.with_initial_data(description=words) if kind == "arrived" else form,
        timeout=3600,
        key=f"{kind}-{plan.fingerprint[:8]}-0",
    )


def answer_of(run: Any) -> dict[str, str]:
    """Return the answer that Prefect stores for a run's first form."""
    with get_client(sync_client=True) as client:
        found = client.filter_flow_run_input(UUID(run.id), key_prefix="suspended-", limit=9, exclude_keys=set())
    (answer,) = [each for each in found if each.key.endswith("-response")]
    fields: dict[str, str] = json.loads(answer.value)
    return fields


class DeploymentWorker:
    """A worker of one deployment, in a thread: it runs each started run until it ends or asks."""

    def __init__(self, body: Any, deployment: str, *, again: bool = False) -> None:
        self._body, self._again = body, again
        with get_client(sync_client=True) as client:
            self.deployment = client.create_deployment(
                flow_id=client.create_flow(body), name=deployment, parameter_openapi_schema=body.parameters.model_dump()
            )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "DeploymentWorker":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        done: set[UUID] = set()
        ours = DeploymentFilter(id=DeploymentFilterId(any_=[self.deployment]))
        while not self._stop.wait(0.1):
            with get_client(sync_client=True) as client:
                runs = client.read_flow_runs(deployment_filter=ours)  # a list of all runs would be truncated
                new = [run for run in runs if run.id not in done and run.state and run.state.is_scheduled()]
                for run in new:
                    client.set_flow_run_state(run.id, Pending(), force=True)
            for run in new:
                if not self._again:
                    done.add(run.id)
                with suppress(Pause):
                    run_flow(self._body, flow_run=run, parameters=run.parameters, return_type="state")

"""Small flows that ask what ours ask, and what Prefect keeps of the answers."""

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

from tasks.estate.plans import Backup, Comparison, CopyOptions, Difference, Plan, Severity
from tasks.estate.risks import Grade, Risk
from tasks.estate.sheets import Sheet, digest
from tasks.estate.sites import Content, Direction, Environment, Install, Pair, Survey
from tasks.runtime.forms import ArrivalForm, PromotionForm, form_for

ANSWER_BY = datetime(2099, 1, 1, 12, tzinfo=UTC)
THEN = datetime(2026, 11, 1, tzinfo=UTC)


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


def sheet_of(run_id: str, destination: str = "schulprod") -> Sheet:
    """The sheet of a promotion that two people must approve."""
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
        risk=Risk(grade=Grade.RED, reasons=("the destination is newer",), people=2, signatures=1),
        overrides=("hold:3",),
        shown=digest(comparison),
        requested_by="Ada Admin",
        run_id=run_id,
    )
    return Sheet(plan=plan, comparison=comparison, answer_by=ANSWER_BY)


@flow(name="gated", retries=0)  # asks like ours do; a retry is not what is tested
def gated(kind: str = "appr", text: str = "", shown: str = "schulprod", sheet: str = "whole") -> None:
    """Put a question: `text` instead of the honest one, about the destination `shown`; `sheet`: whole, none or bad."""
    run_id = str(flow_run.get_id())
    told = sheet_of(run_id)
    markdown = {"whole": told.as_markdown(), "bad": "```json\n{}\n```"}.get(sheet)
    if markdown:
        create_markdown_artifact(markdown, key=f"plan-{run_id}")
    plan = sheet_of(run_id, shown).plan
    form = ArrivalForm if kind == "arrived" else form_for(plan.code, shown, PromotionForm)
    honest = f"Promotion onto **{shown}**, plan **{plan.code}**"
    suspend_flow_run(
        wait_for_input=form.with_initial_data(description=text or honest),
        timeout=3600,
        key=f"{kind}-{plan.fingerprint[:8]}-0",
    )


def answer_of(run: Any) -> dict[str, str]:
    """What Prefect keeps as the answer to a run's first question."""
    with get_client(sync_client=True) as client:
        found = client.filter_flow_run_input(UUID(run.id), key_prefix="suspended-", limit=9, exclude_keys=set())
    (answer,) = [each for each in found if each.key.endswith("-response")]
    fields: dict[str, str] = json.loads(answer.value)
    return fields


class Hands:
    """A worker of one deployment, in a thread: runs whatever is started until it ends or asks."""

    def __init__(self, body: Any, deployment: str, *, again: bool = False) -> None:
        self._body, self._again = body, again
        with get_client(sync_client=True) as client:
            self.deployment = client.create_deployment(
                flow_id=client.create_flow(body), name=deployment, parameter_openapi_schema=body.parameters.model_dump()
            )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Hands":
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
                runs = client.read_flow_runs(deployment_filter=ours)  # a list of all runs is cut where others left many
                new = [run for run in runs if run.id not in done and run.state and run.state.is_scheduled()]
                for run in new:
                    client.set_flow_run_state(run.id, Pending(), force=True)
            for run in new:
                if not self._again:
                    done.add(run.id)
                with suppress(Pause):
                    run_flow(self._body, flow_run=run, parameters=run.parameters, return_type="state")

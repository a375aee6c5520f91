"""How long each page of the desk takes with 500 places and 10,000 facts, and with 20 requests that wait in a real Prefect."""

import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, DeploymentScheduleCreate
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.client.schemas.schedules import CronSchedule
from starlette.testclient import TestClient

from deployments.desk.app import make_desk
from deployments.desk.reading import Sources
from tasks.estate.approval_sheet import Sheet, sheet_key
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Entry, Ledger
from tasks.runtime.approval_forms import form_for
from tests.benchmarks.measuring import Page
from tests.deployments.cli.asking_flow import ANSWER_BY, YELLOW, sheet_of
from tests.raw_facts import raw_fact

PLACES, FACTS, WAITING, NIGHTS, VIEWS = 500, 10_000, 20, 100, 15
ORIGIN = "http://localhost:4300"
ROOT = Path(__file__).parents[2]
RUN = "00000000-0000-4000-8000-{:012d}"


def recorded_run(number: int, *, waits: Sheet | None = None) -> tuple[str, list[Entry]]:
    """Return the facts of one promotion onto one of the places, as a worker records them; of one that `waits` only the first."""
    sheet = waits or sheet_of(RUN.format(number), destination=f"place{number % PLACES:03}", risk=YELLOW)
    plan, now = sheet.plan, utc_now()
    asked = {
        "at": now.isoformat(), "answer_by": ANSWER_BY.isoformat(), "verb": "promote", "code": plan.code, "people": 1,
        "source_id": "id-schulstage", "destination": plan.destination_name, "requested_by": "Ada Admin",
    }  # fmt: skip
    details: list[tuple[str, dict[str, Any]]] = [("planned", plan.model_dump(mode="json")), ("asked", asked)]
    if waits is None:
        details += [
            ("answered", {"name": "Anna Lead", "proof": "code", "decision": "approve", "reason": "release day"}),
            ("approved", {"id": f"a{number}", "kind": "person", "approver": "Anna Lead"}),
            ("consumed", {"approval": f"a{number}"}),
            ("sending", {}),
            ("sent", {}),
            ("settled", {"how": "reconciled"}),
            ("outcome", {"outcome": "Verified", "verb": "promote", "message": "It arrived.", "next_step": "Nothing."}),
        ]
    return plan.run_id, [
        Entry(raw_fact(kind, detail), plan.destination_id, plan.fingerprint) for kind, detail in details
    ]


def suspend(client: SyncPrefectClient, number: int) -> Sheet:
    """Have Prefect show a run that waits for an answer: with its form and its sheet."""

    @flow(name=f"promote-{number}")
    def asks() -> None:
        """Wait for an answer."""

    run = client.create_flow_run(asks, name=f"promote place{number:03}")
    sheet = sheet_of(str(run.id), destination=f"place{number:03}", risk=YELLOW)
    key = f"suspended-appr-{sheet.plan.fingerprint[:8]}-0"
    keys = {"schema": f"{key}-schema", "response": f"{key}-response", "description": f"{key}-description"}
    text = f"Promotion onto **{sheet.plan.destination_name}**, plan **{sheet.plan.code}**"
    schema = form_for(sheet.plan, text, undoable=True).model_json_schema()
    stored = {"key": keys["schema"], "value": json.dumps(schema)}
    client.request("POST", "/flow_runs/{id}/input", path_params={"id": run.id}, json=stored)
    client.create_artifact(
        ArtifactCreate(key=sheet_key(run.id), type="markdown", data=sheet.as_markdown(), flow_run_id=run.id)
    )
    paused = State(
        type=StateType.PAUSED,
        name="Suspended",
        state_details=StateDetails(run_input_keyset=keys, pause_reschedule=True),
    )
    client.set_flow_run_state(run.id, paused, force=True)
    return sheet


def schedule_nights(client: SyncPrefectClient) -> None:
    """Have Prefect schedule nights, one of them onto the place whose page is measured."""

    @flow(name="refresh-nightly")
    def refreshes() -> None:
        """Refresh a place."""

    flow_id = client.create_flow(refreshes)
    for number in range(NIGHTS):
        client.create_deployment(
            flow_id,
            f"nightly-{number}",
            parameters={"source": "place253", "destination": f"place{number:03}"},
            schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron="0 3 * * *", timezone="Europe/Vienna"))],
        )


def write_estate(file: Path) -> None:
    """Describe all places as sites."""
    half = PLACES // 2
    sites = [
        {"name": f"Site {number}", "production": f"place{number:03}", "staging": f"place{number + half:03}"}
        for number in range(half)
    ]
    file.write_text(yaml.safe_dump({"sites": sites}))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger with 500 places, in a file."""
    made = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    count = number = 0
    while count < FACTS - 2 * WAITING:
        run_id, entries = recorded_run(number)
        made.record_together(run_id, entries)
        count, number = count + len(entries), number + 1
    return made


def milliseconds(act: Callable[[], object]) -> float:
    """Return the median of some views after the first."""
    took = []
    for _ in range(VIEWS):
        began = time.perf_counter()
        act()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


@pytest.mark.timeout(1200)
def test_pages_of_the_desk(
    page: Page, ledger: Ledger, tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Print the milliseconds of the first view and of later ones, of every page, with Prefect and without it."""
    with get_client(sync_client=True) as client:
        sheets = [suspend(client, number) for number in range(WAITING)]
        schedule_nights(client)
    write_estate(tmp_path / "estate.yaml")
    for number, sheet in enumerate(sheets):
        ledger.record_together(*recorded_run(number, waits=sheet))
    shutil.copy(ROOT / "deployments" / "leads.yaml", tmp_path / "leads.yaml")
    waits, done = UUID(sheets[3].plan.run_id), RUN.format(77)
    pages = {
        "Waiting": "/", "a request": f"/runs/{waits}/decide", "a run that waits": f"/runs/{waits}",
        "a run that has ended": f"/runs/{done}", "its live part": f"/runs/{done}/live", "Places": "/places",
        "a place": "/places/place003", "Ledger": "/ledger", "Passkeys": "/passkeys",
    }  # fmt: skip
    found: dict[str, list[float]] = {}
    for away in (False, True):
        if away:
            monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # discard: nothing listens there
        for name, path in pages.items():
            if away and name == "a request":
                continue  # without Prefect it has no form, and the page explains it
            sources = Sources(
                f"sqlite:///{tmp_path}/ledger.db",
                tmp_path / "leads.yaml",
                ROOT / "deployments" / "risks.yaml",
                tmp_path,
                ORIGIN,
                tmp_path / "estate.yaml",
            )
            browser = TestClient(make_desk(sources), base_url=ORIGIN)

            def view(browser: TestClient = browser, path: str = path) -> None:
                assert browser.get(path).status_code == 200

            began = time.perf_counter()
            view()
            found.setdefault(name, []).extend([(time.perf_counter() - began) * 1000, milliseconds(view)])
    page.section(
        "Pages of the desk",
        ("page", "first view, ms", "median, ms", "first view without Prefect", "median without Prefect"),
        [(name, *taken, *[""] * (4 - len(taken))) for name, taken in found.items()],
        f"{PLACES} places, {FACTS:,} facts in a SQLite file, {WAITING} requests that wait and {NIGHTS} nightly deployments in a "
        "Prefect server of its own process "
        f"(SQLite); median of {VIEWS} views after the first of a new desk. With the time to make the page, without the network.",
    )

"""A desk over a ledger and a Prefect in memory, and a browser without a screen."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import Artifact, FlowRun, State, StateDetails, StateType, TaskRun
from prefect.client.schemas.responses import DeploymentResponse
from starlette.testclient import TestClient

from deployments.desk.app import make_desk
from deployments.desk.reading import Sources
from deployments.prefect_server import Form, form_of
from tasks.estate.approval_sheet import Sheet, sheet_key
from tasks.estate.errors import NotFound, Unreachable
from tasks.estate.polling import utc_now
from tasks.estate.risks import Risk
from tasks.ledger.ledger import Ledger
from tasks.runtime.approval_forms import form_for
from tasks.signoff.gate import Gate, Terms
from tests.deployments.cli.asking_flow import ANSWER_BY, YELLOW, sheet_of
from tests.passkey_device import Device
from tests.tasks.signoff.approval_desk import TERMS

ORIGIN = "http://localhost:4300"
ANNA = "Anna Lead"


@dataclass
class Prefect:
    """Prefect as the desk reads it. `answers` is what was posted; `away` makes every connection fail."""

    runs: dict[UUID, FlowRun] = field(default_factory=dict)
    sheets: dict[str, str] = field(default_factory=dict)
    forms: dict[UUID, Form] = field(default_factory=dict)
    answers: list[dict[str, str]] = field(default_factory=list)
    away: bool = False
    task_runs: list[TaskRun] = field(default_factory=list)
    bars: list[Artifact] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)

    started: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    deployments: list[DeploymentResponse] = field(default_factory=list)

    def start(self, deployment: str, parameters: dict[str, Any]) -> UUID:
        self.started.append((deployment, parameters))
        return UUID(int=len(self.started))

    def read_deployments(self, *, limit: int, offset: int) -> list[DeploymentResponse]:
        return self.deployments[offset : offset + limit]

    @property
    def client(self) -> Any:
        """The client itself: comments are written and read through it."""
        return self

    def create_artifact(self, made: ArtifactCreate) -> None:
        self.artifacts.append(Artifact(**made.model_dump(exclude_unset=True), id=uuid4(), created=utc_now()))

    def read_artifacts(self, **_: object) -> list[Artifact]:
        return self.artifacts[::-1]

    @contextmanager
    def connected(self) -> Iterator["Prefect"]:
        """Connect, as `prefect_server.connected`."""
        if self.away:
            raise Unreachable("The Prefect server at http://127.0.0.1:1/api cannot be reached: connection refused.")
        yield self

    def paused(self) -> list[FlowRun]:
        return [*self.runs.values()]

    def newest(self, keys: list[str]) -> dict[str, str]:
        return {key: self.sheets[key] for key in keys if key in self.sheets}

    def run(self, run: UUID) -> FlowRun:
        if run not in self.runs:
            raise NotFound(f"Prefect has no run {run}.")
        return self.runs[run]

    def form(self, run: FlowRun, *, wait: bool = False) -> Form | None:
        return self.forms.get(run.id)

    def steps(self, run: UUID, *, running: bool = False) -> list[Any]:
        return self.task_runs

    def progress(self, run: UUID) -> list[Artifact]:
        return self.bars

    def obstacle(self, run: FlowRun) -> str:
        return "No worker is online."

    def answer(self, run: UUID, fields: dict[str, str]) -> None:
        self.answers.append(fields)


@dataclass
class Office:
    """The desk with what it reads, and a browser that has its cookie."""

    ledger: Ledger
    prefect: Prefect
    sources: Sources
    browser: TestClient
    phone: Device

    @property
    def gate(self) -> Gate:
        """The gate of a worker, which knows the leads that the desk knows."""
        terms: Terms = TERMS
        return Gate(self.ledger, self.sources.leads(), terms, lambda plan, moment: None)

    def ask(self, risk: Risk = YELLOW, *, recorded: bool = True, sheet: Sheet | None = None) -> Sheet:
        """Have a run ask about a promotion."""
        run = uuid4()
        made = sheet_of(str(run), risk=risk)
        if recorded:
            now = utc_now()
            self.gate.ask(made.plan, source_id="id-schulstage", within=ANSWER_BY - now, now=now)
        key = f"suspended-appr-{made.plan.fingerprint[:8]}-0-schema"
        details = StateDetails(run_input_keyset={"schema": key, "response": "r", "description": "d"})
        state = State(type=StateType.PAUSED, name="Suspended", state_details=details)
        self.prefect.runs[run] = FlowRun(id=run, flow_id=run, name="promote schulprod", state=state)
        self.prefect.sheets[sheet_key(run)] = (sheet or made).as_markdown()
        text = f"Promotion onto **schulprod**, plan **{made.plan.code}**"
        self.prefect.forms[run] = form_of(form_for(made.plan, text, undoable=True).model_json_schema(), key)
        return made

    def page(self, path: str, **more: Any) -> str:
        """Return the text of a page, which must be there."""
        response = self.browser.get(path, **more)
        assert response.status_code == 200, response.text
        return response.text

    def send(self, path: str, **fields: str) -> Any:
        """Send a form of this desk, with the token of the browser."""
        self.browser.get("/")
        token = self.browser.cookies["desk"]
        return self.browser.post(path, data={"token": token, **fields}, follow_redirects=False)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty ledger, which is copied: to make its tables takes longer than most tests here."""
    path = tmp_path_factory.mktemp("desk") / "ledger.db"
    Ledger(f"sqlite:///{path}")
    return path


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_ledger: Path) -> Office:
    """A desk with one enrolled lead."""
    phone, leads = Device("Anna's phone", relying_party="localhost", origin=ORIGIN), tmp_path / "leads.yaml"
    leads.write_text(yaml.safe_dump([{"name": ANNA, "email": "anna@schulfest.example", "passkeys": [phone.fields]}]))
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    url, prefect = f"sqlite:///{tmp_path}/ledger.db", Prefect()
    monkeypatch.setattr("deployments.desk.reading.connected", prefect.connected)
    sources = Sources(
        url, leads, Path(__file__).parents[3] / "deployments" / "risks.yaml", tmp_path, ORIGIN, tmp_path / "estate.yaml"
    )
    return Office(Ledger(url), prefect, sources, TestClient(make_desk(sources), base_url=ORIGIN), phone)

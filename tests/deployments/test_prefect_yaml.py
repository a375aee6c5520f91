"""prefect.yaml: every entry names an existing flow, describes it, and has a start form with explanations."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL
from prefect.utilities.callables import parameter_schema
from prefect.utilities.importtools import import_object

from deployments import bootstrap
from tasks.signoff.standing import load_standing

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
FILE = yaml.safe_load(TEXT)
DEPLOYMENTS: list[dict[str, Any]] = FILE["deployments"]
BY_NAME = {deployment["name"]: deployment for deployment in DEPLOYMENTS}

each = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=list(BY_NAME))


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    """Return the flow that an entry names."""
    flow = import_object(deployment["entrypoint"])
    assert isinstance(flow, Flow)
    return flow


def test_lists_every_verb() -> None:
    """Each file of flows/ has a deployment of its name, and there are two more: the nightly ones."""
    verbs = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert {"refresh", "provision", "promote", "restore", "diagnose"} <= verbs
    assert set(BY_NAME) == verbs | {"nightly-refresh", "nightly-reload"}


@each
def test_entrypoint_is_a_module(deployment: dict[str, Any]) -> None:
    """Entrypoints are dotted modules, never paths, and lead to a flow of the same name."""
    assert "/" not in deployment["entrypoint"]
    assert flow_of(deployment).name == deployment["entrypoint"].rpartition(".")[2]


@each
def test_describes_what_it_does(deployment: dict[str, Any]) -> None:
    """Description and tags state in the UI what would be overwritten."""
    assert len(deployment["description"].split()) >= 15
    assert "understudy" in deployment["tags"]
    assert {"writes-production", "writes-staging", "read-only"} & set(deployment["tags"])


@each
def test_form_explains_itself(deployment: dict[str, Any]) -> None:
    """Every field of the start form has a title in words and a description."""
    for name, field in parameter_schema(flow_of(deployment)).properties.items():
        assert field.get("title"), name
        assert field["title"] != name, name
        assert field.get("description"), name


@each
def test_parameters_fit_the_flow(deployment: dict[str, Any]) -> None:
    """Parameters given in the file exist in the flow and have valid values."""
    flow = flow_of(deployment)
    parameters = deployment.get("parameters", {})
    assert set(parameters) <= set(flow.parameters.properties)
    if set(flow.parameters.required or []) <= set(parameters):
        flow.validate_parameters(parameters)


@each
def test_runs_one_at_a_time(deployment: dict[str, Any]) -> None:
    """A second run of a deployment waits for the first, in our pool."""
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert deployment["work_pool"] == {"name": bootstrap.POOL}


@each
def test_schedules_name_their_zone(deployment: dict[str, Any]) -> None:
    """A cron line has an IANA time zone and a slug, and does not switch a paused schedule on again."""
    for schedule in deployment.get("schedules", []):
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
        assert "/" in ZoneInfo(schedule["timezone"]).key
        assert schedule["slug"]
        assert "active" not in schedule


@each
def test_no_flow_retries(deployment: dict[str, Any]) -> None:
    """No flow has retries of its own: with them, a suspended run would never be picked up again."""
    assert flow_of(deployment).retries == 0


def test_nobody_is_bypassed() -> None:
    """Only the nightly deployments continue without a person, and the reviewed file covers exactly their pairs."""
    alone = [d["name"] for d in DEPLOYMENTS if d.get("parameters", {}).get("approval") == "standing"]
    assert alone == ["nightly-refresh", "nightly-reload"]
    refresh, reload = (BY_NAME[name]["parameters"] for name in alone)
    covered = [(e.source, e.destination) for e in load_standing(ROOT / "deployments" / "standing.yaml")]
    policy = yaml.safe_load((ROOT / "deployments" / "policies" / f"{reload['policy']}.yaml").read_text())
    assert covered == [(refresh["source"], refresh["destination"]), (policy["app"], reload["hostname"])]


def test_names_no_machine() -> None:
    """The file works in any folder: it contains no path, host or secret."""
    assert not [word for word in ("/home", "/root", "/work", "/tmp", "http:", "password") if word in TEXT]  # noqa: S108  # a word to look for


@pytest.fixture
def deployed(prefect_server: None) -> Iterator[SyncPrefectClient]:
    """A server on which an operator has run the two commands of the README."""
    environment = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value() or "", "DO_NOT_TRACK": "1"}
    deploy = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    with get_client(sync_client=True) as client:
        bootstrap.bootstrap(client)
        done = subprocess.run(deploy, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        yield client


def test_deploys_as_it_is(deployed: SyncPrefectClient) -> None:
    """`prefect --no-prompt deploy --all` makes every deployment, in this clone's folder, with zone and limit."""
    for entry in DEPLOYMENTS:
        found = deployed.read_deployment_by_name(f"{flow_of(entry).name}/{entry['name']}")
        step = {"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}
        assert found.pull_steps == [step]
        assert found.entrypoint == entry["entrypoint"]
        assert found.description == entry["description"]
        assert found.work_pool_name == bootstrap.POOL
        assert found.enforce_parameter_schema
        assert found.global_concurrency_limit is not None
        assert found.global_concurrency_limit.limit == 1
    (nightly,) = deployed.read_deployment_by_name("refresh/nightly-refresh").schedules
    assert isinstance(nightly.schedule, CronSchedule)
    assert (nightly.schedule.cron, nightly.schedule.timezone) == ("0 3 * * *", "Europe/Vienna")
    assert nightly.active
    (nightly,) = deployed.read_deployment_by_name("reload/nightly-reload").schedules
    assert isinstance(nightly.schedule, CronSchedule)
    assert (nightly.schedule.cron, nightly.schedule.timezone) == ("0 4 * * *", "Europe/Vienna")

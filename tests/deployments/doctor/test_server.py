"""Prefect as a worker needs it: the tested version, a pool with a worker, all deployments, a sweep, no foreign automation."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, Worker
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Failed

from deployments.doctor import server
from deployments.doctor.examination import examine
from deployments.worker.prefect_private import TESTED_WITH

SWEEP = UUID("11111111-1111-4111-8111-111111111111")
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
VERBS = [path.stem for path in server.FLOWS.glob("*.py") if path.stem != "__init__"]


class Prefect:
    """A server in good order; a test breaks one thing."""

    def __init__(self) -> None:
        self.version, self.harmful = TESTED_WITH, list[str]()
        self.pool: Any = SimpleNamespace(type="process", is_paused=False)
        self.heartbeat = NOW
        self.deployments = {verb: False for verb in VERBS}  # paused?
        self.swept: Any = FlowRun(flow_id=SWEEP, state=Completed(name="Swept"), end_time=NOW - timedelta(minutes=9))
        self.automations = [SimpleNamespace(enabled=True)]

    def now(self) -> datetime:
        return NOW

    def api_version(self) -> str:
        return self.version

    def read_work_pool(self, name: str) -> Any:
        if self.pool is None:
            raise ObjectNotFound(Exception())
        return self.pool

    def read_workers_for_work_pool(self, name: str) -> list[Worker]:
        return [Worker(name="w", work_pool_id=uuid4(), last_heartbeat_time=self.heartbeat, status="ONLINE")]

    def read_deployments(self, **_: Any) -> list[Any]:
        return [SimpleNamespace(name=name, paused=paused) for name, paused in self.deployments.items()]

    def read_automations_by_name(self, name: str) -> list[Any]:
        return self.automations


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    """A server in good order."""
    made = Prefect()
    monkeypatch.setattr(server, "harmful_automations", lambda client: made.harmful)
    monkeypatch.setattr(server, "last_run", lambda client, flow, deployment: made.swept)
    monkeypatch.setattr(server, "Surroundings", lambda **given: SimpleNamespace(**given))
    return made


def verdicts(prefect: Any) -> dict[str, str]:
    """Return the verdict of each check that did not pass."""
    found = examine("Prefect", lambda: server.examine_server(prefect, prefect))
    assert [each.check for each in found if not each.passed and not each.remedy] == []
    return {each.check: each.verdict for each in found if not each.passed}


def test_a_server_in_good_order_passes(prefect: Prefect) -> None:
    """Nothing is found."""
    assert verdicts(prefect) == {}


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        ({"version": "3.8.8"}, {"Prefect's version": "failed"}),
        ({"pool": None}, {"work pool": "failed"}),
        ({"pool": SimpleNamespace(type="docker", is_paused=True)}, {"work pool": "failed"}),
        ({"heartbeat": NOW - timedelta(minutes=10)}, {"worker": "failed"}),
        ({"deployments": dict.fromkeys(VERBS[1:], False)}, {"deployments": "failed"}),
        ({"deployments": dict.fromkeys(VERBS, True)}, {"deployments": "not known"}),
        ({"swept": None}, {"sweep": "not known"}),
        ({"swept": FlowRun(flow_id=SWEEP, state=Failed(name="LedgerBroken"), end_time=NOW)}, {"sweep": "failed"}),
        (
            {"swept": FlowRun(flow_id=SWEEP, state=Completed(), end_time=NOW - timedelta(hours=3))},
            {"sweep": "failed"},
        ),
        ({"automations": []}, {"automation for lost runs": "failed"}),
        ({"harmful": ["The automation 'a' ends runs. Disable it."]}, {"foreign automations": "failed"}),
    ],
    ids=lambda each: "-".join(each),
)
def test_what_is_broken_is_found_with_a_remedy(prefect: Prefect, broken: dict[str, Any], found: dict[str, str]) -> None:
    """Each fault is found alone."""
    vars(prefect).update(broken)
    assert verdicts(prefect) == found

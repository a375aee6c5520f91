"""Automations of others: those that would end a run that waits are named, those that leave it alone are not."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CancelFlowRun, ChangeFlowRunState, DeleteFlowRun, DoNothing, ResumeFlowRun
from prefect.events.schemas.automations import AutomationCore, CompoundTrigger, EventTrigger, Posture
from prefect.events.schemas.events import Resource

from deployments.bootstrap import zombie_automation
from tasks.automations import find_harmful, harms_waiting_runs
from tests.deployments.conftest import DIAGNOSE, Pool, pool  # noqa: F401  # a fixture

CRASH = ChangeFlowRunState(state=StateType.CRASHED, message="zombie")
RUN = "prefect.flow-run."
ENDS = {f"{RUN}{name}" for name in ("heartbeat", "Completed", "Failed", "Cancelled", "Crashed")}
OURS = [
    [
        {"prefect.resource.role": "flow", "prefect.resource.id": "prefect.flow.1", "prefect.resource.name": "promote"},
        {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.web", "prefect.resource.name": "web"},
    ]
]


def automation(action: Any = CRASH, **trigger: Any) -> AutomationCore:
    """Prefect's documented recipe against lost runs, with these changes."""
    made = {
        "after": {f"{RUN}heartbeat"}, "expect": ENDS, "match": {"prefect.resource.id": f"{RUN}*"},
        "for_each": {"prefect.resource.id"}, "posture": Posture.Proactive, "within": timedelta(seconds=90),
    } | trigger  # fmt: skip
    return AutomationCore(name="theirs", trigger=EventTrigger(**made), actions=[action])


def related() -> Any:
    """The resources that Prefect relates to runs of one of our deployments."""
    return [[Resource(each) for each in resources] for resources in OURS]


REACTIVE = {"posture": Posture.Reactive, "after": set(), "within": timedelta(0)}


@pytest.mark.parametrize(
    "given",
    [
        automation(),
        automation(CancelFlowRun()),
        automation(DeleteFlowRun()),
        automation(expect={*ENDS, f"{RUN}Suspended"}),
        automation(after=set(), expect=ENDS),
        automation(after={f"{RUN}Suspended"}, expect={f"{RUN}Resuming"}),
        automation(CancelFlowRun(), **REACTIVE, expect={f"{RUN}Suspended"}),
        automation(ResumeFlowRun(), **REACTIVE, expect={f"{RUN}Pa*"}),
        automation(match={}),
        automation(match_related={"prefect.resource.role": "flow", "prefect.resource.name": ["other", "promote"]}),
        automation(match_related={"prefect.resource.role": "flow", "prefect.resource.id": "prefect.flow.1"}),
        automation(match_related=[{"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.web"}]),
        AutomationCore(
            name="both",
            trigger=CompoundTrigger(require="any", within=timedelta(minutes=1), triggers=[automation().trigger]),
            actions=[CRASH],
        ),
    ],
)
def test_what_ends_a_waiting_run_is_found(given: AutomationCore) -> None:
    """An automation is named if it fires because one of our runs waits, and ends, deletes or resumes it."""
    assert harms_waiting_runs(given, related())


@pytest.mark.parametrize(
    "given",
    [
        zombie_automation(30),
        automation(DoNothing()),
        automation(expect={*ENDS, f"{RUN}Suspended", f"{RUN}Paused"}),
        automation(expect={f"{RUN}*"}),
        automation(expect=set()),
        automation(after={f"{RUN}Pending"}, expect={f"{RUN}Running"}),
        automation(CancelFlowRun(), **REACTIVE, expect={f"{RUN}Failed"}),
        automation(match={"prefect.resource.id": "prefect.work-pool.*"}),
        automation(match_related={"prefect.resource.role": "flow", "prefect.resource.name": "other"}),
        automation(match_related={"prefect.resource.role": "flow", "prefect.resource.id": "prefect.flow.2"}),
        automation(match_related=[{"prefect.resource.id": "prefect.flow.1"}, {"prefect.resource.id": "prefect.tag.x"}]),
    ],
)
def test_what_leaves_a_waiting_run_alone_is_not_named(given: AutomationCore) -> None:
    """Our own automations, those for other flows, and those that expect suspended runs are healthy."""
    assert not harms_waiting_runs(given, related())


def test_found_on_a_server(pool: Pool) -> None:  # noqa: F811  # the fixture is imported
    """On a real server, ours is not named, theirs is while it is enabled, and one for another flow is not."""
    pool.start(DIAGNOSE)
    (deployment,) = [each for each in pool.client.read_deployments() if each.work_pool_name == pool.name]
    flow = deployment.flow_id
    other = {"prefect.resource.role": "flow", "prefect.resource.id": f"prefect.flow.{uuid4()}"}
    ours = {"prefect.resource.role": "flow", "prefect.resource.id": f"prefect.flow.{flow}"}
    made = []
    with get_client(sync_client=True) as client:
        try:
            for each in (zombie_automation(30), automation(match_related=other)):
                made.append(client.create_automation(each))
            assert find_harmful.fn() == []
            made.append(client.create_automation(automation(match_related=ours)))
            (finding,) = find_harmful.fn()
            assert "The automation 'theirs'" in finding
            client.pause_automation(made[-1])
            assert find_harmful.fn() == []
        finally:
            for id_ in made:
                client.delete_automation(id_)

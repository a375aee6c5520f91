"""Automations: find those of other people that would end, resume or delete runs of Understudy while they wait for an answer.

A run that waits has no process and sends no heartbeat. Prefect's documented recipe against lost runs treats that as a
crash, and the approvers' answer is then lost.
"""

from collections.abc import Iterable, Iterator, Sequence

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.actions import CancelFlowRun, ChangeFlowRunState, DeleteFlowRun, ResumeFlowRun
from prefect.events.schemas.automations import AutomationCore, CompositeTrigger, EventTrigger, Posture
from prefect.events.schemas.events import Resource, ResourceSpecification, matches

from tasks.rendering.times_and_tables import plain
from tasks.runtime.retries import BELOW_THE_GATE

ENDING = (ChangeFlowRunState, CancelFlowRun, DeleteFlowRun, ResumeFlowRun)
RUN = "prefect.flow-run.00000000-0000-0000-0000-000000000000"
WAITING = ("prefect.flow-run.Suspended", "prefect.flow-run.Paused")
# Events of a run before it waits, while it waits, and after it was answered.
ALIVE = (*WAITING, "prefect.flow-run.heartbeat", "prefect.flow-run.Running", "prefect.flow-run.Resuming")
PAGE = 200  # automations in one answer of Prefect


@task(name="Find automations that end waiting runs", **BELOW_THE_GATE)
def find_harmful() -> list[str]:
    """Return a sentence for each automation of others that would act on our runs while they wait."""
    with get_client(sync_client=True) as client:
        return harmful_automations(client)


def harmful_automations(client: SyncPrefectClient) -> list[str]:
    """Return a sentence for each enabled automation on this server that would act on our runs while they wait."""
    related = [_related(each) for each in client.read_deployments(limit=PAGE) if is_ours(each.entrypoint)]
    return [
        f"The automation {plain(automation.name, 80)!r} ends, resumes or deletes runs that wait for an answer. "
        "Disable it, or restrict it to other flows, or add prefect.flow-run.Suspended and prefect.flow-run.Paused to what it "
        "expects."
        for automation in client.read_automations(limit=PAGE)
        if automation.enabled and harms_waiting_runs(automation, related)
    ]


def is_ours(entrypoint: str | None) -> bool:
    """Return whether a deployment's entrypoint has the form of ours, `flows.<verb>.<verb>`."""
    parts = (entrypoint or "").split(".")
    return len(parts) == 3 and parts[0] == "flows" and parts[1] == parts[2]


def _related(deployment: DeploymentResponse) -> list[Resource]:
    """Return the resources that Prefect relates to events of this deployment's runs."""
    kinds = [
        ("flow", f"prefect.flow.{deployment.flow_id}", (deployment.entrypoint or "").split(".")[-1]),
        ("deployment", f"prefect.deployment.{deployment.id}", deployment.name),
        ("work-pool", "prefect.work-pool.unknown", deployment.work_pool_name or ""),
        *(("tag", f"prefect.tag.{tag}", tag) for tag in deployment.tags),
    ]
    return [
        Resource({"prefect.resource.role": role, "prefect.resource.id": id_, "prefect.resource.name": name})
        for role, id_, name in kinds
    ]


def harms_waiting_runs(automation: AutomationCore, related: Sequence[Sequence[Resource]]) -> bool:
    """Return whether an automation would act on a waiting run of one of our deployments, each given by its resources."""
    if not any(isinstance(action, ENDING) for action in automation.actions):
        return False
    return any(
        _fires(trigger) and any(_means(trigger, each) for each in related)
        for trigger in _event_triggers(automation.trigger)
    )


def _event_triggers(trigger: object) -> Iterator[EventTrigger]:
    if isinstance(trigger, EventTrigger):
        yield trigger
    elif isinstance(trigger, CompositeTrigger):
        for each in trigger.triggers:
            yield from _event_triggers(each)


def _means(trigger: EventTrigger, related: Sequence[Resource]) -> bool:
    """Return whether runs with these related resources are among those that the trigger looks at."""
    run = Resource({"prefect.resource.id": RUN, "prefect.resource.name": "any"})
    wanted = [(label, values) for label, values in trigger.match.items() if label in run]
    if not all(any(matches(value, run.get(label)) for value in values) for label, values in wanted):
        return False
    specifications = trigger.match_related if isinstance(trigger.match_related, list) else [trigger.match_related]
    return all(ResourceSpecification.model_validate(each).includes(related) for each in specifications)


def _fires(trigger: EventTrigger) -> bool:
    """Return whether the trigger's events mean only that a run waits."""
    if trigger.posture is Posture.Reactive:
        return any(_expects(trigger.expect, event) for event in WAITING)
    begins = not trigger.after or any(_expects(trigger.after, event) for event in ALIVE)
    return begins and not all(_expects(trigger.expect, event) for event in WAITING)


def _expects(events: Iterable[str], event: str) -> bool:
    """Return whether a trigger's set of events has this one. An empty set means every event."""
    expected = list(events)
    return not expected or any(matches(each, event) for each in expected)

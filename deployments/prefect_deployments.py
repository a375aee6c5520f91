"""Write deployments to Prefect: find the differences, and make them. May be repeated at any time.

A schedule that a person paused stays paused, also if its time changes, and if the deployment takes the place of another one for
the same pair. What a person added in Prefect to a deployment, such as a second schedule, is left as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound

from deployments.estate_deployments import NIGHTLY, PROJECT, Schedule, Wanted

OURS = "understudy"  # tag of every deployment of this project
PAGE = 200  # deployments in one answer of Prefect
UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.PAUSED, StateType.CANCELLING]
PAIR = ("source", "destination", "hostname")  # parameters that say what a nightly deployment overwrites
PULL = [{"prefect.deployments.steps.set_working_directory": {"directory": str(PROJECT)}}]
# What is compared, and how it is called in the difference. Limits are compared apart, because Prefect returns them differently.
COMPARED = {
    "description": "description", "tags": "tags", "version": "version", "entrypoint": "entrypoint", "parameters": "parameters",
    "work_pool_name": "work pool", "pull_steps": "folder",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One difference: `kind` is created, changed, removed or kept; `lines` describe it. `apply` makes it."""

    deployment: str
    kind: str
    lines: tuple[str, ...]
    apply: Callable[[], object] = field(default=lambda: None, compare=False)


def find_changes(client: SyncPrefectClient, wanted: Sequence[Wanted]) -> list[Change]:
    """Return what must change in Prefect, and what a person paused there. Nothing is written before `apply` is called.

    A nightly deployment that is not wanted is removed. Raise httpx errors if the server does not respond.
    """
    names = {each.full_name for each in wanted}
    obsolete = [(name, each) for name, each in _nightly(client) if name not in names]
    changes: list[Change] = []
    for each in wanted:
        try:
            found = client.read_deployment_by_name(each.full_name)
        except ObjectNotFound:
            changes.append(_created(client, each, [old for _, old in obsolete]))
        else:
            changes += _changed(client, each, found)
    return [*changes, *(_removed(client, name, old) for name, old in obsolete)]


def _nightly(client: SyncPrefectClient) -> Iterator[tuple[str, DeploymentResponse]]:
    chosen = DeploymentFilter(tags=DeploymentFilterTags(all_=[OURS, NIGHTLY]))
    offset = 0
    while page := client.read_deployments(deployment_filter=chosen, limit=PAGE, offset=offset):
        for each in page:
            yield f"{client.read_flow(each.flow_id).name}/{each.name}", each
        offset += len(page)


def _created(client: SyncPrefectClient, wanted: Wanted, obsolete: Sequence[DeploymentResponse]) -> Change:
    """Create a deployment. Its schedules are paused if those of the deployment that it replaces are."""
    earlier = [old for old in obsolete if _pair(old.parameters) == _pair(wanted.parameters) and old.schedules]
    active = not any(not schedule.active for old in earlier for schedule in old.schedules)
    paused = () if active or not wanted.schedules else ("stays paused, as the schedule that it replaces",)
    lines = (*(f"runs {schedule}" for schedule in wanted.schedules), *paused)

    def apply() -> None:
        made = client.create_deployment(
            flow_id=client.create_flow_from_name(wanted.flow),
            name=wanted.name,
            schedules=[_schedule(each, active=active) for each in wanted.schedules],
            concurrency_limit=wanted.limit,
            parameter_openapi_schema=wanted.schema,
            enforce_parameter_schema=True,
            **_fields(wanted),
        )
        client.update_deployment(made, DeploymentUpdate(concurrency_options=_limit(wanted)))

    return Change(wanted.full_name, "created", lines, apply)


def _changed(client: SyncPrefectClient, wanted: Wanted, found: DeploymentResponse) -> Iterator[Change]:
    fields = {name: value for name, value in _fields(wanted).items() if _as_found(found, name) != _plain(name, value)}
    lines = [f"new {COMPARED[name]}" for name in fields]
    if found.parameter_openapi_schema != wanted.schema:
        fields["parameter_openapi_schema"] = wanted.schema
        lines += _new_choices(found.parameter_openapi_schema or {}, wanted.schema) or ["new form"]
    limit, options = found.global_concurrency_limit, found.concurrency_options
    if (
        limit is None
        or limit.limit != wanted.limit
        or options is None
        or options.collision_strategy != wanted.collision
    ):
        fields |= {"concurrency_limit": wanted.limit, "concurrency_options": _limit(wanted)}
        lines.append("new limit of runs at a time")
    schedules = list(_schedule_changes(client, wanted, found))
    if fields or schedules:

        def apply() -> None:
            if fields:
                client.update_deployment(found.id, DeploymentUpdate(**fields))
            for _, change in schedules:
                change()

        yield Change(wanted.full_name, "changed", (*lines, *(line for line, _ in schedules)), apply)
    if found.paused or any(not schedule.active for schedule in found.schedules):
        yield Change(wanted.full_name, "kept", ("its schedule is paused in Prefect, and stays paused",))


def _schedule_changes(
    client: SyncPrefectClient, wanted: Wanted, found: DeploymentResponse
) -> Iterator[tuple[str, Callable[[], object]]]:
    present = {schedule.slug: schedule for schedule in found.schedules}
    for each in wanted.schedules:
        old, cron = present.get(each.slug), CronSchedule(cron=each.cron, timezone=each.zone)
        if old is None:
            new = [_schedule(each, active=True)]
            yield f"runs {each}", lambda new=new: client.create_deployment_schedules(found.id, new)  # type: ignore[misc]  # mypy infers no type of a bound default
        elif not isinstance(old.schedule, CronSchedule) or (old.schedule.cron, old.schedule.timezone) != (
            each.cron,
            each.zone,
        ):
            yield (
                f"runs {each}",
                lambda old=old, cron=cron: client.update_deployment_schedule(found.id, old.id, schedule=cron),  # type: ignore[misc]  # the same
            )


def _removed(client: SyncPrefectClient, name: str, old: DeploymentResponse) -> Change:
    """Remove a deployment whose pair has no night any more. While a run of it is not finished, only its schedules are removed."""
    states = FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED))
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=states),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[old.id])),
        limit=1,
    )
    if not runs:
        return Change(name, "removed", ("the estate has no such night",), lambda: client.delete_deployment(old.id))

    def apply() -> None:
        for schedule in old.schedules:
            client.delete_deployment_schedule(old.id, schedule.id)

    return Change(name, "removed", ("only its schedule, because a run of it is not finished",), apply)


def _fields(wanted: Wanted) -> dict[str, Any]:
    return {
        "description": wanted.description, "tags": list(wanted.tags), "version": wanted.version,
        "entrypoint": wanted.entrypoint, "parameters": wanted.parameters, "work_pool_name": wanted.pool, "pull_steps": PULL,
    }  # fmt: skip


def _as_found(found: DeploymentResponse, name: str) -> Any:
    return _plain(name, getattr(found, name))


def _plain(name: str, value: Any) -> Any:
    return sorted(value or ()) if name == "tags" else value


def _pair(parameters: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(parameters.get(name) for name in PAIR)


def _limit(wanted: Wanted) -> Any:
    return ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(wanted.collision))


def _schedule(each: Schedule, *, active: bool) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(
        schedule=CronSchedule(cron=each.cron, timezone=each.zone), active=active, slug=each.slug
    )


def _new_choices(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line for each list of choices that changed: what is new, and what is gone."""
    lines = []
    for name, shown in new["properties"].items():
        before = (old.get("properties") or {}).get(name, {}).get("enum") or []
        now = shown.get("enum") or []
        lines += [f"{shown['title']}: + {choice}" for choice in now if choice not in before]
        lines += [f"{shown['title']}: - {choice}" for choice in before if choice not in now]
    return lines

"""What Prefect says of a run that is not this one, and how a run that no process looks after is given its end."""

from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Failed

from tasks.estate.plans import Report
from tasks.wording import report_text

RETRY_WITHIN = 3600.0  # seconds; a run that ended without telling how may be retried, so it is left alone that long
NEVER_RESUMED = (
    "The flow was paused and never resumed."  # Prefect's own words, and its only mark, for a missed deadline
)


def state_of(run_id: str) -> State[Any] | None:
    """The state of a run; None where Prefect does not know it (any more)."""
    try:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(UUID(run_id)).state
    except (ObjectNotFound, ValueError):
        return None


def never_resumed(state: State[Any]) -> bool:
    """Whether Prefect ended the run because it waited for an answer in vain: no process was there, so nothing was told."""
    return state.is_failed() and state.message == NEVER_RESUMED


def show_end(report: Report, *, rename: bool) -> None:
    """Put an end on the page of the run that the report is about: the report, and with `rename` the named state.

    May be repeated: a second report under the same key is its next version.
    """
    run_id = UUID(report.run_id)
    with get_client(sync_client=True) as client:
        if rename:
            named: State[Any] = Failed(name=report.outcome, message=f"{report.message} {report.next_step}")
            client.set_flow_run_state(run_id, named, force=True)
        client.create_artifact(
            ArtifactCreate(
                key=f"report-{report.run_id}",
                type="markdown",
                data=report_text(report),
                description=f"{report.verb}: {report.outcome}",
                flow_run_id=run_id,
            )
        )

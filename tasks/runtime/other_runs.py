"""States of other runs in Prefect: read them, and set the end of a run that has no process."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE
from prefect.states import Failed, Pending

RETRY_WITHIN = 3600.0  # seconds; a run that ended without an outcome may be retried, so it is left alone that long
PAGE = 200  # runs in one answer of Prefect
NEVER_RESUMED = "The flow was paused and never resumed."  # Prefect's message, and its only mark, for a missed deadline


def state_of(run_id: str) -> State[Any] | None:
    """Return the state of a run, or None if Prefect does not have the run: it was deleted, or never existed.

    Raises httpx errors if the server does not answer: that is never read as a state.
    """
    try:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(UUID(run_id)).state or Pending(message="The run has no state yet.")
    except (ObjectNotFound, ValueError):
        return None


def states_of(run_ids: Iterable[str]) -> dict[str, State[Any]]:
    """Return the states of many runs, without those that Prefect does not have."""
    wanted, found = [each for each in map(_uuid, run_ids) if each], {}
    with get_client(sync_client=True) as client:
        for start in range(0, len(wanted), PAGE):
            some = FlowRunFilter(id=FlowRunFilterId(any_=wanted[start : start + PAGE]))
            for run in client.read_flow_runs(flow_run_filter=some, limit=PAGE):
                if run.state is not None:
                    found[str(run.id)] = run.state
    return found


def restore_state(run_id: str, outcome: str, message: str) -> None:
    """Set a run to the state of that name in its history, or to a failed one if there is no such state."""
    with get_client(sync_client=True) as client:
        history = client.read_flow_run_states(UUID(run_id))
        type_ = next((state.type for state in history if state.name == outcome), StateType.FAILED)
        client.set_flow_run_state(UUID(run_id), State(type=type_, name=outcome, message=message), force=True)


def _uuid(run_id: str) -> UUID | None:
    try:
        return UUID(run_id)
    except ValueError:
        return None


def is_over(run_id: str) -> bool:
    """Return whether a run has ended: its state is final, or Prefect does not have it. The only place that decides this.

    A run that ended may still have a process, or a call at the host. Code that releases its lock must therefore also check that
    the call is settled (`Ledger.unsettled`). A process without its lock cannot make a call (`Ledger.consume`).
    """
    if not (PREFECT_API_URL.value() or PREFECT_SERVER_ALLOW_EPHEMERAL_MODE.value()):
        return False  # a command without a server: what is not known counts as running
    state = state_of(run_id)
    return state is None or state.is_final()


def ended_while_waiting(run_id: str) -> bool:
    """Return whether a run ended directly from waiting for an answer, so that no process saw the end."""
    try:
        with get_client(sync_client=True) as client:
            history = sorted(client.read_flow_run_states(UUID(run_id)), key=lambda state: state.timestamp)
    except (ObjectNotFound, ValueError):
        return False
    ends = [index for index, state in enumerate(history) if state.is_final()]
    return bool(ends) and ends[0] > 0 and history[ends[0] - 1].is_paused()


def wait_timed_out(state: State[Any]) -> bool:
    """Return whether Prefect ended the run because no answer came: it had no process, so nobody was notified."""
    return state.is_failed() and state.message == NEVER_RESUMED


def end_waiting(run_id: str, outcome: str, message: str) -> bool:
    """Set a suspended run to a failed state of this name. Return False if the run does not wait, or was deleted."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(run_id)).state
            if state is None or not state.is_paused():
                return False
            client.set_flow_run_state(UUID(run_id), Failed(name=outcome, message=message), force=True)
    except (ObjectNotFound, ValueError):  # deleted while it waited: the next sweep ends it in the ledger
        return False
    return True

"""Execute one flow run in a process of its own, if it is a run of one of this project's flows; `worker.py` starts this.

Prefect's own engine runs the entrypoint that a deployment names, after the deployment's pull steps, and reads results from
wherever a record in the API points. Everybody who can write to that API could run programs with the worker's secrets. Here
the API chooses one of our flows and its parameters, and nothing else; a run that asks for more ends as `Refused`.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.engine import handle_engine_signals
from prefect.exceptions import ObjectNotFound, ParameterBindError, ParameterTypeError, SignatureMismatchError
from prefect.flow_engine import run_flow
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings
from prefect.states import Failed

from deployments.worker.prefect_private import configure_from_env
from tasks.estate.errors import Misconfigured
from tasks.rendering.times_and_tables import plain
from tasks.runtime.notices import send_notice

PROJECT = Path(__file__).resolve().parents[2]
REFUSED = "Refused"
# prefect.yaml has this step for the standard worker. It is accepted and not run: the project is where this file is.
ACCEPTED_STEPS = {"prefect.deployments.steps.set_working_directory"}
# How often a request to Prefect's server is repeated: after 2, 4, 8 … 128 s, so that the server may be away for four minutes.
# Prefect's default of 5 gives up after one. PREFECT_CLIENT_MAX_RETRIES overrides it.
RETRIES = 7
SHOWN = 200  # characters of text from the API in a message
BLOCK = "$ref"  # in a parameter, Prefect replaces it by the block of that id from its API


def verbs() -> dict[str, str]:
    """Return entrypoint → name of every flow of this project, from the files in `flows/`."""
    names = sorted(path.stem for path in (PROJECT / "flows").glob("*.py") if path.stem != "__init__")
    return {f"flows.{name}.{name}": name for name in names}


def refused_reason(run: FlowRun, flow_name: str, deployment: DeploymentResponse | None) -> str:
    """Return why this worker does not run the run, or an empty string. Imports nothing that the API names."""
    if deployment is None:
        return "It has no deployment. Start a deployment of prefect.yaml."
    entrypoint = deployment.entrypoint or "nothing"
    verb = verbs().get(entrypoint)
    if verb is None:
        return f"Its deployment's entrypoint is {printable(entrypoint)!r}; expected flows.<verb>.<verb> of a file in flows/."
    if flow_name != verb:
        return f"Its flow is named {printable(flow_name)!r}; expected {verb!r}, as its entrypoint."
    steps = [str(name) for step in deployment.pull_steps or [] for name in step if name not in ACCEPTED_STEPS]
    if steps:
        return f"Its deployment has the pull steps {printable(', '.join(steps))}; expected none. Deploy prefect.yaml."
    if deployment.storage_document_id is not None:
        return "Its deployment takes its code from a storage block; this worker runs its own. Deploy prefect.yaml."
    if _contains_block(run.parameters):
        return f"A parameter has the key {BLOCK!r}, which loads a block; our flows take none."
    return ""


def printable(text: str) -> str:
    """Return text from the API as one line of at most `SHOWN` characters, for a log or message."""
    return "".join(character if character.isprintable() else "?" for character in text[:SHOWN])


def _contains_block(value: object) -> bool:
    if isinstance(value, dict):
        return BLOCK in value or any(map(_contains_block, value.values()))
    return isinstance(value, list) and any(map(_contains_block, value))


def refusal(reason: str) -> State[Any]:
    """Return the final state of a run that may not run here."""
    return Failed(
        name=REFUSED, message=f"This worker runs only the flows of its own project. {reason} Nothing was run."
    )


def alert(run_id: UUID, reason: str) -> None:
    """Send a notice to leads: somebody deployed something else by mistake, or tries to misuse the worker."""
    send_notice("alert", "A run was refused by the worker", [plain(reason, 400)], run_id=str(run_id))


def our_flow(entrypoint: str) -> Flow[..., Any]:
    """Return the flow of one of `verbs()`, with its results stored on this machine.

    Without a storage of its own, a flow asks Prefect's API where its results are and unpickles them from there after a
    suspension: everybody who can write to the API would choose what is unpickled.
    """
    verb = verbs()[entrypoint]
    flow: Flow[..., Any] = getattr(importlib.import_module(f"flows.{verb}"), verb)
    return flow.with_options(result_storage=Path(get_current_settings().results.local_storage_path))


def wrong_parameters(flow: Flow[..., Any], run: FlowRun) -> State[Any] | None:
    """Return the final state of a run whose parameters do not fit its flow, or None. Prefect's API can skip this check."""
    try:
        flow.validate_parameters(run.parameters)
    except (ParameterTypeError, ParameterBindError, SignatureMismatchError, TypeError) as error:
        found = printable(" ".join(str(error).split()))
        message = f"The parameters do not fit the flow: {found}. {Misconfigured.next_step}"
        return Failed(name=Misconfigured.outcome, message=message)
    return None


def _deployment_of(client: SyncPrefectClient, run: FlowRun) -> DeploymentResponse | None:
    if run.deployment_id is None:
        return None
    try:
        return client.read_deployment(run.deployment_id)
    except ObjectNotFound:
        return None


def execute(run_id: UUID) -> None:
    """Run a flow run until it ends or is suspended, as Prefect's engine does, or end it as `Refused`."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
        deployment = _deployment_of(client, run)
        reason = refused_reason(run, client.read_flow(run.flow_id).name, deployment)
        if reason:
            flow_run_logger(run).error("Refused: %s", reason)
            if run.state is None or not run.state.is_final():
                client.set_flow_run_state(run_id, refusal(reason), force=True)  # forced: never retried
                alert(run_id, reason)
            return
        assert deployment is not None, "refused_reason() has checked it"  # noqa: S101  # an invariant, not input
        flow = our_flow(str(deployment.entrypoint))
        wrong = wrong_parameters(flow, run)
        if wrong is not None:
            client.set_flow_run_state(run_id, wrong, force=True)  # forced: never retried
            return
    # The state is requested, not the result: for a result, the engine would load what the server's last state points to.
    run_logger: Any = flow_run_logger(
        run
    )  # an adapter, which the engine takes although its annotation does not allow it
    run_flow(flow, flow_run=run, return_type="state", error_logger=run_logger)


def main(arguments: Sequence[str] | None = None) -> None:
    """Execute the flow run whose id is the one argument. Exit with 0 also for a suspended or refused run."""
    (run_id,) = map(UUID, sys.argv[1:] if arguments is None else arguments)
    configure_from_env()  # lets Prefect's engine distinguish a cancellation from any other SIGTERM
    with handle_engine_signals(run_id), temporary_settings(set_defaults={PREFECT_CLIENT_MAX_RETRIES: RETRIES}):
        execute(run_id)


if __name__ == "__main__":
    main()

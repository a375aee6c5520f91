"""The runs that `restore` offers to undo, and the one way to start a deployment's run from this side.

The form of `restore` is stored in Prefect, so its list is a copy, which the sweep renews. It is a convenience alone: `restore`
reads the plan of the chosen run from the ledger, and accepts the id of any other.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from tasks.estate.form_choices import undo_choice
from tasks.estate.polling import utc_now
from tasks.ledger.facts import Planned, Sending, SendRefused
from tasks.runtime.current_run import run_logger
from tasks.runtime.resources import open_ledger

RESTORE = "restore/restore"  # flow and deployment, as prefect.yaml names them
OFFERED = 20  # runs in the list, the newest first; any other can be named by its id
KEPT = timedelta(days=30)  # an older backup is rarely what anybody wants back, and the host may have removed it


def undo_choices() -> list[str]:
    """Return a choice for each run that overwrote an install in the last 30 days, the newest first, at most 20."""
    ledger, choices = open_ledger(), list[str]()
    refused = {fact.run_id for fact in ledger.facts(kind=SendRefused.KIND)}
    for sending in reversed(ledger.facts(kind=Sending.KIND)):
        if utc_now() - sending.at > KEPT or len(choices) == OFFERED:
            break
        planned = ledger.facts(run_id=sending.run_id, plan=sending.plan, kind=Planned.KIND)
        if planned and sending.run_id not in refused:
            plan = planned[-1].as_(Planned).draft
            choices.append(undo_choice(plan.verb, plan.destination_name, sending.at, plan.code))
    return choices


def renew_undo_choices() -> None:
    """Write the present list into the form of `restore`, if `understudy deploy` made that form. Never fails a run."""
    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(RESTORE)
            schema: dict[str, Any] = found.parameter_openapi_schema or {}
            field = schema.get("properties", {}).get("promotion", {})
            choices = undo_choices()
            if "enum" not in field or not choices or field["enum"] == choices:
                return
            field["enum"] = choices
            client.request(
                "PATCH", "/deployments/{id}", path_params={"id": found.id}, json={"parameter_openapi_schema": schema}
            )
    except (ObjectNotFound, httpx.HTTPError) as error:
        run_logger().info("The list of runs that can be undone was not renewed: %s", type(error).__name__)


def create_run(
    client: SyncPrefectClient, deployment: UUID, parameters: Mapping[str, Any], *, idempotency_key: str | None = None
) -> UUID:
    """Create a run of a deployment and return its id. Its parameters need not be choices of the form.

    Forms contain lists; programs name installs and runs. The worker checks all parameters against the flow. Prefect's client
    has no option for this, its API has.
    """
    body: dict[str, Any] = {
        "parameters": dict(parameters),
        "enforce_parameter_schema": False,
        "state": {"type": "SCHEDULED"},
    }
    if idempotency_key:
        body["idempotency_key"] = idempotency_key
    answer = client.request("POST", "/deployments/{id}/create_flow_run", path_params={"id": deployment}, json=body)
    return UUID(answer.json()["id"])

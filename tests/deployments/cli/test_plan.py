"""`plan`: it starts the deployment of a verb with the given options only, and shows its form."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_runs import suspend_flow_run
from prefect.states import Failed

from tasks.runtime.approval_forms import form_for
from tests.deployments.cli.asking_flow import sheet_of


@flow(name="promote", retries=0)  # replaces ours: it asks at once
def promote(
    source: str,
    destination: str,
    database: bool = False,
    tables: list[str] = [],  # noqa: B006  # Prefect builds the form from it and never mutates it
    answer_within: timedelta = timedelta(hours=8),
    requested_by: str = "",
    break_glass: str = "",
) -> None:
    """Ask, and show the parameters in the form."""
    shown = f"{source} {destination} {database} {tables} {answer_within} {requested_by} {break_glass}"
    plan = sheet_of("r").plan
    suspend_flow_run(wait_for_input=form_for(plan, f"**{shown}**"), key=f"appr-{plan.fingerprint[:8]}-0")


@flow(name="restore", retries=0)  # replaces ours: it refuses at once
def restore(promotion: str, database: bool = True) -> Any:
    """End as a refused run does."""
    return Failed(name="Frozen", message=f"closed for {promotion}")


@pytest.mark.drill  # its worker is a thread; on a slow machine it hung once, and nothing here bounds the wait
def test_a_plan_is_started_followed_and_shown(serving: Callable[..., Any], machine: Callable[..., Any]) -> None:
    """Options become parameters of the deployment, and the form's text is returned when the run asks."""
    serving(promote, "promote")
    options = ("--database", "--tables", "wp_posts, wp_users", "--requested-by", "Ada", "--answer-within", "90m")
    code, document = machine("plan", "promote", "schulstage", "schulprod", *options, "--break-glass", "shop is down")
    assert (code, document["state"]) == (0, "Suspended")
    text = "**schulstage schulprod True ['wp_posts', 'wp_users'] 1:30:00 Ada shop is down**"
    assert document["form"].startswith(f"{text}\n")
    with get_client(sync_client=True) as client:
        parameters = client.read_flow_run(UUID(document["run"])).parameters
    assert "files" not in parameters  # not given: the deployment's own value applies


@pytest.mark.drill  # its worker is a thread; on a slow machine it hung once, and nothing here bounds the wait
def test_a_run_that_ends_without_asking_is_reported(serving: Callable[..., Any], cli: Callable[..., Any]) -> None:
    """A refused run is shown with its outcome and message, and the exit code is 1."""
    serving(restore, "restore")
    promotion = "11111111-1111-4111-8111-111111111111"
    done = cli("plan", "restore", promotion, "--no-database")
    assert done.exit_code == 1
    assert f"Frozen: closed for {promotion}" in done.stdout


def test_a_missing_deployment_is_named(prefect_server: None, cli: Callable[..., Any]) -> None:
    """Before `prefect deploy`, the message names the deployment."""
    done = cli("plan", "provision", "schulprod", "schulneu")
    assert done.exit_code == 1
    assert "has no deployment 'provision/provision'" in done.stderr


@pytest.mark.parametrize("options", [("--answer-within", "soon"), ("--answer-within", "8d"), ("--database=perhaps",)])
def test_what_cannot_be_read_is_a_usage_error(
    prefect_server: None, cli: Callable[..., Any], options: tuple[str, ...]
) -> None:
    """A duration that cannot be read or is too long, and a value for a switch, are usage errors."""
    assert cli("plan", "promote", "schulstage", "schulprod", *options).exit_code == 2

"""`plan`: it starts the deployment of a verb with the given options only, and shows its form."""

import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import typer
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_runs import suspend_flow_run
from prefect.states import Failed

import flows.promote
from deployments.cli.plan import complete
from tasks.runtime.approval_forms import PromotionForm
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
    fingerprint = sheet_of("r").plan.fingerprint
    suspend_flow_run(
        wait_for_input=PromotionForm.with_initial_data(description=f"**{shown}**"), key=f"appr-{fingerprint[:8]}-0"
    )


@flow(name="restore", retries=0)  # replaces ours: it refuses at once
def restore(promotion: str, database: bool = True) -> Any:
    """End as a refused run does."""
    return Failed(name="Frozen", message=f"closed for {promotion}")


@pytest.mark.drill  # its worker is a thread; on a slow machine it hung once, and nothing here bounds the wait
def test_a_plan_is_started_followed_and_shown(serving: Callable[..., Any], machine: Callable[..., Any]) -> None:
    """Options become parameters of the deployment, and the form's text is returned when the run asks."""
    serving(promote, "promote")
    options = ("--database", "--tables", "wp_posts, wp_users", "--requested-by", "Ada", "--answer-within", "90m")
    code, document = machine(
        "plan", "promote", "schulstage", "schulprod", *options, "--set", "break_glass=shop is down"
    )
    assert (code, document["state"]) == (0, "Suspended")
    assert document["form"] == ("**schulstage schulprod True ['wp_posts', 'wp_users'] 1:30:00 Ada shop is down**")
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


@pytest.mark.drill  # its worker is a thread; on a slow machine it hung once, and nothing here bounds the wait
def test_a_parameter_that_the_form_does_not_have_is_refused(
    serving: Callable[..., Any], cli: Callable[..., Any]
) -> None:
    """Prefect checks the parameters before anything is started, and its explanation is shown."""
    serving(promote, "promote")
    done = cli("plan", "promote", "schulstage", "schulprod", "--set", "tables=7")
    assert done.exit_code == 1
    assert "refused the parameters" in done.stderr


@pytest.mark.parametrize("options", [("--answer-within", "soon"), ("--set", "tables"), ("--set", "tables=[")])
def test_what_cannot_be_read_is_a_usage_error(
    prefect_server: None, cli: Callable[..., Any], options: tuple[str, ...]
) -> None:
    """A duration without a unit, a parameter without a value, and an unclosed list are usage errors."""
    assert cli("plan", "promote", "schulstage", "schulprod", *options).exit_code == 2


class Deployed:
    """A server with a deployment of our promotion, which has these parameters of its own."""

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters
        self.parameter_openapi_schema = flows.promote.promote.parameters.model_dump()
        self.entrypoint = "flows.promote.promote"

    def deployment(self, name: str) -> "Deployed":
        """Return the deployment."""
        return self


def completed(given: dict[str, Any], typed: str = "", **own: Any) -> dict[str, Any]:
    """Return the complete parameters of a promotion, with what a person types."""
    server: Any = Deployed(**own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(typed))
        return complete(server, "promote", given)


PAIR = {"source": "schulstage", "destination": "schulprod"}


def test_a_missing_parameter_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The requester, whom the verb needs, is asked for by the label of the form until it fits, unless the deployment has one."""
    assert completed(PAIR, "Ad\nAda Admin\n") == PAIR | {"requested_by": "Ada Admin"}
    shown = capsys.readouterr()
    assert shown.err.count("Requested by (Your name, for the ledger.") == 2
    assert ("'Ad' has 2 characters" in shown.err, shown.out) == (True, "")
    assert completed(PAIR, requested_by="nightly schedule") == PAIR
    with pytest.raises(typer.BadParameter, match="nothing was typed"):
        completed(PAIR)


def test_names_and_durations_are_accepted_where_the_form_has_lists() -> None:
    """A form that `understudy deploy` made has a list of sites, and no installs; commands name both installs all the same."""
    given = PAIR | {"requested_by": "Ada Admin", "answer_within": "PT2H"}
    server: Any = Deployed(source="", destination="")
    server.parameter_openapi_schema = {
        "required": ["site"],
        "properties": {
            "site": {"title": "Site", "enum": ["Schulfest: schulstage to schulprod"]},
            "answer_within": {"title": "Answer within", "enum": ["8 hours"]},
        },
    }
    assert complete(server, "promote", given) == given


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"source": "sc"}, "source: 'sc' has 2 characters; expected 3 or more."),
        ({"colour": "red"}, "promote has no parameter colour; it has source, destination"),
    ],
)
def test_a_parameter_that_does_not_fit_starts_nothing(given: dict[str, Any], why: str) -> None:
    """What the form would refuse is named by its option before anything is started."""
    with pytest.raises(typer.BadParameter, match=re.escape(why)):
        completed(PAIR | {"requested_by": "Ada"} | given)

"""`run`: it starts a verb's deployment with what was typed or picked, on a real server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from deployments.deployed_flows import flow_named
from deployments.start_forms import parameters_of, schema_of
from tasks.configuration.estate_file import load_estate

ESTATE = load_estate(Path(__file__).parents[3] / "deployments" / "sandbox" / "estate.yaml")


@pytest.fixture
def deployed(prefect_server: None) -> Iterator[None]:
    """The deployment of `promote` with its lists, as `understudy deploy` writes it; nobody takes its runs."""
    flow = flow_named("promote")
    with get_client(sync_client=True) as client:
        made = client.create_deployment(
            flow_id=client.create_flow(flow),
            name="promote",
            entrypoint="flows.promote.promote",
            parameters=parameters_of(flow, ESTATE),
            parameter_openapi_schema=schema_of(flow, ESTATE, deployment="promote"),
            enforce_parameter_schema=True,
        )
        yield
        client.delete_deployment(made)


def started(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a run was started with, without the deployment's empty values."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(document["run"]))
        client.delete_flow_run(run.id)
    assert run.state is not None
    assert run.state.is_scheduled()
    return {name: value for name, value in run.parameters.items() if value != ""}


def test_a_run_is_started_with_names_or_with_a_choice(deployed: None, machine: Callable[..., Any]) -> None:
    """Both installs by name, which the form's lists do not have, or the first entry of its list of sites."""
    more = ("--requested-by", "Ada Admin", "--no-wait")
    code, document = machine("run", "promote", "schulstage", "schulprod", "--answer-within", "2 hours", *more)
    assert (code, started(document)) == (
        0,
        {"source": "schulstage", "destination": "schulprod", "requested_by": "Ada Admin", "answer_within": "PT7200S"},
    )
    code, document = machine("run", "promote", "--database", *more, input="1\n")
    picked = {"site": "Schulfest: schulstage to schulprod", "requested_by": "Ada Admin", "database": True}
    assert (code, started(document)) == (0, picked)


def test_nothing_is_started_with_what_does_not_fit(deployed: None, cli: Callable[..., Any]) -> None:
    """A name that is too short, and a name that nobody types, are usage errors."""
    for options, why in ((("--requested-by", "Al"), "--requested-by: 'Al' has 2"), ((), "nothing was typed")):
        done = cli("run", "promote", "schulstage", "schulprod", "--detach", *options)
        assert (done.exit_code, why in done.stderr) == (2, True)


def test_a_missing_deployment_is_named(prefect_server: None, cli: Callable[..., Any]) -> None:
    """Before anything was deployed, `diagnose` names the deployment and the remedy."""
    done = cli("diagnose", "schulprod")
    assert done.exit_code == 1
    assert "has no deployment 'diagnose/diagnose'" in done.stderr

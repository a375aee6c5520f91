"""What a flow accepts, whatever the form of its deployment offers."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from deployments.deployed_flows import flow_named, is_ours, parameter_schema, why_refused_by_flow

ROOT = Path(__file__).parents[2]
GIVEN = {"source": "schulstage", "destination": "schulprod", "requested_by": "Ada Admin"}


def deployment(entrypoint: str | None = "flows.promote.promote", **parameters: Any) -> Any:
    """Return a deployment with parameters of its own."""
    return SimpleNamespace(entrypoint=entrypoint, parameters=parameters, parameter_openapi_schema={"form": True})


def test_every_deployment_of_the_project_is_found() -> None:
    """Each entrypoint of prefect.yaml names a flow of this project, and its schema is that of the flow."""
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    for each in declared:
        found = deployment(each["entrypoint"])
        assert is_ours(found), each["name"]
        name = each["entrypoint"].rpartition(".")[2]
        assert parameter_schema(found) == flow_named(name).parameters.model_dump(mode="json")


@pytest.mark.parametrize(
    "entrypoint", [None, "flows/promote.py:promote", "flows.promote.other", "evil.promote.promote"]
)
def test_a_foreign_flow_is_none_of_ours(entrypoint: str | None) -> None:
    """Its form is all that is known about it, and nothing is accepted in its name."""
    found = deployment(entrypoint)
    assert not is_ours(found)
    assert parameter_schema(found) == {"form": True}
    assert "not known" in why_refused_by_flow(found, GIVEN)


@pytest.mark.parametrize(
    ("own", "given", "why"),
    [
        ({}, GIVEN, ""),
        ({"source": "", "destination": ""}, {"site": "S: schulstage to schulprod", "requested_by": "Ada"}, ""),
        ({}, GIVEN | {"answer_within": "2 hours"}, ""),
        ({}, {"source": "schulstage"}, "destination: Field required - requested_by: Field required"),
        ({}, GIVEN | {"answer_within": "soon"}, "answer_within: Input should be a valid timedelta"),
        ({}, GIVEN | {"colour": "red"}, "was provided with parameters"),
        ({}, GIVEN | {"requested_by": "Ada\nAdmin"}, "requested_by: String should match pattern"),
    ],
)
def test_the_flow_decides_what_it_takes(
    own: dict[str, Any], given: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason names the parameter; nothing is logged, and Prefect's log works as before."""
    found = why_refused_by_flow(deployment(**own), given)
    assert found.startswith(why) if why and "provided" not in why else why in found
    assert (found == "") == (why == "")
    assert caplog.text == ""
    assert not logging.getLogger("prefect.flows").disabled

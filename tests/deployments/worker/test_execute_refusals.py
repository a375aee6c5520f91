"""Refusals of the worker: which runs it does not start, decided from the records of Prefect's API alone."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse

from deployments.worker import execute
from deployments.worker.execute import BLOCK, SHOWN, printable, refusal, refused_reason, wrong_parameters
from tests.deployments.conftest import DIAGNOSE

STEP = "prefect.deployments.steps.set_working_directory"
SHELL, CLONE = "prefect.deployments.steps.run_shell_script", "prefect.deployments.steps.git_clone"


def run(parameters: dict[str, Any] | None = None) -> FlowRun:
    """A run with these parameters."""
    return FlowRun(flow_id=uuid4(), parameters=parameters or {})


def deployment(**changes: Any) -> DeploymentResponse:
    """Our deployment of `diagnose`."""
    return DeploymentResponse.model_validate({"name": "diagnose", "flow_id": uuid4(), "entrypoint": DIAGNOSE} | changes)


@pytest.mark.parametrize("pull_steps", [None, [], [{STEP: {"directory": "/nowhere"}}], [{STEP: {}}, {STEP: {}}], [{}]])
def test_our_deployment_is_not_refused(pull_steps: Any) -> None:
    """With the step of the standard worker, or with none."""
    assert refused_reason(run({"install": "x"}), "diagnose", deployment(pull_steps=pull_steps)) == ""


@pytest.mark.parametrize(
    ("pull_steps", "named"),
    [
        ([{SHELL: {"script": "true"}}], SHELL),
        ([{STEP: {}}, {SHELL: {}}], SHELL),
        ([{STEP: {}, SHELL: {}}], SHELL),
        ([{SHELL: {}}, {CLONE: {}}], f"{SHELL}, {CLONE}"),
    ],
)
def test_every_foreign_pull_step_is_refused(pull_steps: Any, named: str) -> None:
    """Also after, or in one entry with, the accepted step; the reason names the foreign steps only."""
    reason = refused_reason(run(), "diagnose", deployment(pull_steps=pull_steps))
    assert f"pull steps {named}; expected none" in reason


def test_a_storage_block_a_missing_deployment_and_another_flow_are_refused() -> None:
    """Each has a reason of its own."""
    assert "storage block" in refused_reason(run(), "diagnose", deployment(storage_document_id=uuid4()))
    assert "no deployment" in refused_reason(run(), "diagnose", None)
    assert "named 'refresh'; expected 'diagnose'" in refused_reason(run(), "refresh", deployment())
    assert "entrypoint is 'nothing'" in refused_reason(run(), "diagnose", deployment(entrypoint=None))


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [
        ({BLOCK: "id"}, True),
        ({"install": {BLOCK: "id"}}, True),
        ({"install": ["a", {"deep": [{BLOCK: None}]}]}, True),
        ({"a": "x", "b": {"c": {BLOCK: {}}}}, True),
        ({"install": BLOCK, "others": ["a", BLOCK, {"ref": "id"}], "none": None}, False),
        ({}, False),
    ],
)
def test_a_block_anywhere_in_the_parameters_is_refused(parameters: dict[str, Any], refused: bool) -> None:
    """Prefect replaces the key of a mapping, however deep; the same text as a value is text."""
    assert ("loads a block" in refused_reason(run(parameters), "diagnose", deployment())) is refused


def test_text_of_the_api_is_shown_on_one_line() -> None:
    """Control characters become question marks, and what is longer than the limit is cut."""
    assert printable("a\nb\x1b[31mc") == "a?b?[31mc"
    assert printable("x" * (SHOWN + 1)) == "x" * SHOWN


def test_a_refused_run_has_failed_and_nothing_was_run() -> None:
    """The state has the name by which reports and automations recognise it."""
    state = refusal("It has no deployment.")
    assert (state.name, state.is_failed()) == ("Refused", True)
    assert "It has no deployment. Nothing was run." in str(state.message)


@pytest.mark.parametrize(
    ("parameters", "fits"), [({"install": "schulprod"}, True), ({"instal": "schulprod"}, False), ({}, False)]
)
def test_parameters_are_checked_against_the_flow(parameters: dict[str, Any], fits: bool) -> None:
    """A run that fits has no final state; one that does not ends as Misconfigured."""
    state = wrong_parameters(execute.our_flow(DIAGNOSE), run(parameters))
    assert (state is None) is fits
    if state is not None:
        assert (state.name, state.is_failed()) == ("Misconfigured", True)


def test_a_refused_run_is_reported_to_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice is an alert of that run, with the reason as plain text."""
    sent: list[Any] = []
    monkeypatch.setattr(execute, "send_notice", lambda *given, **more: sent.append((given, more)))
    number = UUID(int=7)
    execute.alert(number, "Its entrypoint is [a](http://evil.example).")
    (((kind, _, lines), more),) = sent
    assert (kind, more) == ("alert", {"run_id": str(number)})
    assert lines == [r"Its entrypoint is \[a\](http://evil.example)."]


def test_requests_to_prefect_are_repeated_for_four_minutes() -> None:
    """Prefect waits 2, 4, 8 … seconds: less would end a run while its server restarts, more would hide that it is gone."""
    assert 240 <= sum(2**number for number in range(1, execute.RETRIES + 1)) < 300

"""Open requests: every difference between the form that Prefect shows and the sheet is found, and no other."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from deployments.cli.request_lines import fact_lines
from deployments.open_requests import OpenRequest, disagreements
from deployments.prefect_server import Form
from tasks.estate.errors import PlanIsStale
from tasks.signoff.form_fields import REJECT, approval_choice
from tests.deployments.cli.asking_flow import sheet_of

RUN = UUID("11111111-1111-4111-8111-111111111111")
OTHER = "22222222-2222-4222-8222-222222222222"
SHEET = sheet_of(str(RUN))
PLAN = SHEET.plan


def request(kind: str = "approval", **changes: Any) -> OpenRequest:
    """Return a request that waits, with its sheet."""
    run = FlowRun(id=RUN, flow_id=RUN, state=State(type=StateType.PAUSED))
    return replace(OpenRequest(run, kind, SHEET), **changes)


def fields(**changes: Any) -> dict[str, Any]:
    """Return the fields of the form that belongs to it."""
    return {
        "decision": {"enum": [REJECT, approval_choice(PLAN.code)]},
        "destination": {"pattern": "^schulprod$"},
    } | changes


def form(**changes: Any) -> Form:
    """Return the form that belongs to it."""
    text = f"onto **schulprod**, plan **{PLAN.code}**"
    return replace(Form(f"suspended-appr-{PLAN.fingerprint[:8]}-0-schema", text, fields(), ()), **changes)


def test_a_form_that_belongs_to_the_sheet_has_no_differences() -> None:
    """Key, code, destination and patterns agree; so does a form about an arrival, whose text has no code."""
    assert disagreements(request(), form()) == []
    arrival = form(key=f"suspended-arrived-{PLAN.fingerprint[:8]}-2-schema", text="Did schulprod arrive?", fields={})
    assert disagreements(request("arrival"), arrival) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": "onto **schulprod**, plan **AAAA-BBBB**"}, "shows AAAA-BBBB; the sheet's plan is"),
        ({"text": "onto **schulprod**"}, "shows no code"),
        ({"text": f"onto **schultest**, plan {PLAN.code}"}, "does not name the destination 'schulprod'"),
        ({"key": "suspended-appr-00000000-0-schema"}, "another plan"),
        ({"key": "suspended-mine-schema"}, "another plan"),
        ({"fields": fields(decision={"enum": [REJECT, "approve AAAA-BBBB"]})}, "offers 'approve AAAA-BBBB'; expected"),
        ({"fields": fields(decision={})}, "offers ''; expected"),
        ({"fields": fields(destination={"pattern": ".*"})}, "as destination; the sheet contains 'schulprod'"),
    ],
)
def test_each_difference_is_named(changes: dict[str, Any], words: str) -> None:
    """Each place in which the form is not about the sheet's plan is reported in one sentence."""
    (found,) = disagreements(request(), form(**changes))
    assert words in found


def test_the_sheet_of_another_run_is_named() -> None:
    """A sheet of another run is reported, and so is a run without a form."""
    found = disagreements(request(sheet=sheet_of(OTHER)), form())
    assert found[0] == f"The sheet is about run {OTHER}, not this one."
    assert disagreements(request(), None) == ["The run shows no form."]


def test_an_unreadable_sheet_has_no_facts() -> None:
    """Without a readable sheet, the error contains the reason."""
    with pytest.raises(PlanIsStale, match="it is missing"):
        fact_lines(request(sheet=None, wrong="it is missing."))

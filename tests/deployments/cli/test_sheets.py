"""Sheets: where what Prefect shows and what the sheet holds part, it is said; where they do not, nothing is."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from deployments.cli.sheets import Asked, disagreements, fact_lines
from deployments.prefect_server import Form
from tasks.estate.errors import PlanIsStale
from tests.deployments.cli.gates import sheet_of

RUN = UUID("11111111-1111-4111-8111-111111111111")
OTHER = "22222222-2222-4222-8222-222222222222"
SHEET = sheet_of(str(RUN))
PLAN = SHEET.plan


def asked(kind: str = "approval", **changes: Any) -> Asked:
    """A run that waits, with its sheet."""
    run = FlowRun(id=RUN, flow_id=RUN, state=State(type=StateType.PAUSED))
    return replace(Asked(run, kind, SHEET), **changes)


def form(**changes: Any) -> Form:
    """The form that belongs to it."""
    fields = {"plan": {"pattern": f"^{PLAN.code}$"}, "destination": {"pattern": "^schulprod$"}}
    text = f"onto **schulprod**, plan **{PLAN.code}**"
    return replace(Form(f"suspended-appr-{PLAN.fingerprint[:8]}-0-schema", text, fields, ()), **changes)


def test_a_form_that_belongs_to_the_sheet_says_nothing_else() -> None:
    """Key, code, destination and patterns agree; so do they in a question about arrival, whose text has no code."""
    assert disagreements(asked(), form()) == []
    arrival = form(key=f"suspended-arrived-{PLAN.fingerprint[:8]}-2-schema", text="Did schulprod arrive?", fields={})
    assert disagreements(asked("arrival"), arrival) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": "onto **schulprod**, plan **AAAA-BBBB**"}, "shows AAAA-BBBB; the sheet's plan is"),
        ({"text": "onto **schulprod**"}, "shows no code"),
        ({"text": f"onto **schultest**, plan {PLAN.code}"}, "does not name the destination 'schulprod'"),
        ({"key": "suspended-appr-00000000-0-schema"}, "another plan"),
        ({"key": "suspended-mine-schema"}, "another plan"),
        ({"fields": {"plan": {"pattern": "^AAAA-BBBB$"}}}, "as plan; the sheet says"),
        ({"fields": {"destination": {"pattern": ".*"}}}, "as destination; the sheet says 'schulprod'"),
    ],
)
def test_each_lie_of_a_form_is_named(changes: dict[str, Any], words: str) -> None:
    """One sentence for each place in which the form is not about the sheet's plan."""
    (said,) = disagreements(asked(), form(**changes))
    assert words in said


def test_the_sheet_of_another_run_is_named() -> None:
    """A sheet that was taken from another run is not this run's."""
    said = disagreements(asked(sheet=sheet_of(OTHER)), form())
    assert said[0] == f"The sheet is about run {OTHER}, not this one."
    assert disagreements(asked(), None) == ["The run shows no form."]


def test_nothing_is_told_of_a_sheet_that_cannot_be_read() -> None:
    """Without a sheet there are no facts, only why."""
    with pytest.raises(PlanIsStale, match="there is none"):
        fact_lines(asked(sheet=None, wrong="there is none."))

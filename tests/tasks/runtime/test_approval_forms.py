"""The approval form as people see it: what each class must fill in, what a rejection may leave empty, and the plan itself."""

import json
from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import ValidationError, validate
from pydantic import ValidationError as NotThisForm

from tasks.estate.dumps import RISK_PHRASE
from tasks.estate.plans import Plan
from tasks.runtime.approval_forms import ApprovalForm, form_for
from tasks.signoff.form_fields import REJECT, answer_fields, approval_choice, choices, read_choice
from tests.deployments.cli.asking_flow import RED, YELLOW, sheet_of
from tests.tasks.safeguards.ledger_histories import load_plan

TEXT = """**schulprod is overwritten.**

* Risk: **RED**
    * the database would be replaced

### What differs

* Posts
    * stage: 7
    * prod: 1\\|2"""
PROMOTION, DANGEROUS = sheet_of("run", risk=YELLOW).plan, sheet_of("run", risk=RED).plan
RAW = load_plan(arrives_raw=("passwords",))
ANNA = {"approver": "Anna Lead", "proof": "123456", "reason": "release day"}


def schema_of(plan: Any, **options: bool) -> dict[str, Any]:
    """Return the JSON schema as Prefect stores it."""
    form = form_for(plan, TEXT, **options)
    schema: dict[str, Any] = json.loads(json.dumps(form.model_json_schema()))
    return schema


def accepts(schema: dict[str, Any], answer: dict[str, str]) -> bool:
    """Return whether the server takes the answer, checked as it checks."""
    try:
        validate(answer, schema, raise_on_error=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("plan", "fields"),
    [
        (PROMOTION, ["decision", "reason", "approver", "proof"]),
        (DANGEROUS, ["decision", "reason", "approver", "proof", "destination"]),
        (load_plan(), ["decision", "reason", "approver", "proof"]),
        (RAW.model_copy(update={"risk": RED}), ["decision", "reason", "approver", "proof", "destination", "risk"]),
    ],
    ids=["yellow", "red", "load", "raw load"],
)
def test_each_class_asks_for_what_it_needs(plan: Any, fields: list[str]) -> None:
    """In this order, and none is called optional; a rejection needs the first two."""
    schema = schema_of(plan)
    shown = sorted(schema["properties"], key=lambda name: schema["properties"][name]["position"])
    assert shown == schema["required"] == fields
    assert accepts(schema, answer_fields(plan, REJECT, reason="not today"))
    assert not accepts(schema, answer_fields(plan, REJECT, reason="no"))
    approval = answer_fields(
        plan, approval_choice(plan.code), **ANNA, destination=plan.destination_name, phrase=RISK_PHRASE
    )
    assert accepts(schema, approval)
    for missing in fields:
        assert not accepts(schema, approval | {missing: ""}), missing
        assert not accepts(schema, {name: value for name, value in approval.items() if name != missing}), missing


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision": "approve"}, {"decision": approval_choice("0000-0000")}, {"destination": "schulstage"},
        {"destination": "schulprod2"}, {"plan": PROMOTION.code}, {"proof": "12345"},
        {"decision": approval_choice(DANGEROUS.code, restore=True)},
    ],
    ids=str,
)  # fmt: skip
def test_a_form_takes_its_own_plan_only(wrong: dict[str, str]) -> None:
    """What was chosen in a dialog for another plan of the run, another destination, and fields of other forms are refused."""
    approval = answer_fields(DANGEROUS, approval_choice(DANGEROUS.code), **ANNA, destination="schulprod")
    assert accepts(schema_of(DANGEROUS), approval)
    assert not accepts(schema_of(DANGEROUS), approval | wrong)


def test_the_permission_to_undo_is_a_choice_of_its_own() -> None:
    """It is offered for what can be undone, and read back; the first choice is to reject, and nothing is chosen."""
    both = schema_of(PROMOTION, undoable=True)["properties"]["decision"]
    assert both["enum"] == choices(PROMOTION.code, undoable=True) == [
        "reject", f"approve {PROMOTION.code}", f"approve {PROMOTION.code}, undo if its checks fail",
    ]  # fmt: skip
    assert "default" not in both
    assert [read_choice(each) for each in both["enum"]] == [
        ("reject", "", False), ("approve", PROMOTION.code, False), ("approve", PROMOTION.code, True),
    ]  # fmt: skip
    assert read_choice("approve") == ("approve", "", False)


@pytest.mark.parametrize("choice", ["", "yes", "approve ", "approve 7K3F", "Approve", "reject 7K3F-92QD", "approve\n"])
def test_what_is_no_choice_is_no_answer(choice: str) -> None:
    """Neither the form nor the model takes it."""
    with pytest.raises(ValueError, match="choices"):
        read_choice(choice)
    with pytest.raises(NotThisForm):
        ApprovalForm(decision=choice, reason="release day")


def test_a_lead_who_must_sign_reads_so() -> None:
    """Where a code is not enough, the field of the proof names what is."""
    assert "A code is not enough" in schema_of(PROMOTION, bound=True)["properties"]["proof"]["description"]
    assert "six digits" in schema_of(PROMOTION)["properties"]["proof"]["description"]


def test_an_answer_in_the_shape_of_version_0_1_is_read() -> None:
    """A form that was opened before an upgrade has typed names, and a bare decision: the gate compares the names."""
    assert isinstance(PROMOTION, Plan)
    old = {"decision": "approve", "plan": PROMOTION.code, "destination": "schulprod", **ANNA, "restore": "yes"}
    form = ApprovalForm.model_validate(old)
    assert (form.plan, form.destination, form.restore) == (PROMOTION.code, "schulprod", "yes")


def test_the_plan_is_the_help_of_the_first_field() -> None:
    """Its lines are blocks of their own, because Prefect's UI loses single line ends."""
    help_text = schema_of(PROMOTION)["properties"]["decision"]["description"]
    assert help_text.split("\n\n") == [
        "**schulprod is overwritten.**", "* Risk: **RED**", "    * the database would be replaced", "### What differs", 
        "* Posts", "    * stage: 7", "    * prod: 1\\|2",
    ]  # fmt: skip

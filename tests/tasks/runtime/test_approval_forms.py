"""The approval form as people see it: what must be typed, and the plan itself, which no window may hide."""

from tasks.runtime.approval_forms import ApprovalForm, PromotionForm, form_for

TEXT = """## PROMOTION

* Risk: **RED**
    * the database would be replaced

* Posts
    * stage: 7
    * prod: 1\\|2"""


def test_the_plan_is_the_help_of_the_first_field() -> None:
    """Prefect's dialog hides a form's description in a low window, never a field's help, whose single line ends are lost."""
    schema = form_for("7K3F-92QD", "schulprod", PromotionForm, TEXT).model_json_schema()["properties"]
    assert schema["decision"]["description"].split("\n\n") == [
        "## PROMOTION", "* Risk: **RED**", "    * the database would be replaced", 
        "* Posts", "    * stage: 7", "    * prod: 1\\|2", "reject: nothing is overwritten. approve: this plan, once.",
    ]  # fmt: skip
    assert sorted(schema, key=lambda name: schema[name]["position"])[0] == "decision"


def test_the_form_takes_the_names_of_its_own_plan_only() -> None:
    """The schema, which the server checks, accepts the plan's own code and destination and two decisions only."""
    schema = form_for("7K3F-92QD", "a.b", ApprovalForm).model_json_schema()["properties"]
    assert schema["plan"]["pattern"] == "^7K3F-92QD$"
    assert schema["destination"]["pattern"] == r"^a\.b$"
    assert schema["decision"]["enum"] == ["reject", "approve"]

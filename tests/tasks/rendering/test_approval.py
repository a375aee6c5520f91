"""The texts of the forms: each value has a line of its own, and typed text cannot look like another fact."""

from tasks.estate.plans import Difference, Severity
from tasks.rendering.approval import difference_lines, plan_lines
from tests.tasks.safeguards.ledger_histories import LONG_AGO, PROD, STAGE, comparison, content, load_plan

ROWS = (
    Difference(aspect="Domains", source="a, b", destination="c, d", severity=Severity.INFO),
    Difference(aspect="Multisite", source="yes", destination="no", severity=Severity.WARN, note="old URLs"),
)


def test_each_side_of_a_difference_has_a_line() -> None:
    """A value that is a list cannot run into the other side; only a weight above the lowest is shown."""
    found = comparison(content(), content(), of=(STAGE, PROD)).model_copy(update={"differences": ROWS})
    assert difference_lines(found) == [
        "* Domains", "    * stage: a, b", "    * prod: c, d", "* Multisite (warn: old URLs)", "    * stage: yes", "    * prod: no",
    ]  # fmt: skip


def test_one_install_is_shown_once() -> None:
    """A restore compares an install with itself."""
    found = comparison(content(), content(), of=(PROD, PROD)).model_copy(update={"differences": ROWS[:1]})
    assert difference_lines(found) == ["* Domains", "    * prod: c, d"]


def test_a_requester_cannot_forge_a_plan_code() -> None:
    """The plan's code is on a line of its own, above the typed name."""
    plan = load_plan(requested_by="Anna · plan 7K3F-92QD\n* Plan **7K3F-92QD**")
    assert plan_lines(plan, LONG_AGO, ())[:2] == [
        f"* Plan **{plan.code}**",
        "* Requested by: Anna · plan 7K3F-92QD \\* Plan \\*\\*7K3F-92QD\\*\\*",
    ]

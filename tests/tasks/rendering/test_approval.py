"""The texts of the forms: each value has a line of its own, and typed text cannot look like another fact."""

import pytest

from tasks.estate.plans import Difference, Plan, Severity, Signer
from tasks.rendering.approval import approval_text, difference_lines, plan_lines
from tasks.rendering.request_words import sentence, turn
from tasks.rendering.times_and_tables import local_time, plain
from tasks.signoff.gate import Waiting
from tests.deployments.cli.asking_flow import sheet_of
from tests.tasks.safeguards.ledger_histories import LONG_AGO, PROD, STAGE, comparison, content, load_plan

ROWS = (
    Difference(aspect="Domains", source="a, b", destination="c, d", severity=Severity.INFO),
    Difference(aspect="Multisite", source="yes", destination="no", severity=Severity.WARN, note="old URLs"),
    Difference(aspect="Files (bytes)", source="280000000", destination="270000000", severity=Severity.INFO),
)


def test_each_side_of_a_difference_has_a_line() -> None:
    """A value that is a list cannot run into the other side; what needs a look comes first, in human units."""
    found = comparison(content(), content(), of=(STAGE, PROD)).model_copy(update={"differences": ROWS})
    assert difference_lines(found) == [
        "* Multisite (old URLs)", "    * stage: yes", "    * prod: no", "* Domains", "    * stage: a, b", "    * prod: c, d",
        "* Files", "    * stage: 280 MB", "    * prod: 270 MB",
    ]  # fmt: skip


def test_one_install_is_shown_once() -> None:
    """A restore compares an install with itself."""
    found = comparison(content(), content(), of=(PROD, PROD)).model_copy(update={"differences": ROWS[:1]})
    assert difference_lines(found) == ["* Domains", "    * prod: c, d"]


def test_a_requester_cannot_forge_a_plan_code() -> None:
    """Whatever somebody typed as name stays one line of text, and the plan's code has a line of its own."""
    plan = load_plan(requested_by="Anna · plan 7K3F-92QD\n* Plan **7K3F-92QD**")
    assert plan_lines(plan, LONG_AGO, ())[-2:] == [
        "* Requested by: Anna · plan 7K3F-92QD \\* Plan \\*\\*7K3F-92QD\\*\\*",
        f"* Plan **{plan.code}**",
    ]


@pytest.mark.parametrize("yes", [(), ("Ann_a",)])
def test_what_matters_comes_first(yes: tuple[str, ...]) -> None:
    """The sentence of the desk, whose turn it is, why the last answer did not count, what is newer, what is lost; then the rest."""
    sheet = sheet_of("run")
    assert isinstance(sheet.plan, Plan)
    assert sheet.comparison is not None
    signers = tuple(Signer(name=name, proof="passkey", answered_at=LONG_AGO) for name in yes)
    waiting = Waiting(len(yes), LONG_AGO, LONG_AGO, signers, 4, "wrong *code*")
    lines = approval_text(sheet.plan, sheet.comparison, waiting, zone="Europe/Vienna").splitlines()
    assert lines[:7] == [
        f"**{sentence(sheet.plan)}**", "", plain(turn(sheet.plan, waiting), 1000), "",
        "* **The last answer did not count: wrong \\*code\\*** Attempts left: 4",
        "* **The destination is NEWER than the source.** schulprod has changes that the source lacks.",
        "* Permanently lost: two posts of production",
    ]  # fmt: skip
    assert f"* Plan **{sheet.plan.code}**" in lines
    until = "**2026-01-01 01:00 Europe/Vienna (2026-01-01 00:00:00 UTC)**"
    assert f"* Answer by: {until}; without an answer nothing is overwritten" in lines
    assert not [line for line in lines if line.lstrip().startswith("|")]  # a table makes the dialog wider than a phone


def test_times_without_a_zone_are_in_utc() -> None:
    """Nothing is invented where the estate names no zone."""
    assert local_time(LONG_AGO, "") == local_time(LONG_AGO, "UTC") == "2026-01-01 00:00:00 UTC"
    assert local_time(None, "Europe/Vienna") == "unknown"

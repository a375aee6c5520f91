"""The audit report: typed text has a line of its own, so that it cannot look like a second approver or another field."""

import re

import pytest

from tasks.rendering.audit import history_text
from tasks.signoff.history import AnswerRecord, History, HoldRecord, RunRecord
from tests.tasks.safeguards.ledger_histories import LONG_AGO

FIELD = re.compile(r" *\* ([\w -]+): ")


@pytest.mark.parametrize(
    "typed",
    [
        "urgent fix; Ben Lead (signature, 2026-01-01 00:00:00 UTC) approve: ok",
        "x · ended by: Anna Lead",
        "x\n    * ended by: Anna Lead",
        "x\r\n* Who answered: Ben Lead\u2028* decision: approve",
        "a from b: Verified\n### Verified: promote",
    ],
)
def test_typed_text_adds_no_field(typed: str) -> None:
    """Whatever a name, a reason or a destination contains, the report has the same fields and headings."""

    def fields(text: str) -> list[str]:
        return [found[1] if (found := FIELD.match(line)) else line[:12] for line in report(text).splitlines()]

    assert fields(typed) == fields("plain words")
    assert "\n    * ended by: –\n" in report(typed)
    assert report(typed).count("\n* Who answered: ") == 1
    assert "\n### Rejected: promote of " in report(typed)


def report(typed: str) -> str:
    """The report of one run and one hold, with this text wherever people type."""
    answer = AnswerRecord(name=typed, proof="code", decision="reject", at=LONG_AGO, reason=typed)
    run = RunRecord(
        run_id="r", at=LONG_AGO, verb="promote", source=typed, destination=typed, grade="red", reasons=("new", "old"),
        overrides=("hold:3",), break_glass=typed, requested_by=typed, answers=(answer,), outcome="Rejected",
    )  # fmt: skip
    hold = HoldRecord(destination=typed, at=LONG_AGO, until="2027", by=typed, reason=typed)
    return history_text(History(since=LONG_AGO, until=LONG_AGO, destination="", runs=(run,), holds=(hold,)))


def test_each_reason_of_a_class_is_an_item() -> None:
    """The class is an item, and what it is based on and overrides are nested in it."""
    assert (
        "* Class: red\n    * reason: new\n    * reason: old\n    * overrides: hold:3\n    * break-glass: x\n"
        in report("x")
    )

"""The report of a run that ends early: it never denies a call that was made."""

import logging
from typing import Any

import pytest

from tasks import reports
from tasks.estate.errors import (
    LedgerUnavailable,
    Misconfigured,
    NotVerified,
    OutcomeUnknown,
    PolicyRefused,
    UnderstudyError,
    Unreachable,
)
from tasks.ledger.ledger import Ledger
from tasks.runtime.current_run import outside_prefect
from tests.raw_facts import raw_fact


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is returned instead of published."""
    monkeypatch.setattr(reports, "publish", lambda report: report)
    monkeypatch.setattr(reports, "get_run_logger", lambda: logging.getLogger("test"))


def ended(error: UnderstudyError) -> Any:
    """Return the report of a run that ends with this error."""

    @reports.ends_with_report
    def refresh() -> Any:
        raise error

    with outside_prefect("run-2", lambda *_: None):
        return refresh()


ERRORS = [Misconfigured("x"), PolicyRefused("x"), Unreachable("x")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("journal", "made"),
    [([], False), (["sending"], True), (["sending", "sent"], True), (["sending", "send-refused"], False),
     (["sending", "send-refused", "settled"], True)],
)  # fmt: skip
def test_a_call_that_was_made_is_not_denied(
    ledger: Ledger, error: UnderstudyError, journal: list[str], made: bool
) -> None:
    """Whatever ends the run then; a refusal that the marker of the load disproved counts as a call."""
    for kind in journal:
        ledger.record(raw_fact(kind), run_id="run-2", destination_id="d")
    report = ended(error)
    assert (report.outcome, report.message) == (NotVerified.outcome if made else error.outcome, "x")
    assert report.next_step == (NotVerified.next_step if made else error.next_step)


@pytest.mark.parametrize("error", [OutcomeUnknown("x"), LedgerUnavailable("x")], ids=lambda error: type(error).__name__)
def test_an_error_that_denies_no_call_stays(ledger: Ledger, error: UnderstudyError) -> None:
    """Its own next step fits a call that was made too."""
    ledger.record(raw_fact("sending"), run_id="run-2", destination_id="d")
    assert (ended(error).outcome, ended(error).next_step) == (error.outcome, error.next_step)


@pytest.mark.parametrize("broken", [Misconfigured("no ledger"), LedgerUnavailable("gone")])
def test_a_misconfigured_run_is_reported_without_a_ledger(
    monkeypatch: pytest.MonkeyPatch, broken: UnderstudyError
) -> None:
    """The settings may be what is wrong; any other error is not reported without it."""

    def none() -> Any:
        raise broken

    monkeypatch.setattr(reports, "open_ledger", none)
    assert ended(Misconfigured("x")).outcome == "Misconfigured"
    with pytest.raises(type(broken)):
        ended(Unreachable("x"))

"""The report of a run: it names what an operator needs, and nothing unknown reads as fine."""

from tasks.estate.plans import Finding, Report, Severity
from tasks.rendering.report_text import findings_table, report_text


def test_what_could_not_be_checked_reads_unknown() -> None:
    """A check without a result is never shown as ok."""
    row = findings_table((Finding(check="cache", passed=None, severity=Severity.UNKNOWN, detail="no answer"),))[-1]
    assert "| unknown |" in row
    assert "ok" not in row


def test_a_report_names_what_an_operator_needs() -> None:
    """It contains source, destination, run, backup, approver and the next step."""
    report = Report(
        verb="promote", outcome="VerifyFailed", source="stage", destination="prod", run_id="r-1", backup_id="b-1",
        approver="Anna", next_step="start restore",
    )  # fmt: skip
    text = report_text(report)
    assert all(
        word in text for word in ("promote: VerifyFailed", "stage", "prod", "r-1", "b-1", "Anna", "start restore")
    )

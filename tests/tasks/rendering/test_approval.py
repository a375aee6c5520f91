"""What people read: nothing from outside becomes markup, and nothing unknown reads as fine."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.estate.plans import Finding, Report, Severity
from tasks.rendering.markdown import plain
from tasks.rendering.report import findings_table, report_text

HOSTILE = "<script>|**bold**|[x](http://evil.example)\n# title {{ flow }} \x1b[31m"


def test_hostile_text_becomes_inert() -> None:
    """Markup, links, new lines, template syntax and terminal escapes of a site's title do nothing."""
    text = plain(HOSTILE)
    assert "\n" not in text
    assert "\x1b" not in text
    assert "{{" not in text
    assert "\\<script\\>" in text
    assert "\\[x\\](" in text


@given(st.text())
def test_any_text_stays_on_one_line_and_in_its_cell(text: str) -> None:
    """No value can break out of its line or its table cell."""
    shown = plain(text)
    assert "\n" not in shown
    assert "\r" not in shown
    assert shown.replace("\\\\", "").replace("\\|", "").count("|") == 0


def test_what_could_not_be_checked_reads_unknown() -> None:
    """Never ok."""
    row = findings_table((Finding(check="cache", passed=None, severity=Severity.UNKNOWN, detail="no answer"),))[-1]
    assert "| unknown |" in row
    assert "ok" not in row


def test_a_report_names_what_an_operator_needs() -> None:
    """Source, destination, run, backup, approver and the next step are in it."""
    report = Report(
        verb="promote", outcome="VerifyFailed", source="stage", destination="prod", run_id="r-1", backup_id="b-1",
        approver="Anna", next_step="start restore",
    )  # fmt: skip
    text = report_text(report)
    assert all(
        word in text for word in ("promote: VerifyFailed", "stage", "prod", "r-1", "b-1", "Anna", "start restore")
    )

"""The report of a run: it names what an operator needs, fits on a phone, and nothing unknown reads as fine."""

import re
from pathlib import Path

import pytest

from tasks.estate.plans import Finding, Report, Severity
from tasks.rendering.dumps import rows_chart
from tasks.rendering.report_text import finding_lines, report_text

ROOT = Path(__file__).parents[3]
NAMES = re.compile(r'(?:task|flow)_run_name=(?:run_names\.\w+\()?"([^"]*)"')
ID = re.compile(r"\{(run|run_id|promotion|id|dump)\}|_id\}|\.id\}")


def test_what_could_not_be_checked_reads_unknown() -> None:
    """A check without a result is never shown as ok."""
    row = finding_lines((Finding(check="cache", passed=None, severity=Severity.UNKNOWN, detail="no answer"),))[-1]
    assert "**unknown**" in row
    assert "ok" not in row
    assert finding_lines((Finding(check="home", passed=True, severity=Severity.INFO, detail="200"),)) == [
        "* ok · home: 200"
    ]


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


def test_message_and_next_step_come_first() -> None:
    """The reason of a failed run and what to do are in the first lines of a report."""
    report = Report(
        verb="refresh", outcome="NotFound", source="a", destination="b", run_id="r", message="No install is named b.",
        next_step="Correct the name.",
        findings=(Finding(check="cache", passed=False, severity=Severity.WARN, detail="old | new", action="purge"),),
    )  # fmt: skip
    lines = [line for line in report_text(report).splitlines() if line]
    assert lines[1:3] == ["No install is named b.", "**Next step.** Correct the name."]
    assert not [line for line in lines if line.startswith("|")]
    assert lines[-1].endswith("What to do: `purge`")


def test_only_the_chart_of_rows_is_a_table() -> None:
    """A phone cuts wide tables: the one table of all forms and reports has three columns, each with a heading."""
    users = [
        path.name for path in (ROOT / "tasks").rglob("*.py") if re.search(r"(?<![.\w])table\(\(", path.read_text())
    ]
    assert users == ["dumps.py"]
    assert rows_chart([("users", 7)])[0] == "| table | rows | size |"


@pytest.mark.parametrize("folder", ["flows", "tasks"])
def test_names_in_prefect_are_words(folder: str) -> None:
    """No name of a run or step contains an id, a path, or a sign that Prefect's fonts lack."""
    names = [name for path in (ROOT / folder).rglob("*.py") for name in NAMES.findall(path.read_text())]
    assert len(names) > 10
    assert not [name for name in names if ID.search(name) or not name.isascii()]

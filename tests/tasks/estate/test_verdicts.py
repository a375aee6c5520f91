"""Which checks decide: the table of the docs is that of the code, and not known never ends well."""

from pathlib import Path

import pytest

from tasks.estate.plans import Finding, Severity
from tasks.estate.verdicts import DECISIVE, failed_checks, outcome_of, unknown_checks

DOCS = Path(__file__).parents[3] / "docs" / "evidence.md"


def finding(check: str, passed: bool | None, severity: Severity = Severity.BLOCK) -> Finding:
    """One finding."""
    return Finding(check=check, passed=passed, severity=severity, detail="")


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    """docs/evidence.md has exactly the rows of `DECISIVE`."""
    rows = [f"| {verb} | {check} | {when} |" for verb, checks in DECISIVE.items() for check, when in checks.items()]
    shown = [
        line
        for line in DOCS.read_text(encoding="utf-8").splitlines()
        if line.startswith(tuple(f"| {v} |" for v in DECISIVE))
    ]
    assert shown == rows


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ([("a", True), ("b", True)], "Verified"),
        ([("a", True), ("b", None)], "VerifiedInPart"),
        ([("a", True)], "VerifiedInPart"),
        ([("a", True), ("b", True), ("b", None)], "VerifiedInPart"),
        ([("a", None), ("b", False)], "VerifyFailed"),
        ([("a", True), ("b", True), ("other", None)], "Verified"),
        ([], "VerifiedInPart"),
    ],
)
def test_the_outcome_follows_from_three_results(found: list[tuple[str, bool | None]], outcome: str) -> None:
    """A decisive check that is not known, or that was not made, is never Verified; a failure outweighs it."""
    findings = [finding(check, passed) for check, passed in found]
    assert outcome_of(failed_checks(findings), unknown_checks(findings, ("a", "b"))) == outcome


def test_a_warning_fails_nothing() -> None:
    """Only a failure that blocks counts as failed."""
    assert failed_checks([finding("a", False, Severity.WARN)]) == []

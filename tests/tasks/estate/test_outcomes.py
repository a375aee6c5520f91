"""The checks that decide: docs and code have the same table, and an unknown check is never Verified."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.estate.outcomes import (
    ALWAYS,
    ANY_DATABASE,
    DATABASE,
    DECISIVE,
    FILES,
    decisive_checks,
    failed_checks,
    outcome_of,
    unknown_checks,
)
from tasks.estate.plans import Backup, CopyOptions, Finding, Plan, Severity, Verdict
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction, Environment, Install, Pair

DOCS = Path(__file__).parents[3] / "docs" / "evidence.md"


def finding(check: str, passed: bool | None, severity: Severity = Severity.BLOCK) -> Finding:
    """One finding."""
    return Finding(check=check, passed=passed, severity=severity, detail="")


def test_docs_and_code_have_the_same_table() -> None:
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
    """A decisive check that is not known or was not made prevents Verified; a failure outweighs it."""
    findings = [finding(check, passed) for check, passed in found]
    assert outcome_of(failed_checks(findings), unknown_checks(findings, ("a", "b"))) == outcome


def test_a_warning_fails_nothing() -> None:
    """Only a failure with severity `block` counts as failed."""
    assert failed_checks([finding("a", False, Severity.WARN)]) == []


NOW = datetime(2026, 11, 26, tzinfo=UTC)
WHOLE, TABLES = CopyOptions(), CopyOptions(files=False, database=True, tables=("wp_posts",))
FILES_ONLY, DATABASE_ONLY = CopyOptions(files=True, database=False), CopyOptions(files=False, database=True)
# When each condition of the table holds: (what is copied, verdict on the arrival).
HOLDS: dict[str, list[tuple[CopyOptions, Verdict]]] = {
    ALWAYS: [(o, v) for o in (WHOLE, TABLES, FILES_ONLY, DATABASE_ONLY) for v in Verdict],
    DATABASE: [(o, v) for o in (WHOLE, DATABASE_ONLY) for v in Verdict],
    ANY_DATABASE: [(o, v) for o in (WHOLE, TABLES, DATABASE_ONLY) for v in Verdict],
    FILES: [(o, v) for o in (WHOLE, FILES_ONLY) for v in Verdict if v not in (Verdict.CONFIRMED, Verdict.UNCHANGED)],
}
CASES = [
    (verb, check, when) for verb, checks in DECISIVE.items() if verb != "diagnose" for check, when in checks.items()
]


def made(verb: str, options: CopyOptions) -> Plan:
    """A plan of this verb."""
    fields: dict[str, Any] = {"account_id": "a", "site_id": "s", "status": "active", "primary_domain": "a.example"}
    stage = Install(id="s", name="stage", environment=Environment.STAGING, **fields)
    prod = Install(id="p", name="prod", environment=Environment.PRODUCTION, **fields)
    direction = {"promote": Direction.UP, "restore": Direction.BACK}.get(verb, Direction.DOWN)
    pair = {Direction.UP: (stage, prod), Direction.BACK: (prod, prod), Direction.DOWN: (prod, stage)}[direction]
    return Plan.model_validate({
        "verb": verb, "direction": direction, "pair": Pair(source=pair[0], destination=pair[1], direction=direction),
        "options": options, "generation": 0, "pinned": {}, "run_id": "r", "risk": Risk(grade=Grade.YELLOW, reasons=()),
        "backup": Backup(id="b", install_id=pair[1].id, install_name=pair[1].name, requested_at=NOW),
    })  # fmt: skip


@pytest.mark.parametrize("result", ["unknown", "not made", "unknown and passed"])
@pytest.mark.parametrize(("verb", "check", "when"), CASES)
def test_a_decisive_check_that_is_not_known_is_never_verified(verb: str, check: str, when: str, result: str) -> None:
    """For each flow, each check and each case in which it decides, with all other checks passed."""
    others = [finding(each, True) for each in DECISIVE[verb] if each != check]
    seen = {
        "unknown": [finding(check, None)], "not made": [], "unknown and passed": [finding(check, True), finding(check, None)],
    }[result]  # fmt: skip
    for options in (WHOLE, TABLES, FILES_ONLY, DATABASE_ONLY):
        for arrival in Verdict:
            decisive = decisive_checks(made(verb, options), arrival)
            outcome = outcome_of(failed_checks(others + seen), unknown_checks(others + seen, decisive))
            assert outcome == ("VerifiedInPart" if (options, arrival) in HOLDS[when] else "Verified"), (
                options,
                arrival,
            )
            failed = [*others, *seen, finding(check, False)]
            assert outcome_of(failed_checks(failed), unknown_checks(failed, decisive)) == "VerifyFailed"

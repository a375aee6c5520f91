"""Preview: it shows what masking would do, and originals only with the risk phrase."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from deployments.sandbox.school.database import CANARIES
from flows.preview import preview
from tasks.configuration.settings import forget_settings
from tasks.estate.dumps import RISK_PHRASE
from tasks.ledger.ledger import Ledger

POLICIES = Path(__file__).parents[2] / "deployments" / "policies"
HOSTILE = "<script>alert(1)</script> | **bold** [x](http://evil.example)\n# title {{ flow }} \x1b[31m"


def unescaped(report: str) -> str:
    """A report as a reader sees it."""
    return report.replace("\\", "")


def shown(report: str) -> set[str]:
    """The kinds of canaries that occur in a report."""
    return {kind for kind, value in CANARIES.items() if value in report or value in unescaped(report)}


def everywhere(school: Any, table: str, column: str, value: str) -> None:
    """Put one value into every row of a table of production."""
    statement = sql.SQL("UPDATE {} SET {} = %s").format(sql.Identifier(table), sql.Identifier(column))
    with psycopg.connect(school.production) as connection:
        connection.execute(statement, (value,))


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, school: Any) -> Callable[..., None]:
    """Use the school's policy with some words replaced, and more: `policy(old, new, more)`."""

    def change(old: str, new: str, more: str = "") -> None:
        text = (POLICIES / "schulportal.yaml").read_text()
        assert old in text
        (tmp_path / "schulportal.yaml").write_text(f"{text.replace(old, new)}\n{more}")
        monkeypatch.setenv("UNDERSTUDY_POLICIES", str(tmp_path))
        forget_settings()

    return change


def test_originals_are_hidden_and_masked_values_are_shown(start: Callable[..., Any], school: Any) -> None:
    """No planted value is in the report, production is as it was, and each masked column has rows with their fakes."""
    before = school.contents(production=True)
    run = start(preview, rows=20)
    assert run.state == "Previewed", run.message
    assert shown(run.report) == set()
    assert "@staging.local\n" in run.report
    assert "    * before: ••••• 60 characters\n    * after: $2y$10$" in run.report
    assert "* content (placeholder)\n    * before: ••••• " in run.report
    assert "Dropped tables (no rows travel): login\\_sessions, mail\\_queue" in run.report
    assert school.contents(production=True) == before


def test_originals_are_shown_to_who_accepts_the_risk(start: Callable[..., Any], school: Any, ledger: Ledger) -> None:
    """With the phrase the planted values are there, which proves the test above; report and ledger record that."""
    run = start(preview, rows=20, show_originals=True, risk_phrase=RISK_PHRASE)
    assert run.state == "Previewed", run.message
    assert {"email", "name", "phone", "street", "iban", "sentence", "ip", "secret"} <= shown(run.report)
    assert "**Contains personal data**" in run.report
    assert f"`prefect artifact delete report-preview-{run.id}`" in run.report
    (outcome,) = ledger.facts(run_id=run.id, kind="outcome")
    assert "Originals of production were shown" in outcome.detail["message"]


@pytest.mark.parametrize("phrase", ["", RISK_PHRASE.lower(), f"{RISK_PHRASE} "])
def test_without_the_phrase_nothing_is_read(
    start: Callable[..., Any], school: Any, monkeypatch: pytest.MonkeyPatch, phrase: str
) -> None:
    """Letter for letter, and before a connection is opened: the address given here leads nowhere."""
    monkeypatch.setenv("UNDERSTUDY_SOURCE_DATABASE", "postgresql://nobody@127.0.0.1:1/nowhere")
    forget_settings()
    run = start(preview, show_originals=True, risk_phrase=phrase)
    assert run.state == "RiskNotAccepted"
    assert "Prefect keeps what a report shows" in run.message


def test_a_column_that_nobody_classified_stops_it(start: Callable[..., Any], school: Any) -> None:
    """A preview refuses what an export would refuse."""
    school.change("ALTER TABLE users ADD COLUMN blood_type text", production=True)
    run = start(preview)
    assert run.state == "PolicyRefused"
    assert "users.blood_type" in run.message


def test_a_mask_that_leaves_the_original_in_is_named_and_not_shown(
    start: Callable[..., Any], school: Any, policy: Callable[..., None]
) -> None:
    """An expression that only adds to the value is named, and the value stays out of the report."""
    policy("notes: scrub", "notes: {maker: sql, expression: \"'seen ' || {column}\"}")
    everywhere(school, "users", "notes", CANARIES["sentence"])
    run = start(preview)
    assert run.state == "Previewed", run.message
    assert "**The original was left in or came out again**: users.notes" in run.report
    assert (
        "* notes (sql)\n    * before: ••••• 31 characters\n    * after: **the original or a planted value is still in it**"
        in run.report
    )
    assert shown(run.report) == set()


def test_a_planted_value_that_comes_out_is_named_and_not_shown(
    start: Callable[..., Any], school: Any, policy: Callable[..., None]
) -> None:
    """A canary of the policy in a masked value is caught wherever it came from."""
    policy("notes: scrub", "notes: {maker: constant, value: planted-by-us}")
    assert "planted-by-us" in start(preview).report
    policy("notes: scrub", "notes: {maker: constant, value: planted-by-us}", "canaries: [planted-by-us]")
    run = start(preview)
    assert "came out again**: users.notes" in run.report
    assert "planted-by-us" not in run.report


def test_members_of_documents_that_no_path_covers_are_hidden(
    start: Callable[..., Any], school: Any, policy: Callable[..., None]
) -> None:
    """A forgotten path shows as a hidden member and as a leak, and a key that is data is hidden too."""
    policy("$.email: {maker: email", "$.nobody: {maker: email")
    canary, key = CANARIES["email"], CANARIES["name"]
    everywhere(school, "audit_events", "detail", json.dumps({"email": canary, key: 7, "was": ["x"]}))
    run = start(preview)
    assert run.state == "LeakFound", run.message
    assert "audit_events.detail holds 1 values of users.email" in run.message
    assert "* **Leak**: audit_events.detail holds 1 values of users.email" in unescaped(run.report).replace(
        "&#95;", "_"
    )
    assert shown(run.report) == set()
    assert '"email": "•••••"' in run.report
    assert '"•••••": "•••••"' in run.report


def test_values_from_the_database_are_inert(start: Callable[..., Any], school: Any) -> None:
    """Markup, table cells, links, new lines and templates in a shown original have no effect."""
    everywhere(school, "users", "notes", HOSTILE)
    run = start(preview, show_originals=True, risk_phrase=RISK_PHRASE)
    assert run.state == "Previewed", run.message
    row = run.report.split("\n* notes (")[1].splitlines()[1]
    assert "\\<script\\>alert(1)\\</script\\> \\| \\*\\*bold\\*\\* \\[x\\](http://evil.example)" in row
    assert "|" not in row.replace("\\|", "")
    assert not [word for word in ("<script>", "{{", "\x1b", "\n# title") if word in run.report]

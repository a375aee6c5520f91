"""The workflow that this one replaces: audit, tolerance, versions, logins, report, and what it left open."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.anonymize import anonymize
from flows.load_dump import load_dump
from tasks import loads
from tasks.configuration.settings import forget_settings
from tasks.dumps import dump_reader
from tasks.dumps.load_plan import require_import_enabled
from tasks.estate.dumps import RISK_PHRASE, Anonymizer, Choices
from tasks.estate.errors import GateClosed, WrongHost

HOST = "staging.schule.example"
E3 = "Dump schema version 42 is newer than this instance supports."
HISTORY = """SELECT "RunId", "Status", "RequestedBy", "FinishedAt" IS NOT NULL, "ErrorMessage"
FROM "ImportExportAudit" ORDER BY "Id\""""
Start = Callable[..., Any]
Look = Callable[[Any], tuple[str, str]]


def test_w12_staging_keeps_its_own_audit_rows_and_gets_one_more(whole: Any) -> None:
    """Nothing of production's audit travels; old rows stay, one that was left open is closed, the attempt has its row."""
    ours = ("run-1", "run-2", "run-3", whole.loaded.id)  # other tests load into the same database
    rows = [row for row in whole.school.ask(HISTORY) if row[0] in ours]
    assert [row[:2] for row in rows] == [
        ("run-1", "succeeded"), ("run-2", "failed"), ("run-3", "interrupted"), (whole.loaded.id, "succeeded"),
    ]  # fmt: skip
    assert rows[2][3:] == (True, "The load ended before its commit.")
    assert rows[3][2:] == ("Ada Admin", True, None)
    assert "ImportExportAudit" not in {str(t.name) for t in dump_reader.check(whole.dump).header.tables}


def test_w13_what_only_one_side_has_is_listed_and_left(whole: Any) -> None:
    """A table or column that staging lacks is skipped, one that the dump lacks is left empty or at its default. A table
    that the policy does not know either stays as it is.
    """
    for reported in (
        "Skipped: Förderverein (staging has no such table)", "Skipped: users.title (staging has no such column)",
        "Missing in the dump, left empty: .*login_sessions", "neither the dump nor the policy has them: staging_only",
    ):  # fmt: skip
        assert re.search(re.escape(reported).replace(r"\.\*", ".*"), whole.loaded.report.replace("\\", "")), reported
    assert whole.school.ask("SELECT count(*) FROM login_sessions") == [(0,)]
    assert whole.school.ask("SELECT v FROM staging_only") == [("stays",)]
    assert whole.school.ask("SELECT DISTINCT nickname FROM users") == [("none",)]


def test_w13_a_column_that_must_be_filled_and_cannot_is_refused_by_name(
    start: Start, different: Any, whole: Any
) -> None:
    """NOT NULL without a default: the load would fail at the first row, so it is not begun."""
    different.change("ALTER TABLE classes ADD colour text; UPDATE classes SET colour = 'red'")
    different.change("ALTER TABLE classes ALTER colour SET NOT NULL")
    run = start(load_dump, hostname=HOST, dump=whole.dump)
    assert run.state == "DumpRefused"
    assert "classes.colour" in run.message


def test_w14_a_newer_dump_is_refused(
    start: Start,
    school: Any,
    whole: Any,
    tmp_path: Path,
    last_attempt: Look,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """E3 with the dump's number, and the attempt in the audit table."""
    policy = Path(__file__).parents[2] / "deployments" / "policies" / "schulportal.yaml"
    (tmp_path / "policies").mkdir()
    older = policy.read_text(encoding="utf-8").replace("schema_version: 42", "schema_version: 41")
    (tmp_path / "policies" / policy.name).write_text(older, encoding="utf-8")
    monkeypatch.setenv("UNDERSTUDY_POLICIES", str(tmp_path / "policies"))
    forget_settings()
    run = start(load_dump, hostname=HOST, dump=whole.dump)
    assert run.state == "DumpTooNew"
    assert run.message.startswith(E3)
    assert last_attempt(school) == ("failed", E3)


def test_w15_a_raw_dump_is_masked_on_its_way_in_or_arrives_intact(
    start: Start, approve: Start, different: Any, whole: Any
) -> None:
    """Loaded plainly, a raw dump produces what a masked one does, byte for byte; with the phrase, its raw values."""
    every = [kind.value for kind in Anonymizer]
    made = start(anonymize, off=every, risk_phrase=RISK_PHRASE, requested_by="Ada Admin")
    assert made.state == "Exported", made.message
    assert "Contains personal data" in made.report
    run = approve(load_dump, hostname=HOST)
    assert run.state == "LoadedInPart", run.message
    assert "Skipped anonymizers" not in run.report
    here, there = different.contents(), whole.school.contents()
    assert {name for name in here if here[name] != there[name]} == {'public."ImportExportAudit"'}
    run = start(load_dump, hostname=HOST, off=["passwords"], risk_phrase=RISK_PHRASE)
    assert run.say(risk="I understand") == "REJECT"  # the phrase is asked for again in the last question
    assert run.approve(risk=RISK_PHRASE).request.people == 2
    assert run.state == "LoadedInPart", run.message
    hashes = "SELECT id, password_hash FROM users ORDER BY id"
    assert different.ask(hashes) == different.ask(hashes, production=True)
    assert different.ask("SELECT count(*) FROM users WHERE email NOT LIKE 'user-%@staging.local'") == [(0,)]
    assert "Skipped anonymizers: **passwords**" in run.report
    assert "**Contains personal data**" in run.report
    assert "staging123" not in run.report
    assert different.ask("SELECT contains_personal_data FROM understudy.staging_data") == [(True,)]


def test_w16_the_report_contains_everything(whole: Any) -> None:
    """Source host, time of the export, rows per table, anonymizers, the staging password; nothing is called anonymous."""
    facts, report = dump_reader.check(whole.dump), whole.loaded.report.replace("\\", "")
    assert f"Source host: {facts.header.source_host}" in report
    assert f"exported {facts.header.exported_at:%Y-%m-%d %H:%M:%S} UTC" in report
    assert "Anonymizers that ran: email, names, contact, passwords, bodies, attachments" in report
    assert "logs in with the password `staging123`" in report
    rows = {str(table.name): table.rows for table in facts.trailer.tables}
    for name in ("users", "messages", "billing.invoices", "audit_events"):
        assert re.search(rf"\| {re.escape(name)} \| {rows[name]} \|", report), name
    assert "pseudonymised" in report
    assert not re.search(r"\banonymous\b", report + whole.exported.report)


@pytest.mark.parametrize("value", [None, "", "True", "TRUE", "1", "yes", "on", " true", "true ", "true\n"])
def test_silent_only_exactly_true_opens_the_gate(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else is closed, with E1, in each step that could write, called by whomever."""
    monkeypatch.delenv("APP_ALLOW_PROD_IMPORT", raising=False)
    if value is not None:
        monkeypatch.setenv("APP_ALLOW_PROD_IMPORT", value)
    nothing: Any = None
    for step in (
        require_import_enabled,
        loads.require_import_allowed,
        lambda: loads.plan_load.fn(nothing, "schulportal", HOST, nothing),
        lambda: loads.load_once.fn(nothing, nothing, "schulportal"),
    ):
        with pytest.raises(GateClosed, match=r"^Import is not enabled on this instance\.$"):
            step()


def test_silent_a_closed_gate_leaves_no_trace(
    start: Start, school: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No audit row, no marker, no table: the database may be production."""
    before, tables = school.contents(), school.ask("SELECT count(*) FROM pg_class")
    monkeypatch.setenv("APP_ALLOW_PROD_IMPORT", "True")
    assert start(load_dump, hostname="elsewhere", dump=whole.dump).state == "GateClosed"
    assert (school.contents(), school.ask("SELECT count(*) FROM pg_class")) == (before, tables)


def test_silent_without_a_name_in_the_settings_the_live_connection_counts(
    school: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is that of the connection that would write, never one that came with the form."""
    monkeypatch.setenv("UNDERSTUDY_TARGET_HOSTNAME", "")
    forget_settings()
    facts = dump_reader.check(whole.dump)
    with pytest.raises(WrongHost):
        loads.plan_load.fn(facts, "schulportal", HOST, Choices())
    live = school.staging.split("host=")[1].replace("%2F", "/")
    assert loads.plan_load.fn(facts, "schulportal", f" {live} ", Choices()).hostname == live


def test_silent_a_target_that_is_the_source_gets_no_audit_row(
    start: Start, school: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings point at production by mistake, and its gate is open: refused, and nothing is written there."""
    before = school.contents(production=True)
    facts = dump_reader.check(whole.dump)
    monkeypatch.setenv("UNDERSTUDY_TARGET_DATABASE", whole.school.production)
    forget_settings()
    untouched = whole.school.contents(production=True)
    run = start(load_dump, hostname="whatever", dump=facts.url)
    assert run.state == "WrongTarget", run.message
    assert whole.school.contents(production=True) == untouched
    assert school.contents(production=True) == before

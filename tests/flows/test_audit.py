"""Audit: who approved what, from the ledger alone; a broken chain has an outcome of its own."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client

from deployments.sandbox.host.host import Host
from flows.audit import audit
from flows.refresh import refresh
from tasks.ledger.chain import Head
from tasks.ledger.ledger import Ledger
from tasks.rendering.times_and_tables import head_words
from tests.people import DEMO_LEAD
from tests.raw_facts import raw_fact

HOSTILE = "<script>alert(1)</script> | **x** [y](http://evil.example)\n# title {{ flow }} \x1b[31m"


def test_a_refresh_that_a_lead_approved_is_in_the_report(
    start: Callable[..., Any], worker: Host, ledger: Ledger
) -> None:
    """Who asked, who approved with which proof, the outcome and the backup; the host is not asked anything."""
    run = start(refresh, source="schulprod", destination="schulstage", requested_by="Ada Admin").approve()
    assert run.state == "Verified", run.message
    asked_before = len(worker.journal())
    looked = start(audit)
    assert looked.state == "Audited", looked.message
    (row,) = [part for part in looked.report.split("\n### ") if run.id in part]
    backup = ledger.facts(run_id=run.id, kind="planned")[0].detail["backup"]["id"]
    for words in (
        "Ada Admin",
        f"* Who answered: {DEMO_LEAD}\n    * proof: signature\n",
        "approved by person",
        "Verified",
        run.request.code,
        backup,
    ):
        assert words in row
    assert len(worker.journal()) == asked_before


def test_the_report_is_about_the_destination_that_was_asked_for(start: Callable[..., Any], ledger: Ledger) -> None:
    """Runs of other destinations are left out; the report contains the head, to be kept elsewhere."""
    for place in ("schulprod", "schulstage"):
        ledger.record(
            raw_fact("outcome", {"verb": "promote", "outcome": "Frozen", "destination": place}), run_id=f"run-{place}"
        )
    head = ledger.head()
    report = start(audit, destination="schulprod").report
    assert "run-schulprod" in report
    assert "run-schulstage" not in report
    shown = head_words(str(head))
    assert f"`{shown}`" in report
    assert (Head.parse(shown), max(map(len, shown.split())) <= 20) == (head, True)  # a phone can wrap it


def test_a_run_without_an_outcome_is_shown_with_its_state(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits, or Prefect no longer has it; without an answer of Prefect the state is not known, and the audit ends all the same."""
    run = start(refresh, source="schulprod", destination="schulstage")
    assert "### No outcome (Suspended in Prefect): refresh of schulstage" in start(audit).report
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(run.id))
    assert "### No outcome (Prefect does not have the run): refresh of schulstage" in start(audit).report

    def away(_: object) -> None:
        raise httpx.ConnectError("away")

    monkeypatch.setattr("tasks.audits.states_of", away)
    assert "### No outcome (its state in Prefect is not known): refresh" in start(audit).report


def test_a_broken_chain_is_the_outcome(start: Callable[..., Any], ledger: Ledger, tmp_path: Path) -> None:
    """The run ends as LedgerBroken, and the report begins with what is wrong, followed by what can be read."""
    ledger.record(
        raw_fact("outcome", {"verb": "promote", "outcome": "Verified", "destination": "schulprod"}), run_id="run-1"
    )
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("DROP TRIGGER facts_no_update")
        connection.execute("UPDATE facts SET detail = replace(detail, 'Verified', 'Rejected')")
    run = start(audit)
    assert run.state == "LedgerBroken"
    assert "fact 1 was changed" in run.report
    assert run.report.index("The ledger is broken") < run.report.index("run-1")


def test_a_row_that_is_no_fact_any_more_does_not_stop_the_audit(
    start: Callable[..., Any], ledger: Ledger, tmp_path: Path
) -> None:
    """A ledger that cannot be read at all is broken, too."""
    ledger.record(raw_fact("outcome", {"verb": "promote"}), run_id="run-1")
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("DROP TRIGGER facts_no_update")
        connection.execute("UPDATE facts SET detail = 'nothing of the kind'")
    assert start(audit).state == "LedgerBroken"


def test_values_from_outside_are_inert(start: Callable[..., Any], ledger: Ledger) -> None:
    """Markup, links and templates in a reason or a name have no effect in the report."""
    ledger.record(
        raw_fact(
            "hold", {"destination": HOSTILE, "until": "2099-01-01T00:00:00+00:00", "by": HOSTILE, "reason": HOSTILE}
        ),
        run_id="r",
    )
    report = start(audit).report
    rows = [line for line in report.splitlines() if "evil.example" in line]
    assert [row.partition(": ")[0] for row in rows] == ["    * destination", "    * by", "    * reason"]
    assert "|" not in "".join(rows).replace("\\|", "")
    assert not [word for word in ("<script>", "](http", "{{", "\x1b", "\n# title") if word in report.replace("\\]", "")]

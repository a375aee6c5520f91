"""Data that version 0.1 wrote is read by this version: its ledger, standing approvals, dumps and waiting approval requests."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from deployments.cli.__main__ import app
from deployments.sandbox.postgres import Postgres
from tasks.configuration.code_version import code_version
from tasks.configuration.settings import forget_settings
from tasks.estate.approval_sheet import Sheet
from tasks.estate.errors import NotApproved, PlanIsStale
from tasks.estate.plans import Plan
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction
from tasks.ledger.approval_requests import open_requests
from tasks.ledger.facts import KINDS
from tasks.ledger.ledger import Ledger
from tasks.safeguards.holds import active_holds
from tasks.signoff.history import history
from tasks.signoff.leads import load_leads
from tasks.signoff.standing import load_standing, require_covered
from tests.people import DEMO_LEAD
from tests.raw_facts import raw_fact

OLD = Path(__file__).parent / "version_0_1"
THEN = datetime(2026, 11, 26, 18, 35, tzinfo=UTC)  # minutes after the data was written
OLD_SHEET = (OLD / "sheet.md").read_text(encoding="utf-8")
OLD_PLAN = Plan.model_validate(json.loads(OLD_SHEET.strip().removeprefix("```json").removesuffix("```"))["plan"])
SCHEMA = """CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL UNIQUE, name text, joined date);
CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, note text, total numeric(8,2));
INSERT INTO users VALUES (7, 'old@staging.example')"""


@pytest.fixture
def old_rows(tmp_path: Path) -> list[Any]:
    """The rows of the ledger as version 0.1 left them, and a copy of the file to work on."""
    shutil.copy(OLD / "ledger.db", tmp_path)
    connection = sqlite3.connect(tmp_path / "ledger.db")
    try:
        return connection.execute("SELECT seq, run_id, kind, detail, previous, hash FROM facts ORDER BY seq").fetchall()
    finally:
        connection.close()


@pytest.fixture
def ledger(old_rows: list[Any], tmp_path: Path) -> Ledger:
    """A ledger of version 0.1, opened by this version."""
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_an_old_ledger_keeps_its_facts_and_its_chain(ledger: Ledger, old_rows: list[Any]) -> None:
    """Opening it changes no fact, the hash chain is whole, and it can be written to."""
    facts = ledger.facts()
    assert [(fact.seq, fact.run_id, fact.kind, fact.detail) for fact in facts] == [
        (seq, run_id, kind, json.loads(detail)) for seq, run_id, kind, detail, _, _ in old_rows
    ]
    assert len(facts) > 60
    assert ledger.verify() == []
    ledger.record(raw_fact("notice"), run_id="later")
    assert ledger.verify(f"{old_rows[-1][0]}:{old_rows[-1][5]}") == []


def test_every_old_fact_is_read_by_the_type_of_its_kind(ledger: Ledger) -> None:
    """Each kind that version 0.1 recorded has a type, and the type accepts the stored detail."""
    read = [KINDS[fact.kind].read(fact.detail) for fact in ledger.facts()]
    assert len({type(each) for each in read}) == 14


def test_an_old_approval_request_is_still_open(ledger: Ledger) -> None:
    """The request that waited under version 0.1 is found with its plan, destination and deadline."""
    (request,) = open_requests(ledger)
    assert (request.verb, request.destination, request.requested_by) == ("promote", "schulprod", "Dora Developer")
    assert (request.answer_by - request.asked_at).total_seconds() == 8 * 3600
    assert (request.plan, request.code) == (OLD_PLAN.fingerprint, OLD_PLAN.code)


def test_an_old_sheet_cannot_be_approved(ledger: Ledger) -> None:
    """Its plan was drafted by other code, which compared less, so reading it raises `PlanIsStale`."""
    with pytest.raises(PlanIsStale, match=OLD_PLAN.code):
        Sheet.of_markdown(OLD_SHEET)
    assert OLD_PLAN.code_version != code_version()


def test_the_audit_reports_old_runs(ledger: Ledger) -> None:
    """Runs of version 0.1 appear with their verb, how they were approved, by whom, and how they ended."""
    found = history(ledger.facts(), since=THEN.replace(hour=0), until=THEN)
    assert [(run.verb, run.approval, run.outcome) for run in found.runs] == [
        ("refresh", "person", "Verified"),
        ("refresh", "standing", "Verified"),
        ("promote", "", "Rejected"),
        ("promote", "person", "Verified"),
        ("restore", "person", "Verified"),
        ("load_dump", "person", "Loaded"),
        ("promote", "", ""),
    ]
    assert found.runs[3].answers[0].name == DEMO_LEAD
    assert "Cleo" in [hold.by for hold in found.holds]


def test_an_old_call_is_not_sent_again(ledger: Ledger) -> None:
    """The copies that version 0.1 sent have receipts, so that a retry of their runs sends nothing."""
    copies = [fact for fact in ledger.facts(kind="sending") if "baseline" in fact.detail]
    assert [(ledger.receipt(fact.run_id) or fact).plan for fact in copies] == [fact.plan for fact in copies]
    assert [ledger.unsettled(fact.run_id) for fact in copies] == [None] * 4


def test_an_old_hold_is_still_active(ledger: Ledger) -> None:
    """A hold that was placed under version 0.1 protects its destination until its end."""
    (hold,) = active_holds(ledger, "schuldev", THEN)
    assert (hold.by, hold.reason) == ("Cleo", "the demo of the new menu")


def test_an_old_standing_approval_is_read_and_covers_nothing(tmp_path: Path) -> None:
    """Its signature verifies, and it needs a window before it covers a run again."""
    (entry,) = load_standing(OLD / "standing.yaml")
    assert (entry.source, entry.destination, entry.window) == ("schulprod", "schulstage", None)
    leads = load_leads(OLD / "leads.yaml", tmp_path / "no-codes.yaml")
    up = OLD_PLAN.pair
    refresh = OLD_PLAN.model_copy(
        update={
            "verb": "refresh",
            "direction": Direction.DOWN,
            "pair": up.model_copy(update={"source": up.destination, "destination": up.source}),
            "risk": Risk(grade=Grade.GREEN, reasons=()),
            "overrides": (),
        }
    )
    with pytest.raises(NotApproved, match="window"):
        require_covered(refresh, [entry], now=THEN, leads=leads)


@pytest.fixture
def staging(postgres: Postgres, worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a staging database with the tables of the old dump, and a worker that may load into it."""
    address = postgres.create("upgrade_staging")
    with psycopg.connect(address) as connection:
        connection.execute(SCHEMA.encode())
    values = {
        "UNDERSTUDY_TARGET_DATABASE": address,
        "UNDERSTUDY_TARGET_HOSTNAME": "staging.shop.example",
        "UNDERSTUDY_MASKING_KEY": "0123456789abcdef" * 4,
        "APP_ALLOW_PROD_IMPORT": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    forget_settings()
    yield address
    forget_settings()


def test_an_old_dump_is_loaded(staging: str, key: Path) -> None:
    """A dump of version 0.1 is planned as unproven, approved by a lead, loaded and verified."""
    arguments = [
        "load", str(OLD / "shop.json.gz"), "--policy", str(OLD / "shop.yaml"), "--hostname", "staging.shop.example",
        "--key", str(key), "--name", DEMO_LEAD, "--decision", "approve", "--reason", "after the upgrade", "--json",
    ]  # fmt: skip
    document = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert (document["outcome"]["name"], document["faults"]) == ("Loaded", [])
    assert document["plan"]["unproven"]
    with psycopg.connect(staging) as connection:
        users = connection.execute("SELECT id, email, name, joined::text FROM users ORDER BY id").fetchall()
        orders = connection.execute("SELECT id, user_id, note, total::text FROM orders ORDER BY id").fetchall()
    assert users == [
        (1, "user-1@staging.local", "[scrubbed for staging]", "2020-02-01"),
        (2, "user-2@staging.local", None, None),
    ]
    assert orders == [
        (10, 1, "[scrubbed for staging]", "12.50"), (11, 2, "[scrubbed for staging]", "0.00"), (12, 1, None, None),
    ]  # fmt: skip

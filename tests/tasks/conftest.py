"""Copies that people approved, at the emulated host and in the real ledger, without Prefect."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from deployments.sandbox.host.host import Host
from tasks.capi.client import Client
from tasks.configuration.code_version import code_version
from tasks.configuration.settings import load_settings
from tasks.estate.copy_rules import pins
from tasks.estate.dumps import RISK_PHRASE
from tasks.estate.plans import Approval, Backup, CopyOptions, Intent, Plan, Receipt
from tasks.estate.polling import utc_now
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction, Pair
from tasks.ledger.ledger import Ledger
from tasks.locks import locked
from tasks.runtime.permission import approval_gate
from tasks.runtime.resources import open_clients, read_rules
from tasks.signoff.answers import Answer
from tasks.signoff.proofs import sign, statement
from tasks.surveys.survey import survey_install
from tests.people import DEMO_LEAD, PEOPLE
from tests.raw_facts import raw_fact


def approve(plan: Intent) -> Approval:
    """Request an approval at this worker's gate, and have the demo lead approve with a signature."""
    gate, now = approval_gate(), utc_now()
    waiting, _ = gate.ask(plan, source_id="s", within=timedelta(hours=1), now=now)
    proof = sign(PEOPLE[DEMO_LEAD][0], statement("approve", plan.fingerprint, waiting.answer_by))
    answer = Answer(
        decision="approve", approver=DEMO_LEAD, plan=plan.code, destination=plan.destination_name, proof=proof,
        reason="release day", given_at=now, phrase=RISK_PHRASE,
    )  # fmt: skip
    approval = gate.evaluate(plan, answer, now=now)
    assert isinstance(approval, Approval)
    return approval


@dataclass
class Scene:
    """A plan with its completed backup, which the demo lead approved, and all that its call needs."""

    host: Host
    ledger: Ledger
    plan: Plan
    backup: Backup
    approval: Approval

    def send(self, step: Any, *, hold: bool = True, **instead: Any) -> Receipt:
        """Run the sending step as its flow does: with the locks held."""
        given = {"plan": self.plan, "approval": self.approval, "backup": self.backup} | instead
        if not hold:
            return Receipt.model_validate(step.fn(**given))
        with locked(given["plan"]):
            return Receipt.model_validate(step.fn(**given))

    def sent(self) -> int:
        """How many destructive requests reached the host."""
        return self.host.copies_received() + self.host.restores_received()

    def kinds(self) -> list[str]:
        """Return the kinds of this run's facts, in order."""
        return [fact.kind for fact in self.ledger.facts(run_id=self.plan.run_id)]


def completed_backup(client: Client, install: Any) -> Backup:
    """A backup of this install that the host reports as completed."""
    made = client.request_backup(install.id, "for a test", ["ops@schulfest.example"])
    while client.backup(install.id, made.id).status != "completed":
        pass
    return Backup(id=made.id, install_id=install.id, install_name=install.name, requested_at=utc_now())


@pytest.fixture
def scene(worker: Host, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    """A function that makes a refresh, or with `verb="restore"` the restore of one, ready to be sent."""
    monkeypatch.setattr("tasks.locks.is_over", lambda run: False)

    def make(verb: str = "refresh", *, run: str = "tonight", **changes: Any) -> Scene:
        with open_clients() as (client, prober):
            ids = {install.name: install.id for install in client.installs()}
            destination = survey_install(client, prober, ids["schulstage"])
            source = destination if verb == "restore" else survey_install(client, prober, ids["schulprod"])
            backup = completed_backup(client, destination.install)
        direction = Direction.BACK if verb == "restore" else Direction.DOWN
        options = CopyOptions()
        fields: dict[str, Any] = {
            "verb": verb, "direction": direction, "options": options, "run_id": run, "backup": backup,
            "pair": Pair(source=source.install, destination=destination.install, direction=direction),
            "generation": ledger.generation(source.install.id, destination.install.id), "code_version": code_version(),
            "pinned": pins(source, destination, direction, options), "requested_by": "Dora Developer",
            "risk": Risk(grade=Grade.YELLOW, reasons=("a test",), rules=read_rules().fingerprint),
            "restore_backup_id": backup.id if verb == "restore" else None,
        }  # fmt: skip
        plan = Plan.model_validate(fields | changes)
        ledger.record(raw_fact("planned", plan.model_dump(mode="json")), run_id=run, plan=plan.fingerprint)
        return Scene(worker, ledger, plan, backup, approve(plan))

    return make


FREEZE = """- rule: deny
  name: year's end
  zone: UTC
  start: "2020-01-01T00:00"
  lasts: P3600D
  reason: the year's accounts
  owner: Ann
"""


def freeze() -> None:
    """Write a calendar that closes everything now."""
    load_settings().freeze_file.write_text(FREEZE)


def tamper() -> None:
    """Edit a fact in the database, although its triggers forbid that."""
    with sqlalchemy.create_engine(load_settings().ledger_url).begin() as connection:
        for (trigger,) in connection.execute(
            sqlalchemy.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ).all():
            connection.execute(sqlalchemy.text(f"DROP TRIGGER {trigger}"))
        connection.execute(sqlalchemy.text("UPDATE facts SET run_id = 'x' WHERE kind = 'asked'"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that nobody opened yet, on either database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'deep' / 'ledger.db'}"
    address: str = request.getfixturevalue("database")
    return address.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def book(url: str) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(url)
    yield ledger
    ledger._engine.dispose()

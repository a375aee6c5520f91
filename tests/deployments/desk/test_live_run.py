"""A run at the desk after the answer: steps, bars, what it waits for, the evidence, and the undo of what it overwrote."""

from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import Artifact, State, StateType, TaskRun

from tests.deployments.desk.conftest import Office
from tests.raw_facts import raw_fact


def step(name: str, state: str) -> TaskRun:
    """One step in a state."""
    kind = StateType.COMPLETED if state in ("Completed", "Cached") else StateType.RUNNING
    return TaskRun(
        id=uuid4(),
        task_key="t",
        dynamic_key="0",
        name=f"{name}-0ab",
        state_name=state,
        state=State(type=kind, name=state),
    )


def live(office: Office, kind: StateType, name: str) -> str:
    """The part of a run's page that changes, while the run is in this state."""
    run = UUID(office.ask().plan.run_id)
    office.prefect.runs[run].state = State(type=kind, name=name)
    return office.page(f"/runs/{run}/live")


def test_a_step_is_shown_once_as_it_ended_last(office: Office) -> None:
    """A run that was answered starts again from its beginning."""
    office.prefect.task_runs += [
        step("Draft the plan", "Completed"), step("Draft the plan", "Cached"), step("Send the copy", "Running"),
    ]  # fmt: skip
    office.prefect.bars += [
        Artifact(id=uuid4(), type="progress", data=done, description=f"copy\\_{done}") for done in (40.0, 100.0)
    ]
    page = live(office, StateType.RUNNING, "Running")
    assert page.count("Draft the plan: completed") == 1
    assert "Send the copy: running" in page
    assert "40 %: copy_40.0" in page
    assert "100 %" not in page


def test_a_run_that_nobody_picks_up_shows_what_it_waits_for(office: Office) -> None:
    """After an answer the run is scheduled again; without a worker nothing happens, and the page explains it."""
    assert "It waits: No worker is online." in live(office, StateType.SCHEDULED, "Resuming")
    assert "It waits:" not in live(office, StateType.RUNNING, "Running")


@pytest.mark.parametrize(
    ("facts", "offered"),
    [((), False), (("sending", "send-refused"), False), (("sending",), True), (("sending", "sent"), True)],
)
def test_undo_is_offered_for_what_may_have_been_overwritten(
    office: Office, facts: tuple[str, ...], offered: bool
) -> None:
    """Not for a run that was rejected, or whose call the host refused."""
    sheet = office.ask()
    where = {"run_id": sheet.plan.run_id, "plan": sheet.plan.fingerprint}
    for kind in facts:
        office.ledger.record(raw_fact(kind), **where)
    report = {"outcome": "VerifyFailed", "verb": "promote", "destination": "schulprod"}
    office.ledger.record(raw_fact("outcome", report), **where)
    page = office.page(f"/runs/{sheet.plan.run_id}")
    assert ("Put back the backup of schulprod" in page) == offered
    assert f"/runs/{sheet.plan.run_id}/undo" in page or not offered


@pytest.mark.parametrize("database", [True, False])
def test_undo_puts_the_database_back_if_it_was_copied(office: Office, database: bool) -> None:
    """It is chosen as the run had it; whoever starts the undo may choose otherwise."""
    sheet = office.ask()
    where = {"run_id": sheet.plan.run_id, "plan": sheet.plan.fingerprint}
    plan = sheet.plan.model_dump(mode="json")
    plan["options"]["database"] = database
    for kind, detail in (("planned", plan), ("sending", {}), ("outcome", {"outcome": "Verified", "verb": "promote"})):
        office.ledger.record(raw_fact(kind, detail), **where)
    assert ('name="database" value="yes" checked' in office.page(f"/runs/{sheet.plan.run_id}")) == database


def test_evidence_and_failed_checks_are_shown(office: Office) -> None:
    """What failed or is not known comes with its detail; what passed is counted."""
    findings = [
        {"check": "front page", "passed": True, "detail": "200"}, {"check": "login <b>", "passed": False, "detail": "HTTP 500"},
        {"check": "certificate", "passed": None, "detail": "no network"},
    ]  # fmt: skip
    evidence = {"verdict": "confirmed", "took_seconds": 42, "signals": []}
    report = {"outcome": "VerifyFailed", "verb": "promote", "findings": findings, "evidence": evidence}
    office.ledger.record(raw_fact("outcome", report), run_id="11111111-1111-4111-8111-111111111111")
    page = office.page("/runs/11111111-1111-4111-8111-111111111111")
    assert "Arrival: confirmed, after 42 s" in page
    assert "login &lt;b&gt;: HTTP 500" in page
    assert "certificate: no network" in page
    assert "1 of 3 checks passed" in page

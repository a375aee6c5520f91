"""The sweep's steps about locks and stuck runs: released if proven, reported once if not."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed, Crashed, Running

from tasks import locks, sweep_reports
from tasks.estate.errors import DestinationBusy
from tasks.estate.polling import utc_now
from tests.people import Run
from tests.raw_facts import raw_fact
from tests.sweeping import Sweeping, forget, put


def test_releases_what_ended_runs_hold(office: Sweeping) -> None:
    """A lock is released if its run is over and sent nothing, or was a load; a run that may continue keeps it."""
    over, loading, waiting = office.planned(), office.waiting(), office.planned()
    office.ledger.record(raw_fact("planned-load"), run_id=loading.id, destination_id="t", plan="p")
    office.ledger.record(raw_fact("sending"), run_id=loading.id, destination_id="t", plan="p")
    for place, run in (("d1", over), ("d2", loading), ("d3", waiting)):
        office.take(place, run)
    put(over, Crashed())
    put(loading, Crashed())
    office.steps()
    assert [lock.install_id for lock in office.ledger.locks()] == ["d3"]
    released = office.ledger.facts(kind="lock-released")
    assert [(fact.destination_id, fact.run_id) for fact in released] == [("d1", over.id), ("d2", loading.id)]
    assert office.ledger.unsettled(loading.id) is None


@pytest.mark.parametrize("login", ["demo", ""], ids=["with a login", "databases only"])
def test_what_is_not_proven_stays_held(office: Sweeping, login: str) -> None:
    """A copy that is not proven keeps its destination locked; one alert is sent, and every report names it."""
    office.set("API_USER", login)
    run = office.waiting()
    office.ledger.record(raw_fact("sending", {}), run_id=run.id, destination_id="d", plan="p")
    office.take("d9", run)
    put(run, Crashed())
    first, second = office.steps(), office.steps()
    assert [lock.install_id for lock in office.ledger.locks()] == ["d9"]
    assert office.subjects == ["1 item needs attention"]
    assert first == second == [f"d9 is held by run {run.id}, which is over; its call is not proven."]


def test_stuck_runs_are_reported_once(office: Sweeping, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planned run without an outcome is reported an hour after Prefect ended it; one with an outcome is not."""
    lost, fine = office.planned(), office.planned()
    put(lost, Crashed())
    put(fine, Completed(name="Verified"))
    office.ledger.record(raw_fact("outcome", {"outcome": "Verified"}), run_id=fine.id)
    office.set("PACE", "1")
    office.steps()
    assert office.subjects == []
    office.set("PACE", "1e-4")
    monkeypatch.setattr(sweep_reports, "RETRY_WITHIN", 0.0)
    report = office.steps()
    office.steps()
    assert office.subjects == ["1 item needs attention"]
    assert report == [f"promote of schulprod (run {lost.id}) has no outcome: Crashed, nothing was sent."]


def test_a_run_that_was_retried_meanwhile_keeps_its_lock(office: Sweeping, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconciling takes a minute: a run that was retried meanwhile keeps its lock."""
    run = office.waiting()
    office.ledger.record(raw_fact("sending", {}), run_id=run.id, destination_id="d", plan="p")
    office.take("d", run)
    put(run, Crashed())

    def proven_late(*_: object, **__: object) -> bool:
        put(run, Running())
        return True

    monkeypatch.setattr(locks, "has_arrived", proven_late)
    assert locks.release_locks.fn() == []
    assert [lock.run_id for lock in office.ledger.locks()] == [run.id]
    put(run, Crashed())
    assert locks.release_locks.fn() == [f"d, held by run {run.id}: its run is over"]


def test_a_deleted_run_keeps_no_lock(office: Sweeping) -> None:
    """A run that was deleted in Prefect is over: a lock without a call is released at once."""
    run = office.waiting()
    office.take("d", run)
    forget(run)
    assert locks.release_locks.fn() == [f"d, held by run {run.id}: its run is over"]
    assert office.ledger.locks() == []


@pytest.mark.parametrize("gone", [forget, lambda run: put(run, Crashed())], ids=["deleted", "crashed"])
def test_a_call_that_is_not_proven_holds_until_the_horizon(office: Sweeping, gone: Callable[[Run], None]) -> None:
    """The host may still work on the copy of a deleted run: its lock stays until the lock horizon."""
    run = office.waiting()
    office.ledger.record(raw_fact("sending", {}), run_id=run.id, destination_id="d", plan="p")
    office.take("d", run)
    gone(run)
    assert locks.release_locks.fn() == []
    office.set("LOCK_HORIZON", "0.001")
    assert locks.release_locks.fn() == [f"d, held by run {run.id}: older than the lock horizon"]
    assert office.ledger.unsettled(run.id) is None


def test_a_run_that_lives_keeps_its_lock_beyond_the_horizon(office: Sweeping) -> None:
    """Neither the sweep nor another run takes the lock of a run that waits, however old its call is."""
    run, other = office.waiting(), office.waiting()
    office.ledger.record(raw_fact("sending", {}), run_id=run.id, destination_id="d", plan="p")
    office.take("d", run)
    office.set("LOCK_HORIZON", "0.001")
    assert locks.release_locks.fn() == []
    with pytest.raises(DestinationBusy, match="not over"):
        office.take("d", other, now=utc_now() + timedelta(days=9))
    assert [lock.run_id for lock in office.ledger.locks()] == [run.id]


def test_a_notice_that_nobody_received_is_a_finding(office: Sweeping) -> None:
    """The sweep names it while the last notice did not arrive, alerts once a day, and stops after one that did."""
    assert sweep_reports.find_undelivered.fn() == []
    for sent, failed, words in ((0, 2, "no place"), (1, 1, "not every place"), (2, 0, "")):
        office.ledger.record(raw_fact("notice", {"kind": "ended", "sent": sent, "failed": failed}), run_id="r")
        assert [words in finding for finding in sweep_reports.find_undelivered.fn()] == ([True] if words else [])
    for _ in range(2):
        sweep_reports.report_findings.fn(["The automation 'x' ends runs."])
    assert office.subjects == ["The sweep found something"]


def test_a_spoiled_anchor_is_an_alarm(office: Sweeping) -> None:
    """Overwriting the head that a sweep stored in Prefect is reported."""
    create_markdown_artifact("nonsense", key=sweep_reports._anchor_key())
    (problem,) = sweep_reports.verify_ledger.fn()
    assert "is no anchor any more" in problem
    assert office.subjects == ["the ledger was changed"]

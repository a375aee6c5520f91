"""The sweep's steps about approval requests and their runs: each happens once, whatever was done before."""

import threading
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, Scheduled

from tasks import sweeps
from tasks.ledger.approval_requests import end_of, open_requests
from tasks.runtime import other_runs
from tasks.runtime.other_runs import end_waiting
from tests.raw_facts import raw_fact
from tests.sweeping import HOUR, Sweeping, forget, put


def test_reminds_at_half_and_at_four_fifths(office: Sweeping) -> None:
    """After half of the time one notice names plan, deadline, people and link; another sweep sends none."""
    run = office.asked(ago=2 * HOUR, left=HOUR, people=2)
    office.ledger.record(raw_fact("answered", {"name": "Erin Lead", "decision": "approve"}), run_id=run.id, plan="p")
    office.steps()
    office.steps()
    assert office.subjects == ["promote of schulprod, plan 7K3F-92QD waits"]
    body = office.catcher.caught[0].body
    assert "59 min" in body
    assert "Erin Lead approved; 1 of 2 leads must still answer" in body
    assert run.id in body
    assert run.state == "Suspended"


def test_reminds_late_once(office: Sweeping) -> None:
    """A sweep that comes after both times sends the later reminder only, and one that comes too early none."""
    late, early = office.asked(ago=9 * HOUR, left=HOUR), office.asked(ago=HOUR, left=9 * HOUR)
    office.steps()
    office.steps()
    assert [f.detail["share"] for f in office.ledger.facts(run_id=late.id, kind="reminded")] == [80]
    assert office.kinds(early) == []


@pytest.mark.parametrize(
    "state", [None, Failed(message=other_runs.NEVER_RESUMED)], ids=["suspended", "failed by Prefect"]
)
def test_an_unanswered_request_expires(office: Sweeping, state: State[Any] | None) -> None:
    """A request past its deadline ends: named state with the next step, report on the run, outcome, one notice."""
    run = office.asked(ago=9 * HOUR, left=-HOUR)
    if state is not None:
        put(run, state)
    office.steps()
    assert run.state == "Expired"
    assert "nobody answered in time" in run.message
    assert "Start a new run" in run.message
    assert "# promote: Expired" in run.report
    assert office.kinds(run) == ["expired", "outcome", "notice"]
    assert office.steps() == []
    assert office.subjects == ["promote of schulprod: Expired"]


def test_a_run_that_goes_on_is_left_alone(office: Sweeping) -> None:
    """A run that was answered in time and is running past the deadline is left alone: the answer counts."""
    run = office.asked(ago=9 * HOUR, left=-HOUR)
    put(run, Running())
    office.steps()
    assert (run.state, office.kinds(run)) == ("Running", ["stuck"])  # an hour past its deadline: people are notified


def test_an_answered_request_is_left_alone(office: Sweeping) -> None:
    """A request that was approved is neither reminded of nor closed."""
    run = office.asked(ago=9 * HOUR, left=-HOUR)
    office.ledger.record(raw_fact("approved"), run_id=run.id, plan="p", once=end_of(run.id, "p"))
    office.steps()
    assert (run.state, office.kinds(run)) == ("Suspended", ["approved"])


@pytest.mark.parametrize("was_notified", [False, True], ids=["not notified", "notified before"])
def test_a_superseded_run_ends(office: Sweeping, was_notified: bool) -> None:
    """The state and report name the newer run; if people were notified before, the sweep sends no notice."""
    run = office.asked(ago=HOUR, left=9 * HOUR)
    fields = {"by": "the-newer-run", "code": "AAAA-BBBB"}
    office.ledger.record(raw_fact("superseded", fields), run_id=run.id, plan="p", once=end_of(run.id, "p"))
    if was_notified:
        office.ledger.record(raw_fact("notice", {"kind": "ended"}), run_id=run.id)
    office.steps()
    assert run.state == "Superseded"
    assert "AAAA-BBBB of run the-newer-run" in run.message
    assert "Answer the newer run" in run.report
    assert office.subjects == ([] if was_notified else ["promote of schulprod: Superseded"])


def test_a_cancelled_run_counts_as_a_no(office: Sweeping) -> None:
    """A run that a person cancelled while it waited is rejected without proof, and its state stays."""
    run = office.asked(ago=HOUR, left=9 * HOUR)
    put(run, Cancelled(message="not today"))
    office.steps()
    assert run.state == "Cancelled"
    (fact,) = office.ledger.facts(run_id=run.id, kind="rejected")
    assert fact.detail["approver"] == "Cancelled in Prefect"
    assert fact.detail["proven"] is False
    assert "not today" in fact.detail["reason"]
    assert "# promote: Rejected" in run.report


def test_a_crashed_process_may_be_retried_for_a_while(office: Sweeping) -> None:
    """Within an hour of a crash the request stays open for a retry; then it ends, so that it blocks nobody."""
    office.set("PACE", "1")
    run = office.asked(ago=HOUR, left=9 * HOUR)
    put(run, Running())
    put(run, Crashed(message="the machine is gone"))
    office.steps()
    assert office.kinds(run) == []
    office.set("PACE", "1e-6")
    office.steps()
    assert office.kinds(run) == ["lost", "outcome", "notice"]
    assert run.state == "Crashed"
    assert "the run ended as Crashed" in run.report


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (Crashed(message="no heartbeat"), "Crashed"),
        (Failed(name="Verified"), "Verified"),
        (Completed(), "RunLost"),
        (Completed(name="Verified"), "RunLost"),
    ],
    ids=["crashed by an automation", "failed", "completed", "completed as verified"],
)
def test_a_waiting_run_that_something_ended(office: Sweeping, state: State[Any], shown: str) -> None:
    """Its request is closed at once and leads are alerted; a state that looks green is corrected."""
    office.set("PACE", "1")
    run = office.asked(ago=HOUR, left=9 * HOUR)
    put(run, state)
    office.steps()
    assert (run.state, office.kinds(run)) == (shown, ["lost", "outcome", "notice"])
    (fact,) = office.ledger.facts(run_id=run.id, kind="lost")
    assert f"the run ended as {state.name}" in fact.detail["why"]
    assert "# promote: RunLost" in run.report
    assert office.subjects == ["promote of schulprod: RunLost"]
    assert office.steps() == []


def test_a_waiting_run_that_was_deleted(office: Sweeping) -> None:
    """The request of a deleted run is lost at once, or expired after its deadline, and people are notified."""
    early, late = office.asked(ago=2 * HOUR, left=9 * HOUR), office.asked(ago=9 * HOUR, left=-HOUR)
    forget(early)
    forget(late)
    office.steps()
    assert office.kinds(early) == ["lost", "outcome", "notice"]
    assert office.kinds(late) == ["expired", "outcome", "notice"]
    assert open_requests(office.ledger) == []


def test_an_answered_run_that_no_worker_takes(office: Sweeping) -> None:
    """An hour after the deadline no answer can count: the request is closed and the run is ended."""
    run = office.asked(ago=9 * HOUR, left=-HOUR)
    put(run, Scheduled())
    office.steps()
    assert (run.state, office.kinds(run)[0]) == ("RunLost", "lost")
    assert "no worker took the run" in run.message


def test_an_answered_run_that_is_scheduled_is_left_alone(office: Sweeping) -> None:
    """Soon after its deadline a scheduled run may hold an answer that was given in time."""
    office.set("PACE", "1")
    run = office.asked(ago=9 * HOUR, left=-HOUR / 2)
    put(run, Scheduled())
    office.steps()
    assert (run.state, office.kinds(run)) == ("Scheduled", [])


def test_a_state_that_was_changed_after_the_end(office: Sweeping) -> None:
    """A run that failed by the ledger and is Completed in Prefect gets its own state back, once, and leads are alerted."""
    office.set("PACE", "1")
    runs = [(office.planned(), outcome) for outcome in ("VerifyFailed", "Verified", "Rejected")]
    for run, outcome in runs:
        office.ledger.record(raw_fact("outcome", {"outcome": outcome}), run_id=run.id)
        put(run, Completed(name=outcome) if outcome == "Verified" else Failed(name=outcome))
    office.steps()
    assert office.subjects == []
    forged, good, _ = (run for run, _ in runs)
    put(forged, Completed(name="Verified"))
    put(good, Completed(name="Whatever"))
    for _ in range(2):
        office.steps()
    assert [run.state for run, _ in runs] == ["VerifyFailed", "Verified", "Rejected"]
    assert office.subjects == ["A state was changed manually"] * 2
    with get_client(sync_client=True) as client:
        kinds = [client.read_flow_run(UUID(run.id)).state_type for run in (forged, good)]
    assert kinds == [StateType.FAILED, StateType.COMPLETED]


def test_a_newer_request_is_not_disturbed_by_a_deleted_run(office: Sweeping) -> None:
    """Ending the run of an older request that was deleted in Prefect is no error."""
    run = office.waiting()
    forget(run)
    assert end_waiting(run.id, "Superseded", "a newer plan") is False


def test_word_of_an_arrival_that_never_came(office: Sweeping) -> None:
    """A copy was sent and nobody answered whether it arrived: the run is OutcomeUnknown, not merely failed."""
    run = office.planned()
    office.ledger.record(raw_fact("sending"), run_id=run.id, destination_id="d", plan="p")
    office.steps()
    assert run.state == "Suspended"
    put(run, Failed(message=other_runs.NEVER_RESUMED))
    office.steps()
    assert run.state == "OutcomeUnknown"
    assert "Do not send it again" in run.message
    assert "promote of schulprod: OutcomeUnknown" in office.subjects


def test_two_sweeps_at_once_do_it_once(office: Sweeping) -> None:
    """Sweeps that overlap record, end and notify once."""
    waiting, late = office.asked(ago=2 * HOUR, left=HOUR), office.asked(ago=9 * HOUR, left=-HOUR)
    ready = threading.Barrier(3)

    def go() -> None:
        ready.wait()
        for step in (sweeps.close_requests, sweeps.end_runs, sweeps.remind_people):
            step.fn()

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(office.subjects) == ["promote of schulprod, plan 7K3F-92QD waits", "promote of schulprod: Expired"]
    assert office.kinds(waiting) == ["reminded", "notice"]
    assert office.kinds(late) == ["expired", "outcome", "notice"]

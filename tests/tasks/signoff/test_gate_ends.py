"""Ends of approval requests: expired, frozen or superseded, each recorded once and permanently."""

from datetime import timedelta

import pytest

from tasks.estate.errors import ApprovalExpired, Frozen, Superseded, UnderstudyError
from tasks.estate.plans import Approval, Plan
from tasks.ledger.approval_requests import ENDS, open_requests
from tasks.signoff.answers import recorded_answer
from tasks.signoff.gate import Waiting
from tests.tasks.safeguards.ledger_histories import DEV, PROD, STAGE
from tests.tasks.signoff.approval_desk import ANNA, BEN, CARA, NOW, YELLOW, Desk, draft


def endings(desk: Desk, plan: Plan) -> list[str]:
    """Return the kinds of the facts that ended the request about this plan."""
    return [fact.kind for fact in desk.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kinds=ENDS)]


def require_ended(desk: Desk, plan: Plan, error: type[UnderstudyError]) -> None:
    """Require that the request keeps its one end, whatever is answered afterwards."""
    for answer in (
        lambda: desk.submit(plan),
        lambda: desk.submit(plan, decision="reject"),
        lambda: desk.submit(plan, proof="what?"),
        lambda: desk.gate.unreadable(plan),
        lambda: desk.gate.expire(plan),
        lambda: recorded_answer(desk.ledger, plan),
    ):
        with pytest.raises(error) as ended:
            answer()
        assert type(ended.value) is error
    assert len(endings(desk, plan)) == 1
    assert plan.run_id not in [request.run_id for request in open_requests(desk.ledger)]


def test_an_open_request_reports_its_state(desk: Desk) -> None:
    """It contains its times, who has approved, and why the last answer did not count."""
    plan = draft()
    desk.ask(plan)
    assert desk.gate.waiting(plan) == Waiting(0, NOW, NOW + timedelta(hours=8), (), 5)
    assert "neither six digits" in desk.refusal(plan, proof="what?")
    desk.wait(minutes=10)
    waiting = desk.gate.waiting(desk.ask(plan, within=timedelta(days=3)))
    assert (waiting.index, waiting.attempts_left) == (1, 4)
    assert waiting.answer_by == NOW + timedelta(hours=8), "asking again does not move the deadline"
    desk.submit(plan)
    waiting = desk.gate.waiting(desk.ask(plan))
    assert (waiting.index, waiting.refused, len(waiting.yes)) == (2, "", 1)
    assert len(desk.ledger.facts(kind="asked")) == 1
    (request,) = open_requests(desk.ledger)
    assert (request.people, request.code, request.requested_by) == (2, plan.code, "Dora Developer")


@pytest.mark.parametrize(("late", "counts"), [(0, True), (1, False)])
def test_an_answer_counts_until_the_deadline(desk: Desk, late: int, counts: bool) -> None:
    """In the last second it counts; a second later it does not, and the request has expired permanently."""
    plan = desk.ask(draft(risk=YELLOW))
    proof = desk.signature(plan)
    desk.wait(hours=8, seconds=late)
    if counts:
        assert isinstance(desk.submit(plan, proof=proof), Approval)
        return
    with pytest.raises(ApprovalExpired, match="nobody answered in time"):
        desk.submit(plan, proof=proof)
    require_ended(desk, plan, ApprovalExpired)


@pytest.mark.parametrize("hours", [1, 9])
def test_an_answer_in_time_counts_although_it_is_read_late(desk: Desk, hours: int) -> None:
    """Code, deadline and approval lifetime are those of the time of the answer, also if it is read after the deadline."""
    plan = desk.ask(draft(risk=YELLOW))
    answer = desk.answer(plan, proof=desk.code())
    desk.wait(hours=hours)
    approval = desk.gate.evaluate(plan, answer, now=desk.now)
    assert isinstance(approval, Approval)
    assert approval.execute_by == NOW + timedelta(minutes=30)


def test_a_late_second_approval_expires_the_request(desk: Desk) -> None:
    """One of two approvals in time is not an approval of the plan."""
    plan = desk.ask(draft())
    desk.submit(plan)
    desk.wait(hours=8, seconds=1)
    with pytest.raises(ApprovalExpired):
        desk.submit(plan, BEN)
    require_ended(desk, plan, ApprovalExpired)


def test_a_request_without_an_answer_expires(desk: Desk) -> None:
    """The error contains the deadline, whether the worker or the sweep ends the request."""
    plan = desk.ask(draft())
    with pytest.raises(ApprovalExpired, match="2026-11-21 20:00"):
        desk.gate.expire(plan)
    require_ended(desk, plan, ApprovalExpired)


def test_a_freeze_at_the_time_of_the_answer_ends_the_request(desk: Desk) -> None:
    """The answer does not count, and the request stays ended after the freeze: a new run must ask."""
    plan = desk.ask(draft(risk=YELLOW))
    desk.frozen = "Christmas"
    with pytest.raises(Frozen, match="closed by Christmas"):
        desk.submit(plan)
    desk.frozen = ""
    require_ended(desk, plan, Frozen)


def test_a_freeze_that_begins_while_a_code_is_watched_ends_the_request(desk: Desk) -> None:
    """An approval with a code for production takes effect a minute later, unless a freeze begins within that minute."""
    plan = desk.ask(draft(risk=YELLOW, verb="promote", source=STAGE, destination=PROD))
    watched = desk.submit(plan, proof=desk.code())
    assert isinstance(watched, Waiting)
    assert watched.settling is not None
    desk.now, desk.frozen = watched.settling.at, "Christmas"
    with pytest.raises(Frozen, match="closed by Christmas"):
        desk.gate.settle(plan, moved="", now=desk.now)
    desk.frozen = ""
    assert not desk.ledger.facts(kind="approved")
    require_ended(desk, plan, Frozen)


def test_no_request_is_opened_during_a_freeze(desk: Desk) -> None:
    """A freeze refuses before anybody is asked and records nothing; a plan that overrides it can be approved."""
    desk.frozen = "Christmas"
    with pytest.raises(Frozen):
        desk.ask(draft())
    assert not desk.ledger.facts()
    breaking = desk.ask(draft(overrides=("freeze:Christmas",)))
    desk.submit(breaking)
    assert isinstance(desk.submit(breaking, BEN), Approval)


def test_a_newer_plan_for_one_destination_takes_the_older_ones_place(desk: Desk) -> None:
    """The older request ends with the name of the newer plan. An approval, and requests about other destinations, are kept."""
    approved, elsewhere = draft("approved", YELLOW), draft("elsewhere", YELLOW, destination=DEV)
    desk.ask(approved)
    desk.approve(approved)
    older, newer = draft("older", YELLOW), draft("newer", YELLOW)
    desk.ask(elsewhere)
    desk.ask(older)
    waiting, superseded = desk.gate.ask(newer, source_id="S", within=timedelta(hours=1), now=desk.now)
    assert [(request.run_id, request.code) for request in superseded] == [("older", older.code)]
    assert waiting.index == 0
    with pytest.raises(Superseded, match=f"was replaced by the newer plan {newer.code} of run newer"):
        desk.submit(older)
    require_ended(desk, older, Superseded)
    assert isinstance(desk.submit(elsewhere), Approval)
    assert isinstance(desk.submit(newer, CARA), Approval)
    assert endings(desk, approved) == ["approved"]


def test_asking_again_supersedes_nothing(desk: Desk) -> None:
    """Only the first pass of a run ends older requests; a resumed run does not end newer ones."""
    older, newer = draft("older", YELLOW), draft("newer", YELLOW)
    desk.ask(older)
    desk.ask(newer)
    _, superseded = desk.gate.ask(newer, source_id="S", within=timedelta(hours=1), now=desk.now)
    assert superseded == []
    assert [request.run_id for request in open_requests(desk.ledger)] == ["newer"]


def test_requests_about_different_destinations_of_one_pair_stay_open(desk: Desk) -> None:
    """A refresh and a promotion of one pair do not end each other: only the destination counts."""
    down = draft("down", YELLOW)
    up = draft("up", YELLOW, verb="promote", source=STAGE, destination=PROD)
    desk.ask(down)
    desk.ask(up)
    assert desk.approve(down).approver == ANNA
    assert desk.approve(up).approver == ANNA

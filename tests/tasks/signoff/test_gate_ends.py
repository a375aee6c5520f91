"""Ends at the gate: late, frozen or overtaken by a newer plan; each once, and for good."""

from datetime import timedelta

import pytest

from tasks.estate.errors import ApprovalExpired, Frozen, Superseded, UnderstudyError
from tasks.estate.plans import Approval, Plan
from tasks.ledger.approval_requests import ENDS, open_requests
from tasks.signoff.answers import recorded_answer
from tasks.signoff.gate import Waiting
from tests.tasks.safeguards.stories import DEV, PROD, STAGE
from tests.tasks.signoff.desk import ANNA, BEN, CARA, NOW, YELLOW, Desk, risky


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a ledger in memory."""
    return Desk.opened(monkeypatch)


def ends(desk: Desk, plan: Plan) -> list[str]:
    """How the question about this plan ended."""
    return [fact.kind for fact in desk.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kinds=ENDS)]


def stays(desk: Desk, plan: Plan, error: type[UnderstudyError]) -> None:
    """Whatever is said after it, the question keeps its one end."""
    for say in (
        lambda: desk.say(plan),
        lambda: desk.say(plan, decision="reject"),
        lambda: desk.say(plan, proof="what?"),
        lambda: desk.gate.unreadable(plan),
        lambda: desk.gate.expire(plan),
        lambda: recorded_answer(desk.ledger, plan),
    ):
        with pytest.raises(error) as ended:
            say()
        assert type(ended.value) is error
    assert len(ends(desk, plan)) == 1
    assert plan.run_id not in [question.run_id for question in open_requests(desk.ledger)]


def test_the_question_tells_how_it_stands(desk: Desk) -> None:
    """It says since when and until when it is open, who said yes, and why the last answer did not count."""
    plan = risky()
    waiting = desk.ask(plan)
    assert waiting == Waiting(0, NOW, NOW + timedelta(hours=8), (), 5)
    assert "neither six digits" in desk.refused(plan, proof="what?")
    desk.later(minutes=10)
    waiting = desk.ask(plan, within=timedelta(days=3))
    assert (waiting.index, waiting.attempts_left) == (1, 4)
    assert waiting.answer_by == NOW + timedelta(hours=8), "asking again does not move the deadline"
    desk.say(plan)
    waiting = desk.ask(plan)
    assert (waiting.index, waiting.refused, len(waiting.yes)) == (2, "", 1)
    assert len(desk.ledger.facts(kind="asked")) == 1
    (question,) = open_requests(desk.ledger)
    assert (question.people, question.code, question.requested_by) == (2, plan.code, "Dora Developer")


@pytest.mark.parametrize(("late", "counts"), [(0, True), (1, False)])
def test_an_answer_counts_until_the_deadline(desk: Desk, late: int, counts: bool) -> None:
    """At the last second it counts, one later it does not, and then the question has expired for good."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    proof = desk.signature(plan)
    desk.later(hours=8, seconds=late)
    if counts:
        assert isinstance(desk.say(plan, proof=proof), Approval)
        return
    with pytest.raises(ApprovalExpired, match="nobody answered in time"):
        desk.say(plan, proof=proof)
    stays(desk, plan, ApprovalExpired)


def test_an_answer_in_time_counts_though_it_is_read_late(desk: Desk) -> None:
    """Judged after the deadline, it is still an answer of its moment; its use runs from that moment."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    answer = desk.answer(plan, proof=desk.code())
    desk.later(hours=9)
    approval = desk.gate.evaluate(plan, answer, now=desk.now)
    assert isinstance(approval, Approval)
    assert approval.execute_by < desk.now


def test_a_second_yes_that_is_late_expires_it(desk: Desk) -> None:
    """One yes of two and then silence is no approval."""
    plan = risky()
    desk.ask(plan)
    desk.say(plan)
    desk.later(hours=8, seconds=1)
    with pytest.raises(ApprovalExpired):
        desk.say(plan, BEN)
    stays(desk, plan, ApprovalExpired)


def test_a_question_that_nobody_answers_expires(desk: Desk) -> None:
    """Whoever closes it, worker or sweeper, it says when it closed."""
    plan = risky()
    desk.ask(plan)
    with pytest.raises(ApprovalExpired, match="2026-11-21 20:00"):
        desk.gate.expire(plan)
    stays(desk, plan, ApprovalExpired)


def test_a_freeze_that_holds_when_it_is_answered_ends_it(desk: Desk) -> None:
    """The yes does not count, and the question stays frozen when the freeze is over: a new run asks again."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    desk.frozen = "Christmas"
    with pytest.raises(Frozen, match="closed by Christmas"):
        desk.say(plan)
    desk.frozen = ""
    stays(desk, plan, Frozen)


def test_a_freeze_that_begins_while_a_code_is_watched_ends_it(desk: Desk) -> None:
    """A code's yes for production takes effect a minute later; a calendar that closes within that minute counts."""
    plan = risky(risk=YELLOW, verb="promote", source=STAGE, destination=PROD)
    desk.ask(plan)
    watched = desk.say(plan, proof=desk.code())
    assert isinstance(watched, Waiting)
    assert watched.settling is not None
    desk.now, desk.frozen = watched.settling.at, "Christmas"
    with pytest.raises(Frozen, match="closed by Christmas"):
        desk.gate.settle(plan, moved="", now=desk.now)
    desk.frozen = ""
    assert not desk.ledger.facts(kind="approved")
    stays(desk, plan, Frozen)


def test_nothing_is_asked_during_a_freeze(desk: Desk) -> None:
    """A closed calendar refuses before anybody is asked and leaves no question; a plan that overrides it is asked."""
    desk.frozen = "Christmas"
    with pytest.raises(Frozen):
        desk.ask(risky())
    assert not desk.ledger.facts()
    breaking = risky(overrides=("freeze:Christmas",))
    desk.ask(breaking)
    desk.say(breaking)
    assert isinstance(desk.say(breaking, BEN), Approval)


def test_a_newer_plan_for_one_destination_takes_the_older_ones_place(desk: Desk) -> None:
    """The older question ends and names the newer; that of another destination, and an approval, stay."""
    approved, elsewhere = risky("approved", YELLOW), risky("elsewhere", YELLOW, destination=DEV)
    desk.ask(approved)
    desk.yes(approved)
    older, newer = risky("older", YELLOW), risky("newer", YELLOW)
    desk.ask(elsewhere)
    desk.ask(older)
    waiting, gave_way = desk.gate.ask(newer, source_id="S", within=timedelta(hours=1), now=desk.now)
    assert [(question.run_id, question.code) for question in gave_way] == [("older", older.code)]
    assert waiting.index == 0
    with pytest.raises(Superseded, match=f"was replaced by the newer plan {newer.code} of run newer"):
        desk.say(older)
    stays(desk, older, Superseded)
    assert isinstance(desk.say(elsewhere), Approval)
    assert isinstance(desk.say(newer, CARA), Approval)
    assert ends(desk, approved) == ["approved"]


def test_asking_again_supersedes_nobody(desk: Desk) -> None:
    """Only the first pass of a run takes an older one's place: a resumed run does not end what came after it."""
    older, newer = risky("older", YELLOW), risky("newer", YELLOW)
    desk.ask(older)
    desk.ask(newer)
    _, gave_way = desk.gate.ask(newer, source_id="S", within=timedelta(hours=1), now=desk.now)
    assert gave_way == []
    assert [question.run_id for question in open_requests(desk.ledger)] == ["newer"]


def test_a_refresh_and_a_promotion_of_one_site_do_not_end_each_other(desk: Desk) -> None:
    """What counts is what would be overwritten, not what takes part."""
    down = risky("down", YELLOW)
    up = risky("up", YELLOW, verb="promote", source=STAGE, destination=PROD)
    desk.ask(down)
    desk.ask(up)
    assert desk.yes(down).approver == ANNA
    assert desk.yes(up).approver == ANNA

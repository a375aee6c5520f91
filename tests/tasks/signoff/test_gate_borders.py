"""The gate at its borders: the last character, second and attempt that count, and the first that does not."""

from datetime import timedelta
from typing import Any

import pytest

from tasks.estate.errors import Rejected
from tasks.estate.plans import Approval
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import where
from tasks.signoff.gate import Waiting
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import PROD, STAGE
from tests.tasks.signoff.approval_desk import ANNA, BEN, CARA, NOW, YELLOW, Desk, draft

UP: dict[str, Any] = {"verb": "promote", "source": STAGE, "destination": PROD}


def wrong_answers(desk: Desk, proof: str | None, **form: str) -> None:
    """Anna answers twelve times, in three runs, with this proof and form."""
    for number in range(3):
        plan = draft(f"wrong-{number}", YELLOW)
        desk.ask(plan)
        for _ in range(4):
            desk.refusal(plan, proof=proof, **form)


@pytest.mark.parametrize(("reason", "counts"), [("menu", False), ("  menu ", False), ("menus", True)])
def test_a_reason_has_at_least_five_characters(desk: Desk, reason: str, counts: bool) -> None:
    """Spaces around the reason do not count."""
    plan = draft(risk=YELLOW)
    desk.ask(plan)
    found = desk.submit(plan, reason=reason)
    assert isinstance(found, Approval) is counts
    if isinstance(found, Waiting):
        assert found.refused == "The reason has fewer than 5 characters."


def test_wrong_codes_count_for_one_hour(desk: Desk) -> None:
    """A second before the hour is over the right code is refused; when it is over, the code counts."""
    wrong_answers(desk, "nothing")
    plan = draft("last", YELLOW)
    desk.ask(plan)
    code = desk.code()
    desk.wait(seconds=3599)
    assert "too many wrong codes" in desk.refusal(plan, proof=desk.code())
    assert "too many wrong codes" in desk.refusal(plan, proof=f"{code[:3]} {code[3:]}")
    other = draft("other", YELLOW)
    desk.ask(other)
    # The two refusals above are of this hour; the twelve before them are exactly an hour old.
    desk.wait(seconds=1)
    desk.approve(other, proof=desk.code())


def test_a_mistake_in_the_form_is_not_a_wrong_code(desk: Desk) -> None:
    """After twelve signed answers with a wrong destination, the lead may still answer by code."""
    wrong_answers(desk, None, destination="prod")
    plan = draft("last", YELLOW)
    desk.ask(plan)
    desk.approve(plan, proof=desk.code())


def test_a_second_request_about_one_plan_does_not_move_its_deadline(desk: Desk) -> None:
    """Whatever the ledger contains after the first request, the first deadline stays."""
    plan = draft(risk=YELLOW)
    desk.ask(plan)
    (asked,) = desk.ledger.facts(kind="asked")
    later = asked.detail | {"answer_by": (NOW + timedelta(days=3)).isoformat()}
    desk.ledger.record(raw_fact("asked", later), **where(plan))
    assert desk.gate.waiting(plan).answer_by == NOW + timedelta(hours=8)


def test_a_run_that_plans_anew_does_not_supersede_itself(desk: Desk) -> None:
    """Only requests of other runs give way to a newer plan."""
    first = draft(risk=YELLOW)
    second = draft(risk=YELLOW, generation=1)
    desk.ask(first)
    _, superseded = desk.gate.ask(second, source_id="S", within=timedelta(hours=1), now=desk.now)
    assert superseded == []
    assert not desk.ledger.facts(kind="superseded")


@pytest.mark.parametrize("used", [True, False], ids=["used code", "no proof"])
def test_a_rejection_that_an_approval_overtakes_changes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, used: bool
) -> None:
    """If another worker records an approval before the rejection is recorded, the approval is the only end."""
    plan, other = draft(risk=YELLOW), draft("other", YELLOW, **UP)
    desk.ask(other)
    code = desk.code()
    desk.submit(other, proof=code)
    desk.ask(plan)
    together = Ledger.record_together

    def overtaken(self: Ledger, *given: Any) -> Any:
        monkeypatch.setattr(Ledger, "record_together", together)
        desk.approve(plan, BEN)
        return together(self, *given)

    rejection = desk.answer(plan, proof=code if used else "", decision="reject")
    monkeypatch.setattr(Ledger, "record_together", overtaken)
    found = desk.gate.evaluate(plan, rejection, now=desk.now)
    assert isinstance(found, Approval)
    assert found.approver == BEN
    assert not desk.ledger.facts(kind="rejected")


def test_a_late_answer_that_an_approval_overtakes_returns_the_approval(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another worker records an answer that was in time, the late one does not end the request as expired."""
    plan = desk.ask(draft(risk=YELLOW))
    in_time = desk.answer(plan, BEN)
    desk.wait(hours=8, seconds=1)
    late = desk.answer(plan)
    together = Ledger.record_together

    def overtaken(self: Ledger, *given: Any) -> Any:
        monkeypatch.setattr(Ledger, "record_together", together)
        desk.gate.evaluate(plan, in_time, now=desk.now)
        return together(self, *given)

    monkeypatch.setattr(Ledger, "record_together", overtaken)
    found = desk.gate.evaluate(plan, late, now=desk.now)
    assert isinstance(found, Approval)
    assert found.approver == BEN


def test_a_code_for_production_is_watched_for_one_minute(desk: Desk) -> None:
    """The minute counts from the answer, and the approval carries the time of the answer."""
    plan = draft(risk=YELLOW, **UP)
    desk.ask(plan)
    waiting = desk.submit(plan, proof=desk.code())
    assert isinstance(waiting, Waiting)
    assert waiting.settling is not None
    assert (waiting.settling.at, waiting.settling.index) == (NOW + timedelta(minutes=1), 0)
    approval = desk.settle(plan, waiting)
    assert isinstance(approval, Approval)
    assert (approval.answered_at, approval.execute_by) == (NOW, NOW + timedelta(minutes=30))


def test_nothing_settles_if_no_code_is_watched(desk: Desk) -> None:
    """A second worker that settles the same answer, or a request without one, changes nothing."""
    plan = draft(**UP)
    desk.ask(plan)
    waiting = desk.gate.waiting(plan)
    assert desk.gate.settle(plan, moved="It was typed elsewhere.", now=desk.now) == waiting
    first = desk.settle(plan, desk.submit(plan, proof=desk.code()))
    assert isinstance(first, Waiting)
    assert [signer.name for signer in first.yes] == [ANNA]
    before = len(desk.ledger.facts())
    assert desk.gate.settle(plan, moved="It was typed elsewhere.", now=desk.now) == first
    assert len(desk.ledger.facts()) == before


def test_a_lead_who_is_suspended_while_a_code_is_watched_approves_nothing(desk: Desk) -> None:
    """The answer is void, the reason is shown, and another lead can still approve."""
    plan = draft(risk=YELLOW, **UP)
    desk.ask(plan)
    watched = desk.submit(plan, proof=desk.code())
    desk.suspended = frozenset({ANNA})
    waiting = desk.settle(plan, watched)
    assert isinstance(waiting, Waiting)
    assert (waiting.yes, waiting.settling) == ((), None)
    assert "suspended" in waiting.refused
    desk.suspended = frozenset()
    assert desk.gate.waiting(plan).yes == ()
    assert desk.approve(plan, CARA).approver == CARA


def test_a_lead_who_is_suspended_after_a_code_has_settled_is_not_counted(desk: Desk) -> None:
    """Each pass counts the people who are leads now."""
    plan = draft(**UP)
    desk.ask(plan)
    desk.settle(plan, desk.submit(plan, proof=desk.code()))
    assert [signer.name for signer in desk.gate.waiting(plan).yes] == [ANNA]
    desk.suspended = frozenset({ANNA})
    assert desk.gate.waiting(plan).yes == ()


def test_a_settled_answer_that_nobody_gave_is_not_counted(desk: Desk) -> None:
    """An `answer-settled` fact without a watched answer before it counts for nobody."""
    plan = draft(risk=YELLOW, **UP)
    desk.ask(plan)
    waiting = desk.gate.waiting(plan)
    desk.ledger.record(raw_fact("answer-settled", {"index": 0, "seal": "00"}), **where(plan))
    assert desk.gate.waiting(plan) == waiting


def test_changed_parameters_end_every_request_of_the_run(desk: Desk) -> None:
    """The requests about each plan of the run are rejected by the gate; those of other runs stay open."""
    first, second = draft(risk=YELLOW), draft(risk=YELLOW, generation=1)
    other = draft("other", YELLOW, **UP)
    for plan in (first, second, other):
        desk.ask(plan)
    with pytest.raises(Rejected, match="the parameters of the run were changed") as ended:
        desk.gate.reject_changed(second)
    assert "not proven" not in ended.value.message
    for plan in (first, second):
        with pytest.raises(Rejected, match="the parameters of the run were changed"):
            desk.submit(plan)
    assert isinstance(desk.submit(other), Approval)

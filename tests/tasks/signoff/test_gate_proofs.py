"""Proofs at the gate: a code is good once, a signature for one decision on one plan until one moment."""

from datetime import timedelta

import pytest

from tasks.estate.errors import ApprovalExpired, Frozen, Rejected
from tasks.signoff.proofs import STEP, sign, statement
from tests.tasks.signoff.desk import ANNA, BEN, CARA, KEYS, NOW, RED, YELLOW, Desk, risky

SIGNED = RED.model_copy(update={"signatures": 1})


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a ledger in memory."""
    return Desk.opened(monkeypatch)


def test_a_code_is_good_once(desk: Desk) -> None:
    """A code that gave a yes is refused at another plan of another run; the next code is not."""
    one, two = risky("one", YELLOW), risky("two", YELLOW)
    desk.ask(one)
    code = desk.code()
    desk.yes(one, proof=code)
    desk.ask(two)
    assert "used before" in desk.refused(two, proof=code)
    assert "used before" in desk.refused(two, "anna  LEAD", f"{code[:3]} {code[3:]}")
    desk.later(seconds=STEP)
    desk.yes(two, proof=desk.code())


def test_a_code_is_good_once_for_one_plan_too(desk: Desk) -> None:
    """The code of the first yes is no second yes, in whosever name; a used code costs an attempt."""
    plan = risky()
    desk.ask(plan)
    code = desk.code()
    desk.say(plan, proof=code)
    assert "used before" in desk.refused(plan, proof=code)
    assert "not the one" in desk.refused(plan, BEN, code)
    assert desk.gate.waiting(plan).attempts_left == 3


@pytest.mark.parametrize("lead", [BEN, CARA])
def test_another_leads_code_is_none(desk: Desk, lead: str) -> None:
    """Anna's code under another name is a wrong proof, whether that lead has codes or only signs."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    desk.refused(plan, lead, desk.code(ANNA))
    desk.yes(plan, ANNA, desk.code(ANNA))  # it was not used up by somebody who typed it under another name


@pytest.mark.parametrize("steps", [-2, 2])
def test_the_code_of_another_time_is_none(desk: Desk, steps: int) -> None:
    """One step beside now is leeway for slow clocks; two are another time."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    desk.refused(plan, proof=desk.code(steps=steps))
    desk.yes(plan, proof=desk.code(steps=steps // 2))


def test_a_code_counts_at_the_moment_when_it_was_typed(desk: Desk) -> None:
    """A worker that takes the answer up an hour later judges it by the hour in which it was given."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    answer = desk.answer(plan, proof=desk.code())
    desk.later(hours=1)
    approval = desk.gate.evaluate(plan, answer, now=desk.now)
    assert getattr(approval, "execute_by", None) == NOW + timedelta(minutes=30)


def test_a_valid_code_in_a_wrong_form_is_used_up(desk: Desk) -> None:
    """Whoever reads what was typed beside a wrong destination cannot use its code again."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    code = desk.code()
    assert "destination" in desk.refused(plan, proof=code, destination="prod")
    assert "used before" in desk.refused(plan, proof=code)


def test_a_code_is_used_up_by_a_no(desk: Desk) -> None:
    """The code beside a no cannot be read in Prefect and become a yes to another plan; a used one proves no no."""
    one, two, three = (risky(name, YELLOW) for name in ("one", "two", "three"))
    desk.ask(one)
    code = desk.code()
    with pytest.raises(Rejected, match=f"{ANNA} rejected"):
        desk.say(one, proof=code, decision="reject")
    desk.ask(two)
    assert "used before" in desk.refused(two, proof=code)
    desk.ask(three)
    with pytest.raises(Rejected, match="not proven"):
        desk.say(three, proof=code, decision="reject")


def test_a_code_is_used_up_by_a_late_answer_and_by_a_freeze(desk: Desk) -> None:
    """Whatever becomes of the answer that it was typed for, a code is no good for another."""
    late, frozen, last = (risky(name, YELLOW) for name in ("late", "frozen", "last"))
    desk.ask(late)
    desk.later(hours=8, seconds=1)
    first = desk.code()
    with pytest.raises(ApprovalExpired):
        desk.say(late, proof=first)
    desk.ask(frozen)
    assert "used before" in desk.refused(frozen, proof=first)
    desk.later(seconds=STEP)
    desk.frozen, second = "Christmas", desk.code()
    with pytest.raises(Frozen):
        desk.say(frozen, proof=second)
    desk.frozen = ""
    desk.ask(last)
    assert "used before" in desk.refused(last, proof=second)


def test_a_signature_is_good_for_one_statement(desk: Desk) -> None:
    """Over another plan, a no, another deadline or for another purpose it is a wrong proof."""
    plan, other = risky(risk=YELLOW), risky("other", YELLOW, source=risky().pair.source)
    desk.ask(other)
    desk.ask(plan)
    right = statement("approve", plan.fingerprint, desk.gate.waiting(plan).answer_by)
    wrong = [
        desk.signature(other),
        desk.signature(plan, decision="reject"),
        desk.signature(plan, until=NOW + timedelta(hours=9)),
        sign(KEYS[ANNA][0], right, namespace="git"),
        sign(KEYS[BEN][0], right),
    ]
    for proof in wrong[:4]:
        desk.refused(plan, proof=proof)
    assert desk.gate.waiting(plan).attempts_left == 1
    with pytest.raises(Rejected):
        desk.say(plan, proof=wrong[4])


def test_wrong_codes_of_an_hour_are_counted_over_all_runs(desk: Desk) -> None:
    """After ten wrong proofs in a lead's name the right code is refused too, while a signature still counts."""
    for number in range(3):
        plan = risky(f"run-{number}", YELLOW)
        desk.ask(plan)
        for _ in range(4 if number < 2 else 2):
            desk.refused(plan, proof="000000" if desk.code() != "000000" else "000001")
        desk.later(seconds=1)
    assert "too many wrong codes" in desk.refused(plan, proof=desk.code())
    desk.yes(plan)
    other = risky("other", YELLOW)
    desk.ask(other)
    desk.yes(other, BEN, desk.code(BEN))  # the limit is each lead's own


def test_the_hour_ends(desk: Desk) -> None:
    """An hour after the last wrong one, codes count again, and used ones still do not."""
    for number in range(3):
        plan = risky(f"run-{number}", YELLOW)
        desk.ask(plan)
        for _ in range(4):
            desk.refused(plan, proof="nothing")
    plan = risky("last", YELLOW)
    desk.ask(plan)
    desk.later(minutes=59)
    assert "too many" in desk.refused(plan, proof=desk.code())
    desk.later(minutes=60)
    desk.yes(plan, proof=desk.code())


def test_the_demanded_signatures_are_kept_free(desk: Desk) -> None:
    """Where one of two must sign, the first may give a code, and then the second may not; nor both where both must."""
    plan = risky(risk=SIGNED)
    desk.ask(plan)
    desk.say(plan, ANNA, desk.code(ANNA))
    assert "must be an SSH signature" in desk.refused(plan, BEN, desk.code(BEN))
    assert desk.gate.waiting(plan).attempts_left == 5
    desk.yes(plan, BEN)
    reverse = risky("reverse", SIGNED)
    desk.later(minutes=1)
    desk.ask(reverse)
    desk.say(reverse, ANNA)
    desk.yes(reverse, BEN, desk.code(BEN))
    both = risky("both", RED.model_copy(update={"signatures": 2}))
    desk.later(minutes=1)
    desk.ask(both)
    assert "must be an SSH signature" in desk.refused(both, ANNA, desk.code(ANNA))


def test_nobody_says_yes_before_the_time_to_think(desk: Desk) -> None:
    """Within the cool-down a yes is refused without cost, a no counts; at its end the yes does."""
    patient = YELLOW.model_copy(update={"cool_down": 1800})
    plan = risky(risk=patient)
    desk.ask(plan)
    desk.later(seconds=1799)
    assert "before 12:30:00 UTC" in desk.refused(plan)
    assert desk.gate.waiting(plan).attempts_left == 5
    desk.later(seconds=1)
    desk.yes(plan)
    no = risky("no", patient)
    desk.ask(no)
    with pytest.raises(Rejected):
        desk.say(no, decision="reject")


def test_an_answer_from_before_the_question_is_none(desk: Desk) -> None:
    """An answer that reached the server before the plan was put to people was for something else."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    desk.refused(plan, given_at=NOW - timedelta(seconds=1))

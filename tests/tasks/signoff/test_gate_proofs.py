"""Proofs at the approval gate: a code is used once, a signature covers one decision on one plan until one moment."""

from datetime import timedelta

import pytest

from tasks.estate.errors import ApprovalExpired, Frozen, Rejected
from tasks.signoff.proofs import STEP, sign, statement
from tests.tasks.signoff.approval_desk import ANNA, BEN, CARA, KEYS, NOW, RED, YELLOW, Desk, draft

SIGNED = RED.model_copy(update={"signatures": 1})


def test_a_code_is_used_once(desk: Desk) -> None:
    """A code that approved a plan is refused for the plan of another run; the next code is accepted."""
    one, two = draft("one", YELLOW), draft("two", YELLOW)
    desk.ask(one)
    code = desk.code()
    desk.approve(one, proof=code)
    desk.ask(two)
    assert "used before" in desk.refusal(two, proof=code)
    assert "used before" in desk.refusal(two, "anna  LEAD", f"{code[:3]} {code[3:]}")
    desk.wait(seconds=STEP)
    desk.approve(two, proof=desk.code())


def test_a_code_is_used_once_for_one_plan_too(desk: Desk) -> None:
    """The code of the first approval is no second one, in anybody's name, and uses an attempt."""
    plan = desk.ask(draft())
    code = desk.code()
    desk.submit(plan, proof=code)
    assert "used before" in desk.refusal(plan, proof=code)
    assert "not the one" in desk.refusal(plan, BEN, code)
    assert desk.gate.waiting(plan).attempts_left == 3


@pytest.mark.parametrize("lead", [BEN, CARA])
def test_the_code_of_another_lead_is_refused(desk: Desk, lead: str) -> None:
    """Anna's code under another name is a wrong proof, whether that lead has codes or not."""
    plan = desk.ask(draft(risk=YELLOW))
    desk.refusal(plan, lead, desk.code(ANNA))
    desk.approve(plan, ANNA, desk.code(ANNA))  # typing it under another name did not use it up


@pytest.mark.parametrize("steps", [-2, 2])
def test_the_code_of_another_time_is_refused(desk: Desk, steps: int) -> None:
    """A code may be one step off, for slow clocks; two steps are refused."""
    plan = desk.ask(draft(risk=YELLOW))
    desk.refusal(plan, proof=desk.code(steps=steps))
    desk.approve(plan, proof=desk.code(steps=steps // 2))


def test_a_valid_code_in_an_incorrect_form_is_used_up(desk: Desk) -> None:
    """Nobody can reuse a code that was typed together with a wrong destination."""
    plan = desk.ask(draft(risk=YELLOW))
    code = desk.code()
    assert "destination" in desk.refusal(plan, proof=code, destination="prod")
    assert "used before" in desk.refusal(plan, proof=code)


def test_a_rejection_uses_up_its_code(desk: Desk) -> None:
    """The code of a rejection cannot be read in Prefect and approve another plan; a used code proves no rejection."""
    one, two, three = (draft(name, YELLOW) for name in ("one", "two", "three"))
    desk.ask(one)
    code = desk.code()
    with pytest.raises(Rejected, match=f"{ANNA} rejected"):
        desk.submit(one, proof=code, decision="reject")
    desk.ask(two)
    assert "used before" in desk.refusal(two, proof=code)
    desk.ask(three)
    with pytest.raises(Rejected, match="not proven"):
        desk.submit(three, proof=code, decision="reject")


def test_a_late_answer_and_a_freeze_use_up_the_code(desk: Desk) -> None:
    """A code is used up even if its answer does not count."""
    late, frozen, last = (draft(name, YELLOW) for name in ("late", "frozen", "last"))
    desk.ask(late)
    desk.wait(hours=8, seconds=1)
    first = desk.code()
    with pytest.raises(ApprovalExpired):
        desk.submit(late, proof=first)
    desk.ask(frozen)
    assert "used before" in desk.refusal(frozen, proof=first)
    desk.wait(seconds=STEP)
    desk.frozen, second = "Christmas", desk.code()
    with pytest.raises(Frozen):
        desk.submit(frozen, proof=second)
    desk.frozen = ""
    desk.ask(last)
    assert "used before" in desk.refusal(last, proof=second)


def test_a_signature_is_good_for_one_statement(desk: Desk) -> None:
    """A signature over another plan, decision or deadline, or for another purpose, is a wrong proof."""
    plan, other = draft(risk=YELLOW), draft("other", YELLOW, source=draft().pair.source)
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
        desk.refusal(plan, proof=proof)
    assert desk.gate.waiting(plan).attempts_left == 1
    with pytest.raises(Rejected):
        desk.submit(plan, proof=wrong[4])


def test_wrong_codes_of_an_hour_are_counted_over_all_runs(desk: Desk) -> None:
    """After ten wrong proofs in a lead's name a valid code is refused too; a signature still counts."""
    for number in range(3):
        plan = desk.ask(draft(f"run-{number}", YELLOW))
        for _ in range(4 if number < 2 else 2):
            desk.refusal(plan, proof="000000" if desk.code() != "000000" else "000001")
        desk.wait(seconds=1)
    assert "too many wrong codes" in desk.refusal(plan, proof=desk.code())
    desk.approve(plan)
    other = desk.ask(draft("other", YELLOW))
    desk.approve(other, BEN, desk.code(BEN))  # each lead has a limit of their own


def test_wrong_codes_are_forgotten_after_an_hour(desk: Desk) -> None:
    """An hour after the last wrong proof, codes are accepted again."""
    for number in range(3):
        plan = desk.ask(draft(f"run-{number}", YELLOW))
        for _ in range(4):
            desk.refusal(plan, proof="nothing")
    plan = desk.ask(draft("last", YELLOW))
    desk.wait(minutes=59)
    assert "too many" in desk.refusal(plan, proof=desk.code())
    desk.wait(minutes=60)
    desk.approve(plan, proof=desk.code())


def test_the_last_answers_must_be_signatures_if_the_rules_demand_them(desk: Desk) -> None:
    """If one of two people must sign, only one of them may use a code; if both must, neither may."""
    plan = desk.ask(draft(risk=SIGNED))
    desk.submit(plan, ANNA, desk.code(ANNA))
    assert "must be made with a passkey or an SSH key" in desk.refusal(plan, BEN, desk.code(BEN))
    assert desk.gate.waiting(plan).attempts_left == 5
    desk.approve(plan, BEN)
    reverse = draft("reverse", SIGNED)
    desk.wait(minutes=1)
    desk.ask(reverse)
    desk.submit(reverse, ANNA)
    desk.approve(reverse, BEN, desk.code(BEN))
    both = draft("both", RED.model_copy(update={"signatures": 2}))
    desk.wait(minutes=1)
    desk.ask(both)
    assert "must be made with a passkey or an SSH key" in desk.refusal(both, ANNA, desk.code(ANNA))


def test_nobody_can_approve_before_the_cool_down_ends(desk: Desk) -> None:
    """During the cool-down an approval is refused and uses no attempt, while a rejection counts."""
    patient = YELLOW.model_copy(update={"cool_down": 1800})
    plan = desk.ask(draft(risk=patient))
    desk.wait(seconds=1799)
    assert "before 12:30:00 UTC" in desk.refusal(plan)
    assert desk.gate.waiting(plan).attempts_left == 5
    desk.wait(seconds=1)
    desk.approve(plan)
    rejected = desk.ask(draft("no", patient))
    with pytest.raises(Rejected):
        desk.submit(rejected, decision="reject")


def test_an_answer_from_before_the_request_is_refused(desk: Desk) -> None:
    """An answer that reached the server before the request was meant for something else."""
    plan = desk.ask(draft(risk=YELLOW))
    desk.refusal(plan, given_at=NOW - timedelta(seconds=1))

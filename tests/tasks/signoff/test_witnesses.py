"""Witnesses: an approval that somebody wrote into the ledger, past the gate, opens nothing."""

from datetime import timedelta

import pytest

from tasks.estate.errors import NotApproved
from tasks.estate.plans import Approval, Plan, Signer
from tasks.signoff.answers import record_approval
from tasks.signoff.gate import Waiting
from tasks.signoff.witnesses import require_witnessed, verified_signatures
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.stories import PROD, STAGE
from tests.tasks.signoff.desk import ANNA, BEN, CARA, YELLOW, Desk, risky

SIGNED = YELLOW.model_copy(update={"signatures": 1})


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a ledger in memory."""
    return Desk.opened(monkeypatch)


def forge(desk: Desk, plan: Plan, *names: str) -> Approval:
    """Append an approval as the gate would, by whoever can write to the database."""
    signers = tuple(Signer(name=name, proof="signature", answered_at=desk.now) for name in names)
    return record_approval(
        desk.ledger, plan, kind="person", approver=" and ".join(names), reason="because I can", answered_at=desk.now,
        execute_within=timedelta(minutes=30), signers=signers,
    )  # fmt: skip


def require(desk: Desk, plan: Plan, approval: Approval) -> None:
    """The last look at the answers."""
    require_witnessed(desk.ledger, plan, approval, desk.gate.leads)


def test_what_people_said_carries_their_approval(desk: Desk) -> None:
    """One with a code and one with a signature; with leave to undo it, which is part of what was signed."""
    plan = risky()
    desk.ask(plan)
    assert isinstance(desk.say(plan, ANNA, desk.code(ANNA)), Waiting)
    require(desk, plan, desk.yes(plan, BEN))
    promotion = risky(run="other", risk=YELLOW, verb="promote")
    desk.ask(promotion)
    approval = desk.yes(promotion, CARA, restore=True)
    assert approval.restore_within
    require(desk, promotion, approval)


def test_an_approval_without_answers_is_refused(desk: Desk) -> None:
    """Somebody wrote that Anna approved; Anna never answered."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    with pytest.raises(NotApproved, match="did not"):
        require(desk, plan, forge(desk, plan, ANNA))


def test_a_forged_answer_lacks_its_signature(desk: Desk) -> None:
    """An answer that was written beside the forged approval holds only if a lead's key signed it."""
    plan, other = risky(risk=SIGNED), risky(run="other", risk=SIGNED, destination=PROD, source=STAGE)
    for each in (plan, other):
        desk.ask(each)
    desk.yes(other, CARA)
    (real,) = desk.ledger.facts(run_id="other", kind="answered")
    desk.ledger.record(
        raw_fact("answered", real.detail), run_id=plan.run_id, destination_id=plan.destination_id, plan=plan.fingerprint
    )
    with pytest.raises(NotApproved, match=f"signature of {CARA} does not verify"):
        require(desk, plan, forge(desk, plan, CARA))


def test_one_answer_does_not_stand_for_two(desk: Desk) -> None:
    """A red plan with one real answer and an approval in two names is refused."""
    plan = risky()
    desk.ask(plan)
    desk.say(plan, ANNA)
    with pytest.raises(NotApproved):
        require(desk, plan, forge(desk, plan, ANNA, BEN))
    with pytest.raises(NotApproved):
        require(desk, plan, Approval.model_validate(_approval(desk, plan)).model_copy(update={"signers": ()}))


def _approval(desk: Desk, plan: Plan) -> object:
    return desk.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="approved")[0].detail


def test_who_was_suspended_since_carries_nothing(desk: Desk) -> None:
    """A lead's yes is worth what the lead is worth when the call is made."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    approval = desk.yes(plan)
    desk.suspended = frozenset({ANNA})
    with pytest.raises(NotApproved, match="suspended"):
        require(desk, plan, approval)


def test_kept_signatures_can_be_checked_years_later(desk: Desk) -> None:
    """With the leads file and the ledger alone; an altered reason is the chain's business, an altered statement is not."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    desk.yes(plan)
    facts = desk.ledger.facts()
    assert verified_signatures(facts, desk.gate.leads) == (1, 1)
    desk.suspended = frozenset({ANNA})
    assert verified_signatures(facts, desk.gate.leads) == (0, 1)

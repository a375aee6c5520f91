"""Passkeys at the approval gate: bound like a signature, counted like one, and refused if their counter goes back."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.estate.errors import NotApproved, Rejected
from tasks.estate.plans import Approval
from tasks.ledger.facts import Answered
from tasks.signoff.answers import where
from tasks.signoff.approval_recheck import require_witnessed, verified_signatures
from tasks.signoff.gate import Gate, Waiting
from tasks.signoff.leads import Leads
from tasks.signoff.proofs import statement
from tests.passkey_device import Device
from tests.raw_facts import raw_fact
from tests.tasks.signoff.approval_desk import ANNA, BEN, CARA, RED, TERMS, YELLOW, Desk, draft, leads_without

SIGNED = RED.model_copy(update={"signatures": 1})


class DeskWithPasskeys(Desk):
    """A desk whose leads have a passkey each: Anna's counts, Ben's always reports 0."""

    phones: dict[str, Device]

    @property
    def leads(self) -> Leads:
        """The leads of the other tests, with their passkeys as they were when they were enrolled."""
        enrolled = [
            lead.model_copy(update={"passkeys": (Device(f"{lead.name}'s phone").entry(),)})
            for lead in leads_without(self.suspended).everybody
        ]
        return Leads(enrolled, {ANNA: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"})

    @property
    def gate(self) -> Gate:
        """The gate, which knows the passkeys."""
        return Gate(self.ledger, self.leads, TERMS, self.require_open)

    def passkey(self, plan: Any, lead: str = ANNA, decision: str = "approve") -> str:
        """Return the answer of the lead's passkey to this decision on the plan."""
        until = self.gate.waiting(plan).answer_by
        return self.phones[lead].sign(statement(decision, plan.fingerprint, until))


@pytest.fixture
def desk(desk: Desk) -> Iterator[DeskWithPasskeys]:
    """A gate with an empty ledger, whose leads have passkeys."""
    made = DeskWithPasskeys(desk.ledger, desk.now)
    made.phones = {name: Device(f"{name}'s phone", counts=name != BEN) for name in (ANNA, BEN, CARA)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.ledger.rows.utc_now", lambda: made.now)
        yield made


def require(desk: DeskWithPasskeys, plan: Any, approval: Approval) -> None:
    """Check the approval with the ledger, as right before the call."""
    require_witnessed(desk.ledger, plan, approval, desk.leads)


@pytest.mark.parametrize("lead", [ANNA, BEN])
def test_a_passkey_approves_at_once_and_is_checked_again(desk: DeskWithPasskeys, lead: str) -> None:
    """Also for production, where a code is watched for a minute; what verifies it is in the ledger and in the audit."""
    plan = desk.ask(draft(risk=YELLOW, verb="promote"))
    approval = desk.submit(plan, lead, desk.passkey(plan, lead))
    assert isinstance(approval, Approval)
    assert [signer.proof for signer in approval.signers] == ["passkey"]
    require(desk, plan, approval)
    assert verified_signatures(desk.ledger.facts(), desk.leads) == (1, 1)
    assert len(desk.ledger.facts(kind="passkey-used")) == (lead == ANNA)


def test_a_passkey_counts_as_the_signature_that_red_demands(desk: DeskWithPasskeys) -> None:
    """One of two people may use a code, if the other used a passkey, in any order."""
    for first, second in ((ANNA, BEN), (BEN, ANNA)):
        plan = desk.ask(draft(first, SIGNED))
        proofs = {ANNA: desk.code(ANNA), BEN: desk.passkey(plan, BEN)}
        desk.settle(plan, desk.submit(plan, first, proofs[first]))
        require(desk, plan, desk.approve(plan, second, proofs[second]))
        desk.wait(minutes=5)


def test_permission_to_undo_is_part_of_the_challenge(desk: DeskWithPasskeys) -> None:
    """An answer to one decision is refused for the other."""
    plan = desk.ask(draft(risk=YELLOW, verb="promote"))
    plain = desk.passkey(plan)
    assert "answered something else" in desk.refusal(plan, proof=plain, restore=True)
    approval = desk.approve(plan, proof=desk.passkey(plan, decision="approve+restore"), restore=True)
    require(desk, plan, approval)


def test_the_answer_for_another_plan_is_refused(desk: DeskWithPasskeys) -> None:
    """Moved to the plan of another run, or from another deadline, it proves nothing; and it is not used up."""
    one, two = draft("one", YELLOW), draft("two", YELLOW)
    desk.ask(one)
    moved = desk.passkey(one)
    desk.wait(seconds=1)
    desk.ask(two)
    assert "answered something else" in desk.refusal(two, proof=moved)
    assert "listed for Ben Lead" in desk.refusal(two, BEN, desk.passkey(two, ANNA))


def test_an_answer_is_not_accepted_twice(desk: DeskWithPasskeys) -> None:
    """Neither as the second person's, nor again by the same person after a slip."""
    plan = desk.ask(draft())
    proof = desk.passkey(plan)
    assert "destination" in desk.refusal(plan, proof=proof, destination="elsewhere")
    waiting = desk.submit(plan, proof=proof)
    assert isinstance(waiting, Waiting)
    assert waiting.copied
    desk.submit(plan, proof=desk.passkey(plan))
    uncounted = desk.passkey(plan, BEN)
    assert "destination" in desk.refusal(plan, BEN, uncounted, destination="elsewhere")
    assert isinstance(desk.submit(plan, BEN, uncounted), Approval)  # it does not count; what it signed is the same


def test_a_counter_that_goes_back_is_refused(desk: DeskWithPasskeys) -> None:
    """The copy of a passkey that was used less often than the original is noticed, uses an attempt and is reported."""
    for number in range(2):
        plan = desk.ask(draft(f"run-{number}", YELLOW))
        desk.approve(plan, proof=desk.passkey(plan))
        desk.wait(minutes=1)
    plan = desk.ask(draft("last", YELLOW))
    desk.phones[ANNA].counter = 0
    waiting = desk.submit(plan, proof=desk.passkey(plan))
    assert isinstance(waiting, Waiting)
    assert (waiting.copied, waiting.attempts_left) == (True, 4)
    assert "is 1, and 2 was seen before" in waiting.refused
    (refused,) = desk.ledger.facts(run_id="last", kind="answer-refused")
    assert refused.detail["kind"] == "counter"
    desk.phones[ANNA].counter = 2
    desk.approve(plan, proof=desk.passkey(plan))
    assert not desk.gate.waiting(plan).copied


def test_a_rejection_with_a_passkey_is_proven(desk: DeskWithPasskeys) -> None:
    """And the answer to a rejection approves nothing."""
    plan = desk.ask(draft(risk=YELLOW))
    with pytest.raises(Rejected, match=f"^{ANNA} rejected"):
        desk.submit(plan, proof=desk.passkey(plan, decision="reject"), decision="reject")
    assert desk.ledger.facts(kind="passkey-used")


@pytest.mark.parametrize("kept", ["answer", "use"])
def test_an_approval_needs_answer_and_use_right_before_the_call(desk: DeskWithPasskeys, kept: str) -> None:
    """Facts that were copied to another run, or a ledger without the use of the counter, open nothing."""
    plan = desk.ask(draft(risk=YELLOW))
    approval = desk.approve(plan, proof=desk.passkey(plan))
    bare = dataclasses.replace(desk, ledger=type(desk.ledger)("sqlite://"))
    for fact in desk.ledger.facts(run_id=plan.run_id):
        if fact.kind == ("passkey-used" if kept == "answer" else "answered"):
            continue
        bare.ledger.record(raw_fact(fact.kind, fact.detail), **where(plan), once=fact.once)
    why = "did not use the passkey" if kept == "answer" else "did not answer"
    with pytest.raises(NotApproved, match=why):
        require_witnessed(bare.ledger, plan, approval, desk.leads)


@pytest.mark.parametrize("change", ["signature", "decision", "restore", "lead"])
def test_a_changed_answer_opens_nothing(desk: DeskWithPasskeys, change: str) -> None:
    """Whoever can write to the ledger's database cannot make a passkey's answer."""
    plan = desk.ask(draft(risk=YELLOW))
    approval = desk.approve(plan, proof=desk.passkey(plan))
    (fact,) = desk.ledger.facts(kind="answered")
    real = fact.as_(Answered)
    changed = {
        "signature": {"signature": real.signature[:-2]},
        "decision": {"signature": Device(f"{ANNA}'s phone").sign(b"something else")},
        "restore": {"restore": True},
        "lead": {"name": CARA},
    }[change]
    bare = dataclasses.replace(desk, ledger=type(desk.ledger)("sqlite://"))
    for each in desk.ledger.facts(run_id=plan.run_id):
        detail = each.detail | changed if each.kind == "answered" else each.detail
        bare.ledger.record(raw_fact(each.kind, detail), **where(plan), once=each.once)
    signers = tuple(signer.model_copy(update={"name": changed.get("name", ANNA)}) for signer in approval.signers)
    with pytest.raises(NotApproved, match="does not verify"):
        require_witnessed(bare.ledger, plan, approval.model_copy(update={"signers": signers}), desk.leads)


def test_a_passkey_that_left_the_leads_file_opens_nothing(desk: DeskWithPasskeys) -> None:
    """Its entry counts when the call is made."""
    plan = desk.ask(draft(risk=YELLOW))
    approval = desk.approve(plan, proof=desk.passkey(plan))
    with pytest.raises(NotApproved, match="does not verify"):
        require_witnessed(desk.ledger, plan, approval, leads_without(frozenset()))

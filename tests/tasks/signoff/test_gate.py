"""The gate: one plan, so many different people, each proven, in time; everything else is no approval."""

import json
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.estate.errors import Rejected
from tasks.estate.plans import Approval, Signer
from tasks.ledger.approval_requests import open_requests
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import recorded_answer
from tasks.signoff.gate import Waiting
from tests.tasks.safeguards.stories import PROD, STAGE
from tests.tasks.signoff.desk import ANNA, BEN, CARA, NOW, YELLOW, Desk, risky


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a ledger in memory."""
    return Desk.opened(monkeypatch)


def test_one_person_says_yes_with_a_code(desk: Desk) -> None:
    """The approval names who said it, how it was proven and when, and is good for half an hour after that."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    desk.later(minutes=5)
    approval = desk.yes(plan, proof=desk.code())
    assert approval.signers == (Signer(name=ANNA, proof="code", answered_at=desk.now),)
    assert (approval.kind, approval.approver, approval.reason) == ("person", ANNA, "release day")
    assert approval.execute_by == NOW + timedelta(minutes=35)
    assert (approval.plan, approval.run_id) == (plan.fingerprint, plan.run_id)
    assert recorded_answer(desk.ledger, plan) == approval
    assert not open_requests(desk.ledger)


def test_two_people_say_yes_one_after_the_other(desk: Desk) -> None:
    """The first yes goes on waiting and shows who said it; the second makes the approval, which counts from then on."""
    plan = risky()
    desk.ask(plan)
    first = desk.say(plan, reason="the menu is done")
    assert isinstance(first, Waiting)
    assert [signer.name for signer in first.yes] == [ANNA]
    assert (first.index, first.refused, first.attempts_left) == (1, "", 5)
    desk.later(hours=3)
    approval = desk.yes(plan, BEN, desk.code(BEN))
    assert [(signer.name, signer.proof) for signer in approval.signers] == [(ANNA, "signature"), (BEN, "code")]
    assert approval.approver == f"{ANNA} and {BEN}"
    assert approval.reason == "the menu is done; release day"
    assert approval.execute_by == desk.now + timedelta(minutes=30)


@pytest.mark.parametrize("spelling", [ANNA, "anna lead", "  ANNA   Lead "])
def test_the_same_person_counts_once(desk: Desk, spelling: str) -> None:
    """A second yes of one lead is refused however the name is written; it is an honest mistake and costs no attempt."""
    plan = risky()
    desk.ask(plan)
    desk.say(plan)
    assert (
        desk.refused(plan, spelling, desk.signature(plan)) == f"{ANNA} has approved before; somebody else must answer."
    )
    waiting = desk.gate.waiting(plan)
    assert (len(waiting.yes), waiting.attempts_left, waiting.index) == (1, 5, 2)
    assert isinstance(desk.yes(plan, CARA), Approval)


def test_who_asked_may_not_approve_alone(desk: Desk) -> None:
    """A yellow plan needs somebody else than its requester; a red one may count the requester as one of the two."""
    yellow = risky(risk=YELLOW).model_copy(update={"requested_by": "anna LEAD"})
    desk.ask(yellow)
    assert "requested this" in desk.refused(yellow)
    desk.yes(yellow, BEN)
    red = risky("two").model_copy(update={"requested_by": ANNA})
    desk.ask(red)
    desk.say(red)
    assert [signer.name for signer in desk.yes(red, BEN).signers] == [ANNA, BEN]


def test_a_yes_of_a_lead_who_is_suspended_meanwhile_does_not_count(desk: Desk) -> None:
    """Both who are counted are leads when the approval is made: a first yes is gone with its lead's leave."""
    plan = risky()
    desk.ask(plan)
    desk.say(plan)
    desk.suspended = frozenset({ANNA})
    waiting = desk.say(plan, BEN)
    assert isinstance(waiting, Waiting)
    assert [signer.name for signer in waiting.yes] == [BEN]
    assert [signer.name for signer in desk.yes(plan, CARA).signers] == [BEN, CARA]


def test_who_is_no_lead_or_suspended_cannot_say_yes(desk: Desk) -> None:
    """A right signature of somebody who may not answer counts as a wrong proof, and the stranger's name is not kept."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    signature = desk.signature(plan)
    desk.suspended = frozenset({ANNA})
    assert "suspended" in desk.refused(plan, proof=signature)
    assert "Nobody is enrolled" in desk.refused(plan, "Mallory", signature)
    assert desk.gate.waiting(plan).attempts_left == 3
    assert {fact.detail["name"] for fact in desk.ledger.facts(kind="answer-refused")} == {""}


@pytest.mark.parametrize(
    "changes",
    [{"plan": "0000-0000"}, {"plan": ""}, {"destination": "stage2"}, {"destination": "STAGE"}, {"reason": "ok"}],
)
def test_a_wrong_form_does_not_count(desk: Desk, changes: dict[str, str]) -> None:
    """A proven answer with another code, another destination or no real reason costs an attempt."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    desk.refused(plan, **changes)
    assert desk.gate.waiting(plan).attempts_left == 4


def test_the_code_of_a_plan_may_be_typed_small(desk: Desk) -> None:
    """Spaces around and small letters make no other plan; spaces around the destination no other place."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    desk.yes(plan, plan=f" {plan.code.lower()} ", destination=" stage ")


def test_five_refused_proofs_end_the_question(desk: Desk) -> None:
    """The fifth wrong proof is the gate's own no and an alert; a right one afterwards comes too late."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    for left in (4, 3, 2, 1):
        desk.refused(plan, proof="what?")
        assert desk.gate.waiting(plan).attempts_left == left
    with pytest.raises(Rejected, match="5 answers without valid proof") as ended:
        desk.say(plan, proof="what?")
    assert ended.value.facts["alert"]
    assert not open_requests(desk.ledger)
    with pytest.raises(Rejected, match="The gate rejected plan"):
        desk.say(plan)
    assert len(desk.ledger.facts(kind="answer-refused")) == 5


def test_the_last_refusal_and_the_end_are_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies when it has recorded the fifth refusal has recorded the end as well: there is no sixth attempt."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    for _ in range(4):
        desk.refused(plan, proof="what?")
    together = Ledger.record_together

    def die_after(self: Ledger, *given: Any) -> None:
        together(self, *given)
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "record_together", die_after)
    with pytest.raises(KeyboardInterrupt):
        desk.say(plan, proof="what?")
    monkeypatch.setattr(Ledger, "record_together", together)
    with pytest.raises(Rejected):
        desk.say(plan)


def test_a_form_without_an_answer_costs_an_attempt(desk: Desk) -> None:
    """A run that is resumed past its form asks again, five times at most."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    for left in (4, 3, 2, 1):
        waiting = desk.gate.unreadable(plan)
        assert isinstance(waiting, Waiting)
        assert waiting.attempts_left == left
    with pytest.raises(Rejected) as ended:
        desk.gate.unreadable(plan)
    assert ended.value.facts["alert"]


def test_a_no_needs_no_proof_and_ends_it(desk: Desk) -> None:
    """Anybody may stop a plan; the end says whether it was proven who did, and stays when a lead says yes after it."""
    for number, (proof, words) in enumerate([("", f"{ANNA} \\(not proven\\) rejected"), (None, f"{ANNA} rejected")]):
        plan = risky(f"run-{number}", risk=YELLOW)
        desk.ask(plan)
        with pytest.raises(Rejected, match=words) as ended:
            desk.say(plan, proof=proof, decision="reject", plan="", destination="", reason="not today")
        assert "alert" not in ended.value.facts
        with pytest.raises(Rejected, match=words):
            desk.say(plan)


@pytest.mark.parametrize("decision", ["", "Approve", "yes", "approve "])
def test_whatever_is_not_exactly_a_yes_is_a_no(desk: Desk, decision: str) -> None:
    """A decision in other words ends the question: doubt is a no."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    with pytest.raises(Rejected):
        desk.say(plan, decision=decision)


def test_one_no_ends_a_plan_that_has_a_yes(desk: Desk) -> None:
    """Of two people one yes and one no are a no."""
    plan = risky()
    desk.ask(plan)
    desk.say(plan)
    with pytest.raises(Rejected):
        desk.say(plan, BEN, decision="reject")
    with pytest.raises(Rejected):
        desk.say(plan, CARA)


def test_nothing_typed_is_kept_but_signatures_that_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No code and no refused proof is in any row of the ledger's file; an accepted signature is, with what it is over."""
    desk = Desk.opened(monkeypatch, f"sqlite:///{tmp_path / 'ledger.db'}")
    plan, typed = risky(), []
    desk.ask(plan)
    wrong = desk.signature(plan, decision="reject")
    proofs = (lambda: desk.code(BEN), lambda: "hunter2-hunter2", lambda: wrong, desk.code, lambda: desk.code(steps=1))
    for show in proofs:
        typed.append(show())
        desk.say(plan, proof=typed[-1])
        desk.later(seconds=61)
    good = desk.signature(plan, BEN)
    desk.yes(plan, BEN, good)
    rows = [json.dumps(asdict(fact), default=str) for fact in desk.ledger.facts()]
    answered = [row for row in rows if good in row]
    assert len(answered) == 1
    said = [
        json.dumps([fact.detail, fact.once]) for fact in desk.ledger.facts()
    ]  # times and hashes hold digits by chance
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.db*"))
    for proof in typed:
        assert not any(re.search(rf"(?<![0-9a-f]){re.escape(proof)}(?![0-9a-f])", row) for row in said)
        assert proof.isdecimal() or proof.encode() not in kept
    assert good.encode() in kept
    assert len(desk.ledger.facts(kind="code-used")) == 2
    assert desk.ledger.verify() == []


def test_leave_to_put_back_needs_everybody_and_a_promotion(desk: Desk) -> None:
    """The approval of a promotion allows the restore for 15 minutes if both said so; a refresh never does."""
    expected = {(True, True): 900, (True, False): 0, (False, True): 0, (False, False): 0}
    for (first, second), seconds in expected.items():
        plan = risky(f"{first}-{second}", verb="promote", source=STAGE, destination=PROD)
        desk.ask(plan)
        desk.say(plan, restore=first)
        assert desk.yes(plan, BEN, restore=second).restore_within == seconds
    refresh = risky()
    desk.ask(refresh)
    desk.say(refresh, restore=True)
    assert desk.yes(refresh, BEN, restore=True).restore_within == 0


def test_answers_after_the_end_give_the_end(desk: Desk) -> None:
    """Once approved, every later word gives the same approval: a second yes, a no, a wrong proof, an empty form."""
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    approval = desk.yes(plan)
    before = len(desk.ledger.facts())
    assert desk.say(plan, BEN) == approval
    assert desk.say(plan, BEN, decision="reject") == approval
    assert desk.say(plan, "Mallory", "what?") == approval
    assert desk.gate.unreadable(plan) == approval
    assert desk.gate.expire(plan) == approval
    assert len(desk.ledger.facts()) == before


def test_two_workers_with_one_answer_make_one_approval(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another worker records the end between look and record, that end counts, whichever it is."""
    for number, ends in enumerate((lambda p: desk.yes(p, BEN), lambda p: _no(desk, p))):
        plan = risky(f"run-{number}", risk=YELLOW)
        desk.ask(plan)
        answer, gate = desk.answer(plan), desk.gate
        together = Ledger.record_together

        def overtaken(self: Ledger, *given: Any, plan: Any = plan, ends: Any = ends, together: Any = together) -> Any:
            monkeypatch.setattr(Ledger, "record_together", together)
            ends(plan)
            return together(self, *given)

        monkeypatch.setattr(Ledger, "record_together", overtaken)
        if number == 0:
            approval = gate.evaluate(plan, answer, now=desk.now)
            assert isinstance(approval, Approval)
            assert approval.approver == BEN
        else:
            with pytest.raises(Rejected, match="not today"):
                gate.evaluate(plan, answer, now=desk.now)
    assert len(desk.ledger.facts(kind="approved")) == 1


def _no(desk: Desk, plan: Any) -> None:
    with pytest.raises(Rejected):
        desk.say(plan, CARA, decision="reject", reason="not today")

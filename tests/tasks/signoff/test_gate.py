"""The approval gate: how many different people must approve, with which proof, and which answers do not count."""

import json
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.estate.dumps import RISK_PHRASE
from tasks.estate.errors import Rejected
from tasks.estate.plans import Approval, Signer
from tasks.ledger.approval_requests import open_requests
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import recorded_answer
from tasks.signoff.gate import Waiting
from tests.tasks.safeguards.ledger_histories import PROD, STAGE, load_plan
from tests.tasks.signoff.approval_desk import ANNA, BEN, CARA, NOW, RED, YELLOW, Desk, draft


def test_one_person_approves_with_a_code(desk: Desk) -> None:
    """The approval contains the approver, the proof and the time, and may be used for half an hour after that."""
    plan = desk.ask(draft(risk=YELLOW))
    desk.wait(minutes=5)
    approval = desk.approve(plan, proof=desk.code())
    assert approval.signers == (Signer(name=ANNA, proof="code", answered_at=desk.now),)
    assert (approval.kind, approval.approver, approval.reason) == ("person", ANNA, "release day")
    assert approval.execute_by == NOW + timedelta(minutes=35)
    assert (approval.plan, approval.run_id) == (plan.fingerprint, plan.run_id)
    assert recorded_answer(desk.ledger, plan) == approval
    assert not open_requests(desk.ledger)


def test_two_people_approve_one_after_the_other(desk: Desk) -> None:
    """The first answer leaves the request open and names its approver; the second makes the approval, from whose time it is valid."""
    plan = desk.ask(draft())
    first = desk.submit(plan, reason="the menu is done")
    assert isinstance(first, Waiting)
    assert [signer.name for signer in first.yes] == [ANNA]
    assert (first.index, first.refused, first.attempts_left) == (1, "", 5)
    desk.wait(hours=3)
    approval = desk.approve(plan, BEN, desk.code(BEN))
    assert [(signer.name, signer.proof) for signer in approval.signers] == [(ANNA, "signature"), (BEN, "code")]
    assert approval.approver == f"{ANNA} and {BEN}"
    assert approval.reason == "the menu is done; release day"
    assert approval.execute_by == desk.now + timedelta(minutes=30)


@pytest.mark.parametrize("spelling", [ANNA, "anna lead", "  ANNA   Lead "])
def test_the_same_person_counts_once(desk: Desk, spelling: str) -> None:
    """A second approval by one lead is refused, however the name is written, and uses no attempt."""
    plan = desk.ask(draft())
    desk.submit(plan)
    assert (
        desk.refusal(plan, spelling, desk.signature(plan)) == f"{ANNA} has approved before; somebody else must answer."
    )
    waiting = desk.gate.waiting(plan)
    assert (len(waiting.yes), waiting.attempts_left, waiting.index) == (1, 5, 2)
    assert isinstance(desk.approve(plan, CARA), Approval)


def test_a_requester_may_not_approve_alone(desk: Desk) -> None:
    """A yellow plan needs another approver than its requester; a red one may count the requester as one of two."""
    yellow = desk.ask(draft(risk=YELLOW).model_copy(update={"requested_by": "anna LEAD"}))
    assert "requested this" in desk.refusal(yellow)
    desk.approve(yellow, BEN)
    red = desk.ask(draft("two").model_copy(update={"requested_by": ANNA}))
    desk.submit(red)
    assert [signer.name for signer in desk.approve(red, BEN).signers] == [ANNA, BEN]


def test_an_approver_who_is_suspended_before_the_last_answer_does_not_count(desk: Desk) -> None:
    """Everybody who is counted must be a lead when the approval is made."""
    plan = desk.ask(draft())
    desk.submit(plan)
    desk.suspended = frozenset({ANNA})
    waiting = desk.submit(plan, BEN)
    assert isinstance(waiting, Waiting)
    assert [signer.name for signer in waiting.yes] == [BEN]
    assert [signer.name for signer in desk.approve(plan, CARA).signers] == [BEN, CARA]


def test_strangers_and_suspended_leads_cannot_approve(desk: Desk) -> None:
    """A valid signature of somebody who may not answer is a wrong proof, and a stranger's name is not recorded."""
    plan = desk.ask(draft(risk=YELLOW))
    signature = desk.signature(plan)
    desk.suspended = frozenset({ANNA})
    assert "suspended" in desk.refusal(plan, proof=signature)
    assert "Nobody is enrolled" in desk.refusal(plan, "Mallory", signature)
    assert desk.gate.waiting(plan).attempts_left == 3
    assert {fact.detail["name"] for fact in desk.ledger.facts(kind="answer-refused")} == {""}


@pytest.mark.parametrize(
    "changes",
    [{"plan": "0000-0000"}, {"plan": ""}, {"destination": "stage2"}, {"destination": "STAGE"}, {"reason": "ok"}],
)
def test_an_incorrect_form_does_not_count(desk: Desk, changes: dict[str, str]) -> None:
    """A proven answer with another plan code, another destination or too short a reason uses an attempt."""
    plan = desk.ask(draft(risk=YELLOW))
    desk.refusal(plan, **changes)
    assert desk.gate.waiting(plan).attempts_left == 4


@pytest.mark.parametrize(
    ("plan", "lacks", "why"),
    [
        (draft(risk=YELLOW), {"proof": ""}, "needs a name and a proof"),
        (draft(risk=YELLOW), {"approver": " "}, "needs a name and a proof"),
        (draft(risk=RED), {"destination": ""}, "was not typed; expected stage"),
        (load_plan(risk=YELLOW, arrives_raw=("passwords",)), {"phrase": ""}, "The risk phrase was not typed exactly"),
        (load_plan(risk=YELLOW, arrives_raw=("passwords",)), {"phrase": RISK_PHRASE.lower()}, "expected I_UNDERSTAND"),
    ],
)
def test_an_approval_that_lacks_what_its_class_needs_counts_as_none(
    desk: Desk, plan: Any, lacks: dict[str, str], why: str
) -> None:
    """The message names what is missing, the request stays open, and the whole answer counts afterwards."""
    desk.ask(plan)
    assert why in desk.refusal(plan, **{"phrase": RISK_PHRASE, **lacks})
    assert desk.gate.waiting(plan).attempts_left == 4
    found = desk.submit(plan, phrase=RISK_PHRASE)
    assert isinstance(found, Approval) or len(found.yes) == 1


def test_only_red_needs_the_name_of_the_destination(desk: Desk) -> None:
    """A yellow plan is approved without it; a wrong name counts for no class."""
    desk.approve(desk.ask(draft(risk=YELLOW)), destination="")


def test_plan_code_and_destination_are_compared_leniently(desk: Desk) -> None:
    """Case of the plan code and spaces around both do not matter."""
    plan = desk.ask(draft(risk=YELLOW))
    desk.approve(plan, plan=f" {plan.code.lower()} ", destination=" stage ")


@pytest.mark.parametrize(
    "attempt",
    [lambda desk, plan: desk.submit(plan, proof="what?"), lambda desk, plan: desk.gate.unreadable(plan)],
    ids=["wrong proof", "no answer"],
)
def test_the_fifth_failed_attempt_rejects_the_plan(desk: Desk, attempt: Any) -> None:
    """A wrong proof, or a resumed run without an answer, uses an attempt. The fifth is an alert, and ends the request."""
    plan = desk.ask(draft(risk=YELLOW))
    for left in (4, 3, 2, 1):
        waiting = attempt(desk, plan)
        assert isinstance(waiting, Waiting)
        assert waiting.attempts_left == left
    with pytest.raises(Rejected, match="5 answers without valid proof") as ended:
        attempt(desk, plan)
    assert ended.value.facts["alert"]
    assert not open_requests(desk.ledger)
    with pytest.raises(Rejected, match="The gate rejected plan"):
        desk.submit(plan)
    assert len(desk.ledger.facts(kind="answer-refused")) == 5


def test_the_last_refusal_and_the_end_are_one_transaction(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies after it recorded the fifth refusal has recorded the end too, so there is no sixth attempt."""
    plan = desk.ask(draft(risk=YELLOW))
    for _ in range(4):
        desk.refusal(plan, proof="what?")
    together = Ledger.record_together

    def die_after(self: Ledger, *given: Any) -> None:
        together(self, *given)
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "record_together", die_after)
    with pytest.raises(KeyboardInterrupt):
        desk.submit(plan, proof="what?")
    monkeypatch.setattr(Ledger, "record_together", together)
    with pytest.raises(Rejected):
        desk.submit(plan)


def test_a_rejection_needs_no_proof(desk: Desk) -> None:
    """Anybody may reject a plan. The end records whether that was proven, and a later approval does not change it."""
    for number, (proof, words) in enumerate([("", f"{ANNA} \\(not proven\\) rejected"), (None, f"{ANNA} rejected")]):
        plan = desk.ask(draft(f"run-{number}", risk=YELLOW))
        with pytest.raises(Rejected, match=words) as ended:
            desk.submit(plan, proof=proof, decision="reject", plan="", destination="", reason="not today")
        assert "alert" not in ended.value.facts
        with pytest.raises(Rejected, match=words):
            desk.submit(plan)


@pytest.mark.parametrize("decision", ["", "Approve", "yes", "approve "])
def test_any_decision_other_than_approve_is_a_rejection(desk: Desk, decision: str) -> None:
    """A decision in other words ends the request as rejected."""
    plan = desk.ask(draft(risk=YELLOW))
    with pytest.raises(Rejected):
        desk.submit(plan, decision=decision)


def test_one_rejection_outweighs_an_approval(desk: Desk) -> None:
    """If one of two people rejects, the plan is rejected."""
    plan = desk.ask(draft())
    desk.submit(plan)
    with pytest.raises(Rejected):
        desk.submit(plan, BEN, decision="reject")
    with pytest.raises(Rejected):
        desk.submit(plan, CARA)


def test_only_accepted_signatures_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger's file contains no code and no refused proof, only accepted signatures with what they cover."""
    desk = Desk.create(monkeypatch, f"sqlite:///{tmp_path / 'ledger.db'}")
    plan, typed = draft(), []
    desk.ask(plan)
    wrong = desk.signature(plan, decision="reject")
    proofs = (lambda: desk.code(BEN), lambda: "hunter2-hunter2", lambda: wrong, desk.code, lambda: desk.code(steps=1))
    for show in proofs:
        typed.append(show())
        desk.submit(plan, proof=typed[-1])
        desk.wait(seconds=61)
    good = desk.signature(plan, BEN)
    desk.approve(plan, BEN, good)
    rows = [json.dumps(asdict(fact), default=str) for fact in desk.ledger.facts()]
    answered = [row for row in rows if good in row]
    assert len(answered) == 1
    details = [json.dumps([fact.detail, fact.once]) for fact in desk.ledger.facts()]  # hashes contain digits by chance
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.db*"))
    for proof in typed:
        assert not any(re.search(rf"(?<![0-9a-f]){re.escape(proof)}(?![0-9a-f])", row) for row in details)
        assert proof.isdecimal() or proof.encode() not in kept
    assert good.encode() in kept
    assert len(desk.ledger.facts(kind="code-used")) == 2
    assert desk.ledger.verify() == []


def test_permission_to_restore_needs_everybody_and_a_promotion(desk: Desk) -> None:
    """The approval of a promotion permits the restore for 15 minutes if both people did; that of a refresh never does."""
    expected = {(True, True): 900, (True, False): 0, (False, True): 0, (False, False): 0}
    for (first, second), seconds in expected.items():
        plan = desk.ask(draft(f"{first}-{second}", verb="promote", source=STAGE, destination=PROD))
        desk.submit(plan, restore=first)
        assert desk.approve(plan, BEN, restore=second).restore_within == seconds
    refresh = desk.ask(draft())
    desk.submit(refresh, restore=True)
    assert desk.approve(refresh, BEN, restore=True).restore_within == 0


def test_answers_after_an_approval_return_it(desk: Desk) -> None:
    """A later approval, rejection, wrong proof or empty form returns the recorded approval and records nothing."""
    plan = desk.ask(draft(risk=YELLOW))
    approval = desk.approve(plan)
    before = len(desk.ledger.facts())
    assert desk.submit(plan, BEN) == approval
    assert desk.submit(plan, BEN, decision="reject") == approval
    assert desk.submit(plan, "Mallory", "what?") == approval
    assert desk.gate.unreadable(plan) == approval
    assert desk.gate.expire(plan) == approval
    assert len(desk.ledger.facts()) == before


def test_two_workers_with_one_answer_make_one_approval(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another worker records the end between reading and recording, that end counts, approval or rejection."""
    for number, ends in enumerate((lambda p: desk.approve(p, BEN), lambda p: _reject(desk, p))):
        plan = desk.ask(draft(f"run-{number}", risk=YELLOW))
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


def _reject(desk: Desk, plan: Any) -> None:
    with pytest.raises(Rejected):
        desk.submit(plan, CARA, decision="reject", reason="not today")

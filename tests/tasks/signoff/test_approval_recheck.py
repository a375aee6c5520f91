"""Witnesses: an approval of any kind that somebody wrote into the ledger permits nothing without what proves it."""

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from tasks.estate.errors import NotApproved
from tasks.estate.plans import Approval, CopyOptions, Plan, Signer
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Environment
from tasks.ledger.facts import PreauthorisationUsed, Sending
from tasks.safeguards.risk_rules import RiskRules
from tasks.signoff.answers import entry, record_approval, where
from tasks.signoff.approval_recheck import (
    require_fitting,
    require_preauthorised,
    require_standing,
    require_witnessed,
    verified_signatures,
)
from tasks.signoff.leads import Leads
from tasks.signoff.one_time_codes import may_be_production
from tasks.signoff.preauthorised import key_of
from tasks.signoff.proofs import sign
from tasks.signoff.standing import NAMESPACE, StandingApproval, standing_statement
from tasks.signoff.standing_entries import standing_use
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import DEV, GREEN, PROD, STAGE, install, load_plan, plan
from tests.tasks.signoff.approval_desk import ANNA, BEN, CARA, ENTRY, KEYS, NOW, RED, SECRETS, YELLOW, Desk, draft
from tests.tasks.signoff.test_preauthorised import Failing, put_back

HALF_AN_HOUR = timedelta(minutes=30)
SIGNED = YELLOW.model_copy(update={"signatures": 1})
SIGNED_RED = RED.model_copy(update={"signatures": 1})


def forge(desk: Desk, wanted: Any, kind: Any, *names: str, proof: Any = "code", **more: Any) -> Approval:
    """Record an approval without the gate, as whoever can write to the ledger's database."""
    signers = tuple(Signer(name=name, proof=proof, answered_at=desk.now) for name in names)
    fields: dict[str, Any] = {
        "approver": " and ".join(names) or "x",
        "reason": "because I can",
        "answered_at": desk.now,
    }
    return record_approval(
        desk.ledger, wanted, kind=kind, execute_within=HALF_AN_HOUR, signers=signers, **fields | more
    )


def require(desk: Desk, plan: Plan, approval: Approval, leads: Leads | None = None, **limits: Any) -> None:
    """Check the approval with the answers in the ledger, as right before the call."""
    require_witnessed(desk.ledger, plan, approval, leads or desk.gate.leads, **limits)


def up(run: str = "up", risk: Risk = YELLOW, **changes: Any) -> Plan:
    """Return the plan of a promotion."""
    return draft(run, risk, verb="promote", source=STAGE, destination=PROD, **changes)


@pytest.mark.parametrize("risk", [SIGNED_RED, YELLOW, GREEN])
@pytest.mark.parametrize("kind", ["standing", "pre-authorised"])
def test_only_people_can_approve_a_promotion(desk: Desk, risk: Risk, kind: str) -> None:
    """A standing or pre-authorised approval does not fit a promotion, and a promotion is never green."""
    wanted = up(risk=risk)
    with pytest.raises(NotApproved, match="does not fit"):
        require_fitting(wanted, forge(desk, wanted, kind), RiskRules())


@pytest.mark.parametrize(
    ("wanted", "kind", "fits"),
    [
        (plan(), "standing", True), (load_plan(), "standing", True), (put_back(up()), "pre-authorised", True),
        (plan(), "person", True), (up(risk=YELLOW), "person", True), (up(risk=SIGNED_RED), "person", True),
        (plan(risk=YELLOW), "standing", False), (plan(risk=SIGNED_RED), "standing", False), (plan("provision"), "standing", False),
        (plan(destination=install("odd", Environment.UNKNOWN)), "standing", False),
        (put_back(up(), destination=STAGE), "standing", False), (load_plan(risk=YELLOW), "standing", False),
        (plan(), "pre-authorised", False), (load_plan(), "pre-authorised", False),
        (up(risk=GREEN), "person", False), (plan(risk=Risk(grade=Grade.BLACK, reasons=())), "person", False),
        (plan(risk=RED.model_copy(update={"people": 1, "signatures": 1})), "person", False),
        (plan(risk=RED), "person", False),  # no signature demanded
    ],
)  # fmt: skip
def test_an_approval_must_fit_verb_direction_and_risk_class(desk: Desk, wanted: Any, kind: str, fits: bool) -> None:
    """Each kind of approval fits its plans only, and none fits a plan that demands less than the rules."""
    if wanted.verb == "restore":
        wanted = wanted.model_copy(update={"risk": YELLOW})
    approval = forge(desk, wanted, kind)
    if fits:
        require_fitting(wanted, approval, RiskRules())
    else:
        with pytest.raises(NotApproved):
            require_fitting(wanted, approval, RiskRules())


@pytest.mark.parametrize("changes", [{"run_id": "other"}, {"plan": "0" * 64}])
def test_an_approval_of_another_run_or_plan_does_not_fit(desk: Desk, changes: dict[str, Any]) -> None:
    """Plan and run of the approval must be those of the plan."""
    wanted = plan()
    with pytest.raises(NotApproved, match="another plan or run"):
        require_fitting(wanted, forge(desk, wanted, "person").model_copy(update=changes), RiskRules())


def record_answer(desk: Desk, wanted: Plan, detail: dict[str, Any]) -> None:
    """Write an answer into the ledger without the gate."""
    desk.ledger.record(raw_fact("answered", detail), **where(wanted))


def test_answers_with_a_code_and_a_signature_prove_an_approval(desk: Desk) -> None:
    """Also with permission to restore, which is part of what is signed."""
    wanted = desk.ask(draft())
    desk.submit(wanted, ANNA, desk.code(ANNA))
    require(desk, wanted, desk.approve(wanted, BEN))
    promotion = desk.ask(draft(run="other", risk=YELLOW, verb="promote"))
    approval = desk.approve(promotion, CARA, restore=True)
    assert approval.restore_within
    require(desk, promotion, approval)


@pytest.mark.parametrize(
    ("risk", "answers", "signers"), [(YELLOW, (), (ANNA,)), (RED, (ANNA,), (ANNA, BEN)), (RED, (ANNA,), ())]
)
def test_an_approval_of_people_who_did_not_answer_is_refused(
    desk: Desk, risk: Risk, answers: tuple[str, ...], signers: tuple[str, ...]
) -> None:
    """Each person whom the approval names must have answered, and it must name somebody."""
    wanted = desk.ask(draft(risk=risk))
    for name in answers:
        desk.submit(wanted, name)
    with pytest.raises(NotApproved, match="did not answer"):
        require(desk, wanted, forge(desk, wanted, "person", *signers, proof="signature"))


def test_a_copied_signature_does_not_verify(desk: Desk) -> None:
    """An answer that was copied from another plan is not signed for this one."""
    wanted, other = up("a", SIGNED), up("b", SIGNED)
    desk.ask(wanted)
    desk.approve(wanted, CARA)
    desk.ask(other)
    (real,) = desk.ledger.facts(kind="answered")
    record_answer(desk, other, real.detail)
    with pytest.raises(NotApproved, match=f"signature of {CARA} does not verify"):
        require(desk, other, forge(desk, other, "person", CARA, proof="signature"))


def test_the_answer_of_a_lead_who_was_suspended_since_does_not_count(desk: Desk) -> None:
    """Approvers must be leads when the call is made."""
    wanted = desk.ask(draft(risk=YELLOW))
    approval = desk.approve(wanted)
    desk.suspended = frozenset({ANNA})
    with pytest.raises(NotApproved, match="suspended"):
        require(desk, wanted, approval)


def test_stored_signatures_can_be_verified_later(desk: Desk) -> None:
    """The leads file and the ledger are enough; signatures of suspended leads are not counted."""
    desk.approve(desk.ask(draft(risk=YELLOW)))
    facts = desk.ledger.facts()
    assert verified_signatures(facts, desk.gate.leads) == (1, 1)
    desk.suspended = frozenset({ANNA})
    assert verified_signatures(facts, desk.gate.leads) == (0, 1)


def test_a_copied_answer_by_code_is_refused(desk: Desk) -> None:
    """Facts about a code that were copied from another run do not have the seal of this plan."""
    real, wanted = up("real"), up("forged")
    desk.ask(real)
    desk.approve(real, proof=desk.code())
    desk.ask(wanted)
    copied = [fact for fact in desk.ledger.facts(run_id="real") if fact.kind in ("answered", "answer-settled")]
    for fact in copied:
        desk.ledger.record(raw_fact(fact.kind, fact.detail), **where(wanted))
    desk.ledger.record(raw_fact("code-used"), run_id="forged", once="code:anna lead:1")
    forged = forge(desk, wanted, "person", ANNA)
    with pytest.raises(NotApproved, match="no worker saw a valid code"):
        require(desk, wanted, forged)


def test_an_answer_by_code_needs_the_present_secret_of_its_lead(desk: Desk) -> None:
    """It does not count any more if the lead has a new secret, or none."""
    wanted = desk.ask(plan(risk=YELLOW))
    approval = desk.approve(wanted, proof=desk.code())
    require(desk, wanted, approval, execute_within=HALF_AN_HOUR)
    everybody = desk.gate.leads.everybody
    for secrets in ({}, {ANNA: SECRETS[BEN]}):
        with pytest.raises(NotApproved, match="no worker saw a valid code"):
            require_witnessed(desk.ledger, wanted, approval, Leads(everybody, secrets))


def test_an_answer_by_code_needs_the_use_of_its_code(desk: Desk) -> None:
    """A valid seal is not enough if the ledger does not contain the use of the code by this run."""
    wanted = desk.ask(plan(risk=YELLOW))
    approval = desk.approve(wanted, proof=desk.code())
    facts = [fact for fact in desk.ledger.facts() if fact.kind != "code-used"]
    bare = Desk(desk.ledger.__class__("sqlite://"), desk.now)
    for fact in facts:
        bare.ledger.record(
            raw_fact(fact.kind, fact.detail), run_id=fact.run_id, destination_id=fact.destination_id, plan=fact.plan
        )
    with pytest.raises(NotApproved, match="no worker saw a valid code"):
        require_witnessed(bare.ledger, wanted, approval, desk.gate.leads)


def test_a_code_for_production_counts_only_after_it_settled(desk: Desk) -> None:
    """A forged approval next to an answer that is still watched, or with a forged end of that watch, is refused."""
    wanted = desk.ask(up())
    desk.submit(wanted, proof=desk.code())
    forged = forge(desk, wanted, "person", ANNA)
    with pytest.raises(NotApproved, match="has not settled"):
        require(desk, wanted, forged)
    desk.ledger.record(raw_fact("answer-settled", {"index": 0, "seal": "00"}), **where(wanted))
    with pytest.raises(NotApproved, match="has not settled"):
        require(desk, wanted, forged)


def test_a_settled_code_proves_its_approval_and_a_void_one_does_not(desk: Desk) -> None:
    """A code for production that was typed elsewhere too is void, and its lead does not count."""
    wanted, other = up("a"), up("b")
    desk.ask(wanted)
    require(desk, wanted, desk.approve(wanted, proof=desk.code()))
    desk.wait(minutes=1)
    desk.ask(other)
    again = desk.settle(other, desk.submit(other, proof=desk.code()), moved="It was typed elsewhere.")
    assert not isinstance(again, Approval)
    assert (again.yes, again.settling, again.refused) == ((), None, "It was typed elsewhere.")
    with pytest.raises(NotApproved, match="did not answer"):
        require(desk, other, forge(desk, other, "person", ANNA))


def test_after_a_void_code_the_same_lead_may_answer_again(desk: Desk) -> None:
    """The void code stays used, and a signature makes an approval from that answer only."""
    wanted = desk.ask(up())
    code = desk.code()
    desk.settle(wanted, desk.submit(wanted, proof=code), moved="It was typed elsewhere.")
    typed_again = desk.answer(wanted, proof=code, given_at=desk.now - timedelta(minutes=1))
    assert "used before" in getattr(desk.gate.evaluate(wanted, typed_again, now=desk.now), "refused", "")
    approval = desk.approve(wanted)
    require(desk, wanted, approval)
    assert [signer.proof for signer in approval.signers] == ["signature"]


def test_a_void_answer_adds_neither_permission_nor_reason(desk: Desk) -> None:
    """The approval contains the permission to restore and the reason of counted answers only."""
    wanted = desk.ask(up())
    desk.settle(
        wanted, desk.submit(wanted, proof=desk.code(), restore=True, reason="stolen"), moved="It was typed elsewhere."
    )
    approval = desk.approve(wanted, restore=False)
    assert (approval.restore_within, approval.reason) == (0, "release day")


def test_codes_for_staging_count_at_once(desk: Desk) -> None:
    """A code is watched only if the destination may be production; an unknown role counts as production."""
    for destination in (STAGE, DEV):
        assert not may_be_production(plan(destination=destination))
    for role in (Environment.PRODUCTION, Environment.UNKNOWN):
        assert may_be_production(plan(destination=install("odd", role)))


def test_no_answer_is_evaluated_while_a_code_is_watched(desk: Desk) -> None:
    """A second approval during that minute waits, and then both count."""
    wanted = desk.ask(up(risk=SIGNED_RED))
    first = desk.submit(wanted, BEN, desk.code(BEN))
    assert desk.submit(wanted, ANNA) == first
    assert not isinstance(desk.settle(wanted, first), Approval)
    approval = desk.approve(wanted, ANNA)
    assert approval.approver == f"{BEN} and {ANNA}"
    require(desk, wanted, approval)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"signers": (ANNA, ANNA)}, "people answered|did not answer"),
        ({"signers": (ANNA,)}, "people answered"),
        ({"signers": ()}, "did not answer"),
        ({"signers": (BEN, ANNA)}, "did not answer"),
        ({"restore_within": 900}, "permitted"),
        ({"execute_by": NOW + timedelta(days=1)}, "longer"),
    ],
)
def test_an_approval_must_not_exceed_its_answers(desk: Desk, spoil: dict[str, Any], why: str) -> None:
    """Signers, permission to restore and lifetime must be those of the answers."""
    wanted = desk.ask(up(risk=SIGNED_RED))
    desk.submit(wanted, ANNA)
    approval = desk.approve(wanted, BEN)
    require(desk, wanted, approval, execute_within=HALF_AN_HOUR)
    if "signers" in spoil:
        by_name = {signer.name: signer for signer in approval.signers}
        spoil = {"signers": tuple(by_name[name] for name in spoil["signers"])}
    with pytest.raises(NotApproved) as refused:
        require(desk, wanted, approval.model_copy(update=spoil), execute_within=HALF_AN_HOUR)
    assert any(word in refused.value.message for word in why.split("|"))


def test_a_copied_answer_does_not_count_twice(desk: Desk) -> None:
    """A valid signed answer that is recorded twice is one person's."""
    wanted = desk.ask(up(risk=SIGNED_RED))
    desk.submit(wanted, ANNA)
    (real,) = desk.ledger.facts(run_id="up", kind="answered")
    record_answer(desk, wanted, real.detail)
    with pytest.raises(NotApproved, match="1 people answered, 2 are demanded"):
        require(desk, wanted, forge(desk, wanted, "person", ANNA, ANNA, proof="signature"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"proof": "signature", "signature": ""}, "does not verify"), ({"proof": "signature"}, "does not verify"),
        ({"decision": "reject"}, "did not approve"), ({"given_at": (NOW + timedelta(days=1)).isoformat()}, "after the deadline"),
        ({"restore": True}, "no worker saw"), ({"seal": None}, "no worker saw"), ({"used": "code:anna lead:7"}, "no worker saw"),
    ],
)  # fmt: skip
def test_an_altered_answer_is_refused(desk: Desk, change: dict[str, Any], why: str) -> None:
    """Proof, decision, time, permission, seal and code must be those that the worker recorded."""
    wanted = desk.ask(plan(risk=YELLOW))
    desk.approve(wanted, proof=desk.code())
    (real,) = desk.ledger.facts(kind="answered")
    forged = desk.ask(plan(run="forged", risk=YELLOW))
    record_answer(desk, forged, real.detail | change)
    desk.ledger.record(raw_fact("code-used"), run_id="forged")
    with pytest.raises(NotApproved, match=why):
        require(desk, forged, forge(desk, forged, "person", ANNA))


def test_too_few_signatures_are_refused(desk: Desk) -> None:
    """Two codes do not approve a plan that demands a signature."""
    wanted = desk.ask(draft(risk=RED))
    desk.submit(wanted, ANNA, desk.code(ANNA))
    desk.approve(wanted, BEN, desk.code(BEN))
    strict = wanted.model_copy(update={"risk": SIGNED_RED})
    desk.ask(strict)
    for fact in desk.ledger.facts(plan=wanted.fingerprint, kind="answered"):
        record_answer(desk, strict, fact.detail)
    with pytest.raises(NotApproved, match="1 signatures are demanded"):
        require(desk, strict, forge(desk, strict, "person", ANNA, BEN))


def standing_entry(**changes: Any) -> StandingApproval:
    """Return an entry for prod → stage, signed by Cara, with a window at noon."""
    noon = {"issuer": CARA, "window": {"from": "11:00", "to": "13:00"}, "zone": "UTC"}
    bare = StandingApproval.model_validate(ENTRY | noon | changes)
    return bare.model_copy(update={"signature": sign(KEYS[CARA][0], standing_statement(bare), namespace=NAMESPACE)})


def require_stands(desk: Desk, wanted: Any, entries: list[StandingApproval], *, used: bool = True, **more: Any) -> None:
    """Check a standing approval in the ledger with these entries, as right before the call."""
    approver = more.pop("approver", standing_entry().named)
    approval = forge(desk, wanted, "standing", approver=approver)
    if used:
        desk.ledger.record(raw_fact("standing-used"), **where(wanted), once=standing_use(standing_entry(), desk.now))
    require_standing(
        desk.ledger, wanted, approval, entries, desk.gate.leads, now=desk.now, at_most=timedelta(days=90), **more
    )


def test_a_standing_approval_is_proven_by_its_entry(desk: Desk) -> None:
    """It is valid if its signed entry covers the plan now and this run used it."""
    require_stands(desk, plan(), [standing_entry()])


@pytest.mark.parametrize(
    ("entries", "more", "why"),
    [
        ([], {}, "No standing approval covers"),
        ([standing_entry(destination="other")], {}, "No standing approval covers"),
        ([standing_entry().model_copy(update={"signature": ""})], {}, "not signed"),
        ([standing_entry(window={"from": "13:00", "to": "14:00"})], {}, "window is closed"),
        ([standing_entry()], {"used": False}, "did not use"),
        ([standing_entry()], {"approver": "Mallory (standing, until 2099-01-01)"}, "names another"),
    ],
)
def test_a_forged_standing_approval_is_refused(
    desk: Desk, entries: list[StandingApproval], more: dict[str, Any], why: str
) -> None:
    """It needs the signed entry that it names, of this pair, in its window, and the use by this run."""
    with pytest.raises(NotApproved, match=why):
        require_stands(desk, plan(), entries, **more)


def test_a_standing_approval_of_a_suspended_issuer_is_refused(desk: Desk) -> None:
    """The issuer must be a lead when the call is made."""
    desk.suspended = frozenset({CARA})
    with pytest.raises(NotApproved, match="may not sign"):
        require_stands(desk, plan(), [standing_entry()])


def require_undo(failing: Failing, promotion: Plan, *, used: str | None = None, **changes: Any) -> str:
    """Check a pre-authorised restore of that promotion, as right before the call."""
    desk, restore = failing.desk, put_back(promotion, **changes)
    approval = forge(desk, restore, "pre-authorised")
    key = key_of(promotion.run_id) if used is None else used
    if key:
        desk.ledger.record_together(restore.run_id, [entry(PreauthorisationUsed(), restore, key)])
    return require_preauthorised(
        desk.ledger, restore, approval, desk.gate.leads, at_most=timedelta(minutes=15), execute_within=HALF_AN_HOUR
    )


@pytest.fixture
def failing(desk: Desk) -> Failing:
    """Failed promotions at the gate."""
    return Failing(desk)


def test_a_restore_is_proven_by_the_answers_to_its_promotion(failing: Failing) -> None:
    """If leads permitted the restore with proof and the promotion failed, the promotion is returned."""
    assert require_undo(failing, failing.promote()) == "up"


@pytest.mark.parametrize("used", ["", "pre-authorised:another", "code:anna lead:1"])
def test_a_restore_needs_the_use_of_its_permission(failing: Failing, used: str) -> None:
    """The ledger must contain the use of that promotion's permission by this run."""
    with pytest.raises(NotApproved, match="failed promotion"):
        require_undo(failing, failing.promote(), used=used)


def test_a_forged_permission_to_restore_is_refused(failing: Failing) -> None:
    """An approval with `restore_within` needs answers that permit it, each signed or sealed."""
    desk, promotion = failing.desk, up("quiet")
    desk.ledger.record(raw_fact("planned", promotion.model_dump(mode="json")), **where(promotion))
    desk.ask(promotion)
    forged = forge(desk, promotion, "person", ANNA, proof="signature", restore_within=timedelta(minutes=15))
    lock: dict[str, Any] = {"horizon": timedelta(0), "now": desk.now}
    desk.ledger.take_lock("PROD", "quiet", is_over=lambda _: True, settles=lambda _: True, **lock)
    desk.ledger.consume(forged, destination_id="PROD", intent=Sending(), now=desk.now)
    desk.ledger.record(raw_fact("outcome", {"outcome": "VerifyFailed"}), run_id="quiet")
    with pytest.raises(NotApproved, match="failed promotion"):
        require_undo(failing, promotion)


def test_a_permission_to_restore_cannot_be_copied_to_another_run(failing: Failing) -> None:
    """Facts of a promotion that are copied to another run permit no second restore."""
    promotion = failing.promote()
    for fact in failing.desk.ledger.facts(run_id="up"):
        failing.desk.ledger.record(
            raw_fact(fact.kind, fact.detail), run_id="copy", destination_id=fact.destination_id, plan=fact.plan
        )
    with pytest.raises(NotApproved, match="failed promotion"):
        require_undo(failing, promotion, used=key_of("copy"))


def test_a_permission_to_restore_is_limited_by_the_rules(failing: Failing) -> None:
    """The lifetimes in rules and settings count, also if the approval contains longer ones."""
    promotion = failing.promote()
    failing.desk.wait(minutes=10)
    restore = put_back(promotion)
    approval = forge(failing.desk, restore, "pre-authorised")
    failing.desk.ledger.record(raw_fact("pre-authorisation-used"), **where(restore), once=key_of("up"))
    for rule, setting, allowed in ((15, 30, True), (5, 30, False), (15, 29, False)):
        expected = contextlib.nullcontext() if allowed else pytest.raises(NotApproved)
        with expected:
            require_preauthorised(
                failing.desk.ledger, restore, approval, failing.desk.gate.leads, at_most=timedelta(minutes=rule),
                execute_within=timedelta(minutes=setting),
            )  # fmt: skip


def test_a_restore_of_more_than_was_copied_is_refused(failing: Failing) -> None:
    """The conditions of the restore are checked again right before the call."""
    promotion = failing.promote(options=CopyOptions(database=False))
    with pytest.raises(NotApproved):
        require_undo(failing, promotion, options=CopyOptions(database=True))

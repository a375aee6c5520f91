"""Witnesses of every kind of approval: what the ledger alone says opens nothing, in whatever kind it is written."""

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
from tasks.signoff.codes import may_be_production
from tasks.signoff.leads import Leads
from tasks.signoff.preauthorised import key_of
from tasks.signoff.proofs import sign
from tasks.signoff.standing import NAMESPACE, StandingApproval, standing_statement
from tasks.signoff.standing_entries import standing_use
from tasks.signoff.witnesses import require_fitting, require_preauthorised, require_standing, require_witnessed
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.stories import DEV, GREEN, PROD, STAGE, install, load_plan, plan
from tests.tasks.signoff.desk import ANNA, BEN, CARA, KEYS, NOW, RED, SECRETS, YELLOW, Desk, risky
from tests.tasks.signoff.test_preauthorised import Failing, put_back

HALF_AN_HOUR = timedelta(minutes=30)
SIGNED_RED = RED.model_copy(update={"signatures": 1})


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a ledger in memory."""
    return Desk.opened(monkeypatch)


def planted(desk: Desk, wanted: Any, kind: Any, *names: str, proof: Any = "code", **more: Any) -> Approval:
    """An approval that somebody wrote into the ledger."""
    signers = tuple(Signer(name=name, proof=proof, answered_at=desk.now) for name in names)
    said: dict[str, Any] = {"approver": " and ".join(names) or "x", "reason": "because I can", "answered_at": desk.now}
    return record_approval(desk.ledger, wanted, kind=kind, execute_within=HALF_AN_HOUR, signers=signers, **said | more)


def up(run: str = "up", risk: Risk = YELLOW, **changes: Any) -> Plan:
    """A promotion."""
    return risky(run, risk, verb="promote", source=STAGE, destination=PROD, **changes)


@pytest.mark.parametrize("risk", [SIGNED_RED, YELLOW, GREEN])
@pytest.mark.parametrize("kind", ["standing", "pre-authorised"])
def test_no_planted_kind_opens_a_promotion(desk: Desk, risk: Risk, kind: str) -> None:
    """A promotion is opened by people, whatever kind of approval somebody writes into the ledger, and is never green."""
    wanted = up(risk=risk)
    with pytest.raises(NotApproved, match="does not fit"):
        require_fitting(wanted, planted(desk, wanted, kind), RiskRules())


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
def test_the_kind_fits_verb_direction_and_grade(desk: Desk, wanted: Any, kind: str, fits: bool) -> None:
    """Each kind opens what it may, and a plan that demands less than the rules do is not opened by anybody."""
    if wanted.verb == "restore":
        wanted = wanted.model_copy(update={"risk": YELLOW})
    approval = planted(desk, wanted, kind)
    if fits:
        require_fitting(wanted, approval, RiskRules())
    else:
        with pytest.raises(NotApproved):
            require_fitting(wanted, approval, RiskRules())


@pytest.mark.parametrize("changes", [{"run_id": "other"}, {"plan": "0" * 64}])
def test_an_approval_of_another_run_or_plan_does_not_fit(desk: Desk, changes: dict[str, Any]) -> None:
    """However it came into this process."""
    wanted = plan()
    with pytest.raises(NotApproved, match="another plan or run"):
        require_fitting(wanted, planted(desk, wanted, "person").model_copy(update=changes), RiskRules())


def answered(desk: Desk, wanted: Plan, detail: dict[str, Any]) -> None:
    """Write an answer into the ledger, past the gate."""
    desk.ledger.record(raw_fact("answered", detail), **where(wanted))


def test_a_code_answer_that_nobody_typed_is_refused(desk: Desk) -> None:
    """An invented answer by code, with an invented `code-used` and `answer-settled` beside it, lacks the seal."""
    real, wanted = up("real"), up("forged")
    desk.ask(real)
    desk.yes(real, proof=desk.code())
    desk.ask(wanted)
    told = [fact for fact in desk.ledger.facts(run_id="real") if fact.kind in ("answered", "answer-settled")]
    for fact in told:  # copied from a run of which they are true
        desk.ledger.record(raw_fact(fact.kind, fact.detail), **where(wanted))
    desk.ledger.record(raw_fact("code-used"), run_id="forged", once="code:anna lead:1")
    forged = planted(desk, wanted, "person", ANNA)
    with pytest.raises(NotApproved, match="no worker saw a valid code"):
        require_witnessed(desk.ledger, wanted, forged, desk.gate.leads)


def test_a_code_counts_with_the_secret_that_it_was_made_with(desk: Desk) -> None:
    """A lead whose codes were enrolled anew since, and one who has none any more, carries nothing by the old ones."""
    wanted = plan(risk=YELLOW)
    desk.ask(wanted)
    approval = desk.yes(wanted, proof=desk.code())
    require_witnessed(desk.ledger, wanted, approval, desk.gate.leads, execute_within=HALF_AN_HOUR)
    everybody = desk.gate.leads.everybody
    for secrets in ({}, {ANNA: SECRETS[BEN]}):
        with pytest.raises(NotApproved, match="no worker saw a valid code"):
            require_witnessed(desk.ledger, wanted, approval, Leads(everybody, secrets))


def test_a_seal_needs_its_code_used_up_by_this_run(desk: Desk) -> None:
    """A worker's seal whose code the ledger does not know as used by this run is not enough."""
    wanted = plan(risk=YELLOW)
    desk.ask(wanted)
    approval = desk.yes(wanted, proof=desk.code())
    facts = [fact for fact in desk.ledger.facts() if fact.kind != "code-used"]
    bare = Desk(desk.ledger.__class__("sqlite://"), desk.now)
    for fact in facts:
        bare.ledger.record(
            raw_fact(fact.kind, fact.detail), run_id=fact.run_id, destination_id=fact.destination_id, plan=fact.plan
        )
    with pytest.raises(NotApproved, match="no worker saw a valid code"):
        require_witnessed(bare.ledger, wanted, approval, desk.gate.leads)


def test_a_code_for_production_counts_only_after_its_minute(desk: Desk) -> None:
    """An approval written beside an answer that is still watched, or whose settling somebody invented, opens nothing."""
    wanted = up()
    desk.ask(wanted)
    desk.say(wanted, proof=desk.code())
    forged = planted(desk, wanted, "person", ANNA)
    with pytest.raises(NotApproved, match="has not settled"):
        require_witnessed(desk.ledger, wanted, forged, desk.gate.leads)
    desk.ledger.record(raw_fact("answer-settled", {"index": 0, "seal": "00"}), **where(wanted))
    with pytest.raises(NotApproved, match="has not settled"):
        require_witnessed(desk.ledger, wanted, forged, desk.gate.leads)


def test_a_settled_code_carries_its_approval_and_a_void_one_does_not(desk: Desk) -> None:
    """The whole way of a code's yes for production, good and bad."""
    wanted, other = up("a"), up("b")
    desk.ask(wanted)
    require_witnessed(desk.ledger, wanted, desk.yes(wanted, proof=desk.code()), desk.gate.leads)
    desk.later(minutes=1)
    desk.ask(other)
    again = desk.settled(other, desk.say(other, proof=desk.code()), moved="It was typed elsewhere.")
    assert not isinstance(again, Approval)
    assert (again.yes, again.settling, again.refused) == ((), None, "It was typed elsewhere.")
    with pytest.raises(NotApproved, match="did not answer"):
        require_witnessed(desk.ledger, other, planted(desk, other, "person", ANNA), desk.gate.leads)


def test_after_a_void_code_the_same_lead_may_answer_again(desk: Desk) -> None:
    """The next code, or a signature, makes an approval that rests on that answer alone."""
    wanted = up()
    desk.ask(wanted)
    code = desk.code()
    desk.settled(wanted, desk.say(wanted, proof=code), moved="It was typed elsewhere.")
    typed_again = desk.answer(wanted, proof=code, given_at=desk.now - timedelta(minutes=1))
    assert "used before" in getattr(desk.gate.evaluate(wanted, typed_again, now=desk.now), "refused", "")
    approval = desk.yes(wanted)
    require_witnessed(desk.ledger, wanted, approval, desk.gate.leads)
    assert [signer.proof for signer in approval.signers] == ["signature"]


def test_a_void_yes_gives_no_leave_and_no_reason(desk: Desk) -> None:
    """Only what counted is in the approval: not the permission to undo of an answer that was void."""
    wanted = up()
    desk.ask(wanted)
    desk.settled(
        wanted, desk.say(wanted, proof=desk.code(), restore=True, reason="stolen"), moved="It was typed elsewhere."
    )
    approval = desk.yes(wanted, restore=False)
    assert (approval.restore_within, approval.reason) == (0, "release day")


def test_codes_for_staging_count_at_once(desk: Desk) -> None:
    """Nothing is watched where nothing of production can be overwritten; a role that nobody knows counts as production."""
    for destination in (STAGE, DEV):
        assert not may_be_production(plan(destination=destination))
    for role in (Environment.PRODUCTION, Environment.UNKNOWN):
        assert may_be_production(plan(destination=install("odd", role)))


def test_a_second_yes_waits_for_the_first_ones_minute(desk: Desk) -> None:
    """While a code is watched no other answer is judged; afterwards both count."""
    wanted = up(risk=SIGNED_RED)
    desk.ask(wanted)
    first = desk.say(wanted, BEN, desk.code(BEN))
    assert desk.say(wanted, ANNA) == first
    assert not isinstance(desk.settled(wanted, first), Approval)
    approval = desk.yes(wanted, ANNA)
    assert approval.approver == f"{BEN} and {ANNA}"
    require_witnessed(desk.ledger, wanted, approval, desk.gate.leads)


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
def test_an_approval_says_no_more_than_its_answers(desk: Desk, spoil: dict[str, Any], why: str) -> None:
    """One person twice, too few, in another order, permission to undo that nobody gave, more time than the settings allow."""
    wanted = up(risk=SIGNED_RED)
    desk.ask(wanted)
    desk.say(wanted, ANNA)
    approval = desk.yes(wanted, BEN)
    require_witnessed(desk.ledger, wanted, approval, desk.gate.leads, execute_within=HALF_AN_HOUR)
    if "signers" in spoil:
        by_name = {signer.name: signer for signer in approval.signers}
        spoil = {"signers": tuple(by_name[name] for name in spoil["signers"])}
    with pytest.raises(NotApproved) as refused:
        require_witnessed(
            desk.ledger, wanted, approval.model_copy(update=spoil), desk.gate.leads, execute_within=HALF_AN_HOUR
        )
    assert any(word in refused.value.message for word in why.split("|"))


def test_one_person_written_twice_is_one_person(desk: Desk) -> None:
    """A real signed answer that somebody copied beside itself does not make two people."""
    wanted = up(risk=SIGNED_RED)
    desk.ask(wanted)
    desk.say(wanted, ANNA)
    (real,) = desk.ledger.facts(run_id="up", kind="answered")
    answered(desk, wanted, real.detail)
    with pytest.raises(NotApproved, match="1 people answered, 2 are demanded"):
        require_witnessed(
            desk.ledger, wanted, planted(desk, wanted, "person", ANNA, ANNA, proof="signature"), desk.gate.leads
        )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"proof": "signature", "signature": ""}, "does not verify"), ({"proof": "signature"}, "does not verify"),
        ({"decision": "reject"}, "did not approve"), ({"given_at": (NOW + timedelta(days=1)).isoformat()}, "after the deadline"),
        ({"restore": True}, "no worker saw"), ({"seal": None}, "no worker saw"), ({"used": "code:anna lead:7"}, "no worker saw"),
    ],
)  # fmt: skip
def test_an_answer_that_was_altered_carries_nothing(desk: Desk, change: dict[str, Any], why: str) -> None:
    """A signature without one, another decision, another time or permission than the worker saw."""
    wanted = plan(risk=YELLOW)
    desk.ask(wanted)
    desk.yes(wanted, proof=desk.code())
    (real,) = desk.ledger.facts(kind="answered")
    forged = plan(run="forged", risk=YELLOW)
    desk.ask(forged)
    answered(desk, forged, real.detail | change)
    desk.ledger.record(raw_fact("code-used"), run_id="forged")
    with pytest.raises(NotApproved, match=why):
        require_witnessed(desk.ledger, forged, planted(desk, forged, "person", ANNA), desk.gate.leads)


def test_too_few_signatures_are_told(desk: Desk) -> None:
    """Two codes do not open a plan that demands a signature, whatever the approval claims."""
    wanted = risky(risk=RED)
    desk.ask(wanted)
    desk.say(wanted, ANNA, desk.code(ANNA))
    desk.yes(wanted, BEN, desk.code(BEN))
    strict = wanted.model_copy(update={"risk": SIGNED_RED})
    desk.ask(strict)
    for fact in desk.ledger.facts(plan=wanted.fingerprint, kind="answered"):
        answered(desk, strict, fact.detail)
    with pytest.raises(NotApproved, match="1 signatures are demanded"):
        require_witnessed(desk.ledger, strict, planted(desk, strict, "person", ANNA, BEN), desk.gate.leads)


def standing_entry(**changes: Any) -> StandingApproval:
    """An entry for prod → stage, signed by Cara, open at noon."""
    fields: dict[str, Any] = {
        "source": "prod", "destination": "stage", "issuer": CARA, "reason": "nightly refresh", "issued": "2026-11-01",
        "until": "2026-12-31", "include_database": True, "window": {"from": "11:00", "to": "13:00"}, "zone": "UTC",
    }  # fmt: skip
    bare = StandingApproval.model_validate(fields | changes)
    return bare.model_copy(update={"signature": sign(KEYS[CARA][0], standing_statement(bare), namespace=NAMESPACE)})


def stand(desk: Desk, wanted: Any, entries: list[StandingApproval], *, used: bool = True, **more: Any) -> None:
    """The last look at a standing approval that the ledger holds."""
    said = more.pop("approver", standing_entry().named)
    approval = planted(desk, wanted, "standing", approver=said)
    if used:
        desk.ledger.record(raw_fact("standing-used"), **where(wanted), once=standing_use(standing_entry(), desk.now))
    require_standing(
        desk.ledger, wanted, approval, entries, desk.gate.leads, now=desk.now, at_most=timedelta(days=90), **more
    )


def test_a_standing_approval_is_read_in_the_file_again(desk: Desk) -> None:
    """It holds while its signed entry covers the plan, and was used this night by this run."""
    stand(desk, plan(), [standing_entry()])


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
def test_a_planted_standing_approval_opens_nothing(
    desk: Desk, entries: list[StandingApproval], more: dict[str, Any], why: str
) -> None:
    """Without the signed entry of exactly this pair, in its hours, for this night's one run."""
    with pytest.raises(NotApproved, match=why):
        stand(desk, plan(), entries, **more)


def test_a_suspended_issuer_ends_what_was_approved_already(desk: Desk) -> None:
    """The lead who signed the entry must be one when the call is made."""
    desk.suspended = frozenset({CARA})
    with pytest.raises(NotApproved, match="may not sign"):
        stand(desk, plan(), [standing_entry()])


def undo(failing: Failing, promotion: Plan, *, used: str | None = None, **changes: Any) -> str:
    """The last look at a restore that went on by the promotion's approval."""
    desk, restore = failing.desk, put_back(promotion, **changes)
    approval = planted(desk, restore, "pre-authorised")
    key = key_of(promotion.run_id) if used is None else used
    if key:
        desk.ledger.record_together(restore.run_id, [entry(PreauthorisationUsed(), restore, key)])
    return require_preauthorised(
        desk.ledger, restore, approval, desk.gate.leads, at_most=timedelta(minutes=15), execute_within=HALF_AN_HOUR
    )


@pytest.fixture
def failing(desk: Desk) -> Failing:
    """Promotions at that desk."""
    return Failing(desk)


def test_a_restore_rests_on_the_answers_to_its_promotion(failing: Failing) -> None:
    """Where leads permitted it, signed, and the promotion failed, it holds, and names the promotion."""
    assert undo(failing, failing.promote()) == "up"


@pytest.mark.parametrize("used", ["", "pre-authorised:another", "code:anna lead:1"])
def test_a_planted_leave_to_undo_opens_nothing(failing: Failing, used: str) -> None:
    """The use of that promotion's permission must be recorded, by this run."""
    with pytest.raises(NotApproved, match="failed promotion"):
        undo(failing, failing.promote(), used=used)


def test_leave_to_undo_that_nobody_gave_opens_nothing(failing: Failing) -> None:
    """An approval in the ledger that says `restore_within` needs answers that say so, each signed or sealed with it."""
    desk, promotion = failing.desk, up("quiet")
    desk.ledger.record(raw_fact("planned", promotion.model_dump(mode="json")), **where(promotion))
    desk.ask(promotion)
    forged = planted(desk, promotion, "person", ANNA, proof="signature", restore_within=timedelta(minutes=15))
    lock: dict[str, Any] = {"horizon": timedelta(0), "now": desk.now}
    desk.ledger.take_lock("PROD", "quiet", is_over=lambda _: True, settles=lambda _: True, **lock)
    desk.ledger.consume(forged, destination_id="PROD", intent=Sending(), now=desk.now)
    desk.ledger.record(raw_fact("outcome", {"outcome": "VerifyFailed"}), run_id="quiet")
    with pytest.raises(NotApproved, match="failed promotion"):
        undo(failing, promotion)


def test_leave_to_undo_cannot_be_copied_to_another_run(failing: Failing) -> None:
    """Facts of a promotion, written again under another run, permit no second restore."""
    promotion = failing.promote()
    for fact in failing.desk.ledger.facts(run_id="up"):
        failing.desk.ledger.record(
            raw_fact(fact.kind, fact.detail), run_id="copy", destination_id=fact.destination_id, plan=fact.plan
        )
    with pytest.raises(NotApproved, match="failed promotion"):
        undo(failing, promotion, used=key_of("copy"))


def test_leave_to_undo_is_no_longer_than_the_rules_allow(failing: Failing) -> None:
    """Whatever number the ledger holds."""
    promotion = failing.promote()
    failing.desk.later(minutes=10)
    restore = put_back(promotion)
    approval = planted(failing.desk, restore, "pre-authorised")
    failing.desk.ledger.record(raw_fact("pre-authorisation-used"), **where(restore), once=key_of("up"))
    looked: dict[str, Any] = {"execute_within": HALF_AN_HOUR}
    assert require_preauthorised(
        failing.desk.ledger, restore, approval, failing.desk.gate.leads, at_most=timedelta(minutes=15), **looked
    )
    with pytest.raises(NotApproved):
        require_preauthorised(
            failing.desk.ledger, restore, approval, failing.desk.gate.leads, at_most=timedelta(minutes=5), **looked
        )
    with pytest.raises(NotApproved):
        require_preauthorised(
            failing.desk.ledger, restore, approval, failing.desk.gate.leads, at_most=timedelta(minutes=15),
            execute_within=timedelta(minutes=29),
        )  # fmt: skip


def test_more_than_what_travelled_is_not_put_back(failing: Failing) -> None:
    """The last look asks the same questions as the first."""
    promotion = failing.promote(options=CopyOptions(database=False))
    with pytest.raises(NotApproved):
        undo(failing, promotion, options=CopyOptions(database=True))

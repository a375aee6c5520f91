"""Forged facts: a ledger that somebody else has written to opens nothing that the real facts do not open."""

from datetime import timedelta
from typing import Any

import pytest

from tasks.estate.errors import NotApproved
from tasks.estate.plans import CopyOptions
from tasks.estate.sites import Direction
from tasks.ledger.facts import PreauthorisationUsed, StandingUsed
from tasks.ledger.ledger import Fact, Ledger
from tasks.safeguards.risk_rules import RiskRules
from tasks.signoff.answers import entry, where
from tasks.signoff.approval_recheck import (
    permitted_by,
    require_fitting,
    require_preauthorised,
    require_standing,
    require_witnessed,
    verified_signatures,
)
from tasks.signoff.preauthorised import allowed_by, key_of
from tasks.signoff.standing_entries import standing_use
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import load_plan, plan
from tests.tasks.signoff.approval_desk import ANNA, BEN, NOW, YELLOW, Desk, draft
from tests.tasks.signoff.test_approval_recheck import forge, standing_entry
from tests.tasks.signoff.test_preauthorised import Failing, put_back

QUARTER, HALF_AN_HOUR = timedelta(minutes=15), timedelta(minutes=30)


def rewritten(ledger: Ledger, kind: str, changes: dict[str, Any]) -> Ledger:
    """Return a copy of the ledger in which the facts of this kind have other details."""
    made = Ledger("sqlite://")
    for fact in ledger.facts():
        fields = fact.detail | (changes if fact.kind == kind else {})
        where_it_was = {"run_id": fact.run_id, "destination_id": fact.destination_id, "plan": fact.plan}
        made.record(raw_fact(fact.kind, fields), **where_it_was, once=fact.once)
    return made


@pytest.mark.parametrize(
    ("changes", "permitted"),
    [({}, True), ({"kind": "standing"}, False), ({"run_id": "other"}, False), ({"plan": "0" * 64}, False)],
    ids=["as recorded", "not by a person", "of another run", "of another plan"],
)
def test_only_the_promotion_s_own_approval_by_people_permits_its_restore(
    desk: Desk, changes: dict[str, Any], permitted: bool
) -> None:
    """The same answers under an approval of another kind, run or plan permit nothing."""
    promotion = Failing(desk).promote()
    ledger = rewritten(desk.ledger, "approved", changes)
    found = permitted_by(ledger, put_back(promotion), "up", desk.gate.leads, now=desk.now, at_most=QUARTER)
    assert (found is not None) is permitted


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [({}, True), ({"run_id": "other"}, False), ({"plan": "0" * 64}, False)],
    ids=["as recorded", "of another run", "of another plan"],
)
def test_an_approval_that_was_copied_from_elsewhere_covers_no_restore(
    desk: Desk, changes: dict[str, Any], allowed: bool
) -> None:
    """The approval must name the run and the plan under which it is recorded."""
    promotion = Failing(desk).promote()
    ledger = rewritten(desk.ledger, "approved", changes)
    assert (allowed_by(ledger, put_back(promotion), "up", desk.now) is not None) is allowed


def test_a_promotion_without_a_recorded_plan_or_approval_covers_no_restore(desk: Desk) -> None:
    """Both facts must exist under the plan that was sent."""
    promotion = Failing(desk).promote()
    for missing in ("planned", "approved", "sending"):
        ledger = Ledger("sqlite://")
        for fact in desk.ledger.facts():
            if fact.kind != missing:
                ledger.record(raw_fact(fact.kind, fact.detail), run_id=fact.run_id, plan=fact.plan)
        assert allowed_by(ledger, put_back(promotion), "up", desk.now) is None, missing


def test_the_files_of_a_promotion_of_single_tables_may_be_put_back(desk: Desk) -> None:
    """Only a restore of the whole database would undo more than was copied."""
    options = CopyOptions(tables=("wp_posts",))
    promotion, failing = Failing(desk).promote(options=options), Failing(desk)
    assert failing.allowed(promotion, options=CopyOptions(database=False))
    assert failing.allowed(promotion, options=CopyOptions()) is None


def test_a_restore_that_used_two_permissions_is_not_permitted(desk: Desk) -> None:
    """A run undoes one promotion; with two recorded uses nobody knows which one it was approved for."""
    failing = Failing(desk)
    promotion = failing.promote()
    restore = put_back(promotion)
    approval = forge(desk, restore, "pre-authorised")
    terms: dict[str, Any] = {"at_most": QUARTER, "execute_within": HALF_AN_HOUR}
    desk.ledger.record_together(restore.run_id, [entry(PreauthorisationUsed(), restore, key_of("up"))])
    assert require_preauthorised(desk.ledger, restore, approval, desk.gate.leads, **terms) == "up"
    desk.ledger.record_together(restore.run_id, [entry(PreauthorisationUsed(), restore, key_of("another"))])
    with pytest.raises(NotApproved, match="not permitted"):
        require_preauthorised(desk.ledger, restore, approval, desk.gate.leads, **terms)


def test_a_restore_without_a_recorded_use_is_not_permitted_by_facts_of_no_run(desk: Desk) -> None:
    """A failed promotion that is recorded under an empty run id permits nothing to a run that used no permission."""
    promotion = Failing(desk).promote("")
    restore = put_back(promotion)
    approval = forge(desk, restore, "pre-authorised")
    assert permitted_by(desk.ledger, restore, "", desk.gate.leads, now=desk.now, at_most=QUARTER)
    with pytest.raises(NotApproved, match="not permitted"):
        require_preauthorised(
            desk.ledger, restore, approval, desk.gate.leads, at_most=QUARTER, execute_within=HALF_AN_HOUR
        )


def test_a_use_that_names_no_promotion_permits_no_restore(desk: Desk) -> None:
    """A use that somebody recorded without its key is refused like any other that does not fit."""
    promotion = Failing(desk).promote()
    restore = put_back(promotion)
    approval = forge(desk, restore, "pre-authorised")
    desk.ledger.record(PreauthorisationUsed(), **where(restore))
    with pytest.raises(NotApproved, match="not permitted"):
        require_preauthorised(
            desk.ledger, restore, approval, desk.gate.leads, at_most=QUARTER, execute_within=HALF_AN_HOUR
        )


def test_a_load_is_never_permitted_by_a_promotion(desk: Desk) -> None:
    """Only the plan of a restore can use the permission."""
    Failing(desk).promote()
    wanted = load_plan(run_id="back")
    approval = forge(desk, wanted, "pre-authorised")
    desk.ledger.record_together("back", [entry(PreauthorisationUsed(), wanted, key_of("up"))])
    with pytest.raises(NotApproved, match="not permitted"):
        require_preauthorised(
            desk.ledger, wanted, approval, desk.gate.leads, at_most=QUARTER, execute_within=HALF_AN_HOUR
        )


@pytest.mark.parametrize(
    ("wanted", "kind", "fits"),
    [
        (plan(), "standing", True),
        (plan(direction=Direction.UP), "standing", False),
        (plan(direction=Direction.BACK), "standing", False),
        (put_back(draft("up", YELLOW), risk=YELLOW), "pre-authorised", True),
        (put_back(draft("up", YELLOW), risk=YELLOW, direction=Direction.DOWN), "pre-authorised", False),
        (plan(direction=Direction.BACK), "pre-authorised", False),
    ],
)
def test_the_verb_and_the_direction_must_both_fit(desk: Desk, wanted: Any, kind: str, fits: bool) -> None:
    """A plan whose verb and direction contradict each other is opened by people only."""
    approval = forge(desk, wanted, kind)
    if fits:
        require_fitting(wanted, approval, RiskRules())
        return
    with pytest.raises(NotApproved, match="does not fit"):
        require_fitting(wanted, approval, RiskRules())


def test_an_answer_at_the_deadline_proves_an_approval(desk: Desk) -> None:
    """The last second counts, as it does when the gate evaluates the answer."""
    wanted = draft(risk=YELLOW)
    desk.ask(wanted)
    proof = desk.signature(wanted)
    desk.wait(hours=8)
    approval = desk.approve(wanted, proof=proof)
    require_witnessed(desk.ledger, wanted, approval, desk.gate.leads, execute_within=HALF_AN_HOUR)


def test_a_use_of_another_night_is_not_the_use_of_this_one(desk: Desk) -> None:
    """A run that used the standing approval last night may not use it again tonight; nor does another run's use count."""
    wanted, used = plan(), standing_entry()
    approval = forge(desk, wanted, "standing", approver=used.named)
    given: tuple[Any, ...] = (desk.ledger, wanted, approval, [used], desk.gate.leads)
    terms: dict[str, Any] = {"now": NOW, "at_most": timedelta(days=90)}
    desk.ledger.record(StandingUsed(), **where(wanted), once=standing_use(used, NOW - timedelta(days=1)))
    with pytest.raises(NotApproved, match="did not use"):
        require_standing(*given, **terms)
    desk.ledger.record(StandingUsed(), run_id="another", once=standing_use(used, NOW))
    with pytest.raises(NotApproved, match="did not use"):
        require_standing(*given, **terms)


def test_a_plan_of_neither_a_copy_nor_a_load_has_no_standing_approval(desk: Desk) -> None:
    """Whatever the file contains."""

    class Other:
        """A plan of some other kind."""

        code, run_id = "0000-0000", "tonight"

    other: Any = Other()
    approval = forge(desk, plan(), "standing")
    with pytest.raises(NotApproved, match="No standing approval can cover plan 0000-0000"):
        require_standing(
            desk.ledger, other, approval, [standing_entry()], desk.gate.leads, now=NOW, at_most=timedelta(days=90)
        )


def test_a_signature_is_verified_against_its_own_plan(desk: Desk) -> None:
    """A signature of another plan, of another statement, or of somebody who is not enrolled is counted and does not verify."""
    wanted = draft()
    desk.ask(wanted)
    desk.submit(wanted, ANNA)
    desk.approve(wanted, BEN, desk.code(BEN))
    facts: list[Fact] = desk.ledger.facts()
    assert verified_signatures(facts, desk.gate.leads) == (1, 1)
    (signed,) = [fact for fact in facts if "signature" in fact.detail]
    desk.ledger.record(raw_fact("answered", signed.detail), run_id="forged", plan="0" * 64)
    assert verified_signatures(desk.ledger.facts(), desk.gate.leads) == (1, 2)
    altered = {"statement": signed.text("statement") + " and more"}
    desk.ledger.record(raw_fact("answered", signed.detail | altered), run_id="altered", plan=signed.plan)
    assert verified_signatures(desk.ledger.facts(), desk.gate.leads) == (1, 3)
    desk.suspended = frozenset({ANNA})
    assert verified_signatures(facts, desk.gate.leads) == (0, 1)

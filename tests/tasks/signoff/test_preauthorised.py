"""Pre-authorised restores: what the approval of a failed promotion permits, for how long, and once."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tasks.estate.plans import Approval, CopyOptions, Plan
from tasks.ledger.facts import PreauthorisationUsed, Sending
from tasks.ledger.ledger import AlreadyRecorded, Ledger
from tasks.signoff.answers import entry, record_approval, where
from tasks.signoff.approval_recheck import permitted_by
from tasks.signoff.preauthorised import allowed_by, key_of
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import PROD, STAGE, plan
from tests.tasks.signoff.approval_desk import ANNA, YELLOW, Desk, draft

UP: dict[str, Any] = {"verb": "promote", "source": STAGE, "destination": PROD}


@dataclass
class Failing:
    """Records promotions that were approved, sent, and failed their verification."""

    desk: Desk

    def promote(
        self, run: str = "up", *, restore: bool = True, outcomes: tuple[str, ...] = ("VerifyFailed",), **changes: Any
    ) -> Plan:
        """Return the plan of such a promotion. Its outcomes are half an hour after the approval, and a minute apart."""
        desk, promotion = self.desk, draft(run, YELLOW, **UP | changes)
        desk.ledger.record(raw_fact("planned", promotion.model_dump(mode="json")), **where(promotion))
        desk.ask(promotion)
        approval = desk.approve(promotion, restore=restore)
        lock: dict[str, Any] = {"horizon": timedelta(0), "now": desk.now}
        to = promotion.destination_id
        desk.ledger.take_lock(to, run, is_over=lambda _: True, settles=lambda _: True, **lock)
        desk.ledger.consume(approval, destination_id=to, intent=Sending(), now=desk.now)
        desk.wait(minutes=30)
        for outcome in outcomes:
            desk.ledger.record(raw_fact("outcome", {"outcome": outcome}), run_id=run)
            desk.wait(minutes=1)
        return promotion

    def allowed(self, promotion: Plan, **changes: Any) -> Approval | None:
        """Return the approval that permits the restore of that promotion now, or None."""
        return permitted_by(
            self.desk.ledger,
            put_back(promotion, **changes),
            promotion.run_id,
            self.desk.gate.leads,
            now=self.desk.now,
            at_most=timedelta(minutes=15),
        )


def put_back(promotion: Plan, run: str = "back", **changes: Any) -> Plan:
    """Return the plan of a restore of what the promotion overwrote."""
    back: dict[str, Any] = {"restore_backup_id": promotion.backup.id} | changes
    return plan("restore", PROD, back.pop("destination", PROD), run=run, **back)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Failed promotions at a gate with a ledger in memory."""
    return Failing(Desk.create(monkeypatch))


def test_a_failed_promotion_may_be_restored(failing: Failing) -> None:
    """The promotion's own approval covers its restore for 15 minutes after the failure."""
    promotion = failing.promote()
    approval = failing.allowed(promotion)
    assert approval is not None
    assert (approval.approver, approval.restore_within, approval.run_id) == (ANNA, 900, "up")


@pytest.mark.parametrize(("seconds", "allowed"), [(840, True), (841, False)])
def test_the_permission_expires(failing: Failing, seconds: int, allowed: bool) -> None:
    """Its time begins with the failure, not with the approval; a second after its end people are asked."""
    promotion = failing.promote()  # a minute ago
    failing.desk.wait(seconds=seconds)
    assert bool(failing.allowed(promotion)) is allowed


def test_a_retry_that_fails_again_does_not_extend_the_permission(failing: Failing) -> None:
    """The time begins with the first failure."""
    promotion = failing.promote(outcomes=("VerifyFailed",) * 14)
    assert failing.allowed(promotion)
    failing.desk.ledger.record(raw_fact("outcome", {"outcome": "VerifyFailed"}), run_id="up")
    failing.desk.wait(minutes=2)
    assert not failing.allowed(promotion)


@pytest.mark.parametrize(
    "promotion",
    [
        {"restore": False}, {"outcomes": ()}, {"outcomes": ("Verified",)}, {"outcomes": ("OutcomeUnknown",)},
        {"outcomes": ("NotVerified",)}, {"outcomes": ("VerifyFailed", "Verified")},
        {"options": CopyOptions(tables=("wp_posts",))}, {"options": CopyOptions(files=False)},
    ],
    ids=str,
)  # fmt: skip
def test_other_promotions_need_an_approval(failing: Failing, promotion: dict[str, Any]) -> None:
    """No restore is permitted without permission, without a failed verification, or if it would put back more than was copied."""
    assert not failing.allowed(failing.promote(**promotion))


@pytest.mark.parametrize(
    "changes", [{"restore_backup_id": "older"}, {"restore_backup_id": None}, {"destination": STAGE}]
)
def test_only_the_backup_of_the_promotion_is_restored(failing: Failing, changes: dict[str, Any]) -> None:
    """Another backup, or another install, needs an approval."""
    assert not failing.allowed(failing.promote(), **changes)


def test_the_newest_backup_of_the_run_is_restored(failing: Failing) -> None:
    """If the run made a second backup after a late answer, only that one may be restored."""
    promotion = failing.promote()
    failing.desk.ledger.record(raw_fact("backup-renewed", {"id": "newer"}), run_id="up")
    assert failing.allowed(promotion, restore_backup_id="newer")
    assert not failing.allowed(promotion)


@pytest.mark.parametrize(("copied", "back", "allowed"), [(0, 0, True), (0, 1, False), (1, 0, True), (1, 1, True)])
def test_no_more_is_restored_than_was_copied(failing: Failing, copied: bool, back: bool, allowed: bool) -> None:
    """After a promotion of files only, restoring the database needs an approval: it has newer orders."""
    promotion = failing.promote(options=CopyOptions(database=bool(copied)))
    assert bool(failing.allowed(promotion, options=CopyOptions(database=bool(back)))) is allowed


def test_only_a_promotion_has_a_permission(failing: Failing) -> None:
    """A refresh has none, nor has a run that is not in the ledger."""
    refresh = failing.promote(verb="refresh", source=PROD, destination=STAGE)
    assert not failing.allowed(refresh, destination=STAGE)
    assert allowed_by(failing.desk.ledger, put_back(refresh), "unknown", failing.desk.now) is None


@pytest.mark.parametrize("first", [True, False], ids=["drafted before", "drafted after"])
def test_the_plan_that_was_sent_counts(failing: Failing, first: bool) -> None:
    """Another plan of the same run does not count, whichever was recorded last."""
    drafted = draft("up", YELLOW, **UP)
    other = drafted.model_copy(update={"backup": drafted.backup.model_copy(update={"id": "other"})})
    promotion = None if first else failing.promote()
    failing.desk.ledger.record(raw_fact("planned", other.model_dump(mode="json")), **where(other))
    fields: dict[str, Any] = {"kind": "person", "approver": ANNA, "reason": "x", "answered_at": failing.desk.now}
    record_approval(
        failing.desk.ledger, other, **fields, execute_within=timedelta(minutes=30), restore_within=timedelta(hours=1)
    )
    promotion = promotion or failing.promote()
    assert failing.allowed(promotion)
    assert not failing.allowed(promotion, restore_backup_id="other")


@pytest.mark.parametrize("changes", [{"run_id": "down"}, {"backup_id": "other"}], ids=str)
def test_a_plan_under_the_name_of_another_permits_nothing(failing: Failing, changes: dict[str, str]) -> None:
    """A fact whose plan is of another run, or is not the one whose fingerprint it has, permits no restore."""
    promotion = failing.promote()
    backup = promotion.backup.model_copy(update={"id": changes.get("backup_id", promotion.backup.id)})
    other = promotion.model_copy(update={"backup": backup, "run_id": changes.get("run_id", "up")})
    failing.desk.ledger.record(raw_fact("planned", other.model_dump(mode="json")), **where(promotion))
    ledger, now = failing.desk.ledger, failing.desk.now
    assert allowed_by(ledger, put_back(promotion), "up", now) is None
    assert allowed_by(ledger, put_back(other), "up", now) is None


def test_the_permission_is_used_once(failing: Failing) -> None:
    """A second restore of the same promotion is refused and records nothing; another promotion's is not."""
    ledger, promotion = failing.desk.ledger, failing.promote()
    first, second = put_back(promotion), put_back(promotion, "again")
    use(ledger, first, promotion, failing.desk)
    with pytest.raises(AlreadyRecorded) as used:
        use(ledger, second, promotion, failing.desk)
    assert used.value.once == key_of("up")
    assert not ledger.facts(run_id="again")
    use(ledger, second, failing.promote("up-2"), failing.desk)


def use(ledger: Ledger, restore: Plan, promotion: Plan, desk: Desk) -> Approval:
    """Record the pre-authorised approval of this restore, as its run does."""
    used = entry(PreauthorisationUsed(), restore, key_of(promotion.run_id))
    fields: dict[str, Any] = {"kind": "pre-authorised", "approver": ANNA, "reason": "failed", "answered_at": desk.now}
    return record_approval(ledger, restore, **fields, execute_within=timedelta(minutes=30), also=(used,))

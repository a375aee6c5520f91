"""Pre-authorised restores: only what the approval of a promotion allowed, only when it failed, in time, and once."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tasks.estate.plans import Approval, CopyOptions, Plan
from tasks.ledger.facts import PreauthorisationUsed, Sending
from tasks.ledger.ledger import AlreadyRecorded, Ledger
from tasks.signoff.answers import entry, record_approval, where
from tasks.signoff.preauthorised import allowed_by, key_of
from tasks.signoff.witnesses import permitted_by
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.stories import PROD, STAGE, plan
from tests.tasks.signoff.desk import ANNA, YELLOW, Desk, risky

UP: dict[str, Any] = {"verb": "promote", "source": STAGE, "destination": PROD}


@dataclass
class Failing:
    """A promotion that people approved, that was sent, and whose verification failed, as its run recorded it."""

    desk: Desk

    def promote(
        self, run: str = "up", *, restore: bool = True, outcomes: tuple[str, ...] = ("VerifyFailed",), **changes: Any
    ) -> Plan:
        """The promotion's plan; its ends are half an hour after the approval, and a minute apart."""
        desk, promotion = self.desk, risky(run, YELLOW, **UP | changes)
        desk.ledger.record(raw_fact("planned", promotion.model_dump(mode="json")), **where(promotion))
        desk.ask(promotion)
        approval = desk.yes(promotion, restore=restore)
        lock: dict[str, Any] = {"horizon": timedelta(0), "now": desk.now}
        to = promotion.destination_id
        desk.ledger.take_lock(to, run, is_over=lambda _: True, settles=lambda _: True, **lock)
        desk.ledger.consume(approval, destination_id=to, intent=Sending(), now=desk.now)
        desk.later(minutes=30)
        for outcome in outcomes:
            desk.ledger.record(raw_fact("outcome", {"outcome": outcome}), run_id=run)
            desk.later(minutes=1)
        return promotion

    def allowed(self, promotion: Plan, **changes: Any) -> Approval | None:
        """The leave for the restore of that promotion, as the gate sees it now."""
        return permitted_by(
            self.desk.ledger,
            put_back(promotion, **changes),
            promotion.run_id,
            self.desk.gate.leads,
            now=self.desk.now,
            at_most=timedelta(minutes=15),
        )


def put_back(promotion: Plan, run: str = "back", **changes: Any) -> Plan:
    """The plan of a restore of what the promotion overwrote."""
    back: dict[str, Any] = {"restore_backup_id": promotion.backup.id} | changes
    return plan("restore", PROD, back.pop("destination", PROD), run=run, **back)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Promotions at a desk with a ledger in memory."""
    return Failing(Desk.opened(monkeypatch))


def test_a_failed_promotion_may_be_undone(failing: Failing) -> None:
    """Within the approved 15 minutes after the failure, the promotion's own approval covers its restore."""
    promotion = failing.promote()
    approval = failing.allowed(promotion)
    assert approval is not None
    assert (approval.approver, approval.restore_within, approval.run_id) == (ANNA, 900, "up")


@pytest.mark.parametrize(("seconds", "allowed"), [(840, True), (841, False)])
def test_the_leave_ends(failing: Failing, seconds: int, allowed: bool) -> None:
    """It counts from the failure, not from the approval, and a second after its end people are asked."""
    promotion = failing.promote()  # a minute ago
    failing.desk.later(seconds=seconds)
    assert bool(failing.allowed(promotion)) is allowed


def test_a_retry_that_fails_again_does_not_prolong_it(failing: Failing) -> None:
    """The time counts from the first failure."""
    promotion = failing.promote(outcomes=("VerifyFailed",) * 14)
    assert failing.allowed(promotion)
    failing.desk.ledger.record(raw_fact("outcome", {"outcome": "VerifyFailed"}), run_id="up")
    failing.desk.later(minutes=2)
    assert not failing.allowed(promotion)


def test_without_that_leave_people_are_asked(failing: Failing) -> None:
    """An approval that did not say so covers no restore."""
    assert not failing.allowed(failing.promote(restore=False))


@pytest.mark.parametrize(
    "outcomes", [(), ("Verified",), ("OutcomeUnknown",), ("NotVerified",), ("VerifyFailed", "Verified")]
)
def test_only_a_failed_verification_is_undone(failing: Failing, outcomes: tuple[str, ...]) -> None:
    """A promotion that went well, that nobody knows of, or that a retry found well after all, is not undone by itself."""
    assert not failing.allowed(failing.promote(outcomes=outcomes))


@pytest.mark.parametrize(
    "changes", [{"restore_backup_id": "older"}, {"restore_backup_id": None}, {"destination": STAGE}]
)
def test_only_that_backup_goes_back_where_it_was(failing: Failing, changes: dict[str, Any]) -> None:
    """Another backup, or another install, needs people."""
    assert not failing.allowed(failing.promote(), **changes)


def test_the_newest_backup_of_the_run_goes_back(failing: Failing) -> None:
    """Where the answer came late, the run made a second backup: that one, and no more the first."""
    promotion = failing.promote()
    failing.desk.ledger.record(raw_fact("backup-renewed", {"id": "newer"}), run_id="up")
    assert failing.allowed(promotion, restore_backup_id="newer")
    assert not failing.allowed(promotion)


@pytest.mark.parametrize(("travelled", "back", "allowed"), [(0, 0, True), (0, 1, False), (1, 0, True), (1, 1, True)])
def test_no_more_goes_back_than_what_travelled(failing: Failing, travelled: bool, back: bool, allowed: bool) -> None:
    """After a promotion of files only, the database is not put back by itself: it has newer orders."""
    promotion = failing.promote(options=CopyOptions(database=bool(travelled)))
    assert bool(failing.allowed(promotion, options=CopyOptions(database=bool(back)))) is allowed


def test_a_refresh_is_not_undone_by_itself(failing: Failing) -> None:
    """The leave is one for promotions, whatever was typed; nor is there one by a run that the ledger does not know."""
    refresh = failing.promote(verb="refresh", source=PROD, destination=STAGE)
    assert not failing.allowed(refresh, destination=STAGE)
    assert allowed_by(failing.desk.ledger, put_back(refresh), "unknown", failing.desk.now) is None


@pytest.mark.parametrize("first", [True, False], ids=["drafted before", "drafted after"])
def test_the_plan_that_was_sent_counts(failing: Failing, first: bool) -> None:
    """Another plan of the same run, with another backup, lends nothing to what was sent: whichever was recorded last."""
    drafted = risky("up", YELLOW, **UP)
    other = drafted.model_copy(update={"backup": drafted.backup.model_copy(update={"id": "other"})})
    promotion = None if first else failing.promote()
    failing.desk.ledger.record(raw_fact("planned", other.model_dump(mode="json")), **where(other))
    said: dict[str, Any] = {"kind": "person", "approver": ANNA, "reason": "x", "answered_at": failing.desk.now}
    record_approval(
        failing.desk.ledger, other, **said, execute_within=timedelta(minutes=30), restore_within=timedelta(hours=1)
    )
    promotion = promotion or failing.promote()
    assert failing.allowed(promotion)
    assert not failing.allowed(promotion, restore_backup_id="other")


def test_the_leave_is_used_once(failing: Failing) -> None:
    """A second restore of the same promotion finds it used up, with nothing of it recorded; another promotion's is not."""
    ledger, promotion = failing.desk.ledger, failing.promote()
    first, second = put_back(promotion), put_back(promotion, "again")
    use(ledger, first, promotion, failing.desk)
    with pytest.raises(AlreadyRecorded) as used:
        use(ledger, second, promotion, failing.desk)
    assert used.value.once == key_of("up")
    assert not ledger.facts(run_id="again")
    use(ledger, second, failing.promote("up-2"), failing.desk)


def use(ledger: Ledger, restore: Plan, promotion: Plan, desk: Desk) -> Approval:
    """Let the restore go on by that leave, as its run does."""
    used = entry(PreauthorisationUsed(), restore, key_of(promotion.run_id))
    said: dict[str, Any] = {"kind": "pre-authorised", "approver": ANNA, "reason": "failed", "answered_at": desk.now}
    return record_approval(ledger, restore, **said, execute_within=timedelta(minutes=30), also=(used,))


@pytest.mark.parametrize(
    "options",
    [CopyOptions(files=True, database=True, tables=("wp_posts",)), CopyOptions(files=False, database=True)],
    ids=["single tables", "no files"],
)
def test_a_restore_must_not_undo_more_than_came(failing: Failing, options: CopyOptions) -> None:
    """It puts files and all tables back, so where less travelled people are asked."""
    promotion = failing.promote(options=options)
    assert failing.allowed(promotion) is None

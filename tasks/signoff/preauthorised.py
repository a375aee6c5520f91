"""Pre-authorised restores: undo a promotion whose verification failed, because its own approval permits that for a while."""

from datetime import datetime, timedelta

from tasks.estate.plans import Approval, Plan
from tasks.ledger.facts import Approved, BackupRenewed, Planned, Reported, Sending
from tasks.ledger.ledger import Ledger

FAILED = "VerifyFailed"


def allowed_by(
    ledger: Ledger, plan: Plan, promotion: str, now: datetime, *, at_most: timedelta = timedelta(hours=1)
) -> tuple[Plan, Approval] | None:
    """Return the promotion's plan and its approval if that covers this restore now, or None if people must be asked.

    It covers one restore, of the backup that the promotion recorded, onto the install that it overwrote, with no more than
    was copied, for the approved seconds after the verification first failed and at most `at_most`, which the rules set.
    The ledger is not enough: `witnesses.permitted_by` checks the promotion's answers as well.
    """
    facts = ledger.facts(run_id=promotion)
    # The plan that was sent counts: the run may have drafted others before it.
    sent = next((fact.plan for fact in facts if fact.kind == Sending.KIND), None)
    about = {fact.kind: fact for fact in facts if fact.plan == sent and fact.kind in (Approved.KIND, Planned.KIND)}
    ends = [(fact.at, fact.as_(Reported).outcome) for fact in facts if fact.kind == Reported.KIND]
    failed_at = next((at for at, outcome in ends if outcome == FAILED), None)
    # The last end counts too: a retry may have verified the promotion.
    if len(about) < 2 or failed_at is None or ends[-1][1] != FAILED:
        return None
    approved, promoted = about[Approved.KIND].as_(Approved).approval, about[Planned.KIND].as_(Planned).draft
    if not approved.restore_within:
        return None
    renewed = [fact.text("id") for fact in facts if fact.kind == BackupRenewed.KIND]
    same = (
        promoted.verb == "promote"
        and (promoted.run_id, promoted.fingerprint) == (promotion, sent)  # not facts of another run, copied
        and (approved.run_id, approved.plan) == (promotion, sent)
        and plan.pair.destination.id == promoted.pair.destination.id
        and plan.restore_backup_id == (renewed or [promoted.backup.id])[-1]
        and plan.options.database <= promoted.options.database
        and promoted.options.files  # a restore puts files back, and all tables: it must not undo more than came
        and not (plan.options.database and promoted.options.tables)
    )
    in_time = now - failed_at <= min(timedelta(seconds=approved.restore_within), at_most)
    return (promoted, approved) if same and in_time else None


PREFIX = "pre-authorised:"


def key_of(promotion: str) -> str:
    """Return the ledger's key under which a pre-authorisation is used."""
    return f"{PREFIX}{promotion}"


def promotion_of(key: str) -> str:
    """Return the promotion whose pre-authorisation this key uses, or "" for any other key."""
    return key.removeprefix(PREFIX) if key.startswith(PREFIX) else ""

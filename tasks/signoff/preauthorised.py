"""Pre-authorised restores: undo a promotion whose verification failed, because its own approval allowed that for a while."""

from datetime import datetime, timedelta

from tasks.estate.plans import Approval, Plan
from tasks.ledger.ledger import Ledger

FAILED = "VerifyFailed"


def allowed_by(
    ledger: Ledger, plan: Plan, promotion: str, now: datetime, *, at_most: timedelta = timedelta(hours=1)
) -> tuple[Plan, Approval] | None:
    """Return the promotion's plan and its approval, if that covers this restore now; None if people must be asked.

    It covers one restore, of the backup that the promotion recorded, onto the install that it overwrote, with no more than
    what travelled, and only for the approved seconds after the verification first failed, `at_most` as long as the rules allow.
    What the ledger says is not enough: `witnesses.permitted_by` checks the promotion's answers as well.
    """
    facts = ledger.facts(run_id=promotion)
    # The plan that was sent counts: the run may have drafted others before it.
    sent = next((fact.plan for fact in facts if fact.kind == "sending"), None)
    about = {fact.kind: fact.detail for fact in facts if fact.plan == sent and fact.kind in ("approved", "planned")}
    ends = [fact for fact in facts if fact.kind == "outcome"]
    failed = next((fact for fact in ends if fact.detail["outcome"] == FAILED), None)
    # The last end counts too: a retry may have found that all is well.
    if len(about) < 2 or failed is None or ends[-1].detail["outcome"] != FAILED:
        return None
    approved, promoted = Approval.model_validate(about["approved"]), Plan.model_validate(about["planned"])
    if not approved.restore_within:
        return None
    renewed = [fact.detail["id"] for fact in facts if fact.kind == "backup-renewed"]
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
    in_time = now - failed.at <= min(timedelta(seconds=approved.restore_within), at_most)
    return (promoted, approved) if same and in_time else None


PREFIX = "pre-authorised:"


def key_of(promotion: str) -> str:
    """The ledger's key under which a pre-authorisation is used up."""
    return f"{PREFIX}{promotion}"


def promotion_of(key: str) -> str:
    """Return the promotion whose pre-authorisation this key uses up; "" for any other key."""
    return key.removeprefix(PREFIX) if key.startswith(PREFIX) else ""

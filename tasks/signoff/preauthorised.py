"""Pre-authorised restores: undo a promotion whose verification failed, because its own approval allowed that for a while."""

from datetime import datetime, timedelta

from tasks.estate.plans import Approval, Plan
from tasks.signoff.ledger import Ledger

FAILED = "VerifyFailed"


def allowed_by(ledger: Ledger, plan: Plan, promotion: str, now: datetime) -> Approval | None:
    """The promotion's approval, if it covers this restore now; None where people must be asked.

    It covers one restore, of the backup that the promotion recorded, onto the install that it overwrote, with no more than
    what travelled, and only for the approved seconds after the verification first failed.
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
        and plan.pair.destination.id == promoted.pair.destination.id
        and plan.restore_backup_id == (renewed or [promoted.backup.id])[-1]
        and plan.options.database <= promoted.options.database
        and promoted.options.files  # a restore puts files back, and all tables: it must not undo more than came
        and not (plan.options.database and promoted.options.tables)
    )
    in_time = now - failed.at <= timedelta(seconds=approved.restore_within)
    return approved if same and in_time else None


def key_of(promotion: str) -> str:
    """The ledger's key under which a pre-authorisation is used up."""
    return f"pre-authorised:{promotion}"

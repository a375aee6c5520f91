"""The one function through which a destructive request leaves."""

from collections.abc import Callable
from datetime import datetime

from tasks.estate.errors import OutcomeUnknown, Refused, Transient
from tasks.estate.plans import Approval, Baseline, Plan, Receipt
from tasks.ledger.facts import Sending, SendRefused, SendUnanswered, Sent
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import where


def send_once(
    ledger: Ledger,
    plan: Plan,
    approval: Approval,
    *,
    recheck: Callable[[], Baseline],
    last_look: Callable[[], None],
    call: Callable[[], None],
    clock: Callable[[], datetime],
) -> Receipt:
    """Re-check, consume the approval and journal the intent in one transaction, then make the call: once, ever.

    A run that journaled a call before never calls again: it gets the journaled receipt, whose answer is `unknown` when
    the process died before the answer was written down. A lost answer is a receipt too, not an exception: only evidence
    can settle it. Raises what `recheck`, `last_look` (freezes, holds) and `Ledger.consume` raise, and the host's refusal.
    """
    earlier = ledger.receipt(plan.run_id)
    if earlier is not None:
        return earlier
    sending = Sending(baseline=recheck())
    last_look()
    ledger.consume(approval, destination_id=plan.destination_id, intent=sending, now=clock())
    try:
        call()
    except OutcomeUnknown as lost:
        ledger.record(SendUnanswered(why=lost.message), **where(plan))
    except (Refused, Transient) as refusal:
        # 4xx, or no connection at all: the host did not take the request. The approval stays used up all the same.
        ledger.record(SendRefused(why=refusal.message), **where(plan), once=f"answered:{plan.run_id}")
        raise
    else:
        ledger.record(Sent(), **where(plan), once=f"answered:{plan.run_id}")
    receipt = ledger.receipt(plan.run_id)
    assert receipt is not None, "consume() journaled it in the line above"  # noqa: S101  # an invariant, not input
    return receipt.model_copy(update={"recalled": False})

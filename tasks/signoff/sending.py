"""The one protocol through which destructive calls leave: copies, restores and loads."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from tasks.estate.errors import OutcomeUnknown, Refused, Transient, UnderstudyError
from tasks.estate.plans import Approval, Baseline, Intent, Plan, Receipt
from tasks.ledger.facts import Sending, SendRefused, SendUnanswered, Sent
from tasks.ledger.ledger import AlreadyRecorded, Ledger
from tasks.signoff.answers import where

R = TypeVar("R")


@dataclass(frozen=True)
class Call(Generic[R]):
    """One destructive call: what installs and databases do differently.

    `check` compares the facts with those that were approved and returns the intent to journal. `act` makes the call; it raises
    `OutcomeUnknown` if the answer was lost. `find_out` returns the result of a call that was journaled; it raises
    `OutcomeUnknown` if nothing proves how the call ended. Both raise an error of `unchanged` only if nothing was changed.
    """

    plan: Intent
    check: Callable[[], Sending]
    act: Callable[[], R]
    find_out: Callable[[], R]
    unchanged: tuple[type[UnderstudyError], ...]


def send_once(
    ledger: Ledger, approval: Approval, call: Call[R], *, permit: Callable[[], None], clock: Callable[[], datetime]
) -> R:
    """Check, use up the approval and journal the intent in one transaction, then act: once.

    A run that journaled a call never acts again, in any process: it finds out how the call ended. Raises what `check`, `permit`
    (freezes, holds, proof) and `Ledger.consume` raise, an error of `unchanged`, and `OutcomeUnknown` if `find_out` does.
    """
    plan = call.plan
    if ledger.facts(run_id=plan.run_id, kind=Sending.KIND):
        return _find_out(ledger, call)
    intent = call.check()
    permit()
    ledger.consume(approval, destination_id=plan.destination_id, intent=intent, now=clock())
    try:
        result = call.act()
    except OutcomeUnknown as lost:
        ledger.record(SendUnanswered(why=lost.message), **where(plan))
        return _find_out(ledger, call)
    except call.unchanged as refusal:
        ledger.record(SendRefused(why=refusal.message), **where(plan), once=_answered(plan))
        raise
    except BaseException:  # a bug or a signal proves nothing: it may have come after the effect
        with suppress(Exception):  # the next attempt of the run finds out
            _find_out(ledger, call)
        raise
    ledger.record(Sent(), **where(plan), once=_answered(plan))
    return result


def _find_out(ledger: Ledger, call: Call[R]) -> R:
    try:
        return call.find_out()
    except call.unchanged as refusal:
        with suppress(AlreadyRecorded):
            ledger.record(SendRefused(why=refusal.message), **where(call.plan), once=_answered(call.plan))
        raise


def _answered(plan: Intent) -> str:
    return f"answered:{plan.run_id}"


def install_call(
    ledger: Ledger, plan: Plan, *, recheck: Callable[[], Baseline], request: Callable[[], None]
) -> Call[Receipt]:
    """Return a copy or restore as a call. If its answer was lost, its receipt is `unknown`, and evidence settles it later."""

    def receipt() -> Receipt:
        found = ledger.receipt(plan.run_id)
        assert found is not None, "send_once journaled the call"  # noqa: S101  # an invariant, not input
        return found

    def act() -> Receipt:
        made = receipt()
        request()
        return made.model_copy(update={"answer": "accepted", "recalled": False})

    # 4xx, or no connection at all: the host did not take the request
    return Call(plan, lambda: Sending(baseline=recheck()), act, receipt, unchanged=(Refused, Transient))

"""The one protocol through which destructive calls leave: copies, restores and loads."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from tasks.estate.errors import (
    LedgerBroken,
    Misconfigured,
    OutcomeUnknown,
    Refused,
    Transient,
    UnderstudyError,
    loggable,
)
from tasks.estate.plans import Approval, Baseline, Intent, Plan, Receipt, code_of
from tasks.ledger.facts import Sending, SendRefused, SendUnanswered, Sent
from tasks.ledger.ledger import AlreadyRecorded, Fact, Ledger
from tasks.signoff.answers import where

R = TypeVar("R")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call(Generic[R]):
    """One destructive call: what installs and databases do differently.

    `check` compares the facts with those that were approved and returns the intent to journal. `act` makes the call; it raises
    `OutcomeUnknown` if the answer was lost, and an error of `unchanged` only if nothing was changed. `find_out` returns the
    result of a call that was journaled; it raises an error of `ended_unchanged` only if the call provably changed nothing.
    """

    plan: Intent
    check: Callable[[], Sending]
    act: Callable[[], R]
    find_out: Callable[[], R]
    unchanged: tuple[type[UnderstudyError], ...]
    ended_unchanged: tuple[type[UnderstudyError], ...] = ()


def send_once(
    ledger: Ledger, approval: Approval, call: Call[R], *, permit: Callable[[], None], clock: Callable[[], datetime]
) -> R:
    """Check, use up the approval and journal the intent in one transaction, then act: once.

    A run that journaled a call never acts again, in any process: it finds out how the call ended. Raises what `check`, `permit`
    (freezes, holds, proof) and `Ledger.consume` raise, an error of `unchanged`, what `find_out` raises, and `OutcomeUnknown` if
    the run's call was journaled for another plan.
    """
    plan = call.plan
    for journaled in ledger.facts(run_id=plan.run_id, kind=Sending.KIND):
        _require_same_plan(journaled, plan)
        return _find_out(ledger, call)
    intent = call.check()
    permit()
    ledger.consume(approval, destination_id=plan.destination_id, intent=intent, now=clock())
    try:
        result = call.act()
    except OutcomeUnknown as lost:
        ledger.record(SendUnanswered(why=lost.message), **where(plan))
        return _find_out(ledger, call)
    except LedgerBroken:  # about the ledger, not about the call
        raise
    except call.unchanged as refusal:
        _record_answer(ledger, plan, SendRefused(why=refusal.message))
        raise
    except BaseException:  # a bug or a signal proves nothing: it may have come after the effect
        with suppress(Exception):  # the next attempt of the run finds out
            _find_out(ledger, call)
        raise
    _record_answer(ledger, plan, Sent())
    return result


def _require_same_plan(journaled: Fact, plan: Intent) -> None:
    """Raise `OutcomeUnknown` if the call was journaled for another plan. Facts of 0.1 may have no plan."""
    if journaled.plan not in ("", plan.fingerprint):
        raise OutcomeUnknown(
            f"Run {plan.run_id} made its one call for plan {code_of(journaled.plan)}; plan {plan.code} was not carried out.",
            next_step=f"Start a new run for plan {plan.code}. To find out how the call ended, retry this run with the "
            "parameters of its first attempt: it never sends again.",
        )


def _find_out(ledger: Ledger, call: Call[R]) -> R:
    try:
        return call.find_out()
    except Exception as error:
        text = loggable(error)
        logger.warning("How the call of run %s ended: %s", call.plan.run_id, text)
        if isinstance(error, call.ended_unchanged):
            _record_answer(ledger, call.plan, SendRefused(why=text))
        raise


def _record_answer(ledger: Ledger, plan: Intent, answer: Sent | SendRefused) -> None:
    """Record how the call ended, once for each run. What this process has seen holds if another one recorded first."""
    try:
        ledger.record(answer, **where(plan), once=f"answered:{plan.run_id}")
    except AlreadyRecorded:
        logger.info("The ledger already contains an answer to the call of run %s.", plan.run_id)


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

    # 4xx, no connection at all, or options that contradict each other: the host did not take the request
    return Call(plan, lambda: Sending(baseline=recheck()), act, receipt, unchanged=(Refused, Transient, Misconfigured))

"""Reconcile the copy of a run that is over with what the remote side shows."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from tasks.capi.client import Client
from tasks.estate.plans import Plan, Verdict
from tasks.ledger.ledger import Fact, Ledger
from tasks.probes.websites import Prober
from tasks.surveys.watch import evaluate_twice


def has_arrived(
    ledger: Ledger,
    sending: Fact,
    *,
    connect: Callable[[], AbstractContextManager[tuple[Client, Prober]]],
    gap: timedelta,
    host_within: timedelta,
) -> bool:
    """Return whether two readings `gap` apart settle the journaled copy. Takes about `gap`; changes nothing.

    It is settled if its arrival is confirmed, or if nothing differed before and nothing differs now, `host_within` after
    the call: the host's work cannot still be going on then.
    `connect` is called only where the ledger knows what was sent. Raises as the client does: `Transient`, `Misconfigured`.
    """
    planned = next(iter(ledger.facts(run_id=sending.run_id, kind="planned")), None)
    if planned is None:
        return False
    receipt = ledger.receipt(sending.run_id)
    if receipt is None:
        return False
    plan = Plan.model_validate(planned.detail)
    with connect() as (client, prober):
        evidence = evaluate_twice(
            client, prober, plan, receipt, receipt.baseline.source, gap=gap, host_done=receipt.sent_at + host_within
        )
    return evidence.verdict in (Verdict.CONFIRMED, Verdict.UNCHANGED)

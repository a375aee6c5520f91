"""Leaks: dumps in which a load found personal data. From then on they count as unproven, for every worker."""

from tasks.estate.dumps import LoadPlan
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import where

LEAKED = "leaked"  # kind of the fact; its detail has the dump's file name and digest


def record_leak(ledger: Ledger, plan: LoadPlan, *, file: str) -> str:
    """Record that the load of this plan found personal data in its dump, and return what a person does next.

    The fact names no column and no value.
    """
    ledger.record(LEAKED, **where(plan), detail={"dump": file, "digest": plan.digest})
    return (
        f"The target is as it was. The dump {file} still exists and counts as unproven from now on: remove it, correct the"
        " policy for the columns that the message names, and make a new dump with `anonymize`."
    )


def leak_of(ledger: Ledger, digest: str) -> str:
    """Return why the dump with this digest counts as unproven although its proof fits, or nothing if no load found a leak."""
    found = [fact for fact in ledger.facts(kind=LEAKED) if fact.detail.get("digest") == digest]
    return f"its load by run {found[0].run_id} found personal data of the source in it" if found else ""

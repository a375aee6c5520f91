"""Leaks: dumps in which a load found personal data. From then on they are unproven for every worker."""

from tasks.estate.dumps import LoadPlan
from tasks.ledger.facts import Leaked
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import where


def record_leak(ledger: Ledger, plan: LoadPlan, *, file: str) -> str:
    """Record that a load found personal data in its dump, without column or value, and return the next step for people."""
    ledger.record(Leaked(dump=file, digest=plan.digest), **where(plan))
    return (
        f"The target is as it was. The dump {file} still exists and counts as unproven from now on: remove it, correct the"
        " policy for the columns that the message names, and make a new dump with `anonymize`."
    )


def leak_of(ledger: Ledger, digest: str) -> str:
    """Return why the dump with this digest is unproven although its proof fits, or "" if no load found a leak in it."""
    found = [fact for fact in ledger.facts(kind=Leaked.KIND) if fact.as_(Leaked).digest == digest]
    return f"its load by run {found[0].run_id} found personal data of the source in it" if found else ""

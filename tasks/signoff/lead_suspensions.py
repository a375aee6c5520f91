"""Suspensions: leads who left the hosting account, or whose login there does not meet the rules for leads.

They are facts of the ledger, because the leads file changes only after a review, and a suspension must not wait.
"""

from collections.abc import Iterable
from datetime import datetime

from tasks.estate.sites import Immutable
from tasks.ledger.facts import LeadRestored, LeadSuspended
from tasks.ledger.ledger import Fact, Ledger
from tasks.signoff.leads import plain_name

KINDS = (LeadSuspended.KIND, LeadRestored.KIND)


class Suspension(Immutable):
    """One lead who may not answer since `at` (UTC). `why` continues the name; `ended` is None while it lasts."""

    name: str
    why: str
    at: datetime
    ended: datetime | None = None


def suspensions(facts: Iterable[Fact]) -> list[Suspension]:
    """Return every suspension in these facts, oldest first; a newer fact about the same lead ends the one before.

    Tolerates malformed details, because it must also read a broken ledger.
    """
    found: list[Suspension] = []
    lasting: dict[str, int] = {}
    for fact in facts:
        if fact.kind not in KINDS or not isinstance(fact.detail, dict):
            continue
        name = fact.text("name")
        before = lasting.pop(plain_name(name), None)
        if before is not None:
            found[before] = found[before].model_copy(update={"ended": fact.at})
        if fact.kind == LeadSuspended.KIND:
            lasting[plain_name(name)] = len(found)
            found.append(Suspension(name=name, why=fact.text("why"), at=fact.at))
    return found


def suspended_now(ledger: Ledger) -> dict[str, str]:
    """Return the suspended leads, name → why."""
    return {each.name: each.why for each in suspensions(ledger.facts(kinds=KINDS)) if each.ended is None}

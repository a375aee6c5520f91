"""Suspensions: leads of whom the hosting account says that they left, or that their login is not what a lead's should be.

Facts, not lines of the leads file: that file changes under review, and who has just left must not wait for one.
"""

from collections.abc import Iterable
from datetime import datetime

from tasks.estate.sites import Immutable
from tasks.ledger.ledger import Fact, Ledger
from tasks.signoff.leads import plain_name

SUSPENDED, RESTORED = "lead-suspended", "lead-restored"
KINDS = (SUSPENDED, RESTORED)


class Suspension(Immutable):
    """One lead who may not answer since `at` (UTC). `why` continues the name; `ended` is None while it lasts."""

    name: str
    why: str
    at: datetime
    ended: datetime | None = None


def suspensions(facts: Iterable[Fact]) -> list[Suspension]:
    """Every suspension that these facts tell of, oldest first; a newer fact about the same lead ends the one before.

    Reads with patience: a broken ledger may hold anything.
    """
    found: list[Suspension] = []
    lasting: dict[str, int] = {}
    for fact in facts:
        if fact.kind not in KINDS or not isinstance(fact.detail, dict):
            continue
        name = str(fact.detail.get("name", ""))
        before = lasting.pop(plain_name(name), None)
        if before is not None:
            found[before] = found[before].model_copy(update={"ended": fact.at})
        if fact.kind == SUSPENDED:
            lasting[plain_name(name)] = len(found)
            found.append(Suspension(name=name, why=str(fact.detail.get("why", "")), at=fact.at))
    return found


def suspended_now(ledger: Ledger) -> dict[str, str]:
    """Who is suspended, name → why: the leads whose newest such fact says so."""
    return {each.name: each.why for each in suspensions(ledger.facts(kinds=KINDS)) if each.ended is None}

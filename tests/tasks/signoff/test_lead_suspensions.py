"""Suspensions: the newest fact about a lead counts, and a suspended lead cannot approve."""

from dataclasses import dataclass

import pytest

from tasks.ledger.ledger import Ledger
from tasks.rendering.audit import history_text
from tasks.signoff.gate import Gate
from tasks.signoff.history import history
from tasks.signoff.lead_suspensions import KINDS, suspended_now, suspensions
from tests.raw_facts import raw_fact
from tests.tasks.signoff.approval_desk import ANNA, BEN, EIGHT_HOURS, NOW, TERMS, YELLOW, Desk, draft, leads_without

LEFT = "is no user of the hosting account of schulprod"


def record(ledger: Ledger, *rows: tuple[str, str, str]) -> None:
    """Record facts about leads: kind without `lead-`, name, reason."""
    for kind, name, why in rows:
        ledger.record(raw_fact(f"lead-{kind}", {"name": name, "why": why}), run_id="sweep")


def test_the_newest_fact_about_a_lead_counts() -> None:
    """A lead can be suspended, restored and suspended for another reason; the spelling of the name does not matter."""
    ledger = Ledger("sqlite://")
    record(ledger, ("suspended", ANNA, LEFT), ("suspended", BEN, LEFT), ("restored", ANNA.upper(), ""))
    assert suspended_now(ledger) == {BEN: LEFT}
    record(ledger, ("suspended", ANNA, LEFT), ("suspended", BEN, "uses no two-factor login"))
    assert suspended_now(ledger) == {ANNA: LEFT, BEN: "uses no two-factor login"}
    found = suspensions(ledger.facts(kinds=KINDS))
    assert [(each.name, each.ended is None) for each in found] == [
        (ANNA, False),
        (BEN, False),
        (ANNA, True),
        (BEN, True),
    ]


def test_an_audit_lists_the_suspensions_of_its_time() -> None:
    """Suspensions that ended before the time of the audit are left out."""
    ledger = Ledger("sqlite://")
    record(ledger, ("suspended", ANNA, LEFT), ("restored", ANNA, ""), ("suspended", BEN, LEFT))
    facts = ledger.facts()
    later = facts[-1].at + EIGHT_HOURS
    assert [each.name for each in history(facts, since=later, until=later).suspended] == [BEN]
    assert [each.name for each in history(facts, since=facts[0].at, until=later).suspended] == [ANNA, BEN]
    assert f"    * lead: {BEN}\n    * why: {LEFT}\n    * until: –\n" in history_text(
        history(facts, since=later, until=later)
    )


@dataclass
class SuspendingDesk(Desk):
    """A gate without the leads whom the ledger suspends."""

    @property
    def gate(self) -> Gate:
        """The gate as a worker makes it for each pass."""
        leads = leads_without(self.suspended).without(suspended_now(self.ledger))
        return Gate(self.ledger, leads, TERMS, self.require_open)


def test_a_suspended_lead_cannot_approve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A valid signature of a suspended lead is refused, and accepted again after the lead is restored."""
    desk = SuspendingDesk.create(monkeypatch)
    plan = desk.ask(draft(risk=YELLOW))
    record(desk.ledger, ("suspended", ANNA, LEFT))
    assert desk.refusal(plan, ANNA)
    assert desk.ledger.facts(kind="approved") == []
    record(desk.ledger, ("restored", ANNA, ""))
    assert desk.approve(plan, ANNA).approver == ANNA
    assert desk.now == NOW

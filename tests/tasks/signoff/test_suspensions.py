"""Suspensions: who is suspended by the newest fact, and what that means at the gate."""

from dataclasses import dataclass

import pytest

from tasks.ledger.ledger import Ledger
from tasks.rendering.audit import history_text
from tasks.signoff.gate import Gate
from tasks.signoff.history import history
from tasks.signoff.suspensions import KINDS, suspended_now, suspensions
from tests.raw_facts import raw_fact
from tests.tasks.signoff.desk import ANNA, BEN, EIGHT_HOURS, NOW, TERMS, YELLOW, Desk, leads_without, risky

LEFT = "is no user of the hosting account of schulprod"


def told(ledger: Ledger, *rows: tuple[str, str, str]) -> None:
    """Record these: kind without `lead-`, name, why."""
    for kind, name, why in rows:
        ledger.record(raw_fact(f"lead-{kind}", {"name": name, "why": why}), run_id="sweep")


def test_the_newest_fact_about_a_lead_counts() -> None:
    """Suspended, restored, suspended for another reason: the last word holds, however the name was written."""
    ledger = Ledger("sqlite://")
    told(ledger, ("suspended", ANNA, LEFT), ("suspended", BEN, LEFT), ("restored", ANNA.upper(), ""))
    assert suspended_now(ledger) == {BEN: LEFT}
    told(ledger, ("suspended", ANNA, LEFT), ("suspended", BEN, "uses no two-factor login"))
    assert suspended_now(ledger) == {ANNA: LEFT, BEN: "uses no two-factor login"}
    found = suspensions(ledger.facts(kinds=KINDS))
    assert [(each.name, each.ended is None) for each in found] == [
        (ANNA, False),
        (BEN, False),
        (ANNA, True),
        (BEN, True),
    ]


def test_an_audit_lists_who_was_suspended() -> None:
    """Those that lasted into the time are told, with their end; those that ended before are not."""
    ledger = Ledger("sqlite://")
    told(ledger, ("suspended", ANNA, LEFT), ("restored", ANNA, ""), ("suspended", BEN, LEFT))
    facts = ledger.facts()
    later = facts[-1].at + EIGHT_HOURS
    assert [each.name for each in history(facts, since=later, until=later).suspended] == [BEN]
    assert [each.name for each in history(facts, since=facts[0].at, until=later).suspended] == [ANNA, BEN]
    assert f"| {BEN} | {LEFT} | – |" in history_text(history(facts, since=later, until=later))


@dataclass
class Watched(Desk):
    """A desk whose leads are those whom the ledger leaves."""

    @property
    def gate(self) -> Gate:
        """The gate as a worker makes it while the rule is on."""
        leads = leads_without(self.suspended).without(suspended_now(self.ledger))
        return Gate(self.ledger, leads, TERMS, self.require_open)


def test_a_suspended_lead_s_signed_yes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A good signature of somebody who left is no leave; once restored, the same person's counts."""
    desk = Watched.opened(monkeypatch)
    plan = risky(risk=YELLOW)
    desk.ask(plan)
    told(desk.ledger, ("suspended", ANNA, LEFT))
    assert desk.refused(plan, ANNA)
    assert desk.ledger.facts(kind="approved") == []
    told(desk.ledger, ("restored", ANNA, ""))
    assert desk.yes(plan, ANNA).approver == ANNA
    assert desk.now == NOW

"""A desk at the gate: leads with keys and codes, a clock that only the test moves, and answers as they typed them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from pyotp import TOTP

from tasks.estate.errors import Frozen
from tasks.estate.plans import Approval, Intent, Plan
from tasks.estate.risks import Grade, Risk
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import Answer
from tasks.signoff.gate import Gate, Terms, Waiting
from tasks.signoff.leads import Lead, LeadKey, Leads
from tasks.signoff.proofs import STEP, new_key, sign, statement
from tasks.signoff.witnesses import signed_decision
from tests.tasks.safeguards.stories import plan

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANNA, BEN, CARA = "Anna Lead", "Ben Lead", "Cara Lead"
KEYS = {name: new_key() for name in (ANNA, BEN, CARA)}
SECRETS = {ANNA: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", BEN: "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"}  # Cara only signs
TERMS = Terms(attempts=5, codes_an_hour=10, execute_within=timedelta(minutes=30), restore_within=timedelta(minutes=15))
YELLOW = Risk(grade=Grade.YELLOW, reasons=("it is production",))
RED = Risk(grade=Grade.RED, reasons=("the database",), people=2, requester_may_approve=True)
EIGHT_HOURS = timedelta(hours=8)


def risky(run: str = "tonight", risk: Risk = RED, **changes: Any) -> Plan:
    """A red plan, if not told otherwise: two people."""
    return plan(run=run, risk=risk, requested_by="Dora Developer", **changes)


@cache
def leads_without(suspended: frozenset[str]) -> Leads:
    """All three, some of whom may not answer now."""
    leads = [
        Lead(name=name, email="a@b.example", keys=(LeadKey(key=public),), suspended=name in suspended)
        for name, (_, public) in KEYS.items()
    ]
    return Leads(leads, SECRETS)


@dataclass
class Desk:
    """A gate with everything around it. `frozen` names the freeze that holds now, `suspended` who may not answer."""

    ledger: Ledger
    now: datetime = NOW
    frozen: str = ""
    suspended: frozenset[str] = frozenset()

    @classmethod
    def opened(cls, patch: pytest.MonkeyPatch, url: str = "sqlite://") -> "Desk":
        """A desk with an empty ledger that goes by its clock."""
        made = cls(Ledger(url))
        patch.setattr("tasks.ledger.rows.utc_now", lambda: made.now)
        return made

    @property
    def gate(self) -> Gate:
        """The gate as a worker makes it for each pass: the files are read again."""
        return Gate(self.ledger, leads_without(self.suspended), TERMS, self.require_open)

    def require_open(self, plan: Intent, moment: datetime) -> None:
        """Refuse while it is frozen, as the calendar would."""
        assert moment == self.now
        if self.frozen and plan.verb != "restore" and f"freeze:{self.frozen}" not in plan.overrides:
            raise Frozen(f"{plan.destination_name} is closed by {self.frozen}.")

    def ask(self, plan: Intent, within: timedelta = EIGHT_HOURS) -> Waiting:
        """Put the plan to people."""
        return self.gate.ask(plan, source_id="S", within=within, now=self.now)[0]

    def later(self, **by: float) -> None:
        """Move the clock."""
        self.now += timedelta(**by)

    def code(self, lead: str = ANNA, *, steps: int = 0) -> str:
        """What the lead's phone shows, or will so many steps later."""
        return TOTP(SECRETS[lead]).at(int(self.now.timestamp()) + steps * STEP)

    def signature(self, plan: Intent, lead: str = ANNA, decision: str = "approve", **instead: Any) -> str:
        """The lead's signature over this decision on the plan, until its deadline."""
        until = instead.get("until") or self.gate.waiting(plan).answer_by
        return sign(KEYS[lead][0], statement(decision, plan.fingerprint, until))

    def answer(self, plan: Intent, /, lead: str = ANNA, proof: str | None = None, **instead: Any) -> Answer:
        """A whole answer, signed unless told otherwise."""
        decision = instead.get("decision", "approve")
        signed = signed_decision(decision, restore=instead.get("restore", False))
        typed: dict[str, Any] = {
            "decision": decision, "approver": lead, "plan": plan.code, "destination": plan.destination_name,
            "proof": self.signature(plan, lead, signed) if proof is None else proof, "reason": "release day",
            "given_at": self.now,
        }  # fmt: skip
        return Answer(**typed | instead)

    def say(self, plan: Intent, /, lead: str = ANNA, proof: str | None = None, **instead: Any) -> Approval | Waiting:
        """Answer, and let the gate judge it at once."""
        return self.gate.evaluate(plan, self.answer(plan, lead, proof, **instead), now=self.now)

    def yes(self, plan: Intent, /, lead: str = ANNA, proof: str | None = None, **instead: Any) -> Approval:
        """Say what must be the last yes. A code's yes for production takes effect after its minute."""
        approval = self.settled(plan, self.say(plan, lead, proof, **instead))
        assert isinstance(approval, Approval), approval
        return approval

    def settled(self, plan: Intent, found: Approval | Waiting, moved: str = "") -> Approval | Waiting:
        """Let a code's minute pass, where one runs, and end it."""
        if isinstance(found, Waiting) and found.settling:
            self.now = max(self.now, found.settling.at)
            return self.gate.settle(plan, moved=moved, now=self.now)
        return found

    def refused(self, plan: Intent, /, lead: str = ANNA, proof: str | None = None, **instead: Any) -> str:
        """Say what must not count; gives why."""
        waiting = self.say(plan, lead, proof, **instead)
        assert isinstance(waiting, Waiting), waiting
        assert waiting.refused
        return waiting.refused

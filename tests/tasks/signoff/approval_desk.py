"""An approval gate for tests: leads with keys and codes, a clock that only the test moves, and the answers of the leads."""

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
from tasks.signoff.approval_recheck import signed_decision
from tasks.signoff.gate import Gate, Terms, Waiting
from tasks.signoff.leads import Lead, LeadKey, Leads
from tasks.signoff.proofs import STEP, new_key, sign, statement
from tests.tasks.safeguards.ledger_histories import plan

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANNA, BEN, CARA = "Anna Lead", "Ben Lead", "Cara Lead"
KEYS = {name: new_key() for name in (ANNA, BEN, CARA)}
SECRETS = {ANNA: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", BEN: "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"}  # Cara has no codes
TERMS = Terms(attempts=5, codes_an_hour=10, execute_within=timedelta(minutes=30), restore_within=timedelta(minutes=15))
YELLOW = Risk(grade=Grade.YELLOW, reasons=("it is production",))
RED = Risk(grade=Grade.RED, reasons=("the database",), people=2, requester_may_approve=True)
EIGHT_HOURS = timedelta(hours=8)
ENTRY: dict[str, Any] = {  # an entry of the standing approvals file, without hours
    "source": "prod", "destination": "stage", "issuer": ANNA, "reason": "nightly refresh", "issued": "2026-11-01",
    "until": "2026-12-31", "include_database": True,
}  # fmt: skip


def draft(run: str = "tonight", risk: Risk = RED, **changes: Any) -> Plan:
    """Return a plan, by default a red one, which two people must approve."""
    return plan(run=run, risk=risk, requested_by="Dora Developer", **changes)


@cache
def leads_without(suspended: frozenset[str]) -> Leads:
    """Return all three leads, of whom these are suspended."""
    leads = [
        Lead(name=name, email="a@b.example", keys=(LeadKey(key=public),), suspended=name in suspended)
        for name, (_, public) in KEYS.items()
    ]
    return Leads(leads, SECRETS)


@dataclass
class Desk:
    """A gate with its ledger and clock. `frozen` is the name of the present freeze window, `suspended` the suspended leads."""

    ledger: Ledger
    now: datetime = NOW
    frozen: str = ""
    suspended: frozenset[str] = frozenset()

    @classmethod
    def create(cls, patch: pytest.MonkeyPatch, url: str = "sqlite://") -> "Desk":
        """Return a gate with an empty ledger that uses its clock."""
        made = cls(Ledger(url))
        patch.setattr("tasks.ledger.rows.utc_now", lambda: made.now)
        return made

    @property
    def gate(self) -> Gate:
        """The gate as a worker makes it for each pass, with the leads and limits of that moment."""
        return Gate(self.ledger, leads_without(self.suspended), TERMS, self.require_open)

    def require_open(self, plan: Intent, moment: datetime) -> None:
        """Raise `Frozen` during the freeze window, unless the plan overrides it."""
        assert moment == self.now
        if self.frozen and plan.verb != "restore" and f"freeze:{self.frozen}" not in plan.overrides:
            raise Frozen(f"{plan.destination_name} is closed by {self.frozen}.")

    def ask(self, plan: Plan, within: timedelta = EIGHT_HOURS) -> Plan:
        """Request an approval of the plan, and return the plan."""
        self.gate.ask(plan, source_id="S", within=within, now=self.now)
        return plan

    def wait(self, **by: float) -> None:
        """Move the clock."""
        self.now += timedelta(**by)

    def code(self, lead: str = ANNA, *, steps: int = 0) -> str:
        """Return the code that the lead's phone shows, now or so many steps later."""
        return TOTP(SECRETS[lead]).at(int(self.now.timestamp()) + steps * STEP)

    def signature(self, plan: Intent, lead: str = ANNA, decision: str = "approve", **instead: Any) -> str:
        """Return the lead's signature over this decision on the plan, until its deadline."""
        until = instead.get("until") or self.gate.waiting(plan).answer_by
        return sign(KEYS[lead][0], statement(decision, plan.fingerprint, until))

    def answer(self, plan: Intent, /, lead: str = ANNA, proof: str | None = None, **instead: Any) -> Answer:
        """Return a complete answer, with a signature unless `proof` is given. `instead` replaces its fields."""
        decision = instead.get("decision", "approve")
        signed = signed_decision(decision, restore=instead.get("restore", False))
        typed: dict[str, Any] = {
            "decision": decision, "approver": lead, "plan": plan.code, "destination": plan.destination_name,
            "proof": self.signature(plan, lead, signed) if proof is None else proof, "reason": "release day",
            "given_at": self.now,
        }  # fmt: skip
        return Answer(**typed | instead)

    def submit(self, plan: Intent, /, lead: str = ANNA, proof: str | None = None, **instead: Any) -> Approval | Waiting:
        """Answer, and let the gate evaluate the answer at once."""
        return self.gate.evaluate(plan, self.answer(plan, lead, proof, **instead), now=self.now)

    def approve(self, plan: Intent, /, lead: str = ANNA, proof: str | None = None, **instead: Any) -> Approval:
        """Return the approval that this last answer makes. One with a code for production takes effect after a minute."""
        approval = self.settle(plan, self.submit(plan, lead, proof, **instead))
        assert isinstance(approval, Approval), approval
        return approval

    def settle(self, plan: Intent, found: Approval | Waiting, moved: str = "") -> Approval | Waiting:
        """If an approval with a code is being watched, wait until its minute is over, and settle it."""
        if isinstance(found, Waiting) and found.settling:
            self.now = max(self.now, found.settling.at)
            return self.gate.settle(plan, moved=moved, now=self.now)
        return found

    def refusal(self, plan: Intent, /, lead: str = ANNA, proof: str | None = None, **instead: Any) -> str:
        """Return why this answer does not count."""
        waiting = self.submit(plan, lead, proof, **instead)
        assert isinstance(waiting, Waiting), waiting
        assert waiting.refused
        return waiting.refused

"""One-time codes: the seal that proves an answer by code later, and how a code that was typed is used.

A code proves a person and a moment, not a plan. So the worker that saw a valid code seals the answer with the lead's own secret,
which neither the ledger's database nor Prefect holds. A seal covers the decision, the whole plan, its deadline, the time of the
answer and the code's time step. Whoever can only write to the ledger can make no seal, and no seal fits another plan or run.
"""

import hashlib
import hmac
from contextlib import suppress
from datetime import datetime, timedelta

from tasks.estate.plans import Intent
from tasks.ledger.facts import CodeUsed
from tasks.ledger.ledger import AlreadyRecorded, Entry, Ledger
from tasks.signoff.leads import Lead, Leads
from tasks.signoff.proofs import BadProof, verify

# A code is accepted for at most 90 s (its own half minute and one to either side). Whoever moves a code reads it where it was
# typed, so it was typed there at most this long before it appears elsewhere.
CODE_LIVES = timedelta(seconds=120)
SEALED = b"understudy answer by code 1\n"
HARMLESS = ("staging", "development")  # roles of a destination; any other word counts as production


def may_be_production(plan: Intent) -> bool:
    """Return whether the plan overwrites production, or something whose role is unknown."""
    return plan.destination_environment not in HARMLESS


def seal(leads: Leads, lead: Lead, message: bytes, *, given_at: datetime, used: str, word: str = "answered") -> str:
    """Return the seal of one answer by code, hexadecimal; "" if the lead has no secret (any more).

    `message` is the statement that a signature would be over, `used` the code's key in the ledger, `word` what is sealed.
    """
    secret = leads.secret(lead)
    if secret is None:
        return ""
    sealed = SEALED + message + f"{word} {given_at.isoformat()} {used}\n".encode()
    return hmac.new(secret.encode(), sealed, hashlib.sha256).hexdigest()


def is_sealed(
    found: object, leads: Leads, lead: Lead, message: bytes, *, given_at: datetime, used: str, word: str = "answered"
) -> bool:
    """Return whether `found` is the seal of this answer by this lead's present secret."""
    expected = seal(leads, lead, message, given_at=given_at, used=used, word=word)
    return bool(expected) and isinstance(found, str) and hmac.compare_digest(found.encode(), expected.encode())


def use_up(ledger: Ledger, leads: Leads, typed: str, *, run_id: str, given_at: datetime) -> list[str]:
    """Use the code of every lead whose code these digits were at `given_at`, and return the names of those leads.

    For digits that were typed into an answer which no longer counts: they must not be valid anywhere else.
    """
    owners = []
    for lead in leads.everybody:
        try:
            proof = verify(leads, lead, typed, message=b"", given_at=given_at, now=given_at)
        except BadProof:
            continue
        if proof.used:
            owners.append(lead.name)
            with suppress(AlreadyRecorded):
                ledger.record_together(run_id, [Entry(CodeUsed(), once=proof.used)])
    return owners

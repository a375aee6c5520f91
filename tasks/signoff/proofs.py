"""Proofs that the person who answers is the lead whose name was typed: a one-time code, an SSH signature, or a passkey.

Prefect stores in clear what is typed into its forms, so a proof must be worthless afterwards: a code is used up in the ledger
with its time step, and a signature or the answer of a passkey covers one decision on one plan until one moment.
"""

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pyotp

from tasks.estate.plans import ProofKind
from tasks.signoff.leads import Lead, Leads, plain_name
from tasks.signoff.passkeys import is_assertion, verify_assertion
from tasks.signoff.signatures import NAMESPACE, BadProof, new_key, one_line, sign, verify_signature

__all__ = ["NAMESPACE", "BadProof", "Proof", "new_key", "one_line", "sign", "statement", "verify", "verify_signature"]

STEP = 30  # seconds of one code, RFC 6238
LEEWAY = 1  # steps to either side: clocks of phones are off by seconds, people type slowly
AHEAD = timedelta(seconds=30)  # by how much the Prefect server's clock may be ahead of the worker's


@dataclass(frozen=True)
class Proof:
    """An accepted proof. `used` is the ledger's key of a code or of a passkey's counter, which is used once; "" for a signature,
    which fits one statement only. `signature` is its body, or the answer of the passkey, on one line, which is stored; a code never
    is.
    """

    kind: ProofKind
    used: str
    signature: str = ""


def verify(leads: Leads, lead: Lead, typed: str, *, message: bytes, given_at: datetime, now: datetime) -> Proof:
    """Accept what a lead typed: six digits (spaces do not matter), or an SSH signature or a passkey's answer over `message`.

    `given_at` (aware) is when the answer reached the Prefect server: a worker may read it much later, and the code must be that of
    the moment when it was typed. The caller checks whether the code was used, the counter of a passkey, and whether the answer
    came in time. Raises `BadProof`.
    """
    if given_at > now + AHEAD:
        raise BadProof(f"The answer is dated {given_at:%Y-%m-%d %H:%M:%S} UTC, which is in the future.")
    digits = "".join(typed.split())
    if re.fullmatch(r"[0-9]{6}", digits):
        return Proof("code", f"code:{plain_name(lead.name)}:{_step(leads.secret(lead), digits, given_at)}")
    if is_assertion(typed):
        found = verify_assertion(lead, typed, message, at=max(given_at, now))
        return Proof("passkey", found.used, found.body)
    body = one_line(typed)
    verify_signature(lead, body, message, namespace=NAMESPACE, at=max(given_at, now))
    return Proof("signature", "", body)


def _step(secret: str | None, digits: str, given_at: datetime) -> int:
    """Return the time step of this code. Compares every step, so that the time it takes reveals nothing."""
    if secret is None:
        raise BadProof("This lead has no one-time codes enrolled on this worker; sign instead.")
    generator = pyotp.TOTP(secret, interval=STEP)
    now = int(given_at.timestamp()) // STEP
    steps = range(now - LEEWAY, now + LEEWAY + 1)
    fitting = [step for step in steps if hmac.compare_digest(generator.generate_otp(step), digits)]
    if not fitting:
        raise BadProof("The code is not the one that the lead's phone showed when the answer was given.")
    return fitting[0]


def statement(decision: str, fingerprint: str, answer_by: datetime) -> bytes:
    """Return the text that is signed: two lines, the second with the decision, the plan's fingerprint and the deadline.

    The deadline is in UTC, to the second. A decision is quoted as in a URL, so that none can look like a plan or another line.
    """
    until = answer_by.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"understudy approval 1\n{quote(decision, safe=':@', errors='surrogatepass')} {quote(fingerprint)} {until}\n".encode()

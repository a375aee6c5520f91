"""Answers of passkeys (WebAuthn assertions): parsed strictly, and verified with the passkeys of one lead.

The challenge is the SHA-256 of the statement that an SSH signature is over, so an answer covers one decision on one plan until one
moment. What the browser reports is checked here, because a page can be a copy: origin, relying party, and that a person was verified.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.signoff.leads import Lead
from tasks.signoff.passkey_entries import Passkey, decoded, encoded
from tasks.signoff.signatures import BadProof

PREFIX = (
    "passkey."  # what follows: credential id, authenticator data, client data and signature, with points between them
)
USED = "passkey:"  # how the ledger's key of a use begins
LONGEST = 4000  # characters, as in the form
NOT_WHOLE = "The proof is not a whole answer of a passkey; answer again on the page of the plan."


class CounterWentBack(BadProof):
    """The counter of a passkey is not higher than one that was seen before: the passkey may have been copied."""

    def __init__(self, counter: int, seen: int) -> None:
        super().__init__(
            f"The counter of the passkey is {counter}, and {seen} was seen before: it was used twice, or somebody copied it."
        )


@dataclass(frozen=True)
class Assertion:
    """The parts of one answer. `client` is what the browser reported, `data` what the authenticator did; as the library reads them."""

    body: str
    parts: tuple[bytes, ...]
    client: Any
    data: Any

    @property
    def credential(self) -> str:
        """The id of the credential, as the leads file contains it."""
        return encoded(self.parts[0])

    @property
    def counter(self) -> int:
        """How often the passkey was used, as its authenticator counts; always 0 if it does not count."""
        return int(self.data.sign_count)

    @property
    def used(self) -> str:
        """The ledger's key of this use of the passkey; "" if its authenticator does not count."""
        return f"{USED}{self.credential}:{self.counter}" if self.counter else ""


def challenge(message: bytes) -> bytes:
    """Return the challenge that binds an answer to this statement."""
    return hashlib.sha256(message).digest()


def body_of(credential: bytes, authenticator: bytes, client: bytes, signature: bytes) -> str:
    """Return an answer as the one line that is typed into the form: what the page makes, for the sandbox and for tests."""
    return PREFIX + ".".join(map(encoded, (credential, authenticator, client, signature)))


def is_assertion(typed: str) -> bool:
    """Return whether this text is meant as the answer of a passkey."""
    return typed.strip().startswith(PREFIX)


def read_assertion(typed: str) -> Assertion:
    """Parse an answer. Raises `BadProof` for anything else."""
    # Imported here: see `passkey_entries`.
    from webauthn.helpers import parse_authenticator_data, parse_client_data_json

    body = typed.strip()
    try:
        if len(body) > LONGEST or not body.startswith(PREFIX):
            raise ValueError("too long, or something else")
        parts = tuple(decoded(part) for part in body.removeprefix(PREFIX).split("."))
        _, authenticator, client, _ = parts
        return Assertion(body, parts, parse_client_data_json(client), parse_authenticator_data(authenticator))
    except Exception:  # typed text: the library lets out whatever its parsers raise
        raise BadProof(NOT_WHOLE) from None


def verify_assertion(lead: Lead, typed: str, message: bytes, *, at: datetime) -> Assertion:
    """Require an answer to `message` by a passkey that is listed for this lead and counts at `at` (aware), and return it.

    The caller compares the counter with those of earlier answers. Raises `BadProof`.
    """
    found = read_assertion(typed)
    passkey = next((each for each in lead.passkeys if each.id == found.parts[0]), None)
    if passkey is None:
        raise BadProof(f"The passkey is not one that is listed for {lead.name} in the leads file.")
    if not passkey.valid_at(at):
        raise BadProof(f"The passkey counted until {passkey.valid_before}; list a newer one in the leads file.")
    why = _wrong(found, passkey, message)
    if why:
        raise BadProof(why)
    _require_verified(found, passkey, message)
    if passkey.counter and found.counter <= passkey.counter:
        raise CounterWentBack(found.counter, passkey.counter)
    return found


def _wrong(found: Assertion, passkey: Passkey, message: bytes) -> str:
    """Return what an answer is about instead of this statement at this desk, or "" if it is about that."""
    if found.client.type != "webauthn.get":
        return "The passkey answered another kind of request than an approval."
    if found.client.challenge != challenge(message):
        return "The passkey answered something else: answer this decision on this plan, on its page."
    if found.client.origin != passkey.origin or found.client.cross_origin:
        return f"The passkey answered on another page than that of the desk, {passkey.origin}; report that to the other leads."
    if found.data.rp_id_hash != hashlib.sha256(passkey.relying_party.encode()).digest():
        return f"The passkey answered for another host than {passkey.relying_party}."
    if not found.data.flags.up or not found.data.flags.uv:
        return "The passkey did not check who used it; it must ask for a fingerprint, a face or a PIN."
    return ""


def _require_verified(found: Assertion, passkey: Passkey, message: bytes) -> None:
    """Require that the library accepts the answer. It checks again what `_wrong` checks, whose sentences people read."""
    from webauthn import verify_authentication_response  # imported here: see `passkey_entries`

    _, authenticator, client, signature = map(encoded, found.parts)
    response = {"authenticatorData": authenticator, "clientDataJSON": client, "signature": signature}
    try:
        verify_authentication_response(
            credential={
                "id": passkey.credential,
                "rawId": passkey.credential,
                "type": "public-key",
                "response": response,
            },
            expected_challenge=challenge(message),
            expected_rp_id=passkey.relying_party,
            expected_origin=passkey.origin,
            credential_public_key=decoded(passkey.public_key),
            credential_current_sign_count=0,  # ours, with a sentence of its own: `CounterWentBack`
            require_user_verification=True,
        )
    except Exception:  # a refusal of any kind; the library lets out more than its own errors
        raise BadProof("The signature of the passkey does not verify: something in its answer was changed.") from None

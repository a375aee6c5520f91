"""Entries of the leads file for passkeys: WebAuthn credentials with which a lead signs at the desk, by fingerprint, face or PIN."""

import base64
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import Field, field_validator, model_validator

from tasks.estate.sites import Immutable

# COSE algorithms: ES256, EdDSA and RS256, which phones, security keys and computers make.
ALGORITHMS = {-7: "ES256", -8: "EdDSA", -257: "RS256"}
LONGEST_ID = 1023  # bytes of a credential id, as WebAuthn limits it
NO_BASE64URL = "expected base64url without padding"
SHORTEST_RSA = 2048  # bits, as for SSH keys


class Passkey(Immutable):
    """One passkey of a lead. `credential` and `public_key` (COSE) are base64url; `counter` is that of the enrolment.

    It answers only at `origin`, the address of the desk as the browser has it, whose host is `relying_party` or a name under it.
    It counts until the day `valid_before` begins (UTC).
    """

    credential: str
    public_key: str
    relying_party: str = Field(min_length=1, max_length=253)
    origin: str
    counter: int = Field(0, ge=0, lt=2**32)
    valid_before: date | None = None

    @field_validator("credential")
    @classmethod
    def _an_id(cls, text: str) -> str:
        if not 1 <= len(decoded(text)) <= LONGEST_ID:
            raise ValueError(f"expected the id of a credential, 1 to {LONGEST_ID} bytes in base64url")
        return text

    @field_validator("public_key")
    @classmethod
    def _usable(cls, text: str) -> str:
        raw = decoded(text)
        try:
            algorithm, key = _read_key(raw)
        except Exception as error:  # the library lets out whatever its parsers raise: KeyError, TypeError, CBOR errors
            raise ValueError("this is not a whole COSE public key in base64url") from error
        if algorithm not in ALGORITHMS:
            raise ValueError(f"expected a public key for {', '.join(ALGORITHMS.values())}")
        if isinstance(key, RSAPublicKey) and key.key_size < SHORTEST_RSA:
            raise ValueError(f"an RSA key of {key.key_size} bits is too short; at least {SHORTEST_RSA}")
        return text

    @model_validator(mode="after")
    def _of_one_host(self) -> "Passkey":
        parts = urlsplit(self.origin)
        host = parts.hostname or ""
        secure = parts.scheme == "https" or (parts.scheme == "http" and host == "localhost")
        if not secure or not host or f"{parts.scheme}://{parts.netloc}" != self.origin or "@" in parts.netloc:
            raise ValueError(
                f"origin is {self.origin!r}; expected https:// and a host, or http://localhost, without a path"
            )
        if host != self.relying_party and not host.endswith(f".{self.relying_party}"):
            raise ValueError(f"the host of origin {self.origin} does not belong to relying_party {self.relying_party}")
        return self

    @property
    def id(self) -> bytes:
        """The id of the credential, as an answer contains it."""
        return decoded(self.credential)

    def valid_at(self, moment: datetime) -> bool:
        """Return whether the passkey counts at this moment (aware)."""
        return self.valid_before is None or moment.astimezone(UTC).date() < self.valid_before


def decoded(text: str) -> bytes:
    """Return the bytes of base64url without padding. Raises `ValueError` for anything else, and for a second spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError(NO_BASE64URL) from None
    if encoded(raw) != text:
        raise ValueError(NO_BASE64URL)
    return raw


def encoded(raw: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _read_key(raw: bytes) -> tuple[int, Any]:
    # Imported here: the library takes longer to load than a leads file without passkeys takes to be read.
    from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography

    key = decode_credential_public_key(raw)
    return int(key.alg), decoded_public_key_to_cryptography(key)

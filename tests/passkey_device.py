"""A passkey for tests: an authenticator in software, and the browser around it, both of which can be made to lie."""

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from tasks.signoff.passkey_entries import Passkey
from tasks.signoff.passkeys import body_of, challenge

HOST, ORIGIN = "desk.schulfest.example", "https://desk.schulfest.example"
PRESENT, VERIFIED = 0x01, 0x04  # flags of the authenticator: somebody touched it, and it checked who


def url64(raw: bytes) -> str:
    """Return bytes as base64url without padding, as browsers do."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Device:
    """One passkey. `counts` is by how much its counter rises with each use: 0 for one that always reports 0."""

    name: str
    algorithm: int = -7
    counts: int = 1
    counter: int = 0
    relying_party: str = HOST
    origin: str = ORIGIN
    flags: int = field(default=PRESENT | VERIFIED)

    @cached_property
    def private(self) -> Any:
        """The private key, which never leaves the device; derived from the name if its kind allows that, for stable tests."""
        seed = hashlib.sha256(self.name.encode()).digest()
        if self.algorithm == -8:
            return Ed25519PrivateKey.from_private_bytes(seed)
        if self.algorithm == -257:
            return rsa.generate_private_key(65537, 2048)
        return ec.derive_private_key(int.from_bytes(seed, "big") >> 1, ec.SECP256R1())

    @property
    def id(self) -> bytes:
        """The id of the credential."""
        return hashlib.sha256(f"id of {self.name}".encode()).digest()

    @property
    def public_key(self) -> bytes:
        """The public key, as COSE."""
        if self.algorithm == -8:
            return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: self.private.public_key().public_bytes_raw()})
        numbers = self.private.public_key().public_numbers()
        if self.algorithm == -257:
            return cbor2.dumps({1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")})
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})

    def entry(self, **instead: Any) -> Passkey:
        """Return its entry of the leads file."""
        return Passkey(**self.fields | instead)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of its entry, as the enrolment of a new passkey writes them."""
        return {
            "credential": url64(self.id), "public_key": url64(self.public_key), "relying_party": self.relying_party,
            "origin": self.origin, "counter": 0,
        }  # fmt: skip

    def sign(self, message: bytes, **client: Any) -> str:
        """Answer as the browser would, with the next value of the counter. `client` replaces fields of the client data."""
        self.counter += self.counts
        given = {"type": "webauthn.get", "challenge": url64(challenge(message)), "origin": self.origin} | client
        return self.sign_raw(json.dumps(given | {"crossOrigin": client.get("crossOrigin", False)}).encode())

    def sign_raw(self, client: bytes) -> str:
        """Answer with these client data, whatever they are."""
        host = hashlib.sha256(self.relying_party.encode()).digest()
        data = host + bytes([self.flags]) + struct.pack(">I", self.counter)
        return body_of(self.id, data, client, self._signature(data + hashlib.sha256(client).digest()))

    def _signature(self, signed: bytes) -> bytes:
        if self.algorithm == -8:
            made: bytes = self.private.sign(signed)
        elif self.algorithm == -257:
            made = self.private.sign(signed, padding.PKCS1v15(), SHA256())
        else:
            made = self.private.sign(signed, ec.ECDSA(SHA256()))
        return made

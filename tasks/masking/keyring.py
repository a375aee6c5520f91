"""The masking key, and the sub-keys drawn from it: one per group of columns, new in every run unless it must be stable."""

import hashlib
import hmac

from tasks.estate.errors import Misconfigured

MIN_BYTES = 32  # 256 bits: as much as HMAC-SHA256 can use (EDPB Guidelines 01/2025 ask for high-entropy secrets)
SETTING = "UNDERSTUDY_MASKING_KEY"


class Keyring:
    """Sub-keys by HKDF-SHA256 (RFC 5869). Holds the extracted key only, never what the operator configured.

    `run` is mixed in, so that two dumps cannot be joined on masked values; None keeps the key stable over runs, which is
    an opt-in. Can be pickled, because workers need it; says nothing but its fingerprint when printed. Raises
    `Misconfigured` for a key that is absent, short or plainly not random, and for an empty `run` (stable by accident).
    """

    __slots__ = ("_extracted", "fingerprint")

    def __init__(self, key: bytes, *, run: str | None) -> None:
        _require_random(key)
        if run is not None and not run.strip():
            raise Misconfigured(
                "The run's id for the masking key is empty; expected an id, or None for a stable key.",
                next_step="Nothing was read. Give the run's id, or opt in to a stable key.",
            )
        salt = "understudy/1/stable" if run is None else f"understudy/1/run/{run}"
        self._extracted = hmac.digest(salt.encode(), key, "sha256")
        self.fingerprint = self._expand("fingerprint").hex()[:16]

    def group(self, name: str) -> bytes:
        """The 32-byte sub-key of a group of columns. Equal groups join, others do not: that is what a group is for."""
        return self._expand(f"group/{name}")

    def of_proof(self, run: str) -> bytes:
        """Return the 32-byte key that seals the proof of the dump of this run."""
        return self._expand(f"proof/{run}")

    def _expand(self, info: str) -> bytes:
        return hmac.digest(self._extracted, info.encode() + b"\x01", "sha256")  # one block of HKDF-Expand is enough

    def __repr__(self) -> str:
        return f"Keyring({self.fingerprint})"


def _require_random(key: bytes) -> None:
    if len(key) < MIN_BYTES:
        raise Misconfigured(
            f"{SETTING} has {len(key)} bytes; expected at least {MIN_BYTES}.",
            next_step=f"Nothing was read. Set {SETTING} to {MIN_BYTES} random bytes, e.g. `openssl rand -hex 32`.",
        )
    if len(set(key)) == 1:
        raise Misconfigured(
            f"{SETTING} repeats one byte {len(key)} times; expected random bytes.",
            next_step=f"Nothing was read. Set {SETTING} to {MIN_BYTES} random bytes, e.g. `openssl rand -hex 32`.",
        )


def block_keys(key: bytes) -> tuple[bytes, bytes]:
    """The two 64-byte blocks with which HMAC-SHA256 of a 32-byte key is two plain SHA-256 (RFC 2104: inner, outer)."""
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)

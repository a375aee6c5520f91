"""The masking key and the sub-keys derived from it: one for each group of columns, new in every run unless stable."""

import hashlib
import hmac

from tasks.estate.errors import Misconfigured

MIN_BYTES = 32  # 256 bits: as much as HMAC-SHA256 can use (EDPB Guidelines 01/2025 ask for high-entropy secrets)
SETTING = "UNDERSTUDY_MASKING_KEY"
SHORT_PREFIX_BYTES = 16  # with up to 39 bytes of a value they are one block of SHA-256; each block costs as much again
SCHEME = 2  # of the keyed hash (docs/security.md). Under one key, dumps can be compared within one scheme only


class Keyring:
    """Sub-keys by HKDF-SHA256 (RFC 5869). Contains the extracted key only, never the configured one.

    `run` is part of the derivation, so that two dumps cannot be joined on masked values; with None, an opt-in, the key is
    stable over runs. It can be pickled, because workers need it, and prints only its fingerprint. Dumps whose headers have
    equal fingerprints can be compared, so it names the scheme of the hash, too. Raise `Misconfigured` for
    a key that is absent, short or clearly not random, and for an empty `run` (stable by accident).
    """

    __slots__ = ("_extracted", "fingerprint", "sealed_as")

    def __init__(self, key: bytes, *, run: str | None) -> None:
        _require_random(key)
        if run is not None and not run.strip():
            raise Misconfigured(
                "The run's id for the masking key is empty; expected an id, or None for a stable key.",
                next_step="Nothing was read. Pass the run's id, or opt in to a stable key.",
            )
        salt = "understudy/1/stable" if run is None else f"understudy/1/run/{run}"
        self._extracted = hmac.digest(salt.encode(), key, "sha256")
        plain = self._expand("fingerprint").hex()[:16]
        self.fingerprint = f"{SCHEME}-{plain}"
        self.sealed_as = (self.fingerprint, plain)  # in headers of dumps that this key sealed; scheme 1 was not named

    def short_prefix(self, group: str) -> bytes:
        """Return the sub-key of a group of columns that is hashed in front of a value by SHA-256, for short results.

        Masked values can be joined within a group only. It has as many bits as the strength of those results.
        """
        return self._expand(f"prefix/{group}")[:SHORT_PREFIX_BYTES]

    def long_prefix(self, group: str) -> bytes:
        """Return the 32-byte sub-key of a group that is hashed in front of a value by SHA-512, for long results."""
        return self._expand(f"long/{group}")

    def of_proof(self, run: str) -> bytes:
        """Return the 32-byte key that seals the proof of the dump of this run."""
        return self._expand(f"proof/{run}")

    def of_wordpress(self) -> bytes:
        """Return the 32-byte key that masks people of a WordPress. Their values cannot be joined with those of a dump."""
        return self._expand("wordpress")

    def _expand(self, info: str) -> bytes:
        return hmac.digest(self._extracted, info.encode() + b"\x01", "sha256")  # one block of HKDF-Expand is enough

    def __repr__(self) -> str:
        return f"Keyring({self.fingerprint})"


def _require_random(key: bytes) -> None:
    fault = ""
    if len(key) < MIN_BYTES:
        fault = f"has {len(key)} bytes; expected at least {MIN_BYTES}"
    elif len(set(key)) == 1:
        fault = f"repeats one byte {len(key)} times; expected random bytes"
    if fault:
        next_step = f"Nothing was read. Set {SETTING} to {MIN_BYTES} random bytes, e.g. `openssl rand -hex 32`."
        raise Misconfigured(f"{SETTING} {fault}.", next_step=next_step)


def block_keys(key: bytes) -> tuple[bytes, bytes]:
    """Return the two 64-byte blocks with which HMAC-SHA256 of a 32-byte key is two plain SHA-256 (RFC 2104: inner, outer)."""
    block = key.ljust(hashlib.sha256().block_size, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)

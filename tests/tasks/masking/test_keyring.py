"""The masking key: refused if weak, never printed, with different sub-keys for different groups and runs."""

import hashlib
import hmac
import pickle

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tasks.estate.errors import Misconfigured
from tasks.masking.keyring import SCHEME, SHORT_PREFIX_BYTES, Keyring, block_keys

KEY = bytes(range(100, 132))


@pytest.mark.parametrize("key", [b"", b"short", bytes(range(31)), bytes(32), b"a" * 64])
def test_a_weak_key_is_refused(key: bytes) -> None:
    """Empty, short and constant keys are refused, and the message names the setting but not the key."""
    with pytest.raises(Misconfigured, match="UNDERSTUDY_MASKING_KEY") as refused:
        Keyring(key, run="r")
    assert key.decode("latin-1") not in refused.value.message or not key


@pytest.mark.parametrize("run", ["", "  "])
def test_an_empty_run_is_refused(run: str) -> None:
    """An empty run id would make the key stable by accident."""
    with pytest.raises(Misconfigured, match="stable"):
        Keyring(KEY, run=run)


def test_sub_keys_are_those_of_hkdf() -> None:
    """Sub-keys are equal to those of another implementation of RFC 5869."""
    ring = Keyring(KEY, run="r1")
    made = {"prefix": ring.short_prefix("person.email"), "long": ring.long_prefix("person.email")}
    for kind, key in made.items():
        expected = HKDF(SHA256(), len(key), salt=b"understudy/1/run/r1", info=f"{kind}/person.email".encode())
        assert key == expected.derive(KEY)
    assert [len(key) for key in made.values()] == [SHORT_PREFIX_BYTES, 32]


def test_groups_runs_and_keys_differ() -> None:
    """Other groups, runs and keys, and a stable keyring, have other sub-keys; the same again is equal."""
    rings = [Keyring(KEY, run="1"), Keyring(KEY, run="2"), Keyring(KEY, run=None), Keyring(KEY[::-1], run="1")]
    keys = {key for ring in rings for group in "ab" for key in (ring.short_prefix(group), ring.long_prefix(group))}
    assert len(keys) == 16
    assert len({ring.fingerprint for ring in rings}) == 4
    assert Keyring(KEY, run="1").long_prefix("a") in keys


def test_printing_shows_the_fingerprint_only() -> None:
    """Neither repr nor str contains a key; the fingerprint names the scheme of the hash and is not the start of a sub-key."""
    ring = Keyring(KEY, run="1")
    assert repr(ring) == str(ring) == f"Keyring({ring.fingerprint})"
    scheme, _, digits = ring.fingerprint.partition("-")
    assert (int(scheme), len(digits)) == (SCHEME, 16)
    keys = (key for name in ("fingerprint", "") for key in (ring.short_prefix(name), ring.long_prefix(name)))
    assert not any(key.hex().startswith(digits) for key in keys)


def test_a_worker_gets_the_same_keys_but_not_the_secret() -> None:
    """A pickled keyring has the same sub-keys, and the pickle does not contain the configured key."""
    pickled = pickle.dumps(Keyring(KEY, run="1"))
    assert pickle.loads(pickled).long_prefix("a") == Keyring(KEY, run="1").long_prefix("a")
    assert KEY not in pickled


def test_block_keys_make_hmac_of_two_hashes() -> None:
    """With the two blocks, HMAC is two plain SHA-256, as the expressions in MariaDB compute it."""
    inner, outer = block_keys(KEY)
    twice = hashlib.sha256(outer + hashlib.sha256(inner + b"text").digest()).digest()
    assert twice == hmac.digest(KEY, b"text", "sha256")

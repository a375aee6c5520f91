"""The proof of a dump: the result of the leak search and the hashes to repeat it, sealed under the masking key.

HKDF derives the key of the seal from the masking key and the id of the exporting run. AES-256-GCM binds the hashes to the
result and to all lines before them in the dump: without the masking key nobody can read the hashes, try values against
them, move them to another dump, or change the result. Sources: RFC 5869, NIST SP 800-38D.
"""

import base64
import os
from collections.abc import Sequence

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tasks.dumps.dump_reader import SealedProof
from tasks.dumps.leak_search import HashedValues
from tasks.estate.dumps import Header, LeakSearchResult, Proof
from tasks.estate.errors import DumpRefused
from tasks.masking.keyring import Keyring

NONCE = 12  # bytes, random: a run seals once, and a few times more after retries
OLD = "it was made by a version that did not search dumps"


def seal(data: bytes, key: bytes, bound: bytes) -> bytes:
    """Return `data` encrypted and bound to `bound`, which `unseal` needs again."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data, bound)


def unseal(sealed: bytes, key: bytes, bound: bytes) -> bytes:
    """Return what was sealed. Raise `ValueError` if the key or `bound` differs, or if a byte was changed."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], bound)
    except InvalidTag:
        raise ValueError("the seal does not fit") from None


def prove_dump(
    secrets: HashedValues, result: LeakSearchResult, *, body: str, header: Header, keyring: Keyring
) -> Proof:
    """Return the proof line of a dump whose lines so far have the digest `body`."""
    sealed = seal(secrets.pack(), keyring.of_proof(header.run_id), _bound(result, body))
    return Proof(attack=result, sealed=base64.b64encode(sealed).decode())


def open_proof(name: str, header: Header, sealed: SealedProof, keyrings: Sequence[Keyring]) -> HashedValues | None:
    """Return the hashes of a dump's proof, or None if it was sealed under a masking key that is not among these.

    Raise `DumpRefused` if the key is right and the seal does not fit: result, hashes or rows were changed.
    """
    for keyring in keyrings:
        if header.key not in keyring.sealed_as:
            continue
        try:
            bound = _bound(sealed.proof.attack, sealed.body)
            data = base64.b64decode(sealed.proof.sealed, validate=True)
            return HashedValues.unpack(unseal(data, keyring.of_proof(header.run_id), bound))
        except ValueError:
            raise DumpRefused(
                f"The proof of the dump {name} does not fit its rows; expected the seal of the run that exported it.",
                next_step="Nothing was loaded. This dump was changed after its export: make a new one with `anonymize`.",
            ) from None
    return None


def unproven_reason(name: str, keyrings: Sequence[Keyring], header: Header, sealed: SealedProof | None) -> str:
    """Return why a dump counts as unproven, or nothing if the leak search has read it and its seal fits.

    Raise `DumpRefused` as `open_proof` does.
    """
    opened = sealed is not None and open_proof(name, header, sealed, keyrings) is not None
    if header.raw:
        return "anonymizers were switched off, so that it contains personal data"
    if sealed is None:
        return OLD if header.format_version < 2 else "it carries no proof"
    if not opened:
        return f"its proof was sealed under the masking key {header.key}, which this worker does not have"
    return "" if sealed.proof.attack.searched else "it was not searched"


def _bound(result: LeakSearchResult, body: str) -> bytes:
    return b"understudy/proof/1\n" + orjson.dumps(
        {"body": body, **result.model_dump(mode="json")}, option=orjson.OPT_SORT_KEYS
    )

"""When a dump counts as proven: only if it was searched, by somebody whose key this worker has."""

from array import array

import pytest

from tasks.dumps.dump_reader import SealedProof
from tasks.dumps.leak_search import HashedValues
from tasks.dumps.leak_search_proof import open_proof, prove_dump, seal, unproven_reason, unseal
from tasks.estate.dumps import Anonymizer, LeakSearchResult
from tasks.masking.keyring import Keyring
from tests.tasks.dumps.small_databases import header

MINE, OTHERS = Keyring(bytes(range(32)), run="r"), Keyring(bytes(range(1, 33)), run="r")
HEADER = header(key=MINE.fingerprint)
RESULT = LeakSearchResult(searched=True, forms=1, columns=1)
SECRETS = HashedValues(hashes={"t.c": array("q", [1])})
BODY = "b" * 64


def sealed(result: LeakSearchResult = RESULT) -> SealedProof:
    """A dump's proof."""
    return SealedProof(prove_dump(SECRETS, result, body=BODY, header=HEADER, keyring=MINE), BODY)


def test_a_searched_dump_with_a_fitting_seal_is_proven() -> None:
    """The right key may be one of several."""
    assert unproven_reason("d", [OTHERS, MINE], HEADER, sealed()) == ""
    opened = open_proof("d", HEADER, sealed(), [OTHERS, MINE])
    assert opened is not None
    assert opened.key == SECRETS.key


def test_a_dump_from_before_the_schemes_had_names_is_proven() -> None:
    """Its header contains the fingerprint without the scheme, and the key of its seal is the same."""
    earlier = HEADER.model_copy(update={"key": MINE.fingerprint.partition("-")[2]})
    assert unproven_reason("d", [OTHERS, MINE], earlier, sealed()) == ""


def test_every_reason_for_an_unproven_dump_is_reported() -> None:
    """Without the key, without a proof, of an old version, not searched, or raw."""
    assert "masking key" in unproven_reason("d", [OTHERS], HEADER, sealed())
    assert open_proof("d", HEADER, sealed(), [OTHERS]) is None
    assert unproven_reason("d", [MINE], HEADER, None) == "it carries no proof"
    assert "did not search" in unproven_reason("d", [MINE], header(format_version=1), None)
    assert (
        unproven_reason("d", [MINE], HEADER, sealed(RESULT.model_copy(update={"searched": False})))
        == "it was not searched"
    )
    raw = HEADER.model_copy(update={"opted_out": (Anonymizer.EMAIL,)})
    assert "contains personal data" in unproven_reason("d", [MINE], raw, sealed())


def test_equal_data_is_sealed_differently_each_time() -> None:
    """The nonce is drawn anew, and only the same key with the same bound opens."""
    key, bound = bytes(32), b"bound"
    first, second = seal(b"data", key, bound), seal(b"data", key, bound)
    assert first[:12] != second[:12]
    assert unseal(first, key, bound) == b"data"
    assert len(first) == 12 + len(b"data") + 16
    for wrong in ((first, bytes(31) + b"x", bound), (first, key, b"other"), (first[:-1], key, bound)):
        with pytest.raises(ValueError, match="does not fit"):
            unseal(*wrong)

"""The keyed hash: what a result may show of it, and equal results from both forms of a number."""

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL
from psycopg.sql import Literal as Quoted

from tasks.masking.keyring import Keyring
from tasks.masking.makers import parse
from tasks.masking.session_settings import CASTS_BYTES, LARGEST, SHOWN, Session

KEYRING = Keyring(bytes(range(40)), run="1")


def test_a_short_result_is_a_hash_behind_a_secret_prefix_and_a_long_one_an_hmac() -> None:
    """Up to half of the hash is that of another SHA-256 over key and text; one byte more is an HMAC under another key."""
    session = Session(KEYRING)
    prefixed = hashlib.sha256(KEYRING.prefix("g") + "ü".encode()).digest()
    assert session.digest_of("g", "ü", SHOWN) == prefixed[:SHOWN]
    assert (
        session.digest_of("g", "ü", SHOWN + 1) == hmac.digest(KEYRING.group("g"), "ü".encode(), "sha256")[: SHOWN + 1]
    )
    assert len(prefixed) == 2 * SHOWN


@pytest.mark.parametrize(
    ("maker", "hmacs"),
    [
        ({"maker": "hash", "chars": 32}, False),
        ({"maker": "hash", "chars": 33}, True),
        ({"maker": "email", "form": "hash", "chars": 40}, True),
        ({"maker": "url", "chars": 64}, True),
        ({"maker": "token", "chars": 21}, False),
        ({"maker": "token", "chars": 22}, True),
        ("uuid", False),
        ("full_name", False),
    ],
    ids=str,
)
def test_no_maker_shows_more_than_half_of_a_prefixed_hash(bench: Any, maker: Any, hmacs: bool) -> None:
    """What shows more than 128 bits is an HMAC: two hashes, one within the other."""
    text = parse(maker).sql(bench.place("text"), Session(KEYRING)).as_string()
    assert text.count("sha256(") == 1 + hmacs


@settings(max_examples=25)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_every_server_makes_the_same_number(bench: Any, text: str) -> None:
    """The cast of newer servers, the digits of older ones and Python agree on a number below 2^60."""
    session = Session(KEYRING)
    versions = [0, CASTS_BYTES] if bench.connection.info.server_version >= CASTS_BYTES else [0]
    for version in versions:
        session.server_version = version
        number = session.number("g", SQL("{}::text").format(Quoted(text)))
        bench.set(session)
        (made,) = bench.connection.execute(SQL("SELECT {}").format(number)).fetchone()
        assert made == session.number_of("g", text)
        assert 0 <= made <= LARGEST

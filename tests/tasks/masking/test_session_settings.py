"""The keyed hash: what a result may show of it, and equal results from both forms of a number."""

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL
from psycopg.sql import Literal as Quoted

from tasks.masking.keyring import Keyring
from tasks.masking.makers import parse
from tasks.masking.session_settings import CASTS_BYTES, LARGEST, LONG, SHORT, Session

KEYRING = Keyring(bytes(range(40)), run="1")


def test_a_result_is_at_most_half_of_a_hash_of_key_and_text() -> None:
    """Up to 16 bytes are half of SHA-256, and up to 32 are half of SHA-512 under another key. More is refused."""
    session = Session(KEYRING)
    short = hashlib.sha256(KEYRING.short_prefix("g") + "ü".encode()).digest()
    long = hashlib.sha512(KEYRING.long_prefix("g") + "ü".encode()).digest()
    assert session.digest_of("g", "ü", SHORT) == short[:SHORT]
    assert session.digest_of("g", "ü", SHORT + 1) == long[: SHORT + 1]
    assert session.digest_of("g", "ü", LONG) == long[:LONG]
    assert (len(short), len(long)) == (2 * SHORT, 2 * LONG)
    for refused in (session.digest_of, session.digest):
        with pytest.raises(ValueError, match="33 bytes of a hash; expected at most 32"):
            refused("g", SQL("v") if refused == session.digest else "v", LONG + 1)


@pytest.mark.parametrize(
    ("maker", "is_long"),
    [
        ({"maker": "hash", "chars": 32}, False),
        ({"maker": "hash", "chars": 33}, True),
        ({"maker": "email", "form": "hash", "chars": 40}, True),
        ({"maker": "url", "chars": 64}, True),
        ({"maker": "token", "chars": 21}, False),
        ({"maker": "token", "chars": 22}, True),
        ({"maker": "token", "chars": 43}, True),
        ("uuid", False),
        ("full_name", False),
    ],
    ids=str,
)
def test_no_maker_shows_more_than_half_of_its_hash(bench: Any, maker: Any, is_long: bool) -> None:
    """What shows more than 128 bits is made of the hash that has 512, and each result of one hash."""
    text = parse(maker).sql(bench.place("text"), Session(KEYRING)).as_string()
    assert (text.count("sha256("), text.count("sha512(")) == ((0, 1) if is_long else (1, 0))


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

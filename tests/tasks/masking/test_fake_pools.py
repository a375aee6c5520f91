"""Pools of fakes and the session: deterministic, short enough, cut in order, and without secrets in statements."""

import pickle
from typing import Any

import bcrypt
import pytest
from faker.config import AVAILABLE_LOCALES
from psycopg.sql import SQL

from tasks.estate.errors import Misconfigured
from tasks.estate.schema import Column, Name, Table
from tasks.masking.fake_pools import LISTS, pool
from tasks.masking.keyring import Keyring
from tasks.masking.makers import Place, parse
from tasks.masking.session_settings import PASSWORD, Session

KEY = bytes(range(100, 140))


@pytest.mark.parametrize("locale", ["de_DE", "de_AT", "de_CH", "en_GB", "fr_FR", "ja_JP", "pl_PL", "tr_TR"])
@pytest.mark.parametrize("kind", sorted(LISTS))
def test_a_pool_is_sorted_short_and_not_a_stub(kind: Any, locale: str) -> None:
    """A pool is sorted and distinct, has 20 fakes or more, and no fake exceeds 63 bytes or has a line break."""
    fakes = pool(kind, locale)
    assert list(fakes) == sorted(set(fakes))
    assert len(fakes) >= 20
    assert all(0 < len(fake.encode()) <= 63 and fake.isprintable() for fake in fakes)


def test_every_locale_has_names() -> None:
    """No locale of Faker has an empty pool of first names."""
    assert all(pool("first_names", locale) for locale in sorted(AVAILABLE_LOCALES)[::6])


def test_an_unknown_locale_is_refused() -> None:
    """The message names the locale."""
    with pytest.raises(Misconfigured, match="xx_XX"):
        pool("cities", "xx_XX")


def test_a_cut_pool_keeps_its_order() -> None:
    """For the same hash, a short column gets the beginning of the fake of a long one."""
    session = Session(Keyring(KEY, run="1"))
    whole, cut = session.pool("last_names"), session.pool("last_names", 4)
    assert [name[:4].rstrip() for name in whole.names] == list(cut.names)


def test_statements_contain_no_key_and_no_fake() -> None:
    """Expressions have the same text under two keys: the key is passed as a setting."""

    def text(key: bytes, bench_place: Any) -> str:
        session = Session(Keyring(key, run="1"))
        return "".join(
            parse(kind).sql(bench_place, session).as_string() for kind in ("email", "full_name", "token", "iban")
        )

    column = Column(name="v", type="text", base="text", category="S")
    place = Place(Table(name=Name(schema_name="public", name="t"), columns=(column,)), column, "group")
    assert text(KEY, place) == text(KEY[::-1], place)
    assert "set_config" not in text(KEY, place)
    assert "Anna" not in text(KEY, place)


def test_a_statement_evaluates_keys_and_pools_once(bench: Any) -> None:
    """PostgreSQL plans the sub-selects for settings as InitPlans, not for each row."""
    session = Session(Keyring(KEY, run="1"))
    expression = parse("full_name").sql(bench.place("text"), session)
    table = bench.fill("text", ["a", "b"])
    bench.set(session)
    plan = bench.connection.execute(
        SQL("EXPLAIN (VERBOSE) SELECT {} FROM {}").format(expression, SQL(table))
    ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert text.count("InitPlan") >= 3
    assert text.count("sha256(") == 1


def test_the_password_hash_is_one_per_run() -> None:
    """Two workers have the same hash, another run has another salt, and the password matches."""
    one, same, other = (Session(Keyring(KEY, run=run)).password_hash() for run in ("1", "1", "2"))
    assert one == same != other
    assert bcrypt.checkpw(PASSWORD.encode(), one.encode())
    assert len(one) == 60
    php = Session(Keyring(KEY, run="1")).password_hash("$2y$", 5)
    assert php.startswith("$2y$05$")
    assert bcrypt.checkpw(PASSWORD.encode(), php.replace("$2y$", "$2b$").encode())


def test_a_session_survives_pickling() -> None:
    """A pickled session has the same hashes and settings."""
    session = Session(Keyring(KEY, run="1"))
    session.pool("cities")
    session.number_of("g", "x")
    session.number("g", SQL("x"))
    again = pickle.loads(pickle.dumps(session))
    assert again.settings == session.settings
    for length in (8, 32):
        assert again.digest_of("g", "ü", length) == session.digest_of("g", "ü", length)

"""Traits: they rule texts out, and never one that holds a value."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Literal

from deployments.sandbox.postgres import Postgres
from tasks.dumps.leak_search_forms import Kind, forms_in, search_forms, search_forms_sql
from tasks.dumps.leak_search_prefilter import Traits
from tasks.dumps.unicode_folding import set_folding_map
from tests.tasks.dumps.test_leak_search_forms import (
    ACCOUNTS,
    ADDRESS,
    LOGINS,
    NAMES,
    NUMBERS,
    ORDINARY,
    SPELLINGS,
    VALUES,
)

KEY = "k" * 32


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator["psycopg.Connection[object]"]:
    """A session that knows the map of characters and the key of a leak search."""
    with psycopg.connect(postgres.url()) as made:
        set_folding_map(made)
        made.execute("SELECT set_config('understudy.search_key', %s, false)", (KEY,))
        yield made


@pytest.mark.parametrize(
    ("value", "kind", "texts"),
    [
        (ADDRESS, "identifier", SPELLINGS), ("+43 664 1234567", "identifier", NUMBERS),
        ("AT61 1904 3002 3457 3201", "identifier", ACCOUNTS), ("mmuster", "identifier", LOGINS),
        ("Xylander, Anna", "text", NAMES), ("Ill " * 90 + "Note", "text", ["NOTE " + "ill, " * 90]),
    ],
)  # fmt: skip
def test_no_spelling_is_ruled_out(value: str, kind: Kind, texts: list[str]) -> None:
    """With the traits of one value known, each spelling of it is found among ordinary texts."""
    wanted = search_forms(value, kind)
    traits = Traits(KEY, {*map(Traits(KEY).of, wanted)})
    missed = [text for text in texts if not wanted & forms_in([*ORDINARY, text], nested=text[0] in "{(", traits=traits)]
    assert missed == []


@given(values=st.lists(VALUES, min_size=1, max_size=4), cells=st.lists(VALUES, max_size=4), nested=st.booleans())
@settings(max_examples=150)
def test_traits_change_nothing_of_what_is_found(values: list[str], cells: list[str], nested: bool) -> None:
    """Whatever the texts are, the forms of values that are found are the same with traits and without."""
    wanted = {form for value in values for form in search_forms(value, "nested" if nested else "identifier")}
    traits = Traits(KEY, {*map(Traits(KEY).of, wanted)})
    texts = [text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") for text in (*cells, *values)]
    assert forms_in(texts, nested=nested, traits=traits) & wanted == forms_in(texts, nested=nested) & wanted


def test_ordinary_texts_are_ruled_out() -> None:
    """Of twenty ordinary texts hardly a form is left to be hashed if one person is searched for."""
    wanted = search_forms(ADDRESS, "identifier") | search_forms("+43 664 1234567", "identifier")
    traits = Traits(KEY, {*map(Traits(KEY).of, wanted)})
    assert 8 * len(forms_in(ORDINARY, nested=False, traits=traits)) < len(forms_in(ORDINARY, nested=False))


@given(text=VALUES, kind=st.sampled_from(["identifier", "text", "nested"]))
@example(text="+43 (0)664 1234567", kind="identifier")
@example(text=ADDRESS, kind="text")
@example(text="192.168.10.20", kind="identifier")
@settings(max_examples=60)
def test_traits_are_the_same_in_sql(connection: "psycopg.Connection[object]", text: str, kind: Kind) -> None:
    """PostgreSQL and Python compute the same trait for each form."""
    traits = Traits(KEY)
    query = SQL("SELECT form, {} FROM ({}) AS n").format(
        traits.of_sql(SQL("form")), search_forms_sql(SQL("{}::text").format(Literal(text)), kind)
    )
    rows: list[tuple[str, int]] = connection.execute(query).fetchall()  # type: ignore[assignment]  # text and bigint
    assert [(form, traits.of(form)) for form, _ in rows] == rows

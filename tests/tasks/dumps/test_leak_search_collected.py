"""Hashes from the source: only of values that are rare and really replaced."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg.sql import Literal

from deployments.sandbox.postgres import Postgres
from tasks.dumps import leak_search
from tasks.dumps.connections import exported_snapshot, use_snapshot
from tasks.dumps.export_plan import MaskingPlan, TablePlan
from tasks.dumps.leak_search import Lookup, collect_hashes
from tasks.dumps.leak_search_forms import forms_in, search_forms
from tasks.masking.keyring import Keyring
from tasks.masking.session_settings import Session
from tests.tasks.dumps.small_databases import column, name, planned, table

SCHEMA = """CREATE TABLE users (id int PRIMARY KEY, email text, login text, name text, doc json, ip inet, list text[],
    docs json[]);
  CREATE TABLE notes (id int PRIMARY KEY, v text);
  CREATE TABLE people (id int PRIMARY KEY, email text);"""
ROWS = """INSERT INTO users VALUES (1, 'anna@firma.example', 'kobold7', 'Anna Xylander', '{"m": "b\\u0065rta@firma.example"}',
    '10.11.12.13', '{carla@firma.example,dora@firma.example}', ARRAY['{"by": "greif42"}'::json]),
    (2, NULL, '', NULL, NULL, NULL, '{}', NULL), (3, NULL, 'mmuster', NULL, '{"by": "drache9"}', NULL, NULL, '{}'),
    (4, NULL, 'Jörgklammer', NULL, '{"a": "\\u0000", "by": "zwerg77"}', NULL, NULL, NULL);
  INSERT INTO people SELECT n, 'person' || n || '@firma.example' FROM generate_series(0, 199) n;
  INSERT INTO notes SELECT n, 'shared-by-20' FROM generate_series(1, 20) n;
  INSERT INTO notes SELECT n, 'shared-by-21' FROM generate_series(21, 41) n;"""


@pytest.fixture(scope="module")
def source(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """Two tables with few people."""
    with psycopg.connect(postgres.create("test_collected_hashes"), autocommit=True) as connection:
        connection.execute((SCHEMA + ROWS).encode())
        yield connection


SESSION, TRAITS = Session(Keyring(bytes(range(32)), run="r")), leak_search.Traits("k")
DOC = column("doc jsonb", type="json", base="json")
USERS = table("users", ["id integer", "email", "login", "name", DOC, "ip inet", "list text[]"])
EACH = "{maker: array, each: {maker: email, form: hash}}"
RULES = f"id: keep, email: email, login: hash, name: full_name, doc: scrub, ip: ip, list: {EACH}"


def collected(source: psycopg.Connection[Any], *plans: TablePlan, snapshot: str = "") -> Lookup:
    """The values of these tables, to be looked up."""
    session = Session(Keyring(bytes(range(32)), run="r"))
    return Lookup(collect_hashes([source], MaskingPlan(tables=plans), session, snapshot=snapshot))


def whose(lookup: Lookup, value: str, kind: Any = "identifier") -> list[str]:
    """The columns of the source in which a value is known."""
    return sorted({*lookup.sources(search_forms(value, kind))})


def test_values_of_masked_columns_are_known_and_no_others(source: psycopg.Connection[Any]) -> None:
    """By their column, also inside of documents and arrays; names from pools and kept columns are not."""
    lookup = collected(source, planned(USERS, RULES), planned(table("notes"), "id: keep, v: keep"))
    assert whose(lookup, "anna@firma.example") == ["users.email"]
    assert whose(lookup, "kobold7") == ["users.login"]
    assert whose(lookup, "berta@firma.example", "nested") == ["users.doc"]
    assert whose(lookup, "10.11.12.13") == ["users.ip"]
    assert whose(lookup, "dora@firma.example", "nested") == ["users.list"]
    for unknown in ("Anna Xylander", "shared-by-20", "nobody@firma.example"):
        assert whose(lookup, unknown) == []
    assert not source.execute("SELECT current_setting('understudy.search_key', true)").fetchone()[0]  # type: ignore[index]  # one row


@pytest.mark.parametrize(("rule", "forms"), [("hash", {"mmuster", "= mmuster"}), ("scrub", {"= mmuster"})])
def test_a_word_within_text_is_searched_for_only_if_its_column_contains_logins(
    source: psycopg.Connection[Any], rule: str, forms: set[str]
) -> None:
    """A word of letters alone is a login in a column of identifiers. In other columns only a whole value is compared."""
    lookup = collected(source, planned(table("users", ["id integer", "login"]), f"id: keep, login: {rule}"))
    assert {form for form in ("mmuster", "= mmuster") if list(lookup.sources({form}))} == forms


def test_documents_are_searched_by_their_words_and_letters_by_their_folded_form(
    source: psycopg.Connection[Any],
) -> None:
    """Also documents in arrays, documents that jsonb refuses, and letters beyond ASCII."""
    docs = column("docs jsonb", type="json[]", base="json", array=True)
    rules = "id: keep, login: hash, doc: scrub, docs: 'null'"
    lookup = collected(source, planned(table("users", ["id integer", "login", DOC, docs]), rules))
    assert list(lookup.sources({"drache9"})) == ["users.doc"]
    assert list(lookup.sources({"zwerg77"})) == ["users.doc"]
    assert list(lookup.sources({"greif42"})) == ["users.docs"]
    assert list(lookup.sources({"jorgklammer"})) == ["users.login"]


def test_the_traits_of_collected_forms_admit_them(source: psycopg.Connection[Any]) -> None:
    """What the traits rule out is not searched for, so that they come with the hashes."""
    lookup = collected(source, planned(USERS, RULES))
    texts = ["write to anna@firma.example", "kobold7"]
    assert {"anna@firma.example", "kobold7"} <= forms_in(texts, nested=False, traits=lookup.traits)
    assert "berta.huber@other.example" not in forms_in(
        ["berta.huber@other.example"], nested=False, traits=lookup.traits
    )


def test_a_value_that_many_rows_share_identifies_nobody(source: psycopg.Connection[Any]) -> None:
    """Twenty rows may share one, twenty-one may not."""
    lookup = collected(source, planned(table("notes"), "id: keep, v: hash"))
    assert whose(lookup, "shared-by-20") == ["notes.v"]
    assert whose(lookup, "shared-by-21") == []


def test_forms_that_a_mask_leaves_in_place_are_not_searched_for(source: psycopg.Connection[Any]) -> None:
    """Of a value, those forms count that are not in its replacement."""
    for expression, known in (("{column}", []), ("'see ' || {column}", []), ("'x'", ["users.email"])):
        rule = f'{{maker: sql, expression: "{expression}"}}'
        lookup = collected(source, planned(table("users", ["id integer", "email"]), f"id: keep, email: {rule}"))
        assert whose(lookup, "anna@firma.example") == known


def test_no_more_values_are_picked_than_the_limit_and_all_forms_of_each(
    source: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that leaks at all leaks many; a value may leak in any of its forms."""
    monkeypatch.setattr(leak_search, "VALUES", 5)
    lookup = collected(source, planned(table("people", ["id integer", "email"]), "id: keep, email: email"))
    forms = [search_forms(f"person{n}@firma.example", "identifier") for n in range(200)]
    known = [each for each in forms if list(lookup.sources(each))]
    assert len(known) == 5
    assert all(list(lookup.sources({form})) == ["people.email"] for each in known for form in each)


def test_another_night_picks_other_values(source: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice depends neither on the place of a row nor on the value: what one night misses, another finds."""
    monkeypatch.setattr(leak_search, "VALUES", 20)
    plan = planned(table("people", ["id integer", "email"]), "id: keep, email: email")
    nights = [collected(source, plan) for _ in range(6)]
    found = [{n for n in range(200) if whose(night, f"person{n}@firma.example")} for night in nights]
    assert all(len(each) == 20 for each in found)
    assert len(set().union(*found)) > 60
    assert any(n >= 100 for n in found[0])
    assert any(n < 100 for n in found[0])


def test_the_snapshot_of_an_export_can_be_kept(source: psycopg.Connection[Any]) -> None:
    """The same values are known if the transaction is entered anew on the way, on one connection and on several."""
    for many in (1, 3):
        with ExitStack() as opened:
            holder, *connections = [
                opened.enter_context(psycopg.connect(source.info.dsn, autocommit=True)) for _ in range(1 + many)
            ]
            held = opened.enter_context(exported_snapshot(holder))
            for connection in connections:
                use_snapshot(connection, held)
            found = collect_hashes(connections, MaskingPlan(tables=(planned(USERS, RULES),)), SESSION, snapshot=held)
        assert whose(Lookup(found), "anna@firma.example") == ["users.email"]
        assert whose(Lookup(found), "dora@firma.example", "nested") == ["users.list"]
        assert list(found.hashes) == [f"users.{name}" for name in ("doc", "email", "ip", "list", "login")]


def test_a_refused_statement_ends_the_search_on_all_connections(source: psycopg.Connection[Any]) -> None:
    """The error of one connection is raised; the others end by themselves."""
    missing = planned(table("nowhere", ["id integer", "email"]), "id: keep, email: email")
    with pytest.raises(psycopg.errors.UndefinedTable):
        collected(source, planned(USERS, RULES), missing)


def test_a_large_table_is_sampled(source: psycopg.Connection[Any]) -> None:
    """By its estimated rows; one with rows on other servers is read whole."""
    large = planned(table("notes", estimated_rows=10**9), "id: keep, v: hash")
    made = leak_search._collected(
        large.table, large.columns[1], leak_search._replacement(large, large.columns[1], SESSION), TRAITS, 77
    )
    assert "TABLESAMPLE SYSTEM (0.004)" in made.as_string(None)
    for rows, sampled in ((100_000, False), (100_001, True), (40_000, False)):
        plan = planned(table("notes", estimated_rows=rows), "id: keep, v: hash")
        text = leak_search._collected(
            plan.table, plan.columns[1], leak_search._replacement(plan, plan.columns[1], SESSION), TRAITS, 77
        )
        assert ("TABLESAMPLE" in text.as_string(None)) is sampled
    here, elsewhere = (name("notes"),), (name("far"),)
    spread = planned(table("notes", estimated_rows=10**9, leaves=here, foreign_leaves=elsewhere), "id: keep, v: hash")
    query = leak_search._collected(spread.table, spread.columns[1], Literal(""), TRAITS, 77)
    assert "TABLESAMPLE" not in query.as_string(None)

"""What a load drops, rewrites or runs on staging comes back as it was, and the application's own code works meanwhile."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.estate.errors import DumpRefused

Pairs = Callable[..., Any]
CALLS = """CREATE FUNCTION strip(v text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT btrim($1)';
CREATE FUNCTION slugify(v text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN lower(strip(v)); END$$;
CREATE TABLE t (id bigint PRIMARY KEY, title text CHECK (slugify(title) <> 'forbidden'),
  slug text GENERATED ALWAYS AS (slugify(title)) STORED);
CREATE INDEX by_slug ON t (slugify(title))"""
KEYS = """CREATE TABLE parent (id bigint PRIMARY KEY);
CREATE TABLE child (id bigint PRIMARY KEY, parent bigint CONSTRAINT held REFERENCES parent (id));
CREATE TABLE late (id bigint PRIMARY KEY, parent bigint CONSTRAINT loose REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
COMMENT ON CONSTRAINT held ON child IS 'the child''s parent "quoted"'"""
CONSTRAINTS = """SELECT conname, pg_get_constraintdef(oid), convalidated, condeferrable, condeferred,
obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE contype = 'f' ORDER BY conname"""


@pytest.mark.parametrize("readers", ["stay", "wait"])
def test_functions_without_a_schema_work_while_rows_are_written(pair: Pairs, readers: str) -> None:
    """Generated columns, CHECKs and expression indexes call what the target's own search_path finds."""
    made = pair(CALLS, "t: {id: keep, title: keep}", "INSERT INTO t VALUES (1, ' A Title ')")
    made.load(made.export(), readers=readers)
    assert made.ask("SELECT slug FROM t") == [("a title",)]


def test_a_schema_of_the_role_is_found_as_well(pair: Pairs) -> None:
    """The path is that of the role that loads, not always public; and nothing of it stays on the connection's checks."""
    made = pair(
        "CREATE SCHEMA app; CREATE FUNCTION app.norm(v text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper($1)';"
        "CREATE FUNCTION app.code(v text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN norm(v); END$$;"
        "CREATE TABLE t (id bigint PRIMARY KEY, v text, n text GENERATED ALWAYS AS (app.code(v)) STORED);"
        "ALTER ROLE CURRENT_USER SET search_path = app, public",
        "t: {id: keep, v: keep}",
        "SET search_path = app, public; INSERT INTO t VALUES (1, 'x')",
    )
    try:
        made.load(made.export())
        assert made.ask("SELECT n FROM public.t") == [("X",)]
    finally:
        with psycopg.connect(made.url("target", "pair_owner"), autocommit=True) as owner:
            owner.execute("ALTER ROLE CURRENT_USER RESET search_path")


@pytest.mark.parametrize("readers", ["stay", "wait"])
def test_foreign_keys_come_back_with_comment_and_deferral(pair: Pairs, readers: str) -> None:
    """Dropped and made again, they are in every respect what they were."""
    rows = "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1); INSERT INTO late VALUES (1, 1)"
    made = pair(KEYS, "parent: keep\nchild: keep\nlate: keep", rows, old=rows)
    before = made.ask(CONSTRAINTS)
    made.load(made.export(), readers=readers)
    assert made.ask(CONSTRAINTS) == before
    assert made.ask("SELECT count(*) FROM child") == [(1,)]


def test_a_key_whose_triggers_are_off_stays_off(pair: Pairs) -> None:
    """With readers: stay it is left alone; with readers: wait its state could not be restored, and the plan is refused."""
    rows = "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)"
    made = pair(KEYS, "parent: keep\nchild: keep\nlate: keep", rows)
    with psycopg.connect(made.url("target"), autocommit=True) as superuser:
        superuser.execute("ALTER TABLE child DISABLE TRIGGER ALL")
    state = "SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'child'::regclass"
    before, facts = made.ask(state), made.export()
    with pytest.raises(DumpRefused, match="held on child are disabled"):
        made.load(facts, readers="wait")
    made.load(facts, readers="stay")
    assert made.ask(state) == before


def test_a_sequence_without_owner_does_not_go_back(pair: Pairs) -> None:
    """Rows that staging keeps may hold its numbers: it stands past both sides' last value."""
    made = pair(
        "CREATE SEQUENCE numbers; CREATE TABLE t (id bigint PRIMARY KEY); CREATE TABLE mine (n bigint)",
        "t: keep\nmine: exclude",
        "INSERT INTO t VALUES (1); SELECT setval('numbers', 100)",
        old="INSERT INTO mine VALUES (500); SELECT setval('numbers', 500)",
    )
    made.load(made.export())
    assert made.ask("SELECT nextval('numbers')") == [(501,)]


def test_large_objects_are_named_at_the_plan(pair: Pairs) -> None:
    """They do not travel, so a kept column of oids points at nothing on staging; one without them is not named."""
    made = pair(
        "CREATE TABLE t (id bigint PRIMARY KEY, scan oid, n int)", "t: keep", "INSERT INTO t VALUES (1, 16400, 2)"
    )
    assert [note for note in made.plan().notes if "large objects" in note] == [
        "t.scan: large objects do not travel; what its oids name is missing on staging"
    ]

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


INDEXES = """CREATE TABLE t (id bigint PRIMARY KEY, v text, w text, n int);
CREATE INDEX "By V" ON t (v text_pattern_ops DESC NULLS LAST, n) INCLUDE (w) WITH (fillfactor = 70);
COMMENT ON INDEX "By V" IS 'why "it" is';
CREATE INDEX hashed ON t USING hash (w);
CREATE UNIQUE INDEX only_once ON t (n);
CREATE INDEX computed ON t (lower(v));
CREATE INDEX few ON t (n) WHERE n > 5;
CREATE INDEX ordered ON t (w, v);
CLUSTER t USING ordered;
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE INDEX below ON parted (v);
CREATE STATISTICS together ON v, w FROM t"""
OF_INDEXES = """SELECT c.relname, pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class'), i.indisclustered,
i.indisvalid, c.reloptions, c.relowner FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relnamespace = 'public'::regnamespace ORDER BY 1"""
NUMBERS_OF_INDEXES = "SELECT relname, oid FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace"


@pytest.mark.parametrize(
    ("readers", "large", "rebuilt"), [("wait", 3, {"By V", "hashed"}), ("wait", 4, set()), ("stay", 3, set())]
)
def test_indexes_of_large_tables_are_built_after_the_rows_and_come_back(
    pair: Pairs, monkeypatch: pytest.MonkeyPatch, readers: str, large: int, rebuilt: set[str]
) -> None:
    """Simple ones only, with their comments and options; unique, computed, clustered and partitioned ones stay."""
    monkeypatch.setattr("tasks.dumps.load.LARGE", large)
    rows = (
        "INSERT INTO t SELECT n, 'v' || n, 'w' || n, n FROM generate_series(1, 3) n; INSERT INTO parted VALUES (1, 'x')"
    )
    made = pair(INDEXES, "t: keep\nparted: keep", rows, old="INSERT INTO t VALUES (9, 'old', 'old', 9)")
    before, numbers = made.ask(OF_INDEXES), dict(made.ask(NUMBERS_OF_INDEXES))
    made.load(made.export(), readers=readers)
    assert made.ask(OF_INDEXES) == before
    now = dict(made.ask(NUMBERS_OF_INDEXES))
    assert {name for name, number in numbers.items() if now[name] != number} == rebuilt
    assert made.ask("SELECT id FROM t WHERE w = 'w2'") == [(2,)]


def test_no_index_is_dropped_if_that_runs_code_of_the_application(pair: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event trigger would run with each DROP INDEX; it may refuse it."""
    monkeypatch.setattr("tasks.dumps.load.LARGE", 1)
    made = pair(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text); CREATE INDEX i ON t (v)",
        "t: keep",
        "INSERT INTO t VALUES (1, 'a')",
    )
    facts = made.export()
    with psycopg.connect(made.url("target"), autocommit=True) as superuser:
        superuser.execute(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$;"
            "CREATE EVENT TRIGGER keeper ON sql_drop WHEN TAG IN ('DROP INDEX') EXECUTE FUNCTION refuse()"
        )
    try:
        made.load(facts, readers="wait")
        assert made.ask("SELECT v FROM t") == [("a",)]
    finally:
        with psycopg.connect(made.url("target"), autocommit=True) as superuser:
            superuser.execute("DROP EVENT TRIGGER keeper; DROP FUNCTION refuse")


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

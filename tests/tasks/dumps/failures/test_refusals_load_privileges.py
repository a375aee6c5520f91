"""What a load may not do on its target is known when it is planned, with the statement that helps; NOT VALID stays so."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.estate.errors import DumpRefused

Pairs = Callable[..., Any]
T = "CREATE TABLE t (id bigserial PRIMARY KEY, v text);"
VIEW = "CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t"
ROWS = "INSERT INTO t (v) VALUES ('a'), ('b')"
REVOKED = {
    "another owner's view": (VIEW, "ALTER MATERIALIZED VIEW m OWNER TO postgres", "materialized view m belongs to postgres"),
    "another owner's sequence": (
        "CREATE SEQUENCE s; ALTER TABLE t ALTER id SET DEFAULT nextval('s')", "ALTER SEQUENCE s OWNER TO postgres",
        "sequence s belongs to postgres",
    ),
    "no DELETE": ("", "ALTER TABLE t OWNER TO postgres; GRANT SELECT, INSERT ON t TO pair_owner", "GRANT DELETE ON t"),
    "no TEMP": ("", "REVOKE TEMPORARY ON DATABASE pair_target FROM PUBLIC, pair_owner", "GRANT TEMPORARY ON DATABASE"),
    "a trigger on another's table": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE t OWNER TO postgres; GRANT ALL ON t TO pair_owner", "the table t belongs to postgres",
    ),
    "published without identity": (
        "ALTER TABLE t DROP CONSTRAINT t_pkey", "DROP PUBLICATION IF EXISTS pub; CREATE PUBLICATION pub FOR TABLE t",
        "t is in the publication pub and has no replica identity",
    ),
}  # fmt: skip


def as_admin(made: Any, statement: str) -> None:
    """Run statements on the target as the superuser, and give the database back its owner's rights."""
    with psycopg.connect(made.url("target"), autocommit=True) as connection:
        for each in statement.split(";"):
            connection.execute(each.encode())


@pytest.mark.parametrize("case", REVOKED)
def test_a_missing_right_is_named_by_the_plan(pair: Pairs, case: str) -> None:
    """Nothing is changed on staging, and the message names the privilege and who needs it."""
    more, statement, why = REVOKED[case]
    made = pair(T + more, "t: keep", ROWS, old="INSERT INTO t (v) VALUES ('old')")
    facts = made.export()
    as_admin(made, statement)
    try:
        with pytest.raises(DumpRefused, match=why):
            made.load(facts)
        assert made.ask("SELECT v FROM t") == [("old",)]
    finally:
        as_admin(made, "GRANT ALL ON DATABASE pair_target TO pair_owner; DROP PUBLICATION IF EXISTS pub")


@pytest.mark.parametrize("identity", ["REPLICA IDENTITY FULL", "ADD UNIQUE (id)", "ADD PRIMARY KEY (id)"])
def test_a_published_table_with_an_identity_is_loaded(pair: Pairs, identity: str) -> None:
    """A primary key or a full identity serves; a unique key that is not the identity does not."""
    made = pair("CREATE TABLE t (id bigint NOT NULL, v text);", "t: keep", "INSERT INTO t VALUES (1, 'a')")
    facts = made.export()
    as_admin(made, f"ALTER TABLE t {identity}; CREATE PUBLICATION pub FOR TABLE t")
    try:
        if "UNIQUE" in identity:
            with pytest.raises(DumpRefused, match="no replica identity"):
                made.load(facts)
            made.load(facts, readers="wait")
        else:
            made.load(facts)
        assert made.ask("SELECT v FROM t") == [("a",)]
    finally:
        as_admin(made, "DROP PUBLICATION pub")


def test_a_view_without_data_stays_without(pair: Pairs) -> None:
    """Its query may not even run; a view that holds data is computed again."""
    made = pair(T + VIEW + ";CREATE MATERIALIZED VIEW w AS SELECT 1 / 0 AS n WITH NO DATA", "t: keep", ROWS)
    made.load(made.export())
    assert made.ask("SELECT n FROM m") == [(2,)]
    assert made.ask("SELECT relispopulated FROM pg_class WHERE relname = 'w'") == [(False,)]


def test_a_view_over_one_without_data_is_refused_by_the_plan(pair: Pairs) -> None:
    """PostgreSQL cannot refresh it, also where a plain view lies between; filled again, it loads."""
    views = "; CREATE VIEW x AS SELECT n FROM m; CREATE MATERIALIZED VIEW w AS SELECT n + 1 AS n FROM x"
    made = pair(T + VIEW + views, "t: keep", ROWS)
    facts = made.export()
    made.change("REFRESH MATERIALIZED VIEW m WITH NO DATA")
    with pytest.raises(DumpRefused, match=r"view w reads m, which has no data.*REFRESH MATERIALIZED VIEW m"):
        made.load(facts)
    made.change("REFRESH MATERIALIZED VIEW m")
    made.load(facts)
    assert made.ask("SELECT n FROM w") == [(3,)]


UNCHECKED = """CREATE TABLE p (id int, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
    CREATE TABLE q (id int PRIMARY KEY, v text); CREATE TABLE child () INHERITS (q);"""
OLD_ROWS = (
    "INSERT INTO p VALUES (1, 'bad'), (2, NULL); INSERT INTO q VALUES (1, 'bad'); INSERT INTO child VALUES (2, 'bad');"
)
CHECKS = """ALTER TABLE p1 ADD CONSTRAINT pc CHECK (v <> 'bad' OR v = '{}') NOT VALID; COMMENT ON CONSTRAINT pc ON p1 IS 'it''s';
    ALTER TABLE q ADD CONSTRAINT qc CHECK (v <> 'bad') NOT VALID; ALTER TABLE child ADD CONSTRAINT cc CHECK (v <> 'bad') NOT VALID;"""
STATE = """SELECT conrelid::regclass::text, conname, convalidated, conislocal, coninhcount, pg_get_constraintdef(oid),
    obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"""


def test_constraints_that_are_not_valid_take_productions_old_rows_and_stay_not_valid(pair: Pairs) -> None:
    """On roots, partitions and inheritance children, with comments; a new row must satisfy them still."""
    made = pair(UNCHECKED, "p: keep\nq: keep\nchild: keep", OLD_ROWS, after=CHECKS)
    before = made.ask(STATE)
    made.load(made.export())
    assert made.ask(STATE) == before
    assert made.ask("SELECT count(*) FROM p UNION ALL SELECT count(*) FROM q") == [(2,), (2,)]
    with pytest.raises(psycopg.errors.CheckViolation):
        made.change("INSERT INTO q VALUES (9, 'bad')")


def test_not_null_that_is_not_valid_takes_productions_nulls(pair: Pairs) -> None:
    """PostgreSQL 18 has NOT NULL … NOT VALID: NULLs of old rows travel, also under a mask."""
    made = pair(
        "CREATE TABLE t (id int PRIMARY KEY, v text, w text)",
        "t: {id: keep, v: keep, w: scrub}",
        "INSERT INTO t VALUES (1)",
    )
    if made.ask("SHOW server_version_num")[0][0] < "180000":
        pytest.skip("NOT NULL … NOT VALID exists from PostgreSQL 18")
    for which in ("source", "target"):
        made.change(
            "ALTER TABLE t ADD CONSTRAINT nn NOT NULL v NOT VALID, ADD CONSTRAINT nw NOT NULL w NOT VALID", which
        )
    before = made.ask(STATE)
    made.load(made.export())
    assert made.ask(STATE) == before
    assert made.ask("SELECT id, v, w FROM t") == [(1, None, None)]


@pytest.mark.parametrize("rule", ["", "\nv: exclude"])
def test_an_excluded_materialized_view_is_not_refreshed(pair: Pairs, rule: str) -> None:
    """The rule has an effect: the view stays as it is, and may even belong to somebody else."""
    made = pair(
        "CREATE TABLE t (id int); CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM t", "t: keep" + rule,
        "INSERT INTO t VALUES (1), (2)", after="REFRESH MATERIALIZED VIEW v",
    )  # fmt: skip
    facts = made.export()
    made.load(facts)
    assert made.ask("SELECT * FROM v") == [(0,) if rule else (2,)]
    with psycopg.connect(made.url("target")) as connection:
        connection.execute("ALTER MATERIALIZED VIEW v OWNER TO postgres")
    if rule:
        made.load(facts)
        return
    with pytest.raises(DumpRefused, match="materialized view v belongs to postgres"):
        made.load(facts)

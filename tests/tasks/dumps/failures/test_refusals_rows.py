"""Rows that staging would refuse: a trial finds them before the approval, if staging's definition differs."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.estate.dumps import Anonymizer, Choices, DumpFacts
from tasks.estate.errors import DumpRefused, UnderstudyError

Pairs = Callable[..., Any]
SCHEMA = """CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN code AS text CHECK (VALUE ~ '^[a-z]+$');
CREATE TYPE pair AS (a varchar(9), b int);
CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY);
CREATE TABLE t (id bigint PRIMARY KEY, s varchar(40), c char(9), n numeric(10,2), m mood, d code, l varchar(9)[], p pair,
    at timestamptz, born date, parent int REFERENCES parents, ref int)"""
ROWS = """INSERT INTO parents VALUES (1), (2); INSERT INTO other VALUES (7);
INSERT INTO t VALUES (1, 'short', 'abc', 12.25, 'ok', 'abc', '{a,bb}', '(abc,1)', '2026-01-01 10:00', '2000-01-01', 1, 7),
    (2, 'longer', 'abcdef', 1234567.5, 'sad', 'xyz', '{abcdefg}', '(abcdef,2)', NULL, NULL, 2, NULL),
    (3000000000, 'same', NULL, NULL, NULL, NULL, NULL, NULL, '2026-02-01', '2010-01-01', NULL, NULL)"""
POLICY = "parents: keep\nother: keep\nt: keep"


def exported(pair: Pairs, change: str) -> tuple[Any, DumpFacts]:
    """A pair with the dump of its source, after a change to its target."""
    made = pair(SCHEMA, POLICY, ROWS)
    facts = made.export()
    made.change(change)
    return made, facts


def refusal_of(made: Any, facts: DumpFacts, expected: tuple[str, str, str] | None) -> DumpRefused | None:
    """The error of a plan with exactly this fault (kind, table, column); if None is expected, it loads without a doubt."""
    if expected is None:
        assert made.load_plan(facts).doubts == ()
        made.load(facts)
        return None
    with pytest.raises(DumpRefused) as refused:
        made.load_plan(facts)
    (fault,) = refused.value.facts["faults"]
    assert (fault["kind"], fault["table"], fault["column"]) == expected
    return refused.value


BROKEN = {  # what is done to staging, (kind, table, column) of the fault, what its message must contain
    "a shorter text": ("ALTER TABLE t ALTER s TYPE varchar(5)", ("type", "t", "s"), "character varying(40)"),
    "a shorter char": ("ALTER TABLE t ALTER c TYPE char(4)", ("type", "t", "c"), "character(4)"),
    "a smaller precision": ("ALTER TABLE t ALTER n TYPE numeric(5,2)", ("type", "t", "n"), "too large"),
    "a narrower integer": ("ALTER TABLE t ALTER id TYPE int", ("type", "t", "id"), "integer"),
    "an enum that lacks a label": (
        "CREATE TYPE mood2 AS ENUM ('ok'); ALTER TABLE t ALTER m TYPE mood2 USING m::text::mood2", ("type", "t", "m"), "labels: ok",
    ),
    "a domain with another check": (
        "ALTER DOMAIN code ADD CONSTRAINT brief CHECK (VALUE < 'm')", ("type", "t", "d"), "CHECK brief",
    ),
    "an array of shorter texts": ("ALTER TABLE t ALTER l TYPE varchar(3)[]", ("type", "t", "l"), "character varying(3)[]"),
    "a composite with a shorter part": ("CREATE TYPE pair2 AS (a varchar(3), b int); ALTER TABLE t ALTER p TYPE pair2 USING NULL",
                                        ("type", "t", "p"), "too long"),
    "a number for a text": ("ALTER TABLE t ALTER s TYPE int USING s::int", ("type", "t", "s"), "the type does not have"),
    "not null": ("ALTER TABLE t ALTER born SET NOT NULL", ("not-null", "t", "born"), "DROP NOT NULL"),
    "a check": ("ALTER TABLE t ADD CONSTRAINT old CHECK (born < '2005-01-01')", ("check", "t", "born"), "CHECK old"),
    "a check of two columns": ("ALTER TABLE t ADD CONSTRAINT two CHECK (id < 3 OR n > 0)", None, None),
    "a unique key": ("CREATE UNIQUE INDEX one ON t (left(s, 2)) WHERE s > 'm'", None, None),
    "a unique key that is violated": (
        "ALTER TABLE t ADD e boolean GENERATED ALWAYS AS (id > 1) STORED; CREATE UNIQUE INDEX one ON t (e)",
        ("unique", "t", "e"), "one",
    ),
    "an exclusion": (
        "ALTER TABLE t ADD CONSTRAINT apart EXCLUDE USING gist (int8range(id, id + 2) WITH &&)", ("unique", "t", "id"), "apart",
    ),
    "a foreign key to a loaded table": (
        "ALTER TABLE t ADD CONSTRAINT out FOREIGN KEY (ref) REFERENCES parents", ("foreign-key", "t", "ref"), "1 rows",
    ),
    "a computed column that is too short": (
        "ALTER TABLE t ADD g varchar(4) GENERATED ALWAYS AS (s || '') STORED", ("computed", "t", ""), "22001",
    ),
    "an index that computes": ("CREATE INDEX i ON t ((10 / (length(s) - 6)))", ("computed", "t", ""), "22012"),
    "a new column without a value": (
        "ALTER TABLE t ADD CONSTRAINT need CHECK (extra > 0 OR id < 2), ADD extra int DEFAULT -1", ("check", "t", ""), "need",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_staging_refuses_is_a_fault_of_the_plan(pair: Pairs, case: str) -> None:
    """Each difference names table, column, kind and remedy before the load; one that no row violates is no fault."""
    change, expected, words = BROKEN[case]
    made, facts = exported(pair, change)
    refused = refusal_of(made, facts, expected)
    if refused is None:
        return
    (fault,) = refused.facts["faults"]
    assert words in f"{fault['message']}; {fault['remedy']}"
    assert fault["remedy"]
    assert not any(word in refused.message for word in ("understudy_try", "longer"))  # a value of a row
    assert made.ask("SELECT count(*) FROM t") == [(0,)]


HEALTHY = {
    "the same": "SELECT",
    "wider types": "ALTER TABLE t ALTER s TYPE text, ALTER n TYPE numeric(20,4), ALTER ref TYPE bigint",
    "a narrower type that fits": "ALTER TABLE t ALTER s TYPE varchar(6), ALTER born TYPE timestamp",
    "more labels": "ALTER TYPE mood ADD VALUE 'mad'",
    "an enum in another order": "ALTER TYPE mood RENAME TO old; CREATE TYPE mood AS ENUM ('sad', 'ok', 'new');"
    "ALTER TABLE t ALTER m TYPE mood USING m::text::mood",
    "a check that holds": "ALTER TABLE t ADD CHECK (id > 0), ADD CHECK (length(s) > 2)",
    "a check that is not valid": "ALTER TABLE t ADD CONSTRAINT late CHECK (id > 9) NOT VALID",
    "not null that holds": "ALTER TABLE t ALTER s SET NOT NULL",
    "a new column with a default": "ALTER TABLE t ADD extra int NOT NULL DEFAULT 7 CHECK (extra = 7)",
    "a new serial": "ALTER TABLE t ADD extra serial UNIQUE",
    "a new identity": "ALTER TABLE t ADD extra int GENERATED ALWAYS AS IDENTITY UNIQUE",
    "a foreign key that holds": "ALTER TABLE t ADD FOREIGN KEY (ref) REFERENCES other",
    "less than production": "ALTER TABLE t DROP CONSTRAINT t_parent_fkey; ALTER TABLE t DROP CONSTRAINT t_pkey",
    "an index on a long text": "CREATE INDEX i ON t (s); CREATE INDEX j ON t (lower(s)) WHERE n > 1",
}


@pytest.mark.parametrize("case", HEALTHY)
def test_what_staging_accepts_is_neither_fault_nor_doubt(pair: Pairs, case: str) -> None:
    """Equal and harmlessly different definitions load without a doubt; the plan does not move staging's sequences."""
    made, facts = exported(pair, HEALTHY[case])
    before = made.contents()
    assert made.load_plan(facts).doubts == ()
    assert made.contents() == before
    made.load(facts)
    assert made.ask("SELECT count(*) FROM t") == [(3,)]


ALTERED = {  # how staging would change a value without an error
    "a rounded number": ("n TYPE numeric(9,1)", "n"), "a date without its time": ("at TYPE date", "at"),
    "a padded text": ("born TYPE text", None), "a wider number": ("n TYPE numeric(20,6)", None),
}  # fmt: skip


@pytest.mark.parametrize("case", ALTERED)
def test_values_that_staging_would_change_are_a_doubt(pair: Pairs, case: str) -> None:
    """A kept value that would be rounded or cut is named before the approval; one that is only printed differently is not."""
    change, column = ALTERED[case]
    made, facts = exported(pair, f"ALTER TABLE t ALTER {change}")
    found = [(doubt.kind, doubt.table, doubt.column) for doubt in made.load_plan(facts).doubts]
    assert found == ([("changed", "t", column)] if column else [])


PARTS = """CREATE TABLE e (id int, at date, v text) PARTITION BY RANGE (at);
CREATE TABLE e_old PARTITION OF e FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE e_new PARTITION OF e DEFAULT PARTITION BY HASH (id);
CREATE TABLE e_new_0 PARTITION OF e_new FOR VALUES WITH (MODULUS 1, REMAINDER 0)"""
PART_ROWS = "INSERT INTO e VALUES (1, '2020-01-01', NULL), (2, '2026-05-01', 'x')"
LEAVES = {
    "not null on a leaf": ("ALTER TABLE e_old ALTER v SET NOT NULL", ("not-null", "e", "v")),
    "not null on the other leaf": ("ALTER TABLE e_new_0 ALTER v SET NOT NULL", None),
    "a check on a leaf": ("ALTER TABLE e_old ADD CONSTRAINT k CHECK (id > 1)", ("check", "e", "id")),
    "a check on the other leaf": ("ALTER TABLE e_new_0 ADD CONSTRAINT k CHECK (id > 1)", None),
    "a bound": ("DROP TABLE e_new; CREATE TABLE e_may PARTITION OF e FOR VALUES FROM ('2026-05-02') TO ('2026-06-01')",
                ("partition", "e", "")),
    "a bound that fits": (
        "DROP TABLE e_new; CREATE TABLE e_may PARTITION OF e FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')", None,
    ),
    "an expression": ("DROP TABLE e; CREATE TABLE e (id int, at date, v text) PARTITION BY LIST (extract(year FROM at));"
                      "CREATE TABLE e20 PARTITION OF e FOR VALUES IN (2020)", ("partition", "e", "")),
    "a unique key on a leaf": ("CREATE UNIQUE INDEX k ON e_old (v) NULLS NOT DISTINCT", None),
}  # fmt: skip


@pytest.mark.parametrize("case", LEAVES)
def test_partitions_and_their_own_rules_are_tried(pair: Pairs, case: str) -> None:
    """A bound, a key by an expression, and the requirements of a single leaf, at any depth."""
    change, expected = LEAVES[case]
    made = pair(PARTS, "e: keep", PART_ROWS)
    facts = made.export()
    made.change(change)
    refusal_of(made, facts, expected)


KEYS = {
    "range": ("CREATE TABLE p_0 PARTITION OF p FOR VALUES FROM ('1000-01-01') TO ('1900-01-01')", True),
    "range that fits": ("CREATE TABLE p_0 PARTITION OF p FOR VALUES FROM (MINVALUE) TO (MAXVALUE)", False),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_mask_on_a_partition_key_is_tried(pair: Pairs, case: str) -> None:
    """The masked values decide whether a partition accepts the rows."""
    part, refused = KEYS[case]
    made = pair(f"CREATE TABLE p (id int, born date) PARTITION BY RANGE (born); {part}",
                "p: {id: keep, born: {maker: birth_date, by: id}}")  # fmt: skip
    if refused:
        made.change("CREATE TABLE p_1 PARTITION OF p DEFAULT; GRANT SELECT ON p_1 TO pair_reader", "source")
    made.change("INSERT INTO p SELECT n, date '1970-01-01' + n FROM generate_series(1, 50) n", "source")
    facts = made.export()
    if not refused:
        assert made.load_plan(facts).doubts == ()
        made.load(facts)
        return
    with pytest.raises(UnderstudyError, match="partition"):
        made.load_plan(facts)


def test_a_check_that_reads_another_table_is_a_doubt(pair: Pairs) -> None:
    """Its result depends on the order of loading; a CHECK that reads no table is no doubt."""
    made = pair(
        "CREATE TABLE a (id int); CREATE TABLE b (id int);"
        "CREATE FUNCTION known(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.a WHERE a.id = $1)';"
        "CREATE FUNCTION small(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 < 100';"
        "CREATE TABLE t (id int CHECK (small(id)), CONSTRAINT reads CHECK (known(id)))",
        "a: keep\nb: keep\nt: keep", "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); INSERT INTO t VALUES (1)",
    )  # fmt: skip
    (doubt,) = made.load_plan(made.export()).doubts
    assert (doubt.kind, doubt.table) == ("check", "t")
    assert "t: the CHECK reads calls public.known(integer)" in doubt.message


def test_rows_that_would_refer_to_nothing_are_counted(pair: Pairs) -> None:
    """A foreign key to a table that staging keeps is checked against staging's own rows."""
    made = pair(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE t (id int, a int REFERENCES a)", "a: exclude\nt: keep",
        "INSERT INTO a VALUES (1), (2); INSERT INTO t VALUES (1, 1), (2, 2), (3, 2), (4, NULL)", old="INSERT INTO a VALUES (1)",
    )  # fmt: skip
    facts = made.export()
    with pytest.raises(DumpRefused, match=r"t\.a: 2 rows of the dump refer to rows that a will not have; .* t_a_fkey"):
        made.load_plan(facts)
    made.change("INSERT INTO a VALUES (2)")
    assert made.load_plan(facts).doubts == ()
    made.load(facts)


def test_a_raw_dump_is_not_tried_but_named(pair: Pairs) -> None:
    """Personal data does not reach staging before the approval, so that the difference is a doubt."""
    made = pair(
        "CREATE TABLE u (id int PRIMARY KEY, mail text)", "u: {id: keep, mail: email}",
        "INSERT INTO u VALUES (1, 'a@b.example')",
    )  # fmt: skip
    facts = made.export(Choices(opted_out=(Anonymizer.EMAIL,)))
    assert made.load_plan(facts).doubts == ()
    made.change("ALTER TABLE u ADD CHECK (mail <> ''), ALTER mail TYPE varchar(90)")
    found = made.load_plan(facts).doubts
    assert {doubt.kind for doubt in found} == {"type", "check"}
    assert all("personal data" in doubt.message and doubt.table == "u" for doubt in found)


def test_defaults_with_braces_are_tried_as_they_are(pair: Pairs) -> None:
    """A column of staging alone, with a JSON document or an array as its default, raises no doubt."""
    made, facts = exported(
        pair,
        "ALTER TABLE t ADD extra jsonb NOT NULL DEFAULT '{\"a\": {}}', ADD words text[] NOT NULL DEFAULT '{}',"
        " ADD CONSTRAINT objects CHECK (jsonb_typeof(extra -> 'a') = 'object' AND cardinality(words) = 0)",
    )
    assert made.load_plan(facts).doubts == ()
    made.load(facts)


def test_each_function_of_a_check_is_looked_into(pair: Pairs) -> None:
    """The first of two immutable functions reads nothing, the second reads a table: the CHECK is a doubt."""
    made, facts = exported(
        pair,
        "CREATE FUNCTION a_plain(bigint) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0';"
        "CREATE FUNCTION b_reads(bigint) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NOT EXISTS (SELECT FROM other WHERE id = -$1); END';"
        "ALTER TABLE t ADD CONSTRAINT both_of_them CHECK (a_plain(id) AND b_reads(id))",
    )
    (doubt,) = made.load_plan(facts).doubts
    assert doubt.kind == "check"
    assert "b_reads" in doubt.message

"""Drawn pairs of definitions of one table: the plan names what staging refuses, and nothing that it takes."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dumps import load_plan
from tasks.estate.errors import NotLoaded, PolicyRefused, UnderstudyError

Pairs = Callable[..., Any]
TYPES = """CREATE TYPE few AS ENUM ('ok', 'abc'); CREATE TYPE many AS ENUM ('abc', 'sad', 'ok', '12');
CREATE DOMAIN word AS text CHECK (VALUE <> 'sad'); CREATE DOMAIN short AS varchar(3) NOT NULL;"""
A = ["text", "varchar(3)", "varchar(8)", "char(5)", "few", "many", "word", "short"]
B = ["smallint", "int", "bigint", "numeric(4,1)", "numeric(12,3)", "text"]
EXTRAS = ["", "CHECK (b > 0)", "CHECK (length(a::text) < 4)", "UNIQUE (a)", "UNIQUE (b)", "CHECK (a IS NOT NULL OR b IS NOT NULL)",
          "EXCLUDE (a WITH =)"]  # fmt: skip
PARTS = {
    "": "",
    "PARTITION BY LIST (k)": "CREATE TABLE t_0 PARTITION OF t FOR VALUES IN (0); CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1, 2)",
    "PARTITION BY RANGE (k)": "CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (2); CREATE TABLE t_1 PARTITION OF t DEFAULT;"
    "ALTER TABLE t_1 ALTER a SET NOT NULL",
    "PARTITION BY HASH (k)": "CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1); ALTER TABLE t_0 ADD CHECK (k < 3)",
    "PARTITION BY LIST ((k % 2))": "CREATE TABLE t_0 PARTITION OF t FOR VALUES IN (0) PARTITION BY RANGE (k);"
    "CREATE TABLE t_00 PARTITION OF t_0 FOR VALUES FROM (0) TO (3); CREATE TABLE t_1 PARTITION OF t DEFAULT",
}  # fmt: skip
VALUES = st.tuples(
    st.sampled_from(["NULL", "'ok'", "'abc'", "'sad'", "'12'", "'abcdefg'", "''"]),
    st.sampled_from(["NULL", "1", "-5", "300", "70000", "3000000000", "12.25", "1.5"]),
    st.integers(0, 4),
)


@st.composite
def definitions(draw: st.DrawFn) -> str:
    """CREATE TABLE t, with its partitions."""
    parts = draw(st.sampled_from(list(PARTS)))
    b, extra = draw(st.sampled_from(B)), draw(st.sampled_from(EXTRAS))
    if (parts and extra.startswith(("UNIQUE", "EXCLUDE"))) or (b == "text" and "b > 0" in extra):
        extra = ""
    null = draw(st.sampled_from(["", " NOT NULL"])), draw(st.sampled_from(["", "", " NOT NULL"]))
    more = draw(st.sampled_from(["", ", extra int DEFAULT 3 CHECK (extra = 3)", ", extra int"]))
    rules = f", {extra}" if extra else ""
    columns = f"id int, a {draw(st.sampled_from(A))}{null[0]}, b {b}{null[1]}, k int{more}{rules}"
    return f"CREATE TABLE t ({columns}) {parts}; {PARTS[parts]}"


def filled(rows: list[tuple[str, str, int]]) -> str:
    """Insert the rows that the source takes."""
    insert = "BEGIN INSERT INTO t (id, a, b, k) VALUES ({}, {}, {}, {}); EXCEPTION WHEN OTHERS THEN NULL; END;"
    return "DO $$ BEGIN " + " ".join(insert.format(n, *row) for n, row in enumerate(rows)) + " END $$"


def check(pair: Pairs, monkeypatch: pytest.MonkeyPatch, source: str, staging: str, rows: list[Any], rule: str) -> None:
    """Export from one definition and load into the other; the load itself shows whether our trial was right."""
    named = "id: keep, a: {}, b: keep, k: keep{}".format(rule, ", extra: keep" if "extra" in source else "")
    made = pair(TYPES + source, "t: {" + named + "}")
    made.change(filled(rows), "source")
    try:
        facts = made.export()
    except PolicyRefused:
        return
    made.change(f"DROP TABLE t; {staging}")
    try:
        plan = made.load_plan(facts)
    except UnderstudyError as refused:
        with monkeypatch.context() as patched:
            patched.setattr(load_plan, "require_rows_accepted", lambda *_: ())
            with pytest.raises((NotLoaded, type(refused))):  # the server agrees
                made.load(facts)
        return
    try:
        made.load(facts)
    except NotLoaded:
        assert plan.doubts
        raise
    kept = "SELECT id, k, b::numeric, rtrim(a::text) FROM t ORDER BY 1"
    if rule != "keep":
        kept = "SELECT id, k, b::numeric FROM t ORDER BY 1"
    if not any(doubt.kind == "changed" for doubt in plan.doubts):
        assert made.ask(kept) == made.ask(kept, "source")


DRAWN = (
    definitions(),
    definitions(),
    st.lists(VALUES, max_size=8),
    st.sampled_from(["keep", "'null'", "{maker: hash, chars: 8}"]),
)


@pytest.mark.parametrize("examples", [12, pytest.param(400, marks=pytest.mark.drill)])
def test_a_load_is_refused_only_with_a_doubt_at_the_plan(
    pair: Pairs, monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    """Pairs of definitions with rows: a few in the suite, several hundred in the drill."""

    @settings(max_examples=examples)
    @given(*DRAWN)
    def every(source: str, staging: str, rows: list[Any], rule: str) -> None:
        check(pair, monkeypatch, source, staging, rows, rule)

    every()

"""What a dump has and staging lacks: tables, columns, inheritance children and partitions are named at the plan."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.estate.errors import DumpRefused
from tasks.rendering.dumps import missing_lines

Pairs = Callable[..., Any]
MONTHS = """CREATE TABLE e (at date, v text) PARTITION BY RANGE (at);
CREATE TABLE e_10 PARTITION OF e FOR VALUES FROM ('2026-10-01') TO ('2026-11-01')"""
NOVEMBER = "CREATE TABLE e_11 PARTITION OF e FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')"


@pytest.mark.parametrize("allowed", [False, True])
def test_tables_children_and_columns_come_with_their_statements(pair: Pairs, allowed: bool) -> None:
    """Each is named with its rows and the statement that makes it, and the count of rows does not hide it."""
    made = pair(
        "CREATE TABLE m (id int, v text); CREATE TABLE m_new () INHERITS (m); CREATE TABLE \"Other\" (n numeric(4,1))",
        "m: keep\nOther: keep", "INSERT INTO m VALUES (1, 'x'); INSERT INTO m_new SELECT n, 'y' FROM generate_series(1, 500) n",
        more="missing_on_staging: [m_new, Other, m.v]" if allowed else "",
    )  # fmt: skip
    facts = made.export()
    made.change('DROP TABLE m_new; DROP TABLE "Other"; ALTER TABLE m DROP COLUMN v')
    plan = made.load_plan(facts)
    assert {(each.name, each.what, each.rows, each.statement) for each in plan.missing} == {
        ("m_new", "inheritance child", 500, "CREATE TABLE m_new (id integer, v text) INHERITS (m)"),
        ("Other", "table", 0, 'CREATE TABLE "Other" (n numeric(4,1))'),
        ("m.v", "column", 1, "ALTER TABLE m ADD COLUMN v text"),
    }
    assert {each.allowed for each in plan.missing} == {allowed}
    assert {each.name for each in plan.lost} == (set() if allowed else {"m_new", "m.v"})
    assert any("CREATE TABLE m\\_new" in line or "CREATE TABLE m_new" in line for line in missing_lines(plan))
    checks = dict(made.load(facts).checks)
    assert checks["row counts"].endswith("NOT LOADED, because staging has no such table: m_new (500 rows)")


LACKS = {  # what production has in addition to October, the rows, what the message must contain
    "a month": (NOVEMBER, "('2026-11-05', 'x')", "CREATE TABLE e_11 PARTITION OF e FOR VALUES FROM"),
    "a month in two layers": (
        NOVEMBER + " PARTITION BY LIST (v); CREATE TABLE e_11_x PARTITION OF e_11 FOR VALUES IN ('x')", "('2026-11-05', 'x')",
        r"PARTITION BY LIST \(v\); CREATE TABLE e_11_x PARTITION OF e_11 FOR VALUES IN \('x'\)",
    ),
    "the default": ("CREATE TABLE e_rest PARTITION OF e DEFAULT", "('2030-01-01', 'x')", None),
}  # fmt: skip


@pytest.mark.parametrize("case", LACKS)
def test_a_partition_that_staging_lacks_is_named_at_the_plan(pair: Pairs, case: str) -> None:
    """With the statement that creates it. An empty one is no reason to stop; if the bounds do not decide, the rows do."""
    more, row, expected = LACKS[case]
    made = pair(f"{MONTHS}; {more}", "e: keep", "INSERT INTO e VALUES ('2026-10-02', 'x')")
    empty = made.export()
    made.change("INSERT INTO e VALUES " + row, "source")  # noqa: S608  # a row of this file
    facts = made.export()
    made.change("DROP TABLE e_rest" if expected is None else "DROP TABLE e_11")
    assert made.load_plan(empty).doubts == ()
    with pytest.raises(DumpRefused, match=expected or "no partition takes a row of the dump"):
        made.load_plan(facts)
    made.load(empty)


HEALTHY = {
    "other names": "ALTER TABLE e_11 RENAME TO x",
    "a default": "DROP TABLE e_11; CREATE TABLE d PARTITION OF e DEFAULT",
    "halves": "DROP TABLE e_11; CREATE TABLE a PARTITION OF e FOR VALUES FROM ('2026-11-01') TO ('2026-11-15');"
              "CREATE TABLE b PARTITION OF e FOR VALUES FROM ('2026-11-15') TO (MAXVALUE)",
    "by hash below": "DROP TABLE e_11; CREATE TABLE a PARTITION OF e FOR VALUES FROM ('2026-11-01') TO ('2027-01-01') PARTITION BY"
                     " HASH (v); CREATE TABLE b PARTITION OF a FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
    "no partitions": "DROP TABLE e; CREATE TABLE e (at date, v text)",
}  # fmt: skip


@pytest.mark.parametrize("case", HEALTHY)
def test_other_partitions_that_take_the_rows_are_as_good(pair: Pairs, case: str) -> None:
    """Bounds are compared as PostgreSQL orders them, not as text."""
    made = pair(f"{MONTHS}; {NOVEMBER}", "e: keep", "INSERT INTO e VALUES ('2026-11-05', 'x')")
    made.change(HEALTHY[case])
    facts = made.export()
    assert made.load_plan(facts).doubts == ()
    made.load(facts)
    assert made.ask("SELECT v FROM e") == [("x",)]


def test_a_half_of_a_partition_is_tried(pair: Pairs) -> None:
    """Rows of the month may all be in the half that staging has: the rows decide."""
    made = pair(f"{MONTHS}; {NOVEMBER}", "e: keep", "INSERT INTO e VALUES ('2026-11-05', 'x')")
    facts = made.export()
    made.change("DROP TABLE e_11; CREATE TABLE a PARTITION OF e FOR VALUES FROM ('2026-11-01') TO ('2026-11-15')")
    assert made.load_plan(facts).doubts == ()
    made.load(facts)
    made.change("INSERT INTO e VALUES ('2026-11-20', 'y')", "source")
    with pytest.raises(DumpRefused, match="no partition takes a row of the dump"):
        made.load_plan(made.export())


def test_a_masked_key_keeps_its_bounds_out_of_the_dump(pair: Pairs) -> None:
    """A bound may be a person's value, and masked rows may go to another partition anyway."""
    made = pair(
        "CREATE TABLE u (name text) PARTITION BY LIST (name); CREATE TABLE u1 PARTITION OF u FOR VALUES IN ('Huber')",
        "u: {name: {maker: constant, value: Huber}}", "INSERT INTO u VALUES ('Huber')",
    )  # fmt: skip
    (table,) = made.export().header.tables
    assert (table.key, table.parts) == ("", ())

"""Masks as SQL: what a column becomes, which rows are read, and what a sample of masked rows breaks."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from deployments.sandbox.postgres import Postgres
from tasks.dumps.export_plan import MaskingPlan, TablePlan
from tasks.dumps.masking_sql import masked, masked_columns, masked_row_faults, require_masked_rows_fit
from tasks.dumps.row_sources import LARGE_TABLE, only, rows_of, sample, sample_of
from tasks.estate.errors import PolicyRefused
from tasks.estate.schema import Check
from tasks.masking.keyring import Keyring
from tasks.masking.session_settings import Session
from tests.tasks.dumps.small_databases import column, name, planned, planned_column, table

SESSION = Session(Keyring(bytes(range(32)), run="r"))
CONSTANT = "{maker: constant, value: abcd}"


def text(plan: TablePlan, place: int = 1) -> str:
    """What a column becomes, in SQL."""
    return masked(plan, plan.columns[place], SESSION).as_string(None)


def test_a_column_becomes_what_its_rule_specifies() -> None:
    """Kept and raw ones stay, NULL stays NULL where it may be, and `equalise` makes all of it NULL."""
    kept = planned(table("t"), "id: keep, v: keep")
    assert text(kept) == '"v"'
    hashed = planned(table("t"), "id: keep, v: hash")
    assert text(hashed).startswith('CASE WHEN "v" IS NULL THEN NULL ELSE ')
    assert (
        text(hashed.model_copy(update={"columns": tuple(c.model_copy(update={"raw": True}) for c in hashed.columns)}))
        == '"v"'
    )
    assert not text(planned(table("t", ["id integer", column("v", not_null=True)]), "id: keep, v: hash")).startswith(
        "CASE"
    )
    assert text(planned(table("t"), "id: keep, v: {maker: hash, nulls: equalise}")) == "NULL"
    assert masked_columns(kept, SESSION).as_string(None) == '"id", "v"'


def test_a_null_that_is_masked_is_made_from_the_row() -> None:
    """From the column that stands for the person, or the primary key; a table without either has one value for all."""
    whole = text(planned(table("t"), "id: keep, v: {maker: hash, nulls: mask}"))
    null, other = whole.removeprefix('CASE WHEN "v" IS NULL THEN ').split(" ELSE ", 1)
    assert '"id"' in null
    assert '"id"' not in other
    by = text(
        planned(
            table("t", ["id integer", "v", "who integer"]),
            "id: keep, who: keep, v: {maker: hash, nulls: mask, by: who}",
        )
    )
    assert '"who"' in by.split(" ELSE ", 1)[0]
    assert '"id"' not in by
    bare = text(planned(table("t", ["v", "w"]), "v: {maker: hash, nulls: mask}, w: keep"), 0)
    null, other = bare.removeprefix('CASE WHEN "v" IS NULL THEN ').split(" ELSE ", 1)
    assert other == f"{null} END"


def test_what_is_not_read_is_empty() -> None:
    """NULL, unless the column must have a value."""
    for more, made in (({}, "NULL::bytea"), ({"not_null": True}, "''::bytea")):
        each = planned_column("bytea", "placeholder", **more).model_copy(update={"unread": True})
        assert masked(TablePlan(table=table("t"), columns=(each,)), each, SESSION).as_string(None) == made


def test_an_expression_reads_the_masked_row(source: psycopg.Connection[Any]) -> None:
    """It reads kept columns as they are and masked ones masked, and NULL for computed columns and those that are not read."""
    columns = ["id integer", "v", "w", "x", "y bytea", column("z", generated=True)]
    computed = "{recompute: \"concat_ws('/', id, v, w, x, y, z)\"}"
    plan = planned(table("r", columns), f"id: keep, v: {CONSTANT}, w: {computed}, x: {computed}, y: placeholder")
    unread = tuple(c.model_copy(update={"unread": c.column.name == "y"}) for c in plan.columns)
    made = text(plan.model_copy(update={"columns": unread}), 2)
    row = "(VALUES (1, 'anna', 'own', 'other', '\\x01'::bytea, 'generated')) AS s (id, v, w, x, y, z)"
    assert source.execute(f"SELECT {made} FROM {row}".encode()).fetchone() == ("1/abcd",)  # noqa: S608  # what is tested


def test_rows_are_those_that_are_stored_here() -> None:
    """Partitions through their root, without those on other servers; children of an inheritance parent are left to themselves."""
    assert rows_of(table("t")).as_string(None) == 'ONLY "public"."t"'
    assert rows_of(table("t"), "c").as_string(None) == 'ONLY "public"."t" AS "c"'
    assert rows_of(table("s.p", partitioned=True)).as_string(None) == '"s"."p"'
    far = table("p", ["a", "b"], partitioned=True, leaves=(name("p_1"), name("p_2")), foreign_leaves=(name("p_3"),))
    assert rows_of(far).as_string(None) == (
        '(SELECT "a", "b" FROM ONLY "public"."p_1" UNION ALL SELECT "a", "b" FROM ONLY "public"."p_2") AS "local_rows"'
    )
    assert rows_of(far, "x").as_string(None).endswith(' AS "x"')
    none = far.model_copy(update={"leaves": ()})
    assert rows_of(none).as_string(None) == '(SELECT "a", "b" FROM ONLY "public"."p" WHERE false) AS "local_rows"'
    assert only(name("a.b")).as_string(None) == 'ONLY "a"."b"'


def test_a_large_table_is_sampled_by_pages() -> None:
    """From the front where it is small or where some of its rows are elsewhere, and never more than all of it."""
    assert (
        sample(table("t", estimated_rows=LARGE_TABLE)).as_string(None) == '(SELECT * FROM ONLY "public"."t" LIMIT 1000)'
    )
    assert "TABLESAMPLE SYSTEM (1.0)" in sample(table("t", estimated_rows=400_000)).as_string(None)
    assert "TABLESAMPLE SYSTEM (3.999" in sample(table("t", estimated_rows=LARGE_TABLE + 1)).as_string(None)
    far = table("p", partitioned=True, foreign_leaves=(name("p_3"),), estimated_rows=LARGE_TABLE + 1)
    assert "TABLESAMPLE" not in sample(far).as_string(None)


def test_a_sample_leaves_out_what_is_not_to_be_read() -> None:
    """The role may have no right to it."""
    plan = planned(table("t", ["id integer", "v", "f bytea"]), "id: keep, v: keep, f: placeholder")
    assert sample_of(plan).as_string(None) == '(SELECT * FROM ONLY "public"."t" LIMIT 1000)'
    unread = tuple(c.model_copy(update={"unread": c.column.name == "f"}) for c in plan.columns)
    left = sample_of(plan.model_copy(update={"columns": unread}))
    assert left.as_string(None) == '(SELECT "id", "v" FROM ONLY "public"."t" LIMIT 1000)'


@pytest.fixture(scope="module")
def source(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """A table `t` with two rows, and a table `p` with two partitions."""
    with psycopg.connect(postgres.create("test_masking_sql")) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, v text, w int[])")
        connection.execute("INSERT INTO t VALUES (1, 'anna', '{1}'), (2, 'berta', '{2}')")
        connection.execute(
            "CREATE TABLE p (id int, v text) PARTITION BY LIST (id); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);"
            "CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2, 3); INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c')"
        )
        yield connection


def faults(source: psycopg.Connection[Any], rule: str, *checks: Check, **more: Any) -> list[str]:
    """Why the masked rows of `t` would be refused."""
    plan = planned(table("t", ["id integer", column("v", **more)], checks=checks), f"id: keep, v: {rule}")
    select = masked_columns(plan, SESSION)
    with source.transaction():
        for key, value in SESSION.settings.items():
            source.execute("SELECT set_config(%s, %s, true)", (key, value))
        return [fault.message for fault in masked_row_faults(source, plan, select)]


def test_masked_rows_that_fit_have_no_fault(source: psycopg.Connection[Any]) -> None:
    """Also where the column is as long as the longest, and nothing is asked of columns that are kept."""
    assert faults(source, CONSTANT, max_length=4) == []
    assert faults(source, "keep", max_length=1, not_null=True) == []
    assert faults(source, "keep", Check(name="c", expression="false", columns=("v",))) == []


def test_every_refusal_of_a_masked_value_is_reported(source: psycopg.Connection[Any]) -> None:
    """NULL, length and type, each with how many of the sampled rows."""
    assert faults(source, "'null'", not_null=True) == [
        "t.v (null): produces NULL, but the column is NOT NULL in 2 of the sampled rows"
    ]
    assert faults(source, CONSTANT, max_length=3) == [
        "t.v (constant): produces more than 3 characters in 2 of the sampled rows"
    ]
    (fault,) = faults(source, CONSTANT, type="integer")
    assert fault.startswith("t.v (constant): produces values that integer refuses")


def check(expression: str, *columns: str, **more: Any) -> Check:
    """A CHECK that reads these columns."""
    return Check(**{"name": "c", "expression": expression, "columns": columns or ("v",), **more})


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (check("v <> 'abcd'"), ["t.v: CHECK c refuses 2 of the sampled masked rows"]),
        (check("v <> 'abcd' OR id = 1", "v", "id"), ["t.v: CHECK c refuses 1 of the sampled masked rows"]),
        (check("v = 'abcd'"), []), (check("v <> 'abcd'", enforced=False), []), (check("v <> 'abcd'", leaf=name("t_1")), []),
        (check("id > 5", "id"), []), (check("v <> computed", "v", "computed"), []),
    ],
)  # fmt: skip
def test_checks_of_masked_columns_are_evaluated(
    source: psycopg.Connection[Any], made: Check, expected: list[str]
) -> None:
    """Not those that are not enforced, of one leaf, of other columns, or that read what is computed later."""
    assert faults(source, CONSTANT, made) == expected


def test_a_check_that_cannot_be_evaluated_is_reported_and_the_next_is_tried(source: psycopg.Connection[Any]) -> None:
    """A savepoint keeps the session going."""
    expected = faults(source, CONSTANT, check("v / 2 > 1"), replace(check("v <> 'abcd'"), name="d"))
    assert expected[0].startswith("t: CHECK c cannot be evaluated on masked rows")
    assert expected[1:] == ["t.v: CHECK d refuses 2 of the sampled masked rows"]


@pytest.mark.parametrize(
    ("rule", "more", "made", "expected"),
    [
        (CONSTANT, {}, check("v <> 'abcd'", leaf=name("p_2")),
         ["p, partition p_2.v: CHECK c refuses 2 of the sampled masked rows"]),
        (CONSTANT, {}, check("id < 3", "id", leaf=name("p_2")), []),
        ("'null'", {"not_null_leaves": (name("p_1"),)}, check("true"),
         ["p.v (null): produces NULL, but the column is NOT NULL on the partition p_1, in 1 of its sampled rows"]),
        (CONSTANT, {"not_null_leaves": (name("p_1"),)}, check("true"), []),
    ],
)  # fmt: skip
def test_each_partition_has_requirements_of_its_own(
    source: psycopg.Connection[Any], rule: str, more: dict[str, Any], made: Check, expected: list[str]
) -> None:
    """A CHECK or NOT NULL of one partition is tried on the masked rows of that partition."""
    leaves = (name("p_1"), name("p_2"))
    parted = table(
        "p", ["id integer", column("v", **more)], unique_keys=[], partitioned=True, leaves=leaves, checks=[made]
    )
    plan = planned(parted, f"id: keep, v: {rule}")
    with source.transaction():
        assert [str(f.message) for f in masked_row_faults(source, plan, masked_columns(plan, SESSION))] == expected


def test_no_check_is_evaluated_on_values_that_do_not_fit(source: psycopg.Connection[Any]) -> None:
    """The first fault is the cause of the others."""
    assert len(faults(source, CONSTANT, check("v <> 'abcd'"), max_length=3)) == 1


def test_a_proof_names_the_faults_of_all_tables(source: psycopg.Connection[Any]) -> None:
    """Or of those that it is given."""
    good = planned(table("t"), "id: keep, v: hash")
    bad = planned(table("t", ["id integer", column("v", max_length=3)]), f"id: keep, v: {CONSTANT}")
    with source.transaction():
        require_masked_rows_fit(source, MaskingPlan(tables=(good,)), SESSION)
        with pytest.raises(PolicyRefused, match=r"would not fit the tables: t\.v \(constant\)"):
            require_masked_rows_fit(source, MaskingPlan(tables=(bad,)), SESSION)
        require_masked_rows_fit(source, MaskingPlan(tables=(bad,)), SESSION, tables=[good])

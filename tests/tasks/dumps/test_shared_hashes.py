"""A hash that several columns of a row need is computed once for each row, and no value changes by that."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL

from deployments.sandbox.postgres import Postgres
from tasks.dumps.connections import configure
from tasks.dumps.export_plan import TablePlan
from tasks.dumps.masking_sql import masked_columns
from tasks.dumps.row_sources import only
from tasks.dumps.shared_hashes import select_hashed_once
from tasks.masking.keyring import Keyring
from tasks.masking.session_settings import Session
from tests.tasks.dumps.small_databases import column, planned, table

PERSON = "group: person, by: id"
RULES = f"""id: keep, first: {{maker: first_name, {PERSON}}}, last: {{maker: last_name, {PERSON}}},
    whole: {{maker: full_name, {PERSON}}}, long: {{maker: hash, chars: 40, {PERSON}}}, token: {{maker: token, {PERSON}}},
    mails: {{maker: array, each: {{maker: hash}}, {PERSON}}}, tags: {{maker: array, each: hash}},
    doc: {{maker: jsonb, paths: {{$.name: {{maker: last_name, {PERSON}}}, $.mail: {{maker: email, form: hash}}}}}},
    chosen: {{maker: number, high: 99, {PERSON}, nulls: mask}}, maybe: {{maker: hash, by: other}}, other: keep"""
COLUMNS = [
    "id integer NOT NULL", "first text", "last text NOT NULL", "whole text", "long text", "token text", "mails text[]",
    "tags text[]", "doc jsonb", "chosen integer", "maybe text", "other text",
]  # fmt: skip


@pytest.fixture(scope="module")
def source(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    """A table of people, with values, empty ones and NULLs."""
    with psycopg.connect(postgres.create("test_shared_hashes")) as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(COLUMNS)})".encode())
        connection.execute(
            """INSERT INTO t SELECT n, 'a', 'b', 'c', 'd', 'e', '{x,NULL,y}'::text[], '{p,q}'::text[],
            '{"name": "z", "mail": "m"}'::jsonb, 3, 'f', 'g' FROM generate_series(1, 20) AS n"""
        )
        connection.execute(
            """INSERT INTO t SELECT n, NULL, '', '', '', NULL, '{}', NULL, '[]', NULL, 'f', NULL
            FROM generate_series(21, 30) AS n"""
        )
        yield connection


def people() -> TablePlan:
    """The plan of the table."""
    columns = [column(each.removesuffix(" NOT NULL"), not_null=each.endswith(" NOT NULL")) for each in COLUMNS]
    return grouped(planned(table("t", columns), RULES))


def grouped(plan: TablePlan) -> TablePlan:
    """The plan with the groups of its rules, as a draft of a whole database has them."""
    return plan.model_copy(
        update={"columns": tuple(c.model_copy(update={"group": c.rule.group or c.group}) for c in plan.columns)}
    )


def statement(session: Session, plan: TablePlan) -> Any:
    """The rows of the table as an export reads them."""
    return select_hashed_once(masked_columns(plan, session), plan.table, only(plan.table.name))


def test_shared_hashes_change_no_value(source: psycopg.Connection[Any]) -> None:
    """Rows are the same with one hash for each row as with one for each column; NULLs, arrays and documents too."""
    session, plan = Session(Keyring(bytes(range(32)), run="r")), people()
    shared = statement(session, plan)
    plain = SQL("SELECT {} FROM t").format(masked_columns(plan, session))
    with source.transaction():
        configure(source, session.settings)
        rows = source.execute(shared).fetchall()
        assert rows == source.execute(plain).fetchall()
        assert len({row[3] for row in rows}) > 10
    text = shared.as_string(None)
    assert text.count("sha256(") < plain.as_string(None).count("sha256(")
    hashed = text.partition("LATERAL")[2]
    assert (hashed.count("sha256("), hashed.count("sha512(")) == (1, 1)  # of names; of the long results


def test_the_planner_keeps_the_sub_select(source: psycopg.Connection[Any]) -> None:
    """PostgreSQL computes the hash in a node below the columns instead of copying it into each of them."""
    session = Session(Keyring(bytes(range(32)), run="r"))
    shared = statement(session, people())
    with source.transaction():
        configure(source, session.settings)
        lines = [line for (line,) in source.execute(SQL("EXPLAIN (VERBOSE, COSTS OFF) {}").format(shared)).fetchall()]
    below = lines.index("  ->  Result")
    assert lines[0] == "Nested Loop"
    assert lines[below + 1].strip().startswith("Output: sha256(")


@pytest.mark.parametrize("rules", ["id: keep, v: hash", "id: keep, v: {maker: full_name, group: person, by: id}"])
def test_one_use_needs_no_sub_select(rules: str) -> None:
    """A hash that one column needs stays in it."""
    plan = planned(table("t"), rules)
    assert "LATERAL" not in statement(Session(Keyring(bytes(range(32)), run="r")), plan).as_string(None)


def test_a_hash_of_an_element_is_never_shared() -> None:
    """Two columns with arrays hash their elements under one key, and elements exist in their own column only."""
    columns = ["id integer", "v text[]", "w text[]"]
    rules = "id: keep, v: {maker: array, each: hash, group: g}, w: {maker: array, each: hash, group: g}"
    plan = grouped(planned(table("t", columns), rules))
    assert "LATERAL" not in statement(Session(Keyring(bytes(range(32)), run="r")), plan).as_string(None)

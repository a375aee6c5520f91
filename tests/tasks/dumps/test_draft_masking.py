"""The masking plan fails closed: what is unclassified, misnamed, unfit or inconsistent stops it, and every fault is reported."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.dumps.catalog import read_catalog
from tasks.dumps.connections import connected_to
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.export_plan import MaskingPlan
from tasks.dumps.masking_sql import require_masked_rows_fit
from tasks.estate.dumps import Anonymizer, Choices
from tasks.estate.errors import PolicyRefused
from tasks.masking.keyring import Keyring
from tasks.masking.policy import parse_policy
from tasks.masking.session_settings import Session

USERS = "CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE NOT NULL, name text)"
ORDERS = "CREATE TABLE orders (id bigint PRIMARY KEY, email text REFERENCES users (email))"
Draft = Callable[..., MaskingPlan]


@pytest.fixture
def drafted(database: str) -> Draft:
    """`drafted(policy tables, *DDL)`: the plan for that schema, makers tried on its rows."""

    def make(body: str, *ddl: str, choices: Choices | None = None, tail: str = "") -> MaskingPlan:
        with psycopg.connect(database, autocommit=True) as owner:
            for statement in ddl:
                owner.execute(statement.encode())
        policy = parse_policy(f"app: shop\nschema_version: 1\ntables:\n{body}{tail}")
        with connected_to(database, name="test", statement_within=10) as connection:
            plan = draft_masking(read_catalog(connection), policy, choices or Choices())
            require_masked_rows_fit(connection, plan, Session(Keyring(b"0123456789abcdef" * 2, run="r")))
        return plan

    return make


def refusal(drafted: Draft, body: str, *ddl: str, **more: Any) -> str:
    """The message with which the plan is refused."""
    with pytest.raises(PolicyRefused) as caught:
        drafted(body, *ddl, **more)
    return caught.value.message


def test_a_new_column_stops_the_plan_and_says_what_to_add(drafted: Draft) -> None:
    """A column that the policy does not know is named with its type."""
    message = refusal(drafted, "  users: {id: keep, email: email}\n", USERS)
    assert "the column users.name (text) is not classified; add keep or a maker" in message


def test_a_new_table_stops_the_plan(drafted: Draft) -> None:
    """A table that the policy does not know is named."""
    message = refusal(
        drafted, "  users: {id: keep, email: email, name: full_name}\n", USERS, "CREATE TABLE notes (a text)"
    )
    assert "the table notes is not classified" in message


def test_a_rule_that_names_nothing_is_a_fault(drafted: Draft) -> None:
    """A typo would leave the real column unmasked."""
    body = "  users: {id: keep, email: email, nmae: full_name, name: keep}\n  user: {id: keep}\n"
    message = refusal(drafted, body, USERS)
    assert "users has no column nmae" in message
    assert "the database has no table user" in message


def test_a_foreign_key_needs_one_mask_on_both_sides(drafted: Draft) -> None:
    """Masked on one side only, or by the rows' own keys, the join would break."""
    kept = "  users: {id: keep, email: {maker: email, form: hash}, name: keep}\n  orders: {id: keep, email: keep}\n"
    assert "joined by the foreign key" in refusal(drafted, kept, USERS, ORDERS)
    by_row = "  users: {id: keep, email: email, name: keep}\n  orders: {id: keep, email: email}\n"
    assert "`by` must name the same key on both sides" in refusal(drafted, by_row)
    hashed = "{maker: email, form: hash}"
    good = drafted(f"  users: {{id: keep, email: {hashed}, name: keep}}\n  orders: {{id: keep, email: {hashed}}}\n")
    groups = {column.group for table in good.tables for column in table.columns if column.masked}
    assert len(groups) == 1


def test_parents_come_before_children(drafted: Draft) -> None:
    """The dump's order lets foreign keys hold while it is loaded."""
    plan = drafted("  users: keep\n  orders: keep\n", USERS, ORDERS)
    assert [str(table.table.name) for table in plan.tables] == ["users", "orders"]


def test_a_dropped_table_must_not_be_pointed_at(drafted: Draft) -> None:
    """Rows that travel would refer to rows that do not."""
    assert "is dropped" in refusal(drafted, "  users: drop\n  orders: keep\n", USERS, ORDERS)


@pytest.mark.parametrize(
    ("column", "rule", "why"),
    [
        ("v varchar(5)", "email", "too short"),
        ("v text CHECK (v <> '')", "blank", "CHECK"),
        ("v text CHECK (v LIKE '%@school.example')", "{maker: email, form: hash}", "CHECK"),
        ("v text NOT NULL", '"null"', "NOT NULL"),
        ("v int", "scrub", "is not a text type"),
        ("v mood", "{maker: constant, value: sad}", "has no label"),
        ("v phone", "{maker: constant, value: none}", "refuses"),
        ("v varchar(10)", "{maker: sql, expression: \"repeat('x', 20)\"}", "more than 10 characters"),
    ],
)
def test_what_would_not_fit_is_refused_before_the_first_byte(column: str, rule: str, why: str, drafted: Draft) -> None:
    """Length, CHECK, NOT NULL, type, enum and domain are tried on real rows, and the column is named."""
    ddl = (
        "CREATE TYPE mood AS ENUM ('ok', 'happy')",
        "CREATE DOMAIN phone AS text CHECK (VALUE ~ '^[+0-9]*$')",
        f"CREATE TABLE t (id int PRIMARY KEY, {column})",
        "SET session_replication_role = replica",
    )
    values = {"v int": "7", "v mood": "'ok'", "v phone": "'+43'", "v varchar(5)": "'abc'"}
    value = values.get(column, "'x@school.example'" if "school" in column else "'x'")
    row = f"INSERT INTO t VALUES (1, {value})"  # noqa: S608  # the test's own value
    message = refusal(drafted, f"  t: {{id: keep, v: {rule}}}\n", *ddl, row)
    assert why in message
    assert "t.v" in message


def test_a_switched_off_anonymizer_leaves_its_columns_raw_and_no_other(drafted: Draft) -> None:
    """Opting out of names does not touch addresses."""
    body = "  users: {id: keep, email: email, name: full_name}\n"
    plan = drafted(body, USERS, choices=Choices(opted_out=(Anonymizer.NAMES,)))
    (users,) = plan.tables
    assert {column.column.name: column.raw for column in users.columns} == {"id": False, "email": False, "name": True}


def test_makers_of_names_share_a_group_by_default(drafted: Draft) -> None:
    """Names of one kind share a group, so that a person keeps one name in every table."""
    body = "  users: {id: keep, email: email, name: last_name}\n  pupils: {id: keep, name: last_name}\n"
    plan = drafted(body, USERS, "CREATE TABLE pupils (id int PRIMARY KEY, name text)")
    assert {column.group for table in plan.tables for column in table.columns if column.rule.word == "last_name"} == {
        "last_name"
    }


def test_a_parents_rule_holds_for_its_inheriting_children(drafted: Draft) -> None:
    """A child that the policy does not name is masked like its parent; its own columns still need a word."""
    child = "CREATE TABLE pupils (class text) INHERITS (users)"
    rules = "id: keep, email: {maker: email, form: hash}, name: full_name"
    assert "pupils.class" in refusal(drafted, f"  users: {{{rules}}}\n", USERS, child)
    plan = drafted(f"  users: {{{rules}}}\n  pupils: {{class: keep}}\n")
    pupils = plan.table("pupils")
    assert pupils is not None
    assert [c.column.name for c in pupils.columns if c.masked] == ["email", "name"]


def test_a_mask_on_a_generated_column_is_refused(drafted: Draft) -> None:
    """A generated column is never copied; a mask on it would have no effect."""
    ddl = "CREATE TABLE g (a text, b text GENERATED ALWAYS AS (upper(a)) STORED)"
    assert "generated" in refusal(drafted, "  g: {a: scrub, b: scrub}\n", ddl)
    assert drafted("  g: {a: scrub}\n").tables[0].columns[0].masked

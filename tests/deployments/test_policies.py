"""The example policy fits the school's database, and its output contains nothing personal."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from deployments.sandbox.postgres import Postgres
from deployments.sandbox.school.database import CANARIES, READER, build
from tasks.dumps.catalog import read_catalog
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.masking_sql import masked_columns, require_masked_rows_fit, set_mask_settings
from tasks.dumps.row_sources import rows_of
from tasks.estate.dumps import Anonymizer, Choices
from tasks.masking.keyring import Keyring
from tasks.masking.policy import load_policy
from tasks.masking.session_settings import Session

FOLDER = Path(__file__).parents[2] / "deployments" / "policies"
POLICY = FOLDER / "schulportal.yaml"
DATABASE = "policies_school"


@pytest.fixture(scope="module")
def production(postgres: Postgres) -> str:
    """A small school's database. Tests read it only."""
    url = postgres.create(DATABASE)
    build(url, scale=0.05)
    return url


@pytest.fixture(scope="module")
def masked(postgres: Postgres, production: str) -> dict[str, list[list[str]]]:
    """Every table as the policy masks it: rows of values as COPY prints them."""
    policy, session = load_policy(FOLDER, "schulportal"), Session(Keyring(bytes(range(32)), run="test"))
    found: dict[str, list[list[str]]] = {}
    with psycopg.connect(postgres.url(DATABASE, user=READER)) as connection:
        plan = draft_masking(read_catalog(connection), policy, Choices())
        assert plan.anonymizers == tuple(Anonymizer)
        require_masked_rows_fit(connection, plan, session)
        selects = {str(each.table.name): (masked_columns(each, session), rows_of(each.table)) for each in plan.tables}
        set_mask_settings(connection, session)
        for name, parts in selects.items():
            with connection.cursor().copy(sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(*parts)) as copy:
                found[name] = [line.split("\t") for line in b"".join(copy).decode().splitlines()]
    return found


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize("kind", CANARIES)
def test_no_canary_comes_out(kind: str, masked: dict[str, list[list[str]]]) -> None:
    """Under the policy no canary is found in any table, also not inside arrays, documents and texts."""
    assert [
        name for name, lines in masked.items() if any(CANARIES[kind] in value for line in lines for value in line)
    ] == []


def test_nothing_of_the_left_out_tables(masked: dict[str, list[list[str]]]) -> None:
    """Sessions, queued mail and the audit table are not exported."""
    assert {"login_sessions", "mail_queue", "ImportExportAudit"}.isdisjoint(masked)


def test_a_person_is_one_person(masked: dict[str, list[list[str]]]) -> None:
    """A student has the same name in the class list and the account, and messages have the sender's new address."""
    accounts = {user[0]: user for user in masked["users"]}
    assert all(student[4:6] == accounts[student[2]][5:7] for student in masked["students"])
    assert all(message[4] == accounts[message[2]][1] for message in masked["messages"])


def test_policy_classifies_every_column(production: str) -> None:
    """The example policy has a rule for every column of every table, and for no other."""
    tables = yaml.safe_load(POLICY.read_text(encoding="utf-8"))["tables"]
    columns: dict[str, set[str]] = {}
    query = """SELECT n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND n.nspname !~ '^pg_|information' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"""
    for schema, table, column in rows(production, query):
        columns.setdefault(table if schema == "public" else f"{schema}.{table}", set()).add(column)
    assert set(tables) == set(columns)
    assert {table: set(rules) for table, rules in tables.items() if isinstance(rules, dict)} == {
        table: names for table, names in columns.items() if isinstance(tables[table], dict)
    }


def test_policy_keeps_no_canary(production: str) -> None:
    """No column that the policy keeps contains a canary, whatever the masks do to the others."""
    tables = yaml.safe_load(POLICY.read_text(encoding="utf-8"))["tables"]
    columns = rows(production, "SELECT table_schema, table_name, column_name FROM information_schema.columns "
        "WHERE table_schema IN ('public', 'billing')")  # fmt: skip
    leaks = []
    with psycopg.connect(production) as connection:
        for schema, table, column in columns:
            rule = tables.get(table if schema == "public" else f"{schema}.{table}", "none")
            if rule == "keep" or (isinstance(rule, dict) and rule.get(column) == "keep"):
                query = sql.SQL("SELECT string_agg({}::text, ' ') FROM {}")
                text = connection.execute(
                    query.format(sql.Identifier(column), sql.Identifier(schema, table))
                ).fetchone()
                leaks += [(table, column) for canary in CANARIES.values() if text and canary in (text[0] or "")]
    assert leaks == []

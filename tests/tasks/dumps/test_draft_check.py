"""A draft always plans: whatever the schema, what is drafted is accepted by the code that checks a plan."""

from typing import Any

import psycopg
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dumps.catalog import read_catalog
from tasks.dumps.column_samples import samples_of
from tasks.dumps.connections import connected_to
from tasks.dumps.draft_check import correct_draft
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.export_plan import MaskingPlan
from tasks.dumps.masking_sql import require_masked_rows_fit
from tasks.estate.dumps import Choices
from tasks.masking.classify import Draft, draft
from tasks.masking.draft_yaml import as_yaml, compress
from tasks.masking.keyring import Keyring
from tasks.masking.policy import parse_policy
from tasks.masking.policy_yaml import read_yaml
from tasks.masking.session_settings import Session
from tests.tasks.masking.labelled import HELD_OUT, WHOLE, Labelled, labels_of, schemas


def drafted(url: str, existing: dict[str, Any] | None = None) -> Draft:
    """The draft as the flow makes it."""
    with connected_to(url, name="test", statement_within=10) as connection:
        catalog = read_catalog(connection)
        return compress(
            correct_draft(connection, catalog, draft(catalog, samples_of(connection, catalog, 50), existing)), catalog
        )


def planned(url: str, result: Draft) -> MaskingPlan:
    """The plan under the draft's own file, its undecided columns kept. Raises what an export would raise."""
    kept = {
        str(table.name): [column.name for column in table.columns if column.rule is None] for table in result.tables
    }
    content, _ = read_yaml(as_yaml(result))
    for name, columns in kept.items():
        if columns:
            content["tables"][name] = {**content["tables"].get(name, {}), **dict.fromkeys(columns, "keep")}
    with connected_to(url, name="test", statement_within=10) as connection:
        plan = draft_masking(read_catalog(connection), parse_policy(yaml.safe_dump(content)), Choices())
        require_masked_rows_fit(connection, plan, Session(Keyring(b"0123456789abcdef" * 2, run="r")))
    return plan


def made(url: str, *statements: str) -> None:
    """Run statements as the owner."""
    with psycopg.connect(url, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.encode())


def rules(result: Draft, table: str) -> dict[str, Any]:
    """What is drafted for each column of a table."""
    return {c.name: c.rule for t in result.tables if str(t.name) == table for c in t.columns}


REFUSED = [
    ("reset_password_token text UNIQUE", "'a'", "null"),
    ("last_ip inet NOT NULL UNIQUE", "'10.0.0.1'", None),
    ("last_ip inet UNIQUE", "'10.0.0.1'", "null"),
    ("phone text NOT NULL CHECK (phone ~ '^\\+43')", "'+43 1 5333'", None),
    ("email varchar(20) UNIQUE", "'a@b.example'", {"maker": "hash", "chars": 16, "anonymizer": "email"}),
    (
        "password varchar(30) NOT NULL CHECK (length(password) = 30)",
        "repeat('x', 30)",
        {"maker": "hash", "chars": 30, "anonymizer": "passwords"},
    ),
    ("login text UNIQUE CHECK (login = upper(login))", "'AB12'", "null"),
]


@pytest.mark.parametrize(("declared", "value", "expected"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_the_plan_would_refuse_is_not_drafted(database: str, declared: str, value: str, expected: Any) -> None:
    """Unique columns, CHECKs and lengths: another maker that fits, or undecided with the refusal as its reason."""
    made(database, f"CREATE TABLE users (id bigint PRIMARY KEY, {declared})", f"INSERT INTO users VALUES (1, {value})")  # noqa: S608  # the values are these
    result = drafted(database)
    assert rules(result, "users")[declared.split()[0]] == expected
    assert planned(database, result)


def test_a_healthy_draft_is_left_as_it_is(database: str) -> None:
    """Nothing that the plan accepts is replaced."""
    made(
        database,
        "CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE NOT NULL, first_name text, created_at timestamptz)",
        "INSERT INTO users VALUES (1, 'a@b.example', 'Anna', now())",
    )
    with connected_to(database, name="test", statement_within=10) as connection:
        catalog = read_catalog(connection)
        plain = draft(catalog, samples_of(connection, catalog, 50))
        assert correct_draft(connection, catalog, plain) == plain


def test_what_a_person_decided_is_not_replaced(database: str) -> None:
    """A rule of the existing policy stays, right or wrong: the plan names what is wrong with it."""
    made(database, "CREATE TABLE users (id bigint PRIMARY KEY, token text UNIQUE)")
    existing = {"app": "shop", "schema_version": 1, "tables": {"users": {"id": "keep", "token": "password"}}}
    assert rules(drafted(database, existing), "users")["token"] == "password"


def test_the_marker_of_a_former_target_needs_no_rule(database: str) -> None:
    """A database that was once a target has it: it is excluded by the draft."""
    made(
        database, "CREATE SCHEMA understudy", "CREATE TABLE understudy.staging_data (one boolean PRIMARY KEY, app text)"
    )
    result = drafted(database)
    assert [table.whole for table in result.tables] == ["exclude"]
    assert planned(database, result).excluded == ("understudy.staging_data",)


NAMES = st.sampled_from(
    ["email", "login", "first_name", "company", "phone", "street", "note", "reset_token", "password", "ip", "iban", "url",
     "birth_date", "religion", "avatar", "document", "city", "no", "on", "status", "x"]
)  # fmt: skip
TYPES = st.sampled_from(
    ["text", "varchar(6)", "varchar(20)", "varchar(80)", "char(12)", "citext_like", "int", "bigint", "uuid", "inet", "date",
     "timestamptz", "jsonb", "bytea", "text[]", "numeric(9,2)", "boolean", "tsvector", "interval", "money"]
)  # fmt: skip
EXTRAS = st.sampled_from(["", " NOT NULL", " UNIQUE", " UNIQUE NOT NULL"])
SHAPES = st.dictionaries(NAMES, st.tuples(TYPES, EXTRAS), min_size=1, max_size=6)


@settings(max_examples=25)
@given(SHAPES)
def test_every_draft_plans(database: str, columns: dict[str, tuple[str, str]]) -> None:
    """Any names with any types, unique or not, NULL or not."""
    lines = []
    for name, (kind, extra) in columns.items():
        base = "text" if kind == "citext_like" else kind
        unindexed = base in ("jsonb", "bytea", "text[]", "tsvector")
        lines.append(f'"{name}" {base}{extra.replace(" UNIQUE", "") if unindexed else extra}')
    made(database, "DROP TABLE IF EXISTS users", f"CREATE TABLE users (id bigint PRIMARY KEY, {', '.join(lines)})")
    assert planned(database, drafted(database))


SQL_TYPES = {
    "varchar": "varchar(40)",
    "timestamptz": "timestamptz",
    "time": "time",
    "enum": "text",
    "vector": "text",
    "ltree": "text",
}
REAL = st.sampled_from([schema for schema in schemas() if schema not in HELD_OUT]).flatmap(
    lambda schema: st.lists(
        st.sampled_from(labels_of(schema)), min_size=4, max_size=14, unique_by=lambda row: (row.table, row.column)
    )
)


@settings(max_examples=12)
@given(REAL, st.lists(EXTRAS, min_size=14, max_size=14), st.booleans())
def test_every_draft_of_real_names_plans(database: str, rows: list[Labelled], extras: list[str], joined: bool) -> None:
    """Tables and columns of public schemas with their types, unique or not, NULL or not, with and without foreign keys."""
    tables: dict[str, list[str]] = {}
    for row, extra in zip(rows, extras, strict=False):
        columns = tables.setdefault(row.table, [])
        if row.column == WHOLE or row.column.lower() == "id":
            continue
        base = row.type.removesuffix("[]")
        unindexed = row.type != base or base in ("jsonb", "bytea")
        columns.append(
            f'"{row.column}" {SQL_TYPES.get(base, base)}{row.type[len(base) :]}{extra.replace(" UNIQUE", "") if unindexed else extra}'
        )
        if joined and base in ("int4", "int8") and "NOT NULL" not in extra:
            columns[-1] += f' REFERENCES "{rows[0].table}"' if base == "int8" else ""
    made(database, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    for name, columns in tables.items():  # the first one is what the others refer to
        made(database, f'CREATE TABLE "{name}" ({", ".join(["id bigint PRIMARY KEY", *columns])})')
    assert planned(database, drafted(database))


def test_a_compressed_draft_says_the_same(database: str) -> None:
    """Keys and repeated columns are kept by a few lines; every column keeps the rule that it had, and so it stays when the
    file is taken as the existing policy.
    """
    made(
        database,
        *(
            f"CREATE TABLE things_{n} (id bigint PRIMARY KEY, thing_{n}_id bigint, created_at timestamptz, a_count int, email text)"
            for n in range(12)
        ),
    )
    result = drafted(database)
    text = as_yaml(result)
    assert ("keys: keep" in text, '"*.created_at": keep' in text or '"*.*_at": keep' in text) == (True, True)
    assert len(text.splitlines()) < 40
    plan = planned(database, result)
    words = {(str(t.table.name), c.column.name): c.rule.word for t in plan.tables for c in t.columns}
    assert {word for (_, column), word in words.items() if column != "email"} == {"keep"}
    assert {word for (_, column), word in words.items() if column == "email"} == {"email"}
    again = drafted(database, read_yaml(text)[0])
    assert again.patterns == result.patterns
    assert (again.new, again.gone, again.undecided) == ((), (), ())


def test_derived_columns_are_drafted_so_that_the_plan_accepts_them(database: str) -> None:
    """Slugs, vectors and normalised names are computed again; what holds words of a mask and nobody can compute is undecided."""
    made(
        database,
        """CREATE TABLE people (id int PRIMARY KEY, email text, full_name text, slug varchar(40) UNIQUE NOT NULL, words tsvector,
        normalized_email text, sort_key text, embedding real[])""",
        """INSERT INTO people SELECT i, e, n, replace(lower(n), ' ', '-'), to_tsvector('simple', n), upper(e), lower(n), '{1}'
        FROM (SELECT i, 'erika' || i || '@firma.example' AS e, 'Erika Mustermann' || i AS n FROM generate_series(1, 20) i) v""",
    )
    result = drafted(database)
    found = rules(result, "people")
    assert found["slug"]["recompute"].endswith("|| '-' || id")
    assert found["words"]["recompute"].startswith("to_tsvector(")
    assert found["normalized_email"] == {"recompute": "upper(email)"}
    assert found["sort_key"] is None
    assert found["embedding"] == "null"
    (people,) = result.tables
    decided = tuple(c if c.rule else c.model_copy(update={"rule": "hash"}) for c in people.columns)
    assert planned(
        database, result.model_copy(update={"tables": (people.model_copy(update={"columns": decided}),)})
    ).tables

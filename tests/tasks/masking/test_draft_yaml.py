"""The drafted policy as a file: it has the rules of the draft, with any names, and no value of a row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import sql

from deployments.sandbox.postgres import Postgres
from deployments.sandbox.school.database import CANARIES, build
from tasks.dumps.catalog import identifier, read_catalog
from tasks.estate.schema import Catalog, Name
from tasks.masking.classify import ColumnDraft, Draft, TableDraft, draft
from tasks.masking.draft_yaml import as_yaml
from tasks.masking.policy import is_pattern, parse_policy

POLICY = Path(__file__).parents[3] / "deployments" / "policies" / "schulportal.yaml"
Samples = Mapping[tuple[str, str], Sequence[str]]

WORDS = st.text(min_size=1, max_size=12)
RULES = st.one_of(
    st.none(),
    st.sampled_from(["keep", "null", "email"]),
    st.dictionaries(
        st.sampled_from(["maker", "else", "value"]), st.one_of(WORDS, st.integers(), st.lists(WORDS)), min_size=1
    ),
)


def rules_of(drafted: Draft) -> dict[str, Any]:
    """Return the rules that a file of this draft must contain."""
    return {
        str(table.name): table.whole or {c.name: c.rule for c in table.columns if c.rule is not None}
        for table in drafted.tables
    }


def quoted(column: str) -> str:
    """Return a column as a key of the file: a name with a `*` is quoted, so that it is not a pattern."""
    return '"' + column.replace('"', '""') + '"' if is_pattern(column) else column


@given(st.dictionaries(WORDS, st.dictionaries(WORDS, RULES, max_size=4), max_size=3), st.lists(WORDS, max_size=2))
@example({"0": {"0": {"maker": "\n"}}}, [])  # found by chance: a line break within a rule
def test_the_file_contains_the_rules_of_the_draft(tables: dict[str, dict[str, Any]], references: list[str]) -> None:
    """Names with colons, quotes, line breaks or digits are read back unchanged; undecided columns have no rule."""
    result = Draft(
        app="shop",
        schema_version=3,
        locale="de_DE",
        references=tuple(references),
        rest={"marker_required": False},
        tables=tuple(
            TableDraft(
                name=Name(schema_name="public", name=name),
                columns=tuple(
                    ColumnDraft(name=c, rule=r, reason=c, doubt=c, confidence=0.5) for c, r in columns.items()
                ),
            )
            for name, columns in tables.items()
        ),
    )
    read = yaml.safe_load(as_yaml(result))
    assert read["tables"] == {
        table: rules if isinstance(rules, str) else {quoted(column): rule for column, rule in rules.items()}
        for table, rules in rules_of(result).items()
    }
    assert read.get("references", []) == references
    assert (read["app"], read["schema_version"], read["marker_required"]) == ("shop", 3, False)
    assert read["unclassified"] == "fail"


def test_the_file_is_for_people(school: tuple[Catalog, Samples]) -> None:
    """Each line has its reason, and is marked if it is undecided, new or doubtful."""
    catalog, samples = school
    users = {"users": {"id": "keep", "mobile": "keep"}, "classes": "keep", "gone": "drop"}
    lines = as_yaml(draft(catalog, samples, {"tables": users})).splitlines()
    assert "# Gone from the database: gone" in lines
    assert "  classes: keep  # as decided" in lines
    assert "  Förderverein:  # new" in lines
    assert "  login_sessions: drop  # new; sessions, tokens or queues, which staging does not need" in lines
    shown = [
        line for line in lines if line.startswith(("    mobile:", "# UNDECIDED attachments: {file", "    username:"))
    ]
    assert shown == [
        "# UNDECIDED attachments: {file_name: }  # a file name: people name files after people, and programs need their endings",
        "    username: {maker: hash, chars: 16}  # new; name looks like a login name (80% sure)",
        "    mobile: keep  # as decided; DOUBTFUL: name looks like a phone number; 200 of 200 sampled values do",
    ]


@pytest.fixture(scope="module")
def school(postgres: Postgres) -> tuple[Catalog, Samples]:
    """Return the school's catalogue and two hundred values of each column."""
    url = postgres.create("classified")
    build(url, scale=0.1)
    with psycopg.connect(url) as connection:
        catalog = read_catalog(connection)
        samples = {
            (str(table.name), column.name): [
                row[0]
                for row in connection.execute(
                    sql.SQL("SELECT {0}::text FROM {1} WHERE {0} IS NOT NULL LIMIT 200").format(
                        sql.Identifier(column.name), identifier(table.name)
                    )
                )
            ]
            for table in catalog.tables
            for column in table.copied
        }
    return catalog, samples


def test_nothing_that_a_person_masked_is_kept(school: tuple[Catalog, Samples]) -> None:
    """The draft keeps no column that the reviewed policy of the school masks."""
    drafted = rules_of(draft(*school))
    for table, columns in yaml.safe_load(POLICY.read_text())["tables"].items():
        if isinstance(columns, dict):
            wrong = [name for name, rule in columns.items() if rule != "keep" and drafted[table].get(name) == "keep"]
            assert not wrong, table
        elif columns != "keep":
            assert drafted[table] == columns


def test_few_columns_of_the_school_are_undecided(school: tuple[Catalog, Samples]) -> None:
    """At most one column in ten is undecided."""
    catalog, _ = school
    assert len(draft(*school).undecided) * 10 <= sum(len(table.copied) for table in catalog.tables)


def test_no_value_of_the_school_is_in_the_file(school: tuple[Catalog, Samples]) -> None:
    """Neither the draft nor its file contains a canary or a longer text value."""
    catalog, samples = school
    result = draft(catalog, samples)
    text = as_yaml(result) + result.model_dump_json()
    assert not [kind for kind, value in CANARIES.items() if value in text]
    personal = {
        value
        for (table, column), values in samples.items()
        for value in values
        if (held := catalog.table(table)) and (c := held.column(column)) and c.category == "S" and not c.enum_labels
    }
    assert len(personal) > 1000
    names = {name for table in catalog.tables for name in (table.name.name, *(c.name for c in table.columns))}
    assert not [value for value in personal - names if len(value) > 7 and value in text]


def test_the_same_catalogue_produces_the_same_file(school: tuple[Catalog, Samples]) -> None:
    """The file is the same twice, so that a difference in version control is a difference in the database."""
    assert as_yaml(draft(*school)) == as_yaml(draft(*school))


def test_the_policy_parser_reads_the_file(school: tuple[Catalog, Samples]) -> None:
    """The policy parser accepts every drafted maker and option, and reads every decided column."""
    result = draft(*school)
    policy = parse_policy(as_yaml(result))
    assert {name: rule.whole or set(rule.columns) for name, rule in policy.tables.items()} == {
        name: rule if isinstance(rule, str) else set(rule) for name, rule in rules_of(result).items()
    }


def test_a_draft_over_its_own_file_changes_nothing(school: tuple[Catalog, Samples]) -> None:
    """With its own file as the existing policy, a draft has the same rules, and only undecided columns are new."""
    catalog, samples = school
    first = draft(catalog, samples)
    again = draft(catalog, samples, yaml.safe_load(as_yaml(first)))
    assert rules_of(again) == rules_of(first)
    assert again.new == again.undecided == first.undecided
    assert not again.gone

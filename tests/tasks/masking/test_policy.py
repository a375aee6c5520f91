"""The policy file: what it may say, and errors that name line, table and column."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.estate.errors import Misconfigured, PolicyRefused
from tasks.masking import policy as policies
from tasks.masking.policy import Policy, load_policy, parse_policy

HEAD = "app: shop\nschema_version: 3\ntables:\n"


def said(body: str) -> Policy:
    """The policy with these tables."""
    return parse_policy(HEAD + body)


def refusal(text: str) -> str:
    """The message with which a policy is refused."""
    with pytest.raises(PolicyRefused) as caught:
        parse_policy(text)
    return caught.value.message


def test_a_column_is_kept_or_gets_a_maker_by_name_or_with_options() -> None:
    """The short form and the mapping mean the same; options that every maker has do not reach the maker."""
    users = said(
        "  users:\n    id: keep\n    email: email\n    name: {maker: last_name, group: person, by: id}\n"
    ).tables["users"]
    assert users.columns["id"].maker is None
    assert users.columns["email"].word == "email"
    assert (users.columns["name"].group, users.columns["name"].by) == ("person", "id")


def test_an_unquoted_null_is_the_maker_null() -> None:
    """YAML reads `null` as nothing; nobody should have to know."""
    users = said("  users:\n    a: null\n    b: {maker: null}\n").tables["users"]
    assert [rule.word for rule in users.columns.values()] == ["null", "null"]


@pytest.mark.parametrize("whole", ["keep", "drop", "exclude"])
def test_a_table_can_be_treated_as_a_whole(whole: str) -> None:
    """A word in place of the columns says it explicitly."""
    assert said(f"  users: {whole}\n").tables["users"].whole == whole


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("  users: forget\n", "line 4: table users: expected columns, or one of keep, drop, exclude"),
        ("  users:\n    email: mail\n", "line 5: users.email"),
        ("  users:\n    email: {maker: email, chars: 7}\n", "line 5: users.email"),
        ("  users:\n    email: {maker: email, colour: red}\n", "line 5: users.email"),
        ("  users:\n    email: 7\n", "line 5: users.email: expected 'keep', a maker or a mapping"),
        ("  users:\n    email: {maker: email, nulls: perhaps}\n", "line 5: users.email: nulls"),
        ("  users:\n    id: keep\n    id: email\n", "line 6: 'id' is given twice (first in line 5)"),
        ("  users: keep\nreferences:\n  - users.a > b.c\n", "line 6: reference 'users.a > b.c'"),
        ("  users: keep\nunclassified: keep\n", "line 5: unclassified: only 'fail' is possible"),
        ("  users: keep\ncolour: red\n", "colour"),
    ],
)
def test_each_fault_names_its_line(body: str, expected: str) -> None:
    """Whoever wrote the line finds it."""
    assert expected in refusal(HEAD + body)


def test_all_faults_are_told_at_once() -> None:
    """One pass over the file is enough to correct it."""
    message = refusal(HEAD + "  users:\n    a: mail\n    b: 7\n  orders: forget\n")
    assert all(f"line {number}" in message for number in (5, 6, 7))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "app: shop",
        "{",
        "app: shop\nschema_version: x\ntables: {}",
        "app: Sh/op\nschema_version: 1\ntables: {}",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    """An empty file, another shape, broken YAML, a missing or impossible head."""
    assert refusal(text)


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever a file holds, it is a policy or it is refused in words."""
    with suppress(PolicyRefused):
        assert parse_policy(text).app


def test_the_fingerprint_tells_meaning_and_not_layout() -> None:
    """Comments and line numbers change nothing, a rule does."""
    plain = said("  users:\n    id: keep\n    email: email\n")
    spaced = parse_policy("# ours\n\n" + HEAD + "  users:\n\n    id: keep   # number\n    email: {maker: email}\n")
    other = said("  users:\n    id: keep\n    email: {maker: email, form: hash}\n")
    assert plain.fingerprint == spaced.fingerprint != other.fingerprint


def test_a_policy_is_found_by_its_name_alone(tmp_path: Path) -> None:
    """The name is no path, and a missing one is answered with those that exist."""
    (tmp_path / "shop.yaml").write_text(HEAD + "  users: keep\n")
    assert load_policy(tmp_path, "shop").app == "shop"
    with pytest.raises(Misconfigured, match="the folder has: shop"):
        load_policy(tmp_path, "school")
    with pytest.raises(Misconfigured, match="is not the name of a policy"):
        load_policy(tmp_path, "../shop")


def test_a_policy_is_parsed_once_until_its_text_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step reads the file; only another text is parsed again, and a wrong one is refused each time."""
    parsed: list[str] = []
    parse = policies.parse_policy

    def counted(text: str, *, where: str = "policy") -> Policy:
        parsed.append(text)
        return parse(text, where=where)

    monkeypatch.setattr(policies, "parse_policy", counted)
    path = tmp_path / "many.yaml"
    path.write_text(f"app: many\nschema_version: 1\ntables: {{a: keep}}  # {tmp_path}\n")
    assert [policies.load_policy(tmp_path, "many").schema_version for _ in range(5)] == [1] * 5
    assert len(parsed) == 1
    path.write_text(path.read_text().replace("schema_version: 1", "schema_version: 2"))
    assert policies.load_policy(tmp_path, "many").schema_version == 2
    path.write_text("tables: 3\n")
    for _ in range(2):
        with pytest.raises(PolicyRefused):
            policies.load_policy(tmp_path, "many")

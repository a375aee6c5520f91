"""The policy file: its keys and rules, and errors that name line, table and column."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.estate.errors import Misconfigured, PolicyRefused
from tasks.masking import policy as policies
from tasks.masking.policy import (
    Policy,
    as_given,
    is_pattern,
    load_policy,
    parse_policy,
    policy_as_written,
    references_from,
    rule_from,
    unquoted,
)

HEAD = "app: shop\nschema_version: 3\ntables:\n"


def policy_of(body: str) -> Policy:
    """Return the policy with these tables."""
    return parse_policy(HEAD + body)


def refusal(text: str) -> str:
    """Return the message with which a policy is refused."""
    with pytest.raises(PolicyRefused) as caught:
        parse_policy(text)
    return caught.value.message


def test_a_column_is_kept_or_gets_a_maker_by_name_or_with_options() -> None:
    """The short form and the mapping mean the same; `group` and `by` are of the column's rule, not of the maker."""
    users = policy_of(
        "  users:\n    id: keep\n    email: email\n    name: {maker: last_name, group: person, by: id}\n"
    ).tables["users"]
    assert users.columns["id"].maker is None
    assert users.columns["email"].word == "email"
    assert (users.columns["name"].group, users.columns["name"].by) == ("person", "id")


def test_an_unquoted_null_is_the_maker_null() -> None:
    """YAML reads an unquoted `null` as None; in a policy it is the maker."""
    users = policy_of("  users:\n    a: null\n    b: {maker: null}\n").tables["users"]
    assert [rule.word for rule in users.columns.values()] == ["null", "null"]


@pytest.mark.parametrize("whole", ["keep", "drop", "exclude"])
def test_a_table_can_be_treated_as_a_whole(whole: str) -> None:
    """A word instead of the columns is a rule for the whole table."""
    assert policy_of(f"  users: {whole}\n").tables["users"].whole == whole


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
    """The message contains the line and the place of the fault."""
    assert expected in refusal(HEAD + body)


def test_all_faults_are_reported_at_once() -> None:
    """One message names every faulty line."""
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
def test_a_file_that_is_not_a_policy_is_refused(text: str) -> None:
    """An empty file, another shape, broken YAML and a missing or impossible head are refused."""
    assert refusal(text)


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Any text is a policy, or it is refused with `PolicyRefused`."""
    with suppress(PolicyRefused):
        assert parse_policy(text).app


def test_the_fingerprint_depends_on_rules_and_not_on_layout() -> None:
    """Comments and line numbers do not change the fingerprint, another rule does."""
    plain = policy_of("  users:\n    id: keep\n    email: email\n")
    spaced = parse_policy("# ours\n\n" + HEAD + "  users:\n\n    id: keep   # number\n    email: {maker: email}\n")
    other = policy_of("  users:\n    id: keep\n    email: {maker: email, form: hash}\n")
    assert plain.fingerprint == spaced.fingerprint != other.fingerprint


def test_a_policy_is_found_by_its_name_alone(tmp_path: Path) -> None:
    """A name that is a path is refused, and the refusal of a missing policy lists those that exist."""
    (tmp_path / "shop.yaml").write_text(HEAD + "  users: keep\n")
    assert load_policy(tmp_path, "shop").app == "shop"
    with pytest.raises(Misconfigured, match="the folder has: shop"):
        load_policy(tmp_path, "school")
    with pytest.raises(Misconfigured, match="is not the name of a policy"):
        load_policy(tmp_path, "../shop")


def test_a_policy_is_parsed_once_until_its_text_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy is parsed again only after its text has changed, and a wrong one is refused each time."""
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


def test_comments_change_no_fingerprint_and_new_fields_count_only_if_used() -> None:
    """Line numbers of references, accepted pairs and patterns do not count; a column may be named `line`."""
    body = '  users:\n    id: keep\n    line: hash\n  "log.*": drop\n'
    more = (
        "references: [users.line -> users.id]\naccept:\n  - {source: users.line, found: users.id, reason: reviewed}\n"
    )
    plain = policy_of(body + more)
    assert parse_policy("# comment\n" + HEAD + body + "\n" + more).fingerprint == plain.fingerprint
    assert policy_of(body.replace("line: hash", "line: token") + more).fingerprint != plain.fingerprint
    assert parse_policy("# comment\n" + HEAD + body + more).references[0].line != plain.references[0].line
    for other in ("", more.replace("users.line ->", "users.id ->")):
        assert policy_of(body + other).fingerprint != plain.fingerprint
    assert policy_of(body.replace("log.*", "logs.*") + more).fingerprint != plain.fingerprint
    small = policy_of("  users: keep\n")
    assert len(small.fingerprint) == 16
    assert (
        small.model_copy(update={"accept": (), "missing_on_staging": (), "keys": None}).fingerprint == small.fingerprint
    )
    assert small.model_copy(update={"canaries": ("x",)}).fingerprint != small.fingerprint
    assert small.model_copy(update={"missing_on_staging": ("t",)}).fingerprint != small.fingerprint


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("[{source: a.b, found: c.d, reason: reviewed}, {source: a.b, found: c.e, reason: reviewed}]", ""),
        ("[{source: a.b, found: c.d, reason: reviewed}, {source: a.b, found: c.d, reason: again}]",
         "the pair a.b, c.d is listed twice"),
        ("{source: a.b}", "line 5: accept: expected a list; found dict"), ("[{source: a.b, found: c.d, reason: no}]", "reason"),
        ("[text]", "line 5: accept: expected source, found and reason: entry"), ("", ""), ("[]", ""),
    ],
)  # fmt: skip
def test_accepted_pairs_are_listed_once_with_a_reason(accept: str, expected: str) -> None:
    """A wrong entry is refused with its line; a valid list is read with lines."""
    text = HEAD + f"  users: keep\naccept: {accept}\n"
    if expected:
        assert expected in refusal(text)
        return
    policy = parse_policy(text)
    assert policy.accepted == {(each.source, each.found) for each in policy.accept}
    assert all(each.line == 5 for each in policy.accept)


def test_a_wildcard_in_quotes_is_a_name() -> None:
    """Only a `*` outside double quotes makes a pattern."""
    assert [is_pattern(each) for each in ("*.a", "a*", '"a*b"', '"a""*"', '"a"*', "plain")] == [
        True, True, False, False, True, False,
    ]  # fmt: skip
    assert [unquoted(each) for each in ('"a*b"', '"a*""b"', "a", '"a"', '""', "*")] == [
        "a*b",
        'a*"b',
        "a",
        '"a"',
        '""',
        "*",
    ]


@pytest.mark.parametrize("name", ["*", "*.*", "*.*.*", "**", "?*"])
def test_a_pattern_that_would_keep_everything_is_a_fault(name: str) -> None:
    """It would classify columns that nobody has reviewed. A mask for everything is allowed: it leaks nothing."""
    assert "keep would keep every column" in refusal(HEAD + f'  "{name}": keep\n')
    assert policy_of(f'  "{name}": hash\n').patterns[0].rule is not None
    assert policy_of('  "a*": keep\n').patterns[0].rule is not None


def test_patterns_are_of_tables_or_of_columns() -> None:
    """A mapping with a maker is a rule, any other has columns; a table's plain columns and patterns are separated."""
    made = policy_of(
        '  "a.*": drop\n  "b.*": {maker: hash}\n  "c.*": {id: keep}\n  users: {id: keep, "*_at": keep}\n  u: {id: keep}\n'
    )
    first, second, third, fourth = made.patterns
    assert (first.whole, first.rule, first.columns) == ("drop", None, None)
    assert second.rule is not None
    assert (second.rule.word, second.whole, second.columns) == ("hash", None, None)
    assert third.columns is not None
    assert [*third.columns] == ["id"]
    assert fourth.columns is not None
    assert (fourth.name, [*fourth.columns]) == ("users", ["*_at"])
    assert [*made.tables["users"].columns] == ["id"]
    assert [first.line, second.line, fourth.line] == [4, 5, 7]
    assert "line 4" in refusal(HEAD + '  "a.*": 7\n')


@pytest.mark.parametrize("text", ["tables: {a: keep}", "patterns: {}\ntables: {a: keep}"])
def test_patterns_have_no_list_of_their_own(text: str) -> None:
    """Patterns are keys of `tables`; a list `patterns` is refused."""
    whole = f"app: shop\nschema_version: 1\n{text}\n"
    if "patterns" in text:
        assert "line 3: patterns: expected them among the tables" in refusal(whole)
    else:
        assert parse_policy(whole).patterns == ()


@pytest.mark.parametrize(
    "written",
    [
        "keep", "email", {"maker": "email", "form": "hash"}, {"maker": "keep", "anonymizer": "contact"},
        {"maker": "full_name", "group": "person", "by": "id"}, {"maker": "null", "nulls": "mask"},
    ],
)  # fmt: skip
def test_a_rule_is_written_as_it_was_read(written: object) -> None:
    """A rule is written as a word if nothing differs from the defaults, else as a mapping."""
    assert as_given(rule_from(written)) == written


def test_content_that_is_not_a_rule_is_refused() -> None:
    """A number, an unknown maker and a wrong option are refused; None is the maker `null`."""
    for wrong in (7, "no-such-maker", {"maker": "email", "nulls": "perhaps"}):
        with pytest.raises(Misconfigured):
            rule_from(wrong)
    assert rule_from(None).word == "null"


@pytest.mark.parametrize("text", ["a.b -> c.d", " s.a.b->c.d "])
def test_a_reference_names_two_columns(text: str) -> None:
    """A reference may have schemas and surrounding spaces."""
    (made,) = references_from([text])
    assert (made.table.endswith("a"), made.column, made.references, made.referenced_column) == (True, "b", "c", "d")


@pytest.mark.parametrize(
    "text", ["a.b > c.d", "a -> c.d", "a.b -> c", ".b -> c.d", "a. -> c.d", "a.b -> .d", "a.b -> c.", "", "->"]
)
def test_text_that_is_not_a_reference_is_a_fault(text: str) -> None:
    """Both sides must have a table and a column."""
    assert references_from([text]) == ()
    assert "expected 'table.column -> table.column'" in refusal(HEAD + f"  users: keep\nreferences: ['{text}']\n")


def test_the_text_of_a_policy_can_be_compared(tmp_path: Path) -> None:
    """The content is returned as parsed YAML; without a file it is None, and a file that is not a policy is refused."""
    assert policy_as_written(tmp_path, "shop") is None
    (tmp_path / "shop.yaml").write_text(HEAD + "  users: keep\n")
    assert policy_as_written(tmp_path, "shop") == {"app": "shop", "schema_version": 3, "tables": {"users": "keep"}}
    (tmp_path / "shop.yaml").write_text("tables: 3\n")
    with pytest.raises(PolicyRefused, match="shop"):
        policy_as_written(tmp_path, "shop")


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ('{recompute: "lower(title)"}', {"recompute": "lower(title)"}),
        ("{maker: recompute, recompute: lower(title), nulls: mask}", {"recompute": "lower(title)", "nulls": "mask"}),
        ("{recompute: trigger}", "trigger"),
        ("trigger", "trigger"),
    ],
)
def test_a_recomputed_column_reads_as_it_is_written(rule: str, given: Any) -> None:
    """`recompute` is read in each form, also in a pattern, and written in the short form."""
    policy = parse_policy(f'app: a\nschema_version: 1\ntables:\n  t: {{slug: {rule}}}\n  "*.slug": {rule}\n')
    made = policy.tables["t"].columns["slug"]
    assert as_given(made) == given
    assert rule_from(given).maker == made.maker
    assert policy.patterns[0].rule is not None
    assert policy.patterns[0].rule.maker == made.maker


def test_a_table_pattern_may_have_a_column_named_recompute() -> None:
    """In a table pattern, `keep` and the name of a maker are rules for a column `recompute`, not expressions."""
    policy = parse_policy(
        'app: a\nschema_version: 1\ntables:\n  "shop.*": {recompute: keep}\n  "a.*": {recompute: hash}\n'
    )
    assert [set(each.columns or {}) for each in policy.patterns] == [{"recompute"}, {"recompute"}]


@pytest.mark.parametrize(
    "expression", ["1; 2", "a -- b", "a /* b */", "(a", "a)", "(SELECT 1)", "current_setting('a')", "'a"]
)
def test_an_expression_that_reads_more_than_a_row_is_refused_with_its_line(expression: str) -> None:
    """An expression that is not one expression over a row is refused before a database is asked."""
    with pytest.raises(PolicyRefused, match=r"line 4: t\.slug: .*expected one expression over the columns of the row"):
        parse_policy(f'app: a\nschema_version: 1\ntables:\n  t: {{slug: {{recompute: "{expression}"}}}}\n')

"""The policy file: what it may say, and errors that name line, table and column."""

from contextlib import suppress
from pathlib import Path

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


def test_comments_change_no_fingerprint_and_new_fields_count_only_if_used() -> None:
    """Lines of references, accepted pairs and patterns are no content; a column may be named `line`."""
    body = '  users:\n    id: keep\n    line: hash\n  "log.*": drop\n'
    more = (
        "references: [users.line -> users.id]\naccept:\n  - {source: users.line, found: users.id, reason: reviewed}\n"
    )
    plain = said(body + more)
    assert parse_policy("# comment\n" + HEAD + body + "\n" + more).fingerprint == plain.fingerprint
    assert said(body.replace("line: hash", "line: token") + more).fingerprint != plain.fingerprint
    assert said(body).fingerprint != plain.fingerprint
    small = said("  users: keep\n")
    assert len(small.fingerprint) == 16
    assert (
        small.model_copy(update={"accept": (), "missing_on_staging": (), "keys": None}).fingerprint == small.fingerprint
    )
    assert small.model_copy(update={"canaries": ("x",)}).fingerprint != small.fingerprint
    assert small.model_copy(update={"missing_on_staging": ("t",)}).fingerprint != small.fingerprint


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        ("[{source: a.b, found: c.d, reason: reviewed}, {source: a.b, found: c.e, reason: reviewed}]", ""),
        ("[{source: a.b, found: c.d, reason: reviewed}, {source: a.b, found: c.d, reason: again}]",
         "the pair a.b, c.d is listed twice"),
        ("{source: a.b}", "line 5: accept: expected a list; found dict"), ("[{source: a.b, found: c.d, reason: no}]", "reason"),
        ("[text]", "line 5: accept: expected source, found and reason: entry"), ("", ""), ("[]", ""),
    ],
)  # fmt: skip
def test_accepted_pairs_are_listed_once_with_a_reason(accept: str, told: str) -> None:
    """What is wrong is told with its line, and good entries beside it are read."""
    text = HEAD + f"  users: keep\naccept: {accept}\n"
    if told:
        assert told in refusal(text)
        return
    policy = parse_policy(text)
    assert policy.accepted == {(each.source, each.found) for each in policy.accept}
    assert all(each.line == 5 for each in policy.accept)


def test_a_wildcard_in_quotes_is_a_name() -> None:
    """A `*` outside of double quotes makes a pattern."""
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


@pytest.mark.parametrize("name", ["*", '"*.*"'.strip('"'), "**", "?*"])
def test_a_pattern_that_would_keep_everything_is_a_fault(name: str) -> None:
    """It would classify what nobody has looked at; a mask for everything leaks nothing."""
    assert "keep would keep every column" in refusal(HEAD + f'  "{name}": keep\n')
    assert said(f'  "{name}": hash\n').patterns[0].rule is not None
    assert said('  "a*": keep\n').patterns[0].rule is not None


def test_patterns_are_of_tables_or_of_columns() -> None:
    """A mapping with a maker is a rule, any other has columns; plain and wild columns of one table are told apart."""
    made = said(
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
    """They are among the tables."""
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
    """A word where nothing differs from the defaults, a mapping of what does."""
    assert as_given(rule_from(written)) == written


def test_what_is_no_rule_is_refused() -> None:
    """With the fault."""
    for wrong in (7, "no-such-maker", {"maker": "email", "nulls": "perhaps"}):
        with pytest.raises(Misconfigured):
            rule_from(wrong)
    assert rule_from(None).word == "null"


@pytest.mark.parametrize("text", ["a.b -> c.d", " s.a.b->c.d "])
def test_a_reference_names_two_columns(text: str) -> None:
    """Schemas may be in front, spaces around."""
    (made,) = references_from([text])
    assert (made.table.endswith("a"), made.column, made.references, made.referenced_column) == (True, "b", "c", "d")


@pytest.mark.parametrize(
    "text", ["a.b > c.d", "a -> c.d", "a.b -> c", ".b -> c.d", "a. -> c.d", "a.b -> .d", "a.b -> c.", "", "->"]
)
def test_what_is_no_reference_is_a_fault(text: str) -> None:
    """Each half must have a table and a column."""
    assert references_from([text]) == ()
    assert "expected 'table.column -> table.column'" in refusal(HEAD + f"  users: keep\nreferences: ['{text}']\n")


def test_the_text_of_a_policy_can_be_compared(tmp_path: Path) -> None:
    """As YAML gives it; no file is None, and a file that is no policy is refused."""
    assert policy_as_written(tmp_path, "shop") is None
    (tmp_path / "shop.yaml").write_text(HEAD + "  users: keep\n")
    assert policy_as_written(tmp_path, "shop") == {"app": "shop", "schema_version": 3, "tables": {"users": "keep"}}
    (tmp_path / "shop.yaml").write_text("tables: 3\n")
    with pytest.raises(PolicyRefused, match="shop"):
        policy_as_written(tmp_path, "shop")

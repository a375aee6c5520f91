"""Patterns: which rule each column gets, which pattern has precedence, and which patterns are faults."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.estate.schema import Catalog, Column, DatabaseIdentity, ForeignKey, Key, KeyKind, Name, Table
from tasks.masking.policy import parse_policy
from tasks.masking.policy_patterns import Expanded, expand, matches, parts_of, within

HEAD = "app: shop\nschema_version: 3\ntables:\n"
HERE = DatabaseIdentity(
    host="db", port=5432, database="shop", database_oid=1, system_identifier="1", server_version=180000
)


def table(name: str, *columns: str, schema: str = "public", parents: tuple[str, ...] = ()) -> Table:
    """Return a table with a bigint `id` and columns of `name:type`, text unless a type is given."""
    return Table(
        name=Name(schema_name=schema, name=name),
        columns=tuple(
            Column(name=column, type=base or "text", base=base or "text", category="S" if not base else "N")
            for column, _, base in (each.partition(":") for each in ("id:int8", *columns))
        ),
        unique_keys=(Key(name=f"{name}_pkey", kind=KeyKind.PRIMARY, columns=("id",)),),
        parents=tuple(Name(schema_name="public", name=each) for each in parents),
    )


def over(body: str, *tables: Table, tail: str = "", foreign_keys: tuple[ForeignKey, ...] = ()) -> Expanded:
    """Return the policy written out for a database with these tables."""
    catalog = Catalog(identity=HERE, tables=tables, foreign_keys=foreign_keys)
    return expand(parse_policy(HEAD + body + tail), catalog)


def rules(expanded: Expanded) -> dict[str, object]:
    """Return the rule of every table and column, as words."""
    return {
        name: rule.whole or {column: each.word for column, each in rule.columns.items()}
        for name, rule in expanded.policy.tables.items()
    }


USERS = table("users", "email", "created_at", "note")
ORDERS = table("orders", "created_at", "note", schema="shop")
LOG = table("log_2026", "message", "created_at")
AUTH = table("tokens", "secret", schema="auth")


def test_a_pattern_of_columns_reaches_every_table_of_every_schema() -> None:
    """`*.created_at: keep` is a rule for the whole database."""
    found = over('  "*.created_at": keep\n  users: {email: email}\n', USERS, ORDERS)
    assert rules(found) == {"users": {"email": "email", "created_at": "keep"}, "shop.orders": {"created_at": "keep"}}
    assert not found.faults


def test_a_pattern_of_tables_excludes_or_drops_them() -> None:
    """A pattern names a schema, or a part of the table's name with or without `public`."""
    body = '  "auth.*": exclude\n  "public.log_*": drop\n'
    assert rules(over(body, AUTH, LOG)) == {"auth.tokens": "exclude", "log_2026": "drop"}
    assert rules(over('  "log_*": drop\n', LOG)) == {"log_2026": "drop"}


def test_a_column_without_a_match_stays_unclassified() -> None:
    """A pattern classifies only the columns that it matches."""
    assert "note" not in over('  "*.created_at": keep\n', USERS).policy.tables["users"].columns


def test_an_exact_rule_has_precedence_over_every_pattern() -> None:
    """A rule for a named column and one for a named table override patterns."""
    body = '  "*.note": scrub\n  "users.n*": keep\n  users: {note: blank}\n  shop.orders: keep\n'
    found = over(body, USERS, ORDERS)
    assert rules(found) == {"users": {"note": "blank"}, "shop.orders": "keep"}


def test_the_narrower_pattern_has_precedence_in_any_order() -> None:
    """A pattern is narrower if the other matches all that it matches; order does not count."""
    wide, narrow = '  "*.*_at": keep\n', '  "*.created_at": date_shift\n'
    for body in (wide + narrow, narrow + wide):
        assert rules(over(body, table("a", "created_at", "sent_at")))["a"] == {
            "created_at": "date_shift",
            "sent_at": "keep",
        }


def test_two_patterns_that_differ_are_a_fault() -> None:
    """If neither is narrower, the fault names both with their lines, and the column to decide."""
    found = over('  "users.*": {maker: scrub}\n  "*.note": keep\n', USERS, ORDERS)
    (fault,) = found.faults
    assert "users.note: the patterns users.* (line 4) and *.note (line 5)" in fault
    assert not over('  "users.*": {maker: scrub}\n  "*.note": scrub\n', USERS, ORDERS).faults


@pytest.mark.parametrize(
    "body",
    ['  "auht.*": exclude\n', '  "log-*": drop\n', '  "*.create_at": keep\n', '  "*.Email": email\n', '  "us*": {mail: email}\n',
     '  "*.a.b.c": keep\n', '  users: {"x_*": keep}\n'],
)  # fmt: skip
def test_a_pattern_that_reaches_nothing_is_a_fault(body: str) -> None:
    """A typo would leave the real column without its rule; the fault names the pattern and its line."""
    (fault,) = over(body, USERS, AUTH, LOG).faults
    assert fault.startswith("line 4: the pattern ")


def test_a_pattern_that_could_be_both_is_a_fault() -> None:
    """`auth.*: keep` with a schema and a table `auth` is ambiguous; both proposed ways to write it work."""
    both = (AUTH, table("auth", "note"))
    (fault,) = over('  "auth.*": keep\n', *both).faults
    assert "matches tables and columns" in fault
    assert rules(over('  "auth.*": {"*": keep}\n', *both)) == {"auth.tokens": {"id": "keep", "secret": "keep"}}
    assert rules(over('  "public.auth.*": keep\n', *both)) == {"auth": {"id": "keep", "note": "keep"}}


def test_a_star_in_quotes_is_literal() -> None:
    """A table named `log*` is matched by its quoted name only."""
    starred = table("log*", "note")
    found = over("  '\"log*\"': {'\"n*\"': keep}\n", table("log*", "n*", "note"), LOG)
    assert (rules(found), found.faults) == ({str(starred.name): {"n*": "keep"}}, ())
    assert parts_of('a."b*.c".d*') == ("a", "b\\*.c", "d*")


def test_patterns_within_a_table_apply_to_columns_that_it_does_not_name() -> None:
    """A table can have rules for named columns and patterns for the rest."""
    found = over('  users: {"*_at": keep, email: email}\n', USERS, LOG)
    assert rules(found) == {"users": {"email": "email", "created_at": "keep"}}


def test_a_pattern_never_weakens_what_a_child_inherits() -> None:
    """A mask on a parent applies to its inheritance children, and the child of an excluded parent stays excluded."""
    child = table("child", "note", "created_at", parents=("parent",))
    parent = table("parent", "note")
    found = over('  parent: {note: scrub}\n  "*.note": keep\n  "*.created_at": keep\n', parent, child)
    assert rules(found)["child"] == {"created_at": "keep"}
    assert "child" not in rules(over('  parent: exclude\n  "*.created_at": keep\n', parent, child))


def test_keys_are_kept_by_one_line() -> None:
    """`keys: keep` keeps declared keys and columns named like a table's key, not a number that identifies somebody elsewhere."""
    links = table("links", "user_id:int8", "approved_by_user_id:int4", "national_id:int8", "owner:int8", "order_id")
    key = ForeignKey(
        name="fk",
        table=links.name,
        columns=("owner",),
        references=USERS.name,
        referenced_columns=("id",),
        definition="",
    )
    found = over(
        "  links: {national_id: number}\n".replace("number", "null"),
        links,
        USERS,
        tail="keys: keep\n",
        foreign_keys=(key,),
    )
    assert rules(found) == {
        "links": {
            "national_id": "null",
            "id": "keep",
            "user_id": "keep",
            "approved_by_user_id": "keep",
            "owner": "keep",
        },
        "users": {"id": "keep"},
    }


def test_a_policy_without_patterns_is_left_alone() -> None:
    """Without patterns the same policy is returned, with the fingerprint that version 0.1 computed."""
    policy = parse_policy(f"{HEAD}  users: {{id: keep}}\n")
    assert expand(policy, Catalog(identity=HERE, tables=(USERS,))).policy is policy
    assert policy.fingerprint == "2686c193fa0c7cdd"


NAMES = st.text("ab_", max_size=5)
GLOBS = st.text("ab_*", max_size=5)


@given(GLOBS, NAMES)
def test_a_wildcard_matches_any_text(glob: str, name: str) -> None:
    """A `*` matches as in a shell."""
    assert matches(glob, name) == fnmatchcase(name, glob)


@given(GLOBS, GLOBS, st.lists(NAMES, min_size=20, max_size=20))
def test_a_narrower_pattern_matches_no_more(inner: str, outer: str, names: list[str]) -> None:
    """If a pattern is within another, the other matches every name that it matches."""
    if within((inner,), (outer,)):
        assert all(matches(outer, name) for name in names if matches(inner, name))

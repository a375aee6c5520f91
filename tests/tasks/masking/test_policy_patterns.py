"""Patterns: which rule each column gets, which one wins, and what is a fault."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.estate.tables import Catalog, Column, DatabaseIdentity, ForeignKey, Key, KeyKind, Name, Table
from tasks.masking.policy import parse_policy
from tasks.masking.policy_patterns import Expanded, expand, matches, parts_of, within

HEAD = "app: shop\nschema_version: 3\ntables:\n"
HERE = DatabaseIdentity(
    host="db", port=5432, database="shop", database_oid=1, system_identifier="1", server_version=180000
)


def table(name: str, *columns: str, schema: str = "public", parents: tuple[str, ...] = ()) -> Table:
    """A table with a bigint `id` and columns of `name:type`, text unless they say otherwise."""
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
    """The policy written out for a database of these tables."""
    catalog = Catalog(identity=HERE, tables=tables, foreign_keys=foreign_keys)
    return expand(parse_policy(HEAD + body + tail), catalog)


def rules(expanded: Expanded) -> dict[str, object]:
    """What every table and column gets, in words."""
    return {
        name: rule.whole or {column: each.word for column, each in rule.columns.items()}
        for name, rule in expanded.policy.tables.items()
    }


USERS = table("users", "email", "created_at", "note")
ORDERS = table("orders", "created_at", "note", schema="shop")
LOG = table("log_2026", "message", "created_at")
AUTH = table("tokens", "secret", schema="auth")


def test_a_pattern_of_columns_reaches_every_table_of_every_schema() -> None:
    """`*.created_at: keep` is one line for the whole database."""
    found = over('  "*.created_at": keep\n  users: {email: email}\n', USERS, ORDERS)
    assert rules(found) == {"users": {"email": "email", "created_at": "keep"}, "shop.orders": {"created_at": "keep"}}
    assert not found.faults


def test_a_pattern_of_tables_excludes_or_drops_them() -> None:
    """By schema, or by a part of the name with and without `public`."""
    body = '  "auth.*": exclude\n  "public.log_*": drop\n'
    assert rules(over(body, AUTH, LOG)) == {"auth.tokens": "exclude", "log_2026": "drop"}
    assert rules(over('  "log_*": drop\n', LOG)) == {"log_2026": "drop"}


def test_what_nobody_matched_stays_unclassified() -> None:
    """A pattern classifies what it matches and nothing else: the plan names the rest."""
    assert "note" not in over('  "*.created_at": keep\n', USERS).policy.tables["users"].columns


def test_an_exact_rule_beats_every_pattern() -> None:
    """A rule that names table and column, and a whole table that is named."""
    body = '  "*.note": scrub\n  "users.n*": keep\n  users: {note: blank}\n  shop.orders: keep\n'
    found = over(body, USERS, ORDERS)
    assert rules(found) == {"users": {"note": "blank"}, "shop.orders": "keep"}


def test_the_narrower_pattern_wins_wherever_it_stands() -> None:
    """One whose matches are all matched by the other is narrower; order does not count."""
    wide, narrow = '  "*.*_at": keep\n', '  "*.created_at": date_shift\n'
    for body in (wide + narrow, narrow + wide):
        assert rules(over(body, table("a", "created_at", "sent_at")))["a"] == {
            "created_at": "date_shift",
            "sent_at": "keep",
        }


def test_two_patterns_that_differ_are_a_fault() -> None:
    """Neither is narrower: both are named with their lines and the column to decide."""
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
    """A typo would leave the real column without its rule: the pattern and its line are named."""
    (fault,) = over(body, USERS, AUTH, LOG).faults
    assert fault.startswith("line 4: the pattern ")


def test_a_pattern_that_could_be_both_is_a_fault() -> None:
    """`auth.*: keep` with a schema `auth` and a table `auth`: the two ways to say which are named, and work."""
    both = (AUTH, table("auth", "note"))
    (fault,) = over('  "auth.*": keep\n', *both).faults
    assert "matches tables and columns" in fault
    assert rules(over('  "auth.*": {"*": keep}\n', *both)) == {"auth.tokens": {"id": "keep", "secret": "keep"}}
    assert rules(over('  "public.auth.*": keep\n', *both)) == {"auth": {"id": "keep", "note": "keep"}}


def test_keep_of_everything_is_refused() -> None:
    """Whoever could write `*: keep` would have no new column named ever again."""
    for name in ("*", "*.*", "*.*.*"):
        with pytest.raises(Exception, match="keep would keep every column"):
            parse_policy(f'{HEAD}  "{name}": keep\n')


def test_a_star_in_quotes_is_a_letter() -> None:
    """A table may be called `log*`."""
    starred = table("log*", "note")
    found = over("  '\"log*\"': {'\"n*\"': keep}\n", table("log*", "n*", "note"), LOG)
    assert (rules(found), found.faults) == ({str(starred.name): {"n*": "keep"}}, ())
    assert parts_of('a."b*.c".d*') == ("a", "b\\*.c", "d*")


def test_patterns_within_a_table_fill_what_it_does_not_name() -> None:
    """`users: {"*_at": keep, email: email}`."""
    found = over('  users: {"*_at": keep, email: email}\n', USERS, LOG)
    assert rules(found) == {"users": {"email": "email", "created_at": "keep"}}


def test_a_pattern_never_weakens_what_a_child_inherits() -> None:
    """A mask on a parent holds for its inheritance children, and an excluded parent's child stays excluded."""
    child = table("child", "note", "created_at", parents=("parent",))
    parent = table("parent", "note")
    found = over('  parent: {note: scrub}\n  "*.note": keep\n  "*.created_at": keep\n', parent, child)
    assert rules(found)["child"] == {"created_at": "keep"}
    assert "child" not in rules(over('  parent: exclude\n  "*.created_at": keep\n', parent, child))


def test_keys_are_kept_by_one_line() -> None:
    """Declared keys, and columns named like the key of a table; not a number that identifies somebody elsewhere."""
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
    """No copy, no fault, and the fingerprint that version 0.1 computed."""
    policy = parse_policy(f"{HEAD}  users: {{id: keep}}\n")
    assert expand(policy, Catalog(identity=HERE, tables=(USERS,))).policy is policy
    assert policy.fingerprint == "2686c193fa0c7cdd"


def test_a_pattern_counts_in_the_fingerprint_and_its_line_does_not() -> None:
    """Another pattern is another policy; a comment above it is not."""
    one, moved, other = (
        parse_policy(f'{HEAD}{comment}  "*.{name}": keep\n  a: {{"x*": keep}}\n').fingerprint
        for comment, name in (("", "a"), ("  # why\n", "a"), ("", "b"))
    )
    assert one == moved != other


def test_comments_do_not_change_the_fingerprint_of_a_policy_with_references() -> None:
    """The line of a reference is no part of its meaning; the reference is."""
    body, reference = "  a: {line: keep}\n  b: {id: keep}\n", "references:\n  - a.line -> b.id\n"
    plain, commented = parse_policy(HEAD + body + reference), parse_policy(f"# ours\n{HEAD}{body}# joined\n{reference}")
    assert plain.references[0].line != commented.references[0].line
    assert plain.fingerprint == commented.fingerprint
    assert plain.fingerprint != parse_policy(HEAD + body).fingerprint
    assert plain.fingerprint != parse_policy(HEAD + body + reference.replace("line", "id")).fingerprint


NAMES = st.text("ab_", max_size=5)
GLOBS = st.text("ab_*", max_size=5)


@given(GLOBS, NAMES)
def test_a_wildcard_is_any_run_of_letters(glob: str, name: str) -> None:
    """As in a shell."""
    assert matches(glob, name) == fnmatchcase(name, glob)


@given(GLOBS, GLOBS, st.lists(NAMES, min_size=20, max_size=20))
def test_what_is_within_matches_no_more(inner: str, outer: str, names: list[str]) -> None:
    """Whenever one pattern counts as a part of another, every name that it matches is matched by the other."""
    if within((inner,), (outer,)):
        assert all(matches(outer, name) for name in names if matches(inner, name))

"""Failure modes that the plan must find, before the first byte: numbers are those of the list of known failures."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.estate.dumps import Anonymizer, Choices
from tasks.estate.errors import DumpRefused, Misconfigured, NotExported, PolicyRefused
from tasks.masking.keyring import Keyring

Pairs = Callable[..., Any]
PEOPLE = """CREATE TABLE people (id bigint PRIMARY KEY, email varchar(60) UNIQUE, first_name varchar(40) UNIQUE, note text)"""


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("first_name", "makes 2\\^.* different values, too few for .* rows of the unique people_first_name_key"),
        ("blank", "makes equal values, but people_first_name_key must be unique"),
        ("{maker: hash, chars: 8}", "makes 2\\^32 different values"),
        ("{maker: hash, chars: 16, by: note}", "people_first_name_key"),
    ],
)
def test_mode_1_a_collision_is_refused_by_the_plan(pair: Pairs, rule: str, why: str) -> None:
    """A maker that cannot keep a unique column unique is refused by name, however few rows there are."""
    made = pair(PEOPLE, f"people: {{id: keep, email: email, first_name: {rule}, note: keep}}")
    with pytest.raises(PolicyRefused, match=f"people.first_name: .*{why}"):
        made.plan()


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX odd ON t (substr(v, 1, 3))",
        "CREATE UNIQUE INDEX odd ON t (v) WHERE id > 0",
        "CREATE UNIQUE INDEX odd ON t (v) INCLUDE (w)",
        "CREATE UNIQUE INDEX odd ON t (w, v)",
        "ALTER TABLE t ADD CONSTRAINT odd EXCLUDE USING btree (v WITH =)",
    ],
)
def test_mode_1_every_kind_of_unique_index_is_looked_at(pair: Pairs, index: str) -> None:
    """Partial, covering, composite and expression indexes and exclusion constraints forbid equal rows too."""
    made = pair(
        f"CREATE TABLE t (id bigint PRIMARY KEY, v text, w integer); {index}", "t: {id: keep, v: scrub, w: keep}"
    )
    with pytest.raises(PolicyRefused, match=r"t\.v: .*odd"):
        made.plan()


def test_mode_1_two_unique_addresses_need_two_forms(pair: Pairs) -> None:
    """Both made of the row's id, they would be equal in every row; one of them by hash is proven unique too."""
    schema = "CREATE TABLE t (id bigint PRIMARY KEY, a text UNIQUE, b text UNIQUE)"
    rows = "INSERT INTO t SELECT n, 'a' || n, 'b' || n FROM generate_series(1, 9) n"
    with pytest.raises(PolicyRefused, match=r"t\.b: its addresses would be equal to those of a; use form: hash"):
        pair(schema, "t: {id: keep, a: email, b: email}", rows).plan()
    made = pair(schema, "t: {id: keep, a: email, b: {maker: email, form: hash}}", rows)
    made.load(made.export())
    assert made.ask("SELECT count(DISTINCT a), count(DISTINCT b), count(*) FILTER (WHERE a = b) FROM t") == [(9, 9, 0)]


FITTING = {
    "varchar(n)": ("v varchar(8)", "email", "too short|more than 8 characters"),
    "CHECK": ("v text CHECK (v LIKE 'A%')", "scrub", "CHECK .* refuses"),
    "domain": ("v digits", "scrub", "digits refuses"),
    "enum": ("v mood", "scrub", "mood"),
    "NOT NULL": ("v text NOT NULL", "'null'", "NOT NULL"),
    "number": ("v integer", "scrub", "integer"),
}


@pytest.mark.parametrize("case", FITTING)
def test_mode_3_a_value_that_would_not_fit_is_found_by_the_plan(pair: Pairs, case: str) -> None:
    """Length, CHECK, domain, enum, NOT NULL and type: refused naming the column, not hours later at the restore."""
    column, rule, why = FITTING[case]
    made = pair(
        "CREATE DOMAIN digits AS text CHECK (VALUE ~ '^[0-9]+$'); CREATE TYPE mood AS ENUM ('1', 'happy');"
        f" CREATE TABLE t (id bigint PRIMARY KEY, {column})",
        f"t: {{id: keep, v: {rule}}}",
        "INSERT INTO t VALUES (1, 'A1')" if case == "CHECK" else "INSERT INTO t VALUES (1, '1')",
    )
    with pytest.raises(PolicyRefused, match=rf"(?s)t\.v.*({why})"):
        made.plan()


def test_mode_5_a_new_table_or_column_stops_the_plan(pair: Pairs) -> None:
    """What the policy does not name is not exported in clear, and not left out in silence: all of it is named."""
    made = pair(PEOPLE, "people: {id: keep, email: email, first_name: keep, note: keep}")
    made.plan()
    made.change("ALTER TABLE people ADD diagnosis text; CREATE TABLE leads (email text)", "source")
    with pytest.raises(PolicyRefused, match=r"leads is not classified.*people\.diagnosis \(text\) is not classified"):
        made.plan()


def test_mode_5_a_rule_for_nothing_stops_the_plan(pair: Pairs) -> None:
    """A typo in a table or column would leave the real one without its mask."""
    made = pair(PEOPLE, "people: {id: keep, emial: email, email: keep, first_name: keep, note: keep}")
    with pytest.raises(PolicyRefused, match="people has no column emial"):
        made.plan()


@pytest.mark.parametrize("key", [b"", b"short", b"a" * 64])
def test_mode_7_no_key_or_a_poor_one_is_refused(key: bytes) -> None:
    """There is no default key; an empty, short or constant one is refused by the name of its setting."""
    with pytest.raises(Misconfigured, match="UNDERSTUDY_MASKING_KEY"):
        Keyring(key, run="run")


def test_mode_7_two_keys_give_different_data(pair: Pairs) -> None:
    """Every keyed maker depends on the key: under another one, not one masked value is the same."""
    made = pair(
        "CREATE TABLE t (id bigint PRIMARY KEY, a text, b text, c text, d uuid, e inet, f date, g timestamptz)",
        "t: {id: keep, a: hash, b: token, c: {maker: email, form: hash}, d: uuid, e: ip, f: {maker: date_shift, days: 2000},"
        " g: {maker: date_shift, days: 2000}}",
        "INSERT INTO t SELECT n, n, n, n, gen_random_uuid(), '10.9.8.7', '2001-02-03', '2001-02-03' FROM generate_series(1, 3) n",
    )
    seen = []
    for key in (b"0123456789abcdef" * 2, b"fedcba9876543210" * 2):
        made.load(made.export(key=key))
        seen.append(made.ask("SELECT a, b, c, d, e, f, g FROM t ORDER BY id"))
    assert not [
        value for one, other in zip(*seen, strict=True) for value, twin in zip(one, other, strict=True) if value == twin
    ]


def test_mode_8_a_sequence_that_may_not_be_read_fails_loudly(pair: Pairs) -> None:
    """pg_sequences would say NULL to a role without the privilege, and the sequence would start at 1 again."""
    made = pair("CREATE TABLE t (id bigserial PRIMARY KEY)", "t: keep", "INSERT INTO t DEFAULT VALUES")
    made.change("REVOKE SELECT ON SEQUENCE t_id_seq FROM pair_reader", "source")
    with pytest.raises(NotExported, match=r"GRANT SELECT ON SEQUENCE public\.t_id_seq TO pair_reader\."):
        made.export()


def test_mode_18_a_computed_column_with_personal_data_stops_the_plan(pair: Pairs) -> None:
    """A generated column is computed again on staging: an address in its expression would arrive in every row."""
    made = pair(
        "CREATE TABLE t (id bigint PRIMARY KEY, g text GENERATED ALWAYS AS ('anna.berger@example.org') STORED)",
        "t: {id: keep}",
    )
    with pytest.raises(PolicyRefused, match=r"t\.g: holds what looks like"):
        made.plan()


def test_mode_20_a_dump_under_an_older_policy_is_refused(pair: Pairs, policy: Callable[[str], Any]) -> None:
    """Made under a policy that kept a column, it is refused under one that masks it; so is a column nobody names."""
    made = pair(PEOPLE, "people: {id: keep, email: keep, first_name: keep, note: keep}")
    facts = made.export()
    stricter = policy("people: {id: keep, email: email, first_name: keep, note: keep}")
    made.policy = stricter
    with pytest.raises(DumpRefused, match=r"people\.email as 'keep'; the policy specifies 'email'"):
        made.load(facts)
    made.policy = stricter.model_copy(update={"tables": {}})
    with pytest.raises(DumpRefused, match="rows of people, which the policy drops or does not name"):
        made.load(facts)


def test_mode_20_a_raw_export_does_not_pass_for_a_masked_one(pair: Pairs) -> None:
    """The header lists the opt-out, and the load masks what arrives raw unless the same opt-out is passed again."""
    made = pair(
        PEOPLE,
        "people: {id: keep, email: email, first_name: keep, note: keep}",
        "INSERT INTO people VALUES (7, 'a@b.c')",
    )
    facts = made.export(Choices(opted_out=(Anonymizer.EMAIL,)))
    made.load(facts)
    assert made.ask("SELECT email FROM people") == [("user-7@staging.local",)]
    made.load(facts, opted_out=(Anonymizer.EMAIL,))
    assert made.ask("SELECT email FROM people") == [("a@b.c",)]

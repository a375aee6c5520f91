"""Every maker in PostgreSQL and in Python: equal bytes, repeatable, different with another key, never too long."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.masking.makers import KINDS, parse

NASTY = [
    "Anna", "", " ", "  Anna  ", "o'Neil", 'say "hi"', "back\\slash", "\\N", "\\x41", "tab\there", "line\nfeed\r\n",
    "Ünïcödé ß ẞ", "é", "e\u0301", "日本語", "😀👩‍👩‍👧", "\u200f\ufeff", "\x01\x07\x1b\x7f", "NULL", "null", "{a,b}", "$1 %s {}",
    "anna@example.org", "ANNA@EXAMPLE.ORG", "'; DROP TABLE t; --", "x" * 80,
]  # fmt: skip
LONG = [*NASTY, "ü😀" * 5000, "x" * 100_000]
DATES = ["2001-02-03", "2000-02-29", "1900-03-01", "0001-01-01", "0003-05-05", "9999-12-31", "10000-01-01"]
DATES += ["0044-03-15 BC", "0001-12-31 BC", "infinity", "-infinity", "1969-12-31", "12345-06-07"]
MOMENTS = [
    "2001-02-03 04:05:06", "2024-03-31 02:30:00.123456", "2000-02-29 23:59:59.9", "0044-03-15 12:00:00 BC", "infinity",
    "1999-12-31 23:59:59", "2016-03-01 00:00:00", "1583-01-01 12:00:00.5", "2038-01-19 03:14:07",
]  # fmt: skip
ADDRESSES = ["192.168.1.1", "10.0.0.0/8", "::1", "fe80::1/64", "2001:db8::ffff"]
NETWORKS = ["192.168.1.0/24", "10.0.0.0/8", "2001:db8::/32"]
ARRAYS = [
    "{}", "{a}", "{NULL,b}", '{"NULL",""}', '{"a b","c,d","e\\"f","g\\\\h"}', "{{a,b},{c,d}}", "[0:1]={x,ü😀}", "{' \t}",
]  # fmt: skip
UUIDS = ["00000000-0000-0000-0000-000000000000", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"]
DOCUMENTS = [
    '{"email": "anna@example.org", "zip": "1", "items": [{"phone": 1}, {"phone": null}, 3], "deep": {"a": {"b": "x"}}}',
    '{"email": null}', '{"email": {"home": "a", "work": ["b", 1.50, true]}}', "{}", "[]", '"text"', "null", "1.0", "true",
    '[{"email": "x"}]', '{"items": {}}', '{"items": []}', '{"deep": 1, "email": "\\"q\\" \\\\ \\u0001 \\n 😀"}', '{"deep": {"a": []}}',
    '{"bb": 1e3, "a": -0.0, "ccc": 12345678901234567890.10, "é": 1, "z": "\\u00e9"}', '{"other": {"a.b": "c"}, "": "empty"}',
]  # fmt: skip
PATHS = {
    "$.email": {"maker": "email", "form": "hash"},
    "$.items[*].phone": "phone",
    "$.deep.a.b": {"maker": "full_name", "by": "person"},
    "$.zip": {"maker": "number", "low": 1, "high": 9},
}
STARS = {"$.*.*": {"maker": "hash", "group": "g"}, "$[*].email": "null", "$.items[*]": "scrub"}

TEXTS: list[Any] = [
    "email", {"maker": "email", "form": "hash", "domain": "x.invalid", "chars": 20}, "first_name", "last_name", "full_name",
    "company", "street", "city", "postcode", {"maker": "postcode", "digits": 4}, "phone",
    {"maker": "phone", "prefix": "+43 1 ", "digits": 9}, "iban", {"maker": "iban", "country": "AT"},
    {"maker": "iban", "country": "CH"}, "blank", {"maker": "constant", "value": "it's \\N {0} %s"}, "null", "scrub",
    {"maker": "scrub", "keep_length": True, "text": "lörem ipsüm "}, {"maker": "scrub", "keep_length": True},
    "hash", {"maker": "hash", "chars": 64}, "token", "uuid",
    "password", {"maker": "password", "prefix": "$2y$", "cost": 4}, "ip", "url", {"maker": "number", "low": -5, "high": 10**12},
    {"maker": "choice", "values": ["a", "b'c", "ü\\"]}, "placeholder_size",
    {"maker": "placeholder_size", "mime_column": "mime"}, {"maker": "placeholder_checksum", "algorithm": "md5"},
    {"maker": "placeholder_checksum", "mime_column": "mime"},
]  # fmt: skip
TYPED: list[tuple[Any, str, list[str]]] = [
    *[(maker, "varchar(80)", NASTY) for maker in TEXTS],
    *[(maker, "char(70)", [value for value in NASTY if len(value) <= 70]) for maker in TEXTS],
    *[(m, "varchar(12)", ["Anna", "ü", ""]) for m in ("first_name", "last_name", "full_name", "street", "phone", "scrub")],
    *[({"maker": "birth_date", **o}, t, v) for o in ({}, {"mode": "band"}, {"mode": "band", "band": 100}, {"mode": "shift"})
      for t, v in (("date", DATES), ("timestamp", MOMENTS), ("timestamptz", MOMENTS))],
    *[({"maker": "date_shift", "days": d}, t, v) for d in (1, 2, 90, 36500)
      for t, v in (("date", DATES), ("timestamp", MOMENTS), ("timestamptz", MOMENTS))],
    ("placeholder", "text", NASTY), ("placeholder", "bytea", ["\\x00", "\\xff"]),
    ({"maker": "placeholder", "mime_column": "mime"}, "bytea", ["\\x00"] * 9),
    ({"maker": "placeholder", "mime_column": "mime"}, "text", NASTY),
    ({"maker": "placeholder_checksum", "mime_column": "mime"}, "bytea", ["\\x00"] * 9),
    *[("placeholder_size", t, ["1", "-2"]) for t in ("smallint", "integer", "bigint", "numeric")],
    ("uuid", "uuid", UUIDS), ("ip", "inet", ADDRESSES), ("ip", "cidr", NETWORKS), ("ip", "text", [*ADDRESSES, *NASTY]),
    ("postcode", "integer", ["1010", "0"]), ({"maker": "number", "high": 9}, "smallint", ["1", "-7"]),
    ({"maker": "number", "high": 2**50}, "numeric", ["1.50", "NaN"]),
    ({"maker": "choice", "values": ["t", "f"]}, "boolean", ["t", "f"]),
    ({"maker": "constant", "value": "{}"}, "jsonb", DOCUMENTS), ("scrub", "jsonb", DOCUMENTS), ("scrub", "json", DOCUMENTS),
    *[({"maker": "array", "each": each}, t, ARRAYS) for t in ("text[]", "varchar(80)[]")
      for each in ("email", "scrub", "hash", "null", "last_name", {"maker": "constant", "value": 'a "b", {c}\\ NULL'})],
    ({"maker": "array", "each": {"maker": "date_shift"}}, "date[]", ["{2001-01-01,NULL,infinity}", "{}"]),
    *[({"maker": "jsonb", "paths": paths, "else": rest}, t, DOCUMENTS) for paths in (PATHS, STARS, {"$": "hash"})
      for rest in ("keep", None) for t in ("jsonb", "json")],
]  # fmt: skip
CASES = [*((maker, "text", LONG) for maker in TEXTS), *TYPED]
CONSTANT = {"blank", "constant", "null", "scrub", "placeholder", "placeholder_size", "placeholder_checksum"}
BY_ROW = {"email"}


def name(case: Any) -> str:
    """Return a readable id for a case."""
    return str(case) if isinstance(case, str | dict) else ""


@pytest.mark.parametrize("by", ["", "person", "id"])
@pytest.mark.parametrize(("maker", "declared", "values"), CASES, ids=name)
def test_sql_and_python_produce_equal_bytes(bench: Any, maker: Any, declared: str, values: list[str], by: str) -> None:
    """PostgreSQL and Python produce the same result, for difficult values and for NULL, and it fits the column."""
    if by == "person" and parse(maker).problems(bench.place(declared, by=by)):
        pytest.skip("this maker needs a `by` that is never NULL")
    in_sql, in_python = bench.both(maker, declared, [*values, None], by=by)
    assert in_sql == in_python
    limit = bench.column(declared).max_length
    assert limit is None or all(len(value or "") <= limit for value in in_sql if not declared.endswith("[]"))


def test_every_maker_is_among_the_cases() -> None:
    """Every maker with a Python form has a case here."""
    assert {parse(maker).maker for maker, _, _ in CASES} == set(KINDS) - {"sql", "recompute", "trigger"}


@pytest.mark.parametrize(("maker", "declared", "values"), CASES, ids=name)
def test_two_keys_differ(bench: Any, maker: Any, declared: str, values: list[str]) -> None:
    """Another key produces other values, the same key the same; makers without a key are constant."""
    first, again, other = (
        bench.both(maker, declared, values, key=key)[0] for key in (b"a1" * 20, b"a1" * 20, b"b2" * 20)
    )
    assert first == again
    made = parse(maker)
    keyless = made.uniqueness(bench.place(declared)) == "constant" or made.maker in CONSTANT
    keyless |= made.maker == "email" and getattr(made, "form", "") == "id"
    keyless |= made.maker == "birth_date" and getattr(made, "mode", "") != "shift"
    keyless |= made.maker == "array" and made.each.maker in {*CONSTANT, *BY_ROW}
    assert (first == other) == keyless or len(set(first)) < 3


@settings(max_examples=25)
@given(
    values=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=20)
)
def test_any_text_is_masked_alike(bench: Any, values: list[str]) -> None:
    """Both forms produce equal bytes for any text that PostgreSQL can store."""
    table = bench.fill("text", values)
    for maker in TEXTS:
        in_sql, in_python = bench.both(maker, "text", values, table=table)
        assert in_sql == in_python, maker


def test_the_same_person_has_the_same_names_everywhere(bench: Any) -> None:
    """In one group and with one `by`, a full name consists of the person's first and last name."""
    firsts, lasts, fulls = (
        bench.both(maker, declared, ["a", "b", "c", "d"], by="id")[0]
        for maker, declared in (("first_name", "text"), ("last_name", "varchar(80)"), ("full_name", "char(70)"))
    )
    assert fulls == [f"{first} {last}" for first, last in zip(firsts, lasts, strict=True)]


def test_groups_do_not_join(bench: Any) -> None:
    """Equal values in different groups become different values, in the same group equal ones."""
    one, same, other = (bench.both("hash", "text", ["anna"], group=group)[0] for group in ("a", "a", "b"))
    assert one == same != other


@pytest.mark.parametrize("maker", ["hash", "ip"])
def test_equal_values_of_other_types_stay_equal(bench: Any, maker: str) -> None:
    """Neither the padding of char(n) nor how a type is printed changes what is hashed."""
    texts, padded = (bench.both(maker, declared, ["192.168.1.1"])[0] for declared in ("text", "char(70)"))
    assert texts == padded
    assert maker == "hash" or texts == bench.both(maker, "inet", ["192.168.1.1"])[0]

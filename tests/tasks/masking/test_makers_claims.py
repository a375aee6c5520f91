"""Makers keep their promises: the columns that they refuse, how unique results are, and that fakes reach nobody."""

import io
import struct
import zipfile
import zlib
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

import pytest
from psycopg.errors import UniqueViolation
from psycopg.sql import SQL
from stdnum import iban

from tasks.estate.errors import Misconfigured
from tasks.estate.schema import Column, Key, KeyKind
from tasks.masking.keyring import Keyring
from tasks.masking.makers import KINDS, Place, parse
from tasks.masking.makers.stub_files import stub_for, stubs
from tasks.masking.session_settings import Session

ANY = [str(number) for number in range(400)]
REFUSED: list[tuple[Any, str, str]] = [
    *[(kind, "integer", "text type") for kind in ("email", "first_name", "full_name", "blank", "hash", "url", "password", "iban")],
    *[(kind, "text[]", "array") for kind in ("email", "city", "blank", "scrub", "date_shift", "hash")],
    *[(kind, "varchar(12)", "too short") for kind in ("email", "hash", "token", "iban", "uuid", "password", "url")],
    ({"maker": "email", "form": "hash"}, "varchar(12)", "31"), ({"maker": "ip"}, "varchar(12)", "too short"),
    ({"maker": "phone", "prefix": "+43 1 ", "digits": 9}, "varchar(12)", "15"),
    ({"maker": "constant", "value": "thirteen char"}, "varchar(12)", "13"), ({"maker": "constant", "value": "{"}, "jsonb", "JSON"),
    ({"maker": "number", "high": 40000}, "smallint", "reach"), ({"maker": "number", "high": 10**13}, "varchar(12)", "14"),
    ({"maker": "choice", "values": ["thirteen char"]}, "varchar(12)", "13"),
    ({"maker": "scrub", "keep_length": True}, "jsonb", "length"),
    ("date_shift", "text", "not a date"), ("birth_date", "integer", "not a date"),
    ({"maker": "array", "each": "hash"}, "text", "not an array"), ({"maker": "array", "each": "date_shift"}, "text[]", "not a date"),
    ({"maker": "array", "each": {"maker": "birth_date"}}, "varchar(80)[]", "not a date"),
    ({"maker": "jsonb", "paths": {"$.a": "hash"}}, "text", "jsonb"),
    ({"maker": "jsonb", "paths": {"$.a": "date_shift"}}, "jsonb", r"\$.a"),
    ({"maker": "jsonb", "paths": {"$.a": {"maker": "hash", "by": "nobody"}}}, "jsonb", "nobody"),
    ({"maker": "placeholder", "mime_column": "nowhere"}, "bytea", "nowhere"), ("placeholder", "varchar(12)", "too short"),
    ("placeholder_checksum", "varchar(12)", "64"), ("placeholder_size", "boolean", "text type"), ("ip", "bytea", "text type"),
]  # fmt: skip
WRONG: list[tuple[Any, str]] = [
    ("nonsense", "nonsense"), ({"maker": "hash", "chars": 7}, "chars"), ({"maker": "hash", "size": 16}, "size"), ({}, "maker"),
    ({"maker": "number", "low": 5, "high": 5}, "low < high"), ({"maker": "number", "high": 2**60}, "2\\^59"),
    ({"maker": "jsonb", "paths": {"a.b": "hash"}}, "not a path"), ({"maker": "jsonb", "paths": {}}, "paths"),
    ({"maker": "jsonb", "paths": {"$.a": "hash", "$.a.b": "hash"}}, "another path continues"), ({"maker": "constant"}, "value"),
    ({"maker": "jsonb", "paths": {"$.a": "hash", '$."a"': "hash"}}, "twice"), ({"maker": "email", "domain": "a b"}, "domain"),
    *[({"maker": "sql", "expression": text}, "sql.expression") for text in ("1; DROP", "1 -- x", "1) OR (1", "(1", "", "/* 1")],
]  # fmt: skip


@pytest.mark.parametrize(("maker", "declared", "word"), REFUSED)
def test_a_maker_refuses_what_it_cannot_serve(bench: Any, maker: Any, declared: str, word: str) -> None:
    """A wrong type, a short column, an array or a missing column is at least one problem with its reason."""
    problems = parse(maker).problems(bench.place(declared))
    assert problems
    with pytest.raises(AssertionError, match=word):
        raise AssertionError("; ".join(problems))


@pytest.mark.parametrize(("given", "word"), WRONG)
def test_a_wrong_maker_is_refused(given: Any, word: str) -> None:
    """The refusal of an unknown maker or option names it."""
    with pytest.raises(Misconfigured, match=word):
        parse(given)


def rekeyed(place: Place, **changes: Any) -> Place:
    """Return the place in a table with other keys or with changed columns."""
    columns = tuple(replace(c, **changes.get(c.name, {})) for c in place.table.columns)
    table = place.table.model_copy(
        update={"columns": columns, "unique_keys": changes.get("keys", place.table.unique_keys)}
    )
    value = table.column("v")
    assert value is not None
    return Place(table, value, place.group, by=table.column(place.by.name) if place.by else None)


def test_email_needs_a_key_that_is_valid_in_an_address(bench: Any) -> None:
    """Form `id` is refused without a single-column key, with a text key and with a nullable `by`; `hash` is not."""
    place = bench.place("text")
    both = Key(name="k", kind=KeyKind.PRIMARY, columns=("id", "person"))
    wrong = [
        rekeyed(place, keys=()),
        rekeyed(place, keys=(both,)),
        rekeyed(place, id={"type": "text", "base": "text"}),
        bench.place("text", by="person"),
    ]
    for each in wrong:
        assert parse("email").problems(each)
        assert parse("email").uniqueness(each) != "unique" or each is wrong[2]
        assert not parse({"maker": "email", "form": "hash"}).problems(each)


def test_null_and_enum_labels_are_checked(bench: Any) -> None:
    """A NOT NULL column refuses NULL, and an enum refuses a word that is not a label."""
    place = bench.place("text")
    assert parse("null").problems(rekeyed(place, v={"not_null": True})) == ["v is NOT NULL"]
    mood = rekeyed(place, v={"type": "mood", "base": "mood", "category": "E", "enum_labels": ("good", "bad")})
    for maker in ({"maker": "choice", "values": ["good", "ugly"]}, {"maker": "constant", "value": "ugly"}):
        assert parse(maker).problems(mood) == ["mood has no label 'ugly'"]
    assert parse({"maker": "choice", "values": ["good", "bad"]}).problems(mood) == []


UNIQUENESS: list[tuple[Any, str]] = [
    *[(kind, "text") for kind in sorted(KINDS) if kind in (
        "email", "first_name", "last_name", "full_name", "company", "street", "city", "postcode", "phone", "iban", "blank", "null",
        "scrub", "hash", "token", "uuid", "password", "ip", "url", "placeholder", "placeholder_size", "placeholder_checksum")],
    ({"maker": "constant", "value": "x"}, "text"), ({"maker": "choice", "values": ["a", "b"]}, "text"),
    ({"maker": "number", "high": 50}, "text"), ({"maker": "number", "high": 2**58}, "text"),
    ("date_shift", "date"), ("birth_date", "date"),
    ({"maker": "placeholder", "mime_column": "mime"}, "bytea"), ({"maker": "scrub", "keep_length": True}, "text"),
    ({"maker": "email", "form": "hash"}, "text"), ({"maker": "phone", "prefix": "0", "digits": 3}, "text"),
]  # fmt: skip


@pytest.mark.parametrize("by", ["", "id", "mime"])
@pytest.mark.parametrize(("maker", "declared"), UNIQUENESS, ids=str)
def test_the_uniqueness_class_is_true(bench: Any, maker: Any, declared: str, by: str) -> None:
    """On 400 different values, unique makers have no duplicates, constant ones have one result, the others keep `bits`.

    A maker that claims 40 bits or more must have no collision here; one that collides must claim fewer than 26.
    """
    made, place = parse(maker), bench.place(declared, by=by)
    if made.problems(place):
        pytest.skip("this maker cannot serve this `by`")
    values = [f"{1950 + n % 60}-{n % 12 + 1:02}-{n % 28 + 1:02}" for n in range(400)] if declared == "date" else ANY
    if declared == "bytea":
        values = ["\\x00"] * 400
    made_values = bench.both(maker, declared, values, by=by)[0]
    present = [value for value in made_values if value is not None]
    claim = made.uniqueness(place)
    assert (claim == "constant") == (len(set(present)) == 1)
    assert claim != "unique" or len(set(present)) == len(present)
    assert made.bits(place) < 40 or len(set(present)) == len(present)
    assert len(set(present)) == len(present) or made.bits(place) < 26


def test_by_must_be_unique_itself(bench: Any) -> None:
    """A hash of a column that repeats guarantees no bits."""
    for maker in ("hash", "uuid", "token", "iban"):
        assert parse(maker).bits(bench.place("text", by="id")) > 40
        assert parse(maker).bits(bench.place("text", by="person")) == 0


def test_unique_email_survives_a_unique_index(bench: Any) -> None:
    """PostgreSQL builds a unique index on addresses of form `id`, and refuses one on first names."""
    table = bench.fill("text", ANY * 8)
    for maker, fits in (("email", True), ("first_name", False)):
        session = Session(Keyring(bytes(range(40)), run="1"))
        expression = parse(maker).sql(bench.place("text"), session)
        bench.set(session)
        bench.connection.execute(SQL("DROP TABLE IF EXISTS made"))
        bench.connection.execute(
            SQL("CREATE TEMPORARY TABLE made AS SELECT {} AS v FROM {}").format(expression, SQL(table))
        )
        if fits:
            bench.connection.execute("CREATE UNIQUE INDEX ON made (v)")
        else:
            with pytest.raises(UniqueViolation):
                bench.connection.execute("CREATE UNIQUE INDEX ON made (v)")


@pytest.mark.parametrize("country", ["DE", "AT", "CH"])
def test_ibans_pass_the_checksum_and_belong_to_no_bank(bench: Any, country: str) -> None:
    """Another library accepts length and checksum of every IBAN, and its bank code begins with 9."""
    for made in bench.both({"maker": "iban", "country": country}, "text", ANY)[0]:
        assert iban.is_valid(made, check_country=False)
        assert made[:2] == country
        assert made[4] == "9"


def test_fakes_reach_nobody(bench: Any) -> None:
    """Phone numbers are from unassigned ranges, IP addresses from documentation networks, UUIDs are of version 4."""
    ranges = ("+493023125", "+496990009", "+494066969", "+492214710", "+498999998")
    assert all(str(phone).startswith(ranges) for phone in bench.both("phone", "text", ANY)[0])
    assert all(
        phone.startswith(tuple(f"0{r[3:]}" for r in ranges)) for phone in bench.both("phone", "varchar(12)", ANY)[0]
    )
    networks = [ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
    for made in bench.both("ip", "text", [*ANY, "::1", "fe80::1"])[0]:
        assert any(ip_address(made) in network for network in networks)
    assert {UUID(made).version for made in bench.both("uuid", "text", ANY)[0]} == {4}


def test_stub_files_are_valid() -> None:
    """The PNG's checksum is right and its pixel inflates, ZIP-based files open, the PDF's offsets point to its objects."""
    png = stub_for("")
    length, kind = struct.unpack(">I4s", png[33:41])
    assert kind == b"IDAT"
    assert len(zlib.decompress(png[41 : 41 + length])) == 5
    assert struct.unpack(">I", png[41 + length : 45 + length])[0] == zlib.crc32(png[37 : 41 + length])
    for mime, stub in stubs().items():
        if stub.startswith(b"PK"):
            assert zipfile.ZipFile(io.BytesIO(stub)).testzip() is None, mime
    pdf = stub_for("Application/PDF; x=y")
    table = pdf[pdf.index(b"xref\n") :].split(b"\n")[3:6]
    assert [pdf[int(line[:10]) :][:7] for line in table] == [b"%d 0 obj" % n for n in (1, 2, 3)]
    assert stub_for("IMAGE/JPEG").startswith(b"\xff\xd8")


def test_own_sql_reads_the_quoted_column(bench: Any) -> None:
    """`{column}` becomes the quoted column; there is no Python form, nor one of an array or document with such a maker."""
    maker = parse({"maker": "sql", "expression": "upper({column}) || '%' || length({column})"})
    place = rekeyed(bench.place("text"))
    session = Session(Keyring(bytes(range(40)), run="1"))
    assert bench.printed(bench.fill("text", ["a'b"]), maker.sql(place, session)) == [("A'B%3",)]
    assert not maker.has_python_twin
    for nested in ({"maker": "array", "each": maker}, {"maker": "jsonb", "paths": {"$.a": {"maker": maker}}}):
        assert not parse(nested).has_python_twin
    with pytest.raises(Misconfigured, match=r"t\.v"):
        maker.value("x", place, session, {})


def test_columns_with_difficult_names_are_quoted(bench: Any) -> None:
    """A column with a keyword, quotes and braces in its name is quoted."""
    name = 'sel"ect {x} %s'
    column = Column(name=name, type="text", base="text", category="S")
    table = bench.place("text").table.model_copy(update={"columns": (column,)})
    text = parse("hash").sql(Place(table, column, "g"), Session(Keyring(bytes(range(40)), run="1"))).as_string()
    assert '"sel""ect {x} %s"::text' in text


def test_only_a_plain_key_that_cannot_be_null_proves_uniqueness(bench: Any) -> None:
    """Partial and computed indexes, several columns, exclusion constraints and nullable columns prove nothing."""
    place = bench.place("text")
    assert parse("email").bits(place) == float("inf")
    plain = Key(name="k", kind=KeyKind.UNIQUE, columns=("id",))
    assert parse("email").uniqueness(rekeyed(bench.place("text", by="id"), keys=(plain,))) == "unique"
    weak = [{"predicate": True}, {"expressions": True}, {"columns": ("id", "person")}, {"kind": KeyKind.EXCLUSION}]
    for changes in weak:
        table = rekeyed(bench.place("text", by="id"), keys=(replace(plain, **changes),))
        assert parse("email").uniqueness(table) == "collides"
        assert parse("hash").bits(table) == 0
    nullable = rekeyed(bench.place("text", by="id"), id={"not_null": False})
    assert parse("hash").bits(nullable) == 0


def test_nulls_collide_with_nulls_not_distinct(bench: Any) -> None:
    """NULL is unique in an ordinary unique index, and constant in one with NULLS NOT DISTINCT."""
    for clause, claim in (("", "unique"), (" NULLS NOT DISTINCT", "constant")):
        key = Key(name="k", kind=KeyKind.UNIQUE, columns=("v",), definition=f"CREATE UNIQUE INDEX k ON t (v){clause}")
        assert parse("null").uniqueness(rekeyed(bench.place("text"), keys=(key,))) == claim


def test_an_email_inside_an_array_is_not_unique(bench: Any) -> None:
    """One row may have many addresses, so that form `id` is not unique for the elements."""
    place = bench.place("text")
    assert parse("email").uniqueness(place.inside(place.read)) == "collides"

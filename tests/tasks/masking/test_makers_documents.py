"""JSON documents and arrays: SQL and Python produce the same bytes, and no named value survives."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.masking.makers import parse
from tasks.masking.makers.arrays import elements
from tasks.masking.makers.dates import moved
from tasks.masking.makers.documents import print_json, read_json
from tasks.masking.makers.json_paths import steps, tree

FUZZ = settings(max_examples=30)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-9, 9, places=2).map(float)
KEYS = st.sampled_from(["a", "b", "email", "items", "0", "-1", "é", "long key", ""]) | TEXT
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PATHS = [
    {"$.email": "hash", "$.a.b": "scrub", "$.items[*].email": "phone"},
    {"$.a": "null", "$.*": "blank", "$[*].a": {"maker": "number", "high": 5}},
    {"$.a.*.b": "hash", "$.*[*]": "first_name", '$."long key".a': "hash", "$.0": "hash"},
    {"$": "hash"},
]


@FUZZ
@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=15), rest=st.sampled_from(["refuse", "keep", "null"]))
@pytest.mark.parametrize("declared", ["jsonb", "json"])
@pytest.mark.parametrize("paths", PATHS, ids=str)
def test_any_document_is_masked_alike(bench: Any, declared: str, paths: Any, documents: list[Any], rest: str) -> None:
    """Whatever the document, PostgreSQL and Python produce equal bytes, and neither fails on a path that does not fit."""
    texts = [json.dumps(document, ensure_ascii=False) for document in documents]
    in_sql, in_python = bench.both({"maker": "jsonb", "paths": paths, "else": rest}, declared, texts)
    assert in_sql == in_python


@FUZZ
@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=20))
def test_documents_print_as_jsonb_does(bench: Any, documents: list[Any]) -> None:
    """Python prints a document as PostgreSQL prints its jsonb."""
    texts = [json.dumps(document) for document in documents]
    table = bench.fill("jsonb", texts)
    printed = [row[0] for row in bench.printed(table, bench.place("jsonb").read)]
    assert [print_json(read_json(text)) for text in texts] == printed


@FUZZ
@given(arrays=st.lists(st.lists(st.none() | TEXT, max_size=5), min_size=1, max_size=15))
def test_any_array_is_masked_alike(bench: Any, arrays: list[list[str | None]]) -> None:
    """Elements with any text are read from what PostgreSQL prints, and are printed as it prints them."""
    quote = str.maketrans({'"': '\\"', "\\": "\\\\"})
    texts = ["{" + ",".join("NULL" if e is None else f'"{e.translate(quote)}"' for e in a) + "}" for a in arrays]
    table = bench.fill("text[]", texts)
    printed = [row[0] or "" for row in bench.printed(table, bench.place("text[]").read)]
    for maker in (
        "scrub",
        "hash",
        {"maker": "constant", "value": "null"},
        {"maker": "scrub", "keep_length": True, "text": 'a"\\ {,'},
    ):
        in_sql, in_python = bench.both({"maker": "array", "each": maker}, "text[]", texts, table=table)
        assert in_sql == in_python
    assert [list(elements(text)) for text in printed] == arrays


def test_what_a_path_names_is_gone_and_the_rest_is_there(bench: Any) -> None:
    """Named values are replaced in every element, unnamed ones stay; with `else: null` they go too."""
    text = '{"items": [{"email": "anna@leak.example", "n": 1}, {"n": 2}], "keep": "me", "anna": {"x": "leak"}}'
    paths = {"$.items[*].email": {"maker": "email", "form": "hash"}, "$.anna.*": "blank"}
    (kept,), _ = bench.both({"maker": "jsonb", "paths": paths}, "jsonb", [text])
    document = json.loads(kept)
    assert "leak" not in kept
    assert document["keep"] == "me"
    assert [item["n"] for item in document["items"]] == [1, 2]
    (nulled,), _ = bench.both({"maker": "jsonb", "paths": paths, "else": None}, "jsonb", [text])
    assert json.loads(nulled)["keep"] is None
    assert json.loads(nulled)["items"][0]["n"] is None


NESTED = {"$.a.email": "hash", "$.items[*].email": "hash"}


@pytest.mark.parametrize(
    ("text", "refused", "misfit"),
    [
        *(
            (text, "null", f"$: {kind}")
            for kind, text in {
                "array": '[{"a": {"email": "x@leak.example"}}]',
                "string": '"{\\"a\\": {\\"email\\": \\"x@leak.example\\"}}"',
                "number": "436641234567",
            }.items()
        ),
        ('{"a": "x@leak.example"}', '{"a": null}', "$.a: string"),
        ('{"a": [{"email": "x@leak.example"}]}', '{"a": null}', "$.a: array"),
        ('{"items": {"email": "x@leak.example"}}', '{"items": null}', "$.items: object"),
        ('{"items": [{"n": 1}, "x@leak.example"]}', '{"items": [{"n": 1}, null]}', "$.items[*]: string"),
        *((healthy, healthy, None) for healthy in ("null", "true", "[]", "{}", '""', '{"other": ["x", 1]}', '{"a": null}')),
        ('{"items": []}', '{"items": []}', None),
    ],
)  # fmt: skip
def test_a_value_to_which_no_path_applies_is_named_and_not_kept(
    bench: Any, text: str, refused: str, misfit: str | None
) -> None:
    """Another shape than the paths say is reported with its place and becomes null; empty and absent values are accepted."""
    for declared in ("jsonb", "json"):
        assert bench.both({"maker": "jsonb", "paths": NESTED}, declared, [text]) == ([refused], [refused])
        expression = parse({"maker": "jsonb", "paths": NESTED}).misfit(bench.place(declared))  # type: ignore[attr-defined]  # a Document
        assert [row[0] for row in bench.printed(bench.fill(declared, [text]), expression)] == [misfit]
    (kept,), _ = bench.both({"maker": "jsonb", "paths": NESTED, "else": "keep"}, "jsonb", [text])
    assert json.loads(kept) == json.loads(text)
    assert parse({"maker": "jsonb", "paths": NESTED, "else": "keep"}).misfit(bench.place("jsonb")) is None  # type: ignore[attr-defined]  # the same


def test_an_address_in_a_document_joins_the_column(bench: Any) -> None:
    """With the column's group, the same address becomes the same in a document and in its column."""
    paths = {"$.to": {"maker": "email", "form": "hash", "group": "mail"}}
    (inside,), _ = bench.both({"maker": "jsonb", "paths": paths}, "jsonb", ['{"to": "a@b.example"}'])
    (column,), _ = bench.both({"maker": "email", "form": "hash"}, "text", ["a@b.example"], group="mail")
    assert json.loads(inside) == {"to": column}


def test_by_reads_the_table_even_if_names_coincide(bench: Any) -> None:
    """The `by` of a member is a column of the table, with one value for each row, also inside wildcards."""
    paths = {"$[*]": {"maker": "hash", "by": "id"}}
    (text,), _ = bench.both({"maker": "jsonb", "paths": paths}, "jsonb", ['["a", "b"]'])
    assert len(set(json.loads(text))) == 1


@pytest.mark.parametrize("path", ["a", "", "$.", "$..a", "$.a[0]", "$.a[", "$a", '$."', "$.a b", "$[*]x"])
def test_a_wrong_path_is_named(path: str) -> None:
    """Text that is not a path is refused, and the message quotes it."""
    with pytest.raises(ValueError, match="not a path"):
        steps(path)


def test_paths_make_one_tree() -> None:
    """Paths share their beginnings; a named key has precedence over a wildcard."""
    root = tree([("$.a.b", 1), ("$.a.c", 2), ("$.*", 3), ("$.list[*].x", 4)])
    assert {key: child.leaf for key, child in root.keys["a"].keys.items()} == {"b": 1, "c": 2}
    assert root.member is not None
    assert root.member.leaf == 3
    assert steps('$.a."b.c"[*].*') == [("key", "a"), ("key", "b.c"), ("element", ""), ("member", "")]


@given(start=st.dates(), days=st.integers(-40_000, 40_000))
def test_days_are_counted_as_the_calendar_does(start: date, days: int) -> None:
    """Within the range of Python's own dates, the results agree with them."""
    try:
        expected = (start + timedelta(days=days)).isoformat()
    except OverflowError:
        return
    assert moved(start.isoformat(), days) == expected


@pytest.mark.parametrize("days", [1, 2, 7, 90])
def test_a_shift_keeps_intervals_and_moves_every_date(bench: Any, days: int) -> None:
    """The interval between two dates of a person stays; every date moves, by at most `days`."""
    starts = [date(2001, 1, 1) + timedelta(days=n * 10) for n in range(200)]
    made, _ = bench.both({"maker": "date_shift", "days": days}, "date", [d.isoformat() for d in starts], by="id")
    offsets = [(date.fromisoformat(new) - old).days for new, old in zip(made, starts, strict=True)]
    assert all(0 < abs(offset) <= days for offset in offsets)
    assert len(set(offsets)) > 1
    twice = [
        bench.both({"maker": "date_shift", "days": days}, "date", [text], by="id")[0][0]
        for text in ("2001-01-01", "2001-02-01")
    ]
    assert (date.fromisoformat(twice[1]) - date.fromisoformat(twice[0])).days == 31


def test_nested_makers_are_checked_when_parsed() -> None:
    """The short form of a nested maker is its name, and `else: null` in YAML is the option `null`."""
    assert parse({"maker": "array", "each": "hash"}) == parse({"maker": "array", "each": {"maker": "hash"}})
    assert parse({"maker": "jsonb", "paths": {"$.a": "hash"}, "else": None}).model_dump()["rest"] == "null"

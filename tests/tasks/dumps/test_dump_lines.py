"""Rows as JSON and as COPY text: exact inverses, whatever the values hold."""

import json
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dumps.dump_lines import (
    SegmentEnd,
    SegmentStart,
    parse_row,
    read_line,
    require_rows,
    to_copy,
    to_rows,
    write_line,
)
from tasks.estate.schema import Name

# Every character that one of the two forms treats in its own way, and words that mean something to one of them.
NASTY = ["\\N", "\\\\N", "null", "\\", "\\\\", '"', '\\"', '",\t"', '"]\n[\t"', "\t", "\n", "\r\n", "\v", "\\v", "\b\f",
         "\x01\x1f\x7f", "", " ", "é", "🙂", "\u2028", "C:\\users\\venus", "\\u00e4", "\\/", "[\t",
         "{", "}", "\\.", '{"a": "b\\n"}', "[]"]  # fmt: skip
text = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.lists(st.sampled_from(NASTY), max_size=5).map("".join),
)
value = st.one_of(st.none(), text)
tables = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.lists(value, min_size=width, max_size=width), min_size=1, max_size=8)
)
ESCAPED = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def copy_text(rows: Sequence[Sequence[str | None]]) -> bytes:
    """What PostgreSQL writes for these rows, by the rules of its manual."""
    spelt = (("\\N" if v is None else "".join(ESCAPED.get(c, c) for c in v) for v in row) for row in rows)
    return "".join("\t".join(row) + "\n" for row in spelt).encode()


def row_lines(rows: Sequence[Sequence[str | None]]) -> bytes:
    """These rows by the rules of docs/dump-format.md, from another JSON writer."""
    return "".join(
        "[" + ",".join("\t" + json.dumps(v, ensure_ascii=False) for v in row) + "]\n" for row in rows
    ).encode()


@given(tables)
def test_rows_are_written_as_the_format_specifies(rows: list[list[str | None]]) -> None:
    """COPY text becomes exactly the lines that any JSON writer makes of the same values."""
    assert to_rows(copy_text(rows)) == row_lines(rows)


@given(tables)
def test_copy_text_comes_back_byte_for_byte(rows: list[list[str | None]]) -> None:
    """Row lines become exactly the COPY text they were made of."""
    assert to_copy(to_rows(copy_text(rows))) == copy_text(rows)


@given(tables)
def test_values_survive(rows: list[list[str | None]]) -> None:
    """A parser reads from the lines the values that went in, and the proof of their form accepts them."""
    block = to_rows(copy_text(rows))
    assert [parse_row(line) for line in block.split(b"\n")[:-1]] == rows
    require_rows(block, len(rows[0]))


@given(tables)
def test_foreign_escapes_mean_the_same(rows: list[list[str | None]]) -> None:
    """Lines of a JSON writer that escapes all but ASCII, surrogate pairs and slashes too, become the same COPY text."""
    lines = "".join("[" + ",".join("\t" + json.dumps(v).replace("/", "\\/") for v in row) + "]\n" for row in rows)
    assert to_copy(lines.encode()) == copy_text(rows)


def test_nothing_becomes_nothing() -> None:
    """A block without a row stays one in both directions."""
    assert to_rows(b"") == to_copy(b"") == b""


def test_rows_without_columns_are_counted() -> None:
    """A table without columns has rows all the same; one empty string in one column is something else."""
    assert to_rows(b"\n\n", columns=0) == b"[]\n[]\n"
    assert to_copy(b"[]\n[]\n") == b"\n\n"
    assert to_rows(b"\n\n", columns=1) == b'[\t""]\n[\t""]\n'
    require_rows(b"[]\n[]\n", 0)


def test_a_cut_line_is_not_converted() -> None:
    """A block that ends within a line is refused, because its last row would be joined with the next block's first."""
    with pytest.raises(ValueError, match="whole lines"):
        to_rows(b"a\tb\nc")


@pytest.mark.parametrize("lines", [b'[\t"\\u0000"]\n', b'[\t"\\ud800"]\n'])
def test_what_no_text_can_hold_is_refused(lines: bytes) -> None:
    """A NUL or half a surrogate pair has no PostgreSQL text; both ways into the database refuse it."""
    with pytest.raises(ValueError, match=r"NUL|surrogate"):
        to_copy(lines)
    with pytest.raises(ValueError, match=r"NUL|surrogate"):
        require_rows(lines, 1)


def test_a_nul_is_never_written() -> None:
    """PostgreSQL writes no NUL; should one come, it is not passed on."""
    with pytest.raises(ValueError, match="NUL"):
        to_rows(b"a\0b\n")


@pytest.mark.parametrize(
    "line",
    [
        b'[\t"a"]',  # no newline: the reader never yields one, but the check does not rely on it
        b'["a",\t"b"]', b'[\t"a", \t"b"]', b'[\t"a",\t"b" ]', b' [\t"a",\t"b"]', b'[\t"a"\t,\t"b"]', b'[\t"a",\t\t"b"]',
        b'[\t"a",\t"b"]\r', b'[\t"a",\t"\\u00e4"]', b'[\t"a",\t"\\/"]', b'[\t"a",\t"\\u000B"]', b'[\t"a",\t"\\u000a"]',
        b'[\t"a",\t"b",\t"c"]', b"[]", b'[\t"a",\t1]', b'[\t"a",\ttrue]', b'[\t"a",\t["b"]]', b'[\t"a",\t{}]',
        b'[\t["a"],\t"b"]', b'{"a":\t1,"b":\t"c"}', b'"a"', b"\t", b"", b'[\t"a",\t"\x01"]', b'[\t"a",\t"\xff"]',
        b'[\t"a",\t"b"]]', b'[\t"a",\t"b"],[\t"a",\t"b"]', b'[\t"a",\t"\\v"]', b'[\t"a",\t"\\."]', b'[\t"a",\tnull ]',
        b'[\t"a",\tNULL]', b'[\t"a",\t"b"', b'[\t"a","b\\t"]', b'[\t"a\t",\t"b"]', b'[["a"],\t\t"b"]', b'[\t[],\t"b"]',
    ],
)  # fmt: skip
def test_only_one_spelling_is_accepted(line: bytes) -> None:
    """A line with other white space, other escapes, other types or another number of values is not a row of two."""
    good = b'[\t"a",\t"b"]\n'
    require_rows(good, 2)
    for block in (line + b"\n", good + line + b"\n", line + b"\n" + good):
        with pytest.raises(ValueError):  # noqa: PT011  # orjson's own error is one, with a text of its own
            require_rows(block, 2)


@pytest.mark.parametrize(
    "block",
    [
        b'[\t"a"\n\t"b"],[\t"c",\t"d"]\n',  # the two wrongs add up: two lines, two rows, four values
        b'[\t"a",\t"x\ny"],[\t"c",\t"d"]\n',
        b'[\t"a",\t"x]\n[y"],[\t"c",\t"d"]\n',
        b'[\t"a",\t"b"],[\t"c",\t"d"]\n',
        b'[\t"a",\t"b"]\n\n',
        b'[\t"a"]\n[\t"b",\t"c",\t"d"]\n',
        b'\n[\t"a",\t"b"]\n',
    ],
)
def test_a_line_is_a_row(block: bytes) -> None:
    """Rows and lines have the same borders, also where a wrong one is made up for by another."""
    with pytest.raises(ValueError):  # noqa: PT011  # orjson's own error is one, with a text of its own
        require_rows(block, 2)


@given(tables, st.data())
def test_no_accepted_change_is_misread(rows: list[list[str | None]], data: st.DataObject) -> None:
    """Whatever byte is changed, a block that is still accepted is loaded as a parser reads it."""
    block = bytearray(to_rows(copy_text(rows)))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] = data.draw(st.one_of(st.sampled_from(list(b'\\"\t\n ,[]nu/v0{')), st.integers(0, 255)))
    try:
        require_rows(bytes(block), len(rows[0]))
    except ValueError:
        return
    assert to_copy(bytes(block)) == copy_text([orjson.loads(line) for line in bytes(block).split(b"\n")[:-1]])


USERS = Name(schema_name="public", name="users")


@pytest.mark.parametrize(
    "line", [SegmentStart(table=USERS, number=3), SegmentEnd(table=USERS, number=3, rows=7, digest="0" * 64)]
)
def test_describing_lines_come_back(line: SegmentStart | SegmentEnd) -> None:
    """A line is read as it was written, and its kind comes first."""
    assert read_line(write_line(line)) == line
    assert write_line(line).startswith(b'{"kind":"')
    assert json.loads(write_line(line))["table"] == ["public", "users"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[]\n", "kind"), (b"{}\n", "kind"), (b"{\n", "not JSON"), (b'{"kind":"segment"}\n', "table"),
        (b'{"kind":"segment","table":["a"],"number":0}\n', "table"),
        (b'{"kind":"segment","table":["a","b"],"number":"0"}\n', "number"),
        (b'{"kind":"segment","table":["a","b"],"number":0,"more":1}\n', "more"),
    ],
)  # fmt: skip
def test_other_lines_are_named(line: bytes, message: str) -> None:
    """A line of another kind, with a field too few, too many or of another type, is refused with what is wrong."""
    with pytest.raises(ValueError, match=message):
        read_line(line)

"""The lines of a dump: rows as JSON, converted from and to PostgreSQL's COPY text by replacing bytes, not row by row.

A row is `[`, then for each value a raw TAB and the value, separated by `,`, then `]` and a newline. JSON forbids raw TABs
and newlines inside strings, so that each of them is structure and `bytes.replace` is exact.
The escapes of COPY text (`\\\\`, `\\n`, `\\t`, `\\r`, `\\b`, `\\f`) are JSON's too and stay as they are.
Source of the COPY rules: PostgreSQL's manual, COPY, "Text Format". Full description: docs/dump-format.md.
"""

import re
from collections.abc import Sequence
from typing import Any, cast

import orjson
from pydantic import ValidationError

from tasks.estate.dumps import Header, Proof, Trailer
from tasks.estate.schema import Name
from tasks.estate.sites import Immutable

# Raw in COPY text but forbidden raw in JSON. PostgreSQL escapes \b \t \n \v \f \r and writes the other ones as they are.
_WITHOUT_CONTROL = bytes(32 if code < 32 and code not in b"\t\n" else code for code in range(256))  # for translate
# `\\v` is an escaped backslash and a letter, so a backslash is always read together with the next character.
_PAIR_OR_CONTROL = re.compile(rb"\\(.)|([\x00-\x08\x0b-\x1f])", re.DOTALL)
_JSON_ONLY = re.compile(
    rb"(?<!\\)(?:\\\\)*\\[u/]"
)  # an odd number of backslashes before a letter with another meaning in COPY
_COPY_ESCAPES = {
    code: f"\\{letter}" for code, letter in zip(b"\\\b\f\n\r\t\v", "\\bfnrtv", strict=True)
}  # for str.translate


def to_rows(block: bytes, *, columns: int | None = None) -> bytes:
    """Convert whole lines of COPY text to row lines. With `columns=0`, empty lines are rows without a column.

    The text must come from PostgreSQL. Raise `ValueError` if the block ends within a line or contains a NUL.
    """
    if not block:
        return b""
    if not block.endswith(b"\n"):
        raise ValueError("A block of COPY text ends within a line; expected whole lines.")
    if columns == 0:
        return b"[]\n" * block.count(b"\n")
    if block.translate(_WITHOUT_CONTROL) is not block:  # the same object if nothing changed
        block = _spelt(block)  # rare: five times slower
    rows = _framed(block)
    # COPY's other spelling of a control character; last, because few blocks have a backslash left by now.
    return _framed(_spelt(block)) if b"\\" in rows and b"\\v" in rows else rows


def _framed(block: bytes) -> bytes:
    quoted = block.replace(b'"', b'\\"').replace(b"\t", b'",\t"').replace(b"\n", b'"]\n[\t"')
    # `\N` alone in quotes is NULL: as data it is spelt `\\N`.
    return b"".join((b'[\t"', memoryview(quoted)[:-3])).replace(b'\t"\\N"', b"\tnull")


def _spelt(block: bytes) -> bytes:
    return _PAIR_OR_CONTROL.sub(_spelt_for_json, block)


def _spelt_for_json(found: re.Match[bytes]) -> bytes:
    letter, control = found.groups()
    if control is None:
        return b"\\u000b" if letter == b"v" else found.group()
    if control == b"\0":
        raise ValueError("A block of COPY text contains a NUL, which PostgreSQL never writes.")
    return b"\\u%04x" % control[0]


def to_copy(block: bytes) -> bytes:
    r"""Convert whole row lines to COPY text: the inverse of `to_rows`.

    Each line must have the form above (`require_rows`). Escapes of JSON alone (`\u00e4`, `\/`) need a slower parser. Raise
    `ValueError` for text that PostgreSQL cannot store: a NUL, or half a surrogate pair.
    """
    if block.startswith(b"[]"):
        return b"\n" * block.count(b"\n")
    escapes = b"\\" in block  # most blocks have none, and one byte is found much faster than two
    if escapes and (b"\\u" in block or b"\\/" in block) and _JSON_ONLY.search(block):
        return b"".join(_as_copy(parse_row(line)) for line in block.split(b"\n")[:-1])
    block = block.replace(b"\tnull", b'\t"\\N"').replace(b'",\t"', b"\t").replace(b'"]\n[\t"', b"\n")
    # Inside a value each `"` follows a backslash of its own, which is the one to remove.
    block = b"".join((memoryview(block)[3:-3], b"\n")) if block else b""
    return block.replace(b'\\"', b'"') if escapes else block


def _as_copy(values: Sequence[str | None]) -> bytes:
    text = "\t".join("\\N" if value is None else value.translate(_COPY_ESCAPES) for value in values)
    if "\0" in text:
        raise ValueError("A value contains a NUL, which PostgreSQL cannot store.")
    return text.encode() + b"\n"


def parse_row(line: bytes) -> list[str | None]:
    """Return the values of one row line, as PostgreSQL prints them. Raise `ValueError` if it is not JSON."""
    return cast("list[str | None]", orjson.loads(line))


def require_rows(block: bytes, columns: int) -> None:
    """Raise `ValueError`, without a value in it, unless every line is a row of `columns` values in this format's spelling.

    `to_copy` works on bytes: other white space or escapes, although legal JSON, would become another value.
    """
    if columns == 0:
        if block != b"[]\n" * block.count(b"\n"):
            raise ValueError("a row has values; expected none")
        return
    joined = b"[" + block[:-1].replace(b"\n", b",") + b"]"
    rows: list[list[Any]] = orjson.loads(joined)
    # Each newline must end a row: one inside a row or a string has no TAB two bytes after it.
    if set(map(type, rows)) != {list} or not len(rows) == block.count(b"\n") == block.count(b"]\n[\t") + 1:
        raise ValueError("a line is not a row")
    if widths := set(map(len, rows)) - {columns}:
        raise ValueError(f"a row has {max(widths)} values; expected {columns}")
    # As many TABs as values, and after each a string or null; without them, exactly the shortest JSON there is.
    tabs = columns * len(rows)
    starts = block.count(b'\t"') + block.count(b"\tnull")
    if not tabs == starts == block.count(b"\t") or joined.translate(None, b"\t") != orjson.dumps(rows):
        raise ValueError("a row is not spelt as this format requires")
    if b"\\" in joined and b"\\u0000" in joined and any("\0" in value for row in rows for value in row if value):
        raise ValueError("a value contains a NUL, which PostgreSQL cannot store")


class SegmentStart(Immutable):
    """The line before a segment's rows. Segments of a table are numbered from 0, in file order."""

    table: Name
    number: int


class SegmentEnd(Immutable):
    """The line after a segment's rows: how many there were, and the SHA-256 (hex) of their lines' bytes."""

    table: Name
    number: int
    rows: int
    digest: str


Line = Header | SegmentStart | SegmentEnd | Proof | Trailer


def write_line(content: Line) -> bytes:
    """A line that is not a row: one JSON object with its kind, a table's name as `[schema, name]`."""
    fields = content.model_dump(mode="json")
    if isinstance(content, SegmentStart | SegmentEnd):
        fields["table"] = [content.table.schema_name, content.table.name]
    return orjson.dumps({"kind": _KINDS[type(content)], **fields}) + b"\n"


def read_line(line: bytes) -> Line:
    """Parse a line that is not a row. Raise `ValueError` with the kind of line and the wrong fields."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"a line that should describe the dump is not JSON: {error.msg}") from error
    kind = fields.pop("kind", None) if isinstance(fields, dict) else None
    form = next((form for form, each in _KINDS.items() if each == kind), None)
    if form is None:
        raise ValueError(f"a line has the kind {str(kind)[:40]!r}; expected one of {', '.join(_KINDS.values())}")
    if form in (SegmentStart, SegmentEnd):
        match fields.get("table"):
            case [str(schema_name), str(name)]:
                fields["table"] = {"schema_name": schema_name, "name": name}
    try:
        return form.model_validate_json(orjson.dumps(fields), strict=True)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise ValueError(f"the {kind} line is not what it should be: {wrong}") from error


_KINDS: dict[type[Line], str] = {
    Header: "header",
    SegmentStart: "segment",
    SegmentEnd: "end",
    Proof: "proof",
    Trailer: "trailer",
}

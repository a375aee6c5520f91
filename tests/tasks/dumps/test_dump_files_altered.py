"""Dumps that somebody or something changed: cut, flipped, spliced, reordered, forged. None is believed."""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tasks.dumps.compression import Compression, Limits
from tasks.dumps.dump_reader import check
from tasks.estate.errors import DumpRefused

Lines = list[bytes]
Again = Callable[[Lines], Lines]


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """A function that requires a file of these bytes to be refused, and returns the message."""
    path = tmp_path / "broken.dump"

    def require(data: bytes | Lines, **options: Any) -> str:
        path.write_bytes(data if isinstance(data, bytes) else b"".join(data))
        with pytest.raises(DumpRefused) as caught:
            check(str(path), **options)
        assert str(path) in caught.value.message
        assert caught.value.outcome == "DumpRefused"
        return caught.value.message

    return require


@pytest.fixture(params=[7, pytest.param(1, marks=pytest.mark.drill)])
def step(request: pytest.FixtureRequest) -> int:
    """The distance between two places that are changed: the suite tries each seventh, the drill all."""
    distance: int = request.param
    return distance


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_cut_anywhere(make_dump: Any, refused: Any, compression: Compression, step: int) -> None:
    """A dump that ends early is refused, wherever it ends."""
    whole = Path(make_dump(compression=compression).url).read_bytes()
    for at in range(0, len(whole), step):
        refused(whole[:at])
    assert len(whole) > 1000


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_byte_added_or_missing_anywhere(make_dump: Any, refused: Any, compression: Compression, step: int) -> None:
    """One byte more or less, wherever it is, is noticed."""
    whole = Path(make_dump(compression=compression).url).read_bytes()
    for at in range(0, len(whole), step):
        refused(whole[:at] + whole[at + 1 :])
        refused(whole[:at] + b"\x00" + whole[at:])


def test_every_flipped_bit_of_the_content(make_dump: Any, refused: Any, step: int) -> None:
    """In the uncompressed lines there is no bit that may be another one."""
    whole = Path(make_dump(compression="none").url).read_bytes()
    for at in range(0, len(whole), step):
        refused(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])


@pytest.mark.parametrize(("compression", "harmless"), [("gzip", 0.01), ("zstd", 0.02)])
def test_every_flipped_bit_of_the_file(
    make_dump: Any, tmp_path: Path, compression: Compression, harmless: float, step: int
) -> None:
    """A flipped bit is refused, or it means nothing and the content is the same to the byte."""
    facts = make_dump(compression=compression)
    whole = Path(facts.url).read_bytes()
    path, believed = tmp_path / "flipped.dump", 0
    for at in range(0, len(whole) * 8, step):
        path.write_bytes(whole[: at // 8] + bytes([whole[at // 8] ^ (1 << at % 8)]) + whole[at // 8 + 1 :])
        try:
            found = check(str(path))
        except DumpRefused:
            continue
        believed += 1
        assert (found.header, found.trailer) == (facts.header, facts.trailer)
        assert found.sha256 != facts.sha256
    assert believed < harmless * len(whole) * 8 / step


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_anything_changed_anywhere(make_dump: Any, refused: Any, compression: Compression) -> None:
    """Runs of bytes overwritten, moved, doubled or dropped at random places are refused."""
    whole, chance = Path(make_dump(compression=compression).url).read_bytes(), random.Random(3)
    for _ in range(300):
        a, b, c = sorted(chance.sample(range(len(whole) + 1), 3))
        for changed in (
            whole[:a] + whole[b:],
            whole[:b] + whole[a:],
            whole[:a] + whole[b:c] + whole[a:b] + whole[c:],
            whole[:a] + chance.randbytes(b - a) + whole[b:],
        ):
            if changed != whole:
                refused(changed)


def test_lines_in_another_order(lines: Lines, refused: Any, true_again: Again) -> None:
    """Any two lines exchanged, any line twice or left out, is refused; so is it where the digests were made to agree."""
    assert true_again(lines) == lines
    for at in range(len(lines)):
        refused(lines[:at] + lines[at + 1 :])
        refused(lines[: at + 1] + lines[at:])
        for other in range(at):
            swapped = list(lines)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            if swapped != lines:
                refused(swapped)


def segments(lines: Lines) -> list[Lines]:
    """The segments, each from its start to its end line."""
    starts = [at for at, line in enumerate(lines) if line.startswith(b'{"kind":"segment"')]
    return [lines[a:b] for a, b in zip(starts, [*starts[1:], len(lines) - 1], strict=True)]


@pytest.mark.parametrize("believable", [False, True])
def test_segments_in_another_order(lines: Lines, refused: Any, true_again: Again, believable: bool) -> None:
    """Segments swapped, doubled or left out are refused, also by somebody who can compute digests.

    A digest proves no origin: who computes them all again may well drop the last segment of several, or rows.
    """
    made = true_again if believable else list
    parts = segments(lines)
    for at, part in enumerate(parts):
        left_out = [line for other in parts if other is not part for line in other]
        doubled = [line for other in parts for line in (other * 2 if other is part else other)]
        if not (believable and at == 1):
            refused(made([lines[0], *left_out, lines[-1]]))
        refused(made([lines[0], *doubled, lines[-1]]))
        for other in range(at):
            swapped = list(parts)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            refused(made([lines[0], *(line for each in swapped for line in each), lines[-1]]))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_members_of_two_dumps(make_dump: Any, content: Any, refused: Any, compression: Compression) -> None:
    """A member of another dump of the same tables, one left out or two swapped: gzip and zstd do not notice, we do."""
    other = {
        name: (columns, [b.replace(b"Anna", b"Otto") for b in blocks]) for name, (columns, blocks) in content.items()
    }
    ours, theirs = (members(make_dump(c, compression=compression).url, compression) for c in (content, other))
    assert len(ours) == len(theirs) == 7
    for at in range(7):
        if ours[at] != theirs[at]:
            refused(b"".join([*ours[:at], theirs[at], *ours[at + 1 :]]))
        refused(b"".join(ours[:at] + ours[at + 1 :]))
        refused(b"".join([*ours[: at + 1], *ours[at:]]))
        for before in range(at):
            swapped = list(ours)
            swapped[at], swapped[before] = swapped[before], swapped[at]
            refused(b"".join(swapped))


def members(url: str, compression: Compression) -> Lines:
    """The file cut where a member starts."""
    magic = {"gzip": b"\x1f\x8b\x08\0\0\0\0\0", "zstd": b"\x28\xb5\x2f\xfd"}[compression]
    return [magic + member for member in Path(url).read_bytes().split(magic)[1:]]


FORGED: dict[str, tuple[Callable[[bytes], bool], dict[str, Any]]] = {
    "rows of a segment": (lambda line: b'"end"' in line, {"rows": 3}),
    "digest of a segment": (lambda line: b'"end"' in line, {"digest": "0" * 64}),
    "end of another segment": (lambda line: b'"end"' in line, {"number": 1}),
    "end of another table": (lambda line: b'"end"' in line, {"table": ["billing", "invoices"]}),
    "rows in all": (lambda line: b'"trailer"' in line, {"rows": 9}),
    "digest of all": (lambda line: b'"trailer"' in line, {"digest": "0" * 64}),
    "not complete": (lambda line: b'"trailer"' in line, {"complete": False}),
    "no tables": (lambda line: b'"trailer"' in line, {"tables": []}),
    "unknown word": (lambda line: b'"trailer"' in line, {"extra": 1}),
    "segment number": (lambda line: b'"segment"' in line, {"number": 1}),
    "negative number": (lambda line: b'"segment"' in line, {"number": -1}),
}


@pytest.mark.parametrize("name", FORGED)
def test_each_statement_is_checked(lines: Lines, refused: Any, name: str) -> None:
    """A wrong statement is refused although everything that covers it was made to agree."""
    chosen, change = FORGED[name]
    at = next(at for at, line in enumerate(lines) if chosen(line))
    lines[at] = orjson.dumps(orjson.loads(lines[at]) | change) + b"\n"
    refused(agreeing(lines, but=at))


def agreeing(lines: Lines, *, but: int) -> Lines:
    """The trailer's digests and counts made from what the lines say, true or not; the line `but` is left as it is."""
    trailer, ends = orjson.loads(lines[-1]), [orjson.loads(line) for line in lines if line.startswith(b'{"kind":"end"')]
    described = [line for line in lines[:-1] if line.startswith(b"{")]
    if but == len(lines) - 1:
        return lines
    trailer["digest"] = hashlib.sha256(b"".join(described)).hexdigest()
    for table in trailer["tables"]:
        of_table = [e for e in ends if e["table"] == [table["name"]["schema_name"], table["name"]["name"]]]
        table["rows"] = sum(end["rows"] for end in of_table)
        table["digest"] = hashlib.sha256("".join(end["digest"] for end in of_table).encode()).hexdigest()
    trailer["rows"] = sum(table["rows"] for table in trailer["tables"])
    return [*lines[:-1], orjson.dumps(trailer) + b"\n"]


@pytest.mark.parametrize("field", ["rows", "digest", "name"])
def test_each_total_is_checked(lines: Lines, refused: Any, field: str) -> None:
    """The trailer's count, digest and name of a table are compared one by one."""
    trailer = orjson.loads(lines[-1])
    wrong = {"rows": 99, "digest": "0" * 64, "name": {"schema_name": "public", "name": "other"}}
    trailer["tables"][0][field] = wrong[field]
    assert "Trailer" in refused([*lines[:-1], orjson.dumps(trailer) + b"\n"])


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "newer": ({"format_version": 3, "news": "unheard of"}, "has the format version 3; expected at most 2"),
    "another format": ({"format": "other"}, "expected one of the format understudy-dump"),
    "unknown field": ({"more": 1}, "more"),
    "table twice": ({"tables": [3, 3]}, "twice"),
    "column twice": ({"tables": None}, "twice"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_not_ours(lines: Lines, refused: Any, true_again: Again, name: str) -> None:
    """A newer format, another one, an unknown field or a table named twice is refused by the header alone."""
    change, message = HEADERS[name]
    header = orjson.loads(lines[0])
    if name == "table twice":  # the one without columns, which has no column that is there twice too
        change = {"tables": [header["tables"][at] for at in change["tables"]]}
    elif name == "column twice":
        header["tables"][0]["columns"][1] = header["tables"][0]["columns"][0]
        change = {}
    assert message in refused(true_again([orjson.dumps(header | change) + b"\n", *lines[1:]]))


ROWS = [
    b'[\t"1",\t"a"]', b'[\t"1",\t"a",\tnull,\tnull]', b'["1",\t"a",\tnull]', b'[\t1,\t"a",\tnull]', b"[]", b'[\t"1",\t"\\."',
    b'[\t"1",\t"\\u0000",\tnull]', b'[\t"1",\t"\\u00e4",\tnull]', b'[\t"1",\t"\xff",\tnull]', b"1\ta\t\\N", b"",
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_malformed_rows(lines: Lines, refused: Any, true_again: Again, row: bytes) -> None:
    """A row with another number of values or another spelling is refused, with all digests true, without quoting it."""
    message = refused(true_again([*lines[:2], row + b"\n", *lines[3:]]))
    assert "segment 0 of users" in message
    assert "Bernd" not in message


def test_trailing_data(lines: Lines, refused: Any) -> None:
    """Nothing may come after the trailer, not even an empty line."""
    for more in (b"\n", b" ", b"\0", b"{}\n", lines[-1], lines[0]):
        assert "continues after its trailer" in refused([*lines, more])


def test_a_line_that_never_ends(make_dump: Any, refused: Any, lines: Lines) -> None:
    """A line that is too long for the memory is refused by its length."""
    huge = b'[\t"1",\t"' + b"a" * 500_000 + b'",\tnull]\n'
    assert "(Limits.line)" in refused([*lines[:2], huge], limits=Limits(line=200_000))

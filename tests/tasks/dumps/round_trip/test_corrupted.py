"""A dump that is not what was written never changes the target, wherever and however it was changed."""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dumps import dump_reader
from tasks.estate.dumps import DumpFacts
from tasks.estate.errors import DumpRefused, NotLoaded
from tasks.masking.policy import Policy, TableRule

EXAMPLES = int(os.environ.get("UNDERSTUDY_EXAMPLES", "20"))
DDL = """CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, boss bigint REFERENCES people);
CREATE TABLE letters (person bigint REFERENCES people, body text, at timestamptz, tags text[]) PARTITION BY HASH (person);
CREATE TABLE letters_0 PARTITION OF letters FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE letters_1 PARTITION OF letters FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE bare (); CREATE TABLE nothing (a integer)"""
ROWS = """INSERT INTO people (name, boss) SELECT md5((i * {0})::text) || E'\\t"\\\\N', nullif(i - 1, 0) FROM generate_series(1, {0}) i;
INSERT INTO letters SELECT 1 + i % {0}, repeat(E'\\\\"é', i % 50), '2024-01-01', ARRAY[NULL, i::text] FROM generate_series(1, 100) i;
INSERT INTO bare DEFAULT VALUES"""
KEPT = Policy(
    app="trip",
    schema_version=1,
    tables={name: TableRule(whole="keep") for name in ("people", "letters", "bare", "nothing")},
)


@dataclass(frozen=True, repr=False)  # hypothesis prints what a failing example was given
class Pair:
    """Two dumps of one schema."""

    first: DumpFacts
    second: DumpFacts


@pytest.fixture(scope="module")
def pairs(trip: Any) -> dict[str, Pair]:
    """Two dumps of one schema with other rows, in each compression; staging holds a third set of rows."""
    trip.clear("public")
    trip.production.execute(DDL.encode())
    made: dict[str, list[DumpFacts]] = {"gzip": [], "zstd": [], "none": []}
    for rows in (30, 40):
        trip.production.execute(b"TRUNCATE people, letters, bare RESTART IDENTITY")
        trip.production.execute(ROWS.format(rows).encode())
        for compression, facts in made.items():
            facts.append(trip.dump(KEPT, compression=compression, range_bytes=8192))
    trip.staging.execute((DDL + ";" + ROWS.format(5)).encode())
    trip.load(made["gzip"][1], KEPT)  # the marker is there, and the other dump's rows
    return {compression: Pair(*facts) for compression, facts in made.items()}


# Where pieces begin: anywhere, a line, what describes a segment, a gzip member, a zstd frame.
MARKS = [b"", b"\n", b'{"kind":"segment"', b'{"kind":"end"', b'{"kind":"trailer"', b"\x1f\x8b\x08", b"(\xb5/\xfd"]


def flipped(data: Any, good: bytes) -> bytes:
    """One to three bytes with other bits."""
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(changed)


def cut(data: Any, good: bytes) -> bytes:
    """A piece is missing: the end, the start, or something between."""
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(good)))))
    return good[:start] + data.draw(st.sampled_from([b"", good[end:], good[:start] + good[end:]]))


def spliced(data: Any, good: bytes, other: bytes) -> bytes:
    """The beginning of one and the end of another, wherever, or at the same table."""
    at, there = data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(other))))
    mark = data.draw(st.sampled_from(MARKS))
    return good[: max(good.find(mark, at), 0)] + other[max(other.find(mark, there), 0) :]


@settings(
    max_examples=2 * EXAMPLES, derandomize="UNDERSTUDY_EXAMPLES" not in os.environ, database=None,
)  # fmt: skip
@pytest.mark.timeout(max(120, 3 * EXAMPLES))
@given(data=st.data())
def test_a_changed_dump_changes_nothing(pairs: dict[str, Pair], trip: Any, data: st.DataObject) -> None:
    """Flipped bits, missing pieces and pieces of another dump: refused, and every row, place and sequence as before."""
    pair = pairs[data.draw(st.sampled_from(["none", "gzip", "zstd"]))]
    first, good, other = pair.first, Path(pair.first.url).read_bytes(), Path(pair.second.url).read_bytes()
    how = data.draw(st.sampled_from([flipped, cut, lambda d, g: spliced(d, g, other)]))
    changed = how(data, good)
    if changed == good:
        return
    bad = trip.folder / "changed.dump"
    bad.write_bytes(changed)
    try:
        seen = dump_reader.check(str(bad))
    except DumpRefused:
        seen = None
    # A gzip header has bytes without meaning: what still reads as the very same rows is not damaged.
    if seen is not None and seen.trailer == first.trailer and seen.header == first.header:
        assert gzip.decompress(changed) == gzip.decompress(good)
        return
    before = trip.state()
    with pytest.raises((DumpRefused, NotLoaded)):
        trip.load(first, KEPT, readers=data.draw(st.sampled_from(["stay", "wait"])), url=str(bad))
    assert trip.state() == before


@pytest.mark.parametrize("readers", ["stay", "wait"])
def test_an_unchanged_dump_changes_everything(pairs: dict[str, Pair], trip: Any, readers: str) -> None:
    """The test above would see a change: the right dump makes one."""
    before = trip.state()
    trip.load(pairs["none"].first, KEPT, readers=readers)
    assert trip.state() != before
    trip.load(pairs["none"].second, KEPT, readers=readers)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (rb'"\u0000"', "NUL"), (rb'"a\u0000b"', "NUL"), (rb'"\ud800"', "surrogate"), (rb'"\udfffx"', "surrogate"),
        (rb'"\udc00\ud800"', "surrogate"), (b'"\xed\xa0\x80"', "surrogate|UTF-8"), (b'"\0"', "control character"),
        (b'"\xc0\x80"', "UTF-8"), (b'"\xff"', "UTF-8"), (b'"\xf4\x90\x80\x80"', "UTF-8"),
    ],
)  # fmt: skip
def test_what_no_text_can_hold_is_refused_by_name(
    value: bytes, message: str, lines: list[bytes], true_again: Any, tmp_path: Path
) -> None:
    """A hand-made dump whose digests all agree, with a NUL or half a surrogate pair: the error names what and where."""
    at = next(number for number, line in enumerate(lines) if b"Anna" in line)
    lines[at] = lines[at].replace(b'"Anna"', value)
    made = tmp_path / "made.dump"
    made.write_bytes(b"".join(true_again(lines)))
    with pytest.raises(DumpRefused, match=f"segment 0 of users: .*({message})"):
        dump_reader.check(str(made))
    events = dump_reader.read(str(made))
    next(events)
    first = next(events)
    assert isinstance(first, dump_reader.Segment)
    with pytest.raises(DumpRefused, match=message):
        b"".join(first.blocks)

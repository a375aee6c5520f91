"""Compressed bytes: joined by concatenation, read in flat memory, and nothing but the data in them."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tasks.dumps.compression import BLOCK, Compressed, Compression, Limits, compress, detect_compression
from tasks.estate.errors import DumpRefused

PACKED: list[Compression] = ["gzip", "zstd"]
NOISE = random.Random(7).randbytes(300_000)


def pieces(data: bytes, size: int = 1 << 16) -> Iterator[bytes]:
    """The data in pieces, as a file is read."""
    return (data[at : at + size] for at in range(0, len(data), size))


def unpacked(data: bytes, size: int = 1 << 16, limits: Limits | None = None) -> bytes:
    """What a reader gets of it."""
    return b"".join(Compressed("x.dump", pieces(data, size), limits or Limits()))


@pytest.mark.parametrize("compression", [*PACKED, "none"])
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 16, 1 << 30])
def test_members_concatenate(compression: Compression, size: int) -> None:
    """Blocks that were packed one by one are read as one, however the file hands its bytes over."""
    blocks = [b'{"a":1}\n', b"", b"x" * 5000, NOISE[:2000], b"end\n"]
    packed = b"".join(compress(block, compression) for block in blocks)
    assert unpacked(packed, size) == b"".join(blocks)
    assert detect_compression(packed) == compression


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.integers(1, 50), st.sampled_from(PACKED))
def test_any_bytes_come_back(blocks: list[bytes], size: int, compression: Compression) -> None:
    """Packing loses nothing."""
    assert unpacked(b"".join(compress(block, compression) for block in blocks), size) == b"".join(blocks)


@pytest.mark.parametrize("compression", PACKED)
def test_large_blocks_come_in_small_ones(compression: Compression) -> None:
    """However much a member holds, it is given out about a mebibyte at a time, gzip exactly."""
    data = b"abc" * 3_000_000
    blocks = list(Compressed("x", pieces(compress(data, compression)), Limits()))
    assert b"".join(blocks) == data
    assert len(blocks) > (8 if compression == "gzip" else 0)
    assert compression == "zstd" or max(map(len, blocks)) <= BLOCK


def test_the_world_can_read_and_write_it() -> None:
    """Plain gzip and zstd tools read what we write; what Python's own zlib writes is read here."""
    data = b'{"a":1}\n' * 1000
    assert gzip.decompress(compress(data, "gzip") * 2) == data * 2
    assert zstandard.ZstdDecompressor().decompress(compress(data, "zstd")) == data
    for level in (1, 6, 9):
        assert unpacked(zlib.compress(data, level, wbits=31)) == data


@pytest.mark.parametrize("compression", PACKED)
def test_a_cut_is_found_at_every_byte(compression: Compression) -> None:
    """Whatever is missing at the end of a member, it is noticed; only a whole member less is not, and that others notice."""
    first = compress(NOISE[:300], compression)
    packed = first + compress(b"second" * 20, compression)
    for at in range(len(packed)):
        if at != len(first):
            with pytest.raises(DumpRefused, match=r"x\.dump"):
                unpacked(packed[:at])
    assert unpacked(packed[: len(first)]) == NOISE[:300]


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("trailing", [b"\0", b"\0" * 512, b"x", b"\x1f\x8b", b"\x28\xb5", b"{}\n", b"PK\x03\x04"])
def test_trailing_bytes_are_refused(compression: Compression, trailing: bytes) -> None:
    """Nothing may follow the last member, not even the zeros that other readers skip."""
    with pytest.raises(DumpRefused, match="expected"):
        unpacked(compress(b"data", compression) + trailing)


@pytest.mark.parametrize(
    "hiding",
    [
        b"\x1f\x8b\x08\x08\0\0\0\0\0\xffsecret name\0" + compress(b"x", "gzip")[10:],  # a file name
        b"\x1f\x8b\x08\x10\0\0\0\0\0\xffsecret comment\0" + compress(b"x", "gzip")[10:],
        b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0secret" + compress(b"x", "gzip")[10:],  # an extra field
        b"\x1f\x8b\x08\0\0\0\0\0\x55\x55" + compress(b"x", "gzip")[10:],  # two bytes that no decoder looks at
        b"\x1f\x8b\x08\0abcd\0\xff" + compress(b"x", "gzip")[10:],  # a time stamp
    ],
)
def test_headers_hide_nothing(hiding: bytes) -> None:
    """A gzip header has room for bytes that no digest of the content covers; here it has none."""
    assert gzip.decompress(hiding) == b"x"
    with pytest.raises(DumpRefused, match="the start of a gzip member"):
        unpacked(compress(b"a", "gzip") + hiding)


def test_skippable_frames_are_refused() -> None:
    """A zstd frame that decoders skip is a hiding place too."""
    skippable = b"\x50\x2a\x4d\x18\x06\0\0\0secret"
    for packed in (compress(b"a", "zstd") + skippable, skippable + compress(b"a", "zstd")):
        with pytest.raises(DumpRefused, match="expected"):
            unpacked(packed)


def test_damage_is_named() -> None:
    """After a wrong checksum the error reports that the file is damaged, and about where."""
    packed = bytearray(compress(NOISE[:1000], "gzip"))
    packed[-6] ^= 1
    with pytest.raises(DumpRefused, match=r"x\.dump is damaged .*expected gzip data"):
        unpacked(bytes(packed))


@pytest.mark.parametrize(
    "start", [b"", b"P", b"PK\x03\x04", b"BZh9", b"\x1f", b"[", b"\xef\xbb\xbf{", b"SQLite format 3"]
)
def test_other_files_are_no_dump(start: bytes) -> None:
    """What starts like something else, or is empty, is refused before anything is unpacked."""
    with pytest.raises(DumpRefused, match="does not start like a dump"):
        unpacked(start)


@pytest.mark.parametrize("compression", PACKED)
def test_a_bomb_is_refused_by_its_ratio(compression: Compression) -> None:
    """Input that grows a thousandfold is refused early, and is never held in memory."""
    bomb = b'{"a":1}\n' + bytes(300_000_000)
    packed = compress(bomb, compression)
    del bomb
    tracemalloc.start()
    try:
        with pytest.raises(DumpRefused, match=r"times its size.*\(Limits\.ratio\)"):
            for _ in Compressed("x.dump", pieces(packed), Limits(ratio=500)):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (4_000_000 if compression == "gzip" else 50_000_000)


@pytest.mark.parametrize("compression", [*PACKED, "none"])
def test_a_size_can_be_forbidden(compression: Compression) -> None:
    """With a limit of size, no more than that is unpacked."""
    packed = b"".join(compress(b"{" + NOISE, compression) for _ in range(3))
    allowed = Limits(uncompressed=3 * (len(NOISE) + 1))
    assert len(unpacked(packed, limits=allowed)) == allowed.uncompressed
    with pytest.raises(DumpRefused, match=r"grows beyond 900,002 bytes.*\(Limits\.uncompressed\)"):
        unpacked(packed, limits=allowed.model_copy(update={"uncompressed": allowed.uncompressed - 1}))


def test_a_greedy_window_is_refused() -> None:
    """A zstd frame that asks the reader for more memory than any dump needs does not get it."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27)
    greedy = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(DumpRefused, match="damaged"):
        unpacked(greedy.compress(NOISE) + greedy.flush())

"""Compression of a dump in independent blocks, so that parts of several workers are joined by concatenation.

gzip members and zstd frames can be concatenated. Neither format notices a missing or swapped one; the digests in the dump
do (dump_lines.py). This layer refuses truncated members, bytes outside members, header fields that can hide data, and
input that expands beyond `Limits`.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Literal

import zstandard
from isal import igzip_lib, isal_zlib

from tasks.estate.errors import DumpRefused
from tasks.estate.sites import Immutable

Compression = Literal["gzip", "zstd", "none"]
BLOCK = 1 << 20  # bytes of input to one member: a larger one gains nothing, a smaller one compresses worse
_DAMAGED: tuple[type[Exception], ...] = (igzip_lib.IsalError, zstandard.ZstdError)  # type: ignore[assignment]  # isal's stub calls its class an instance
CHUNK = 1 << 16  # bytes read from a compressed file at a time
# A gzip header without name, comment, extra field or time, which could hide bytes. The last two bytes are the level of
# compression and the operating system, as the usual libraries write them.
_GZIP = tuple(b"\x1f\x8b\x08" + bytes(5) + bytes((tried, system)) for tried in (0, 2, 4) for system in (3, 255))
_ZSTD = (zstandard.FRAME_HEADER,)
_WINDOW = 1 << 23  # bytes that a zstd frame may require; ours never require more than a block
_PIECE = 1 << 8  # compressed bytes passed to zstd at once: at worst they become 8 MiB, which is refused


class Limits(Immutable):
    """What a dump may cost to read. The defaults allow any dump that an export can write."""

    uncompressed: int = 1 << 41  # bytes in all: 2 TiB
    ratio: float = 800  # uncompressed ÷ compressed, checked beyond `ratio_from` bytes; gzip's maximum is 1,032
    ratio_from: int = 1 << 26
    line: int = 1 << 30  # bytes of one line, which must fit into memory. PostgreSQL's own limit for a value is 1 GiB


def compress(data: bytes, compression: Compression, *, level: int = 1) -> bytes:
    """Compress data to one independent member. The level (0 to 3) decides how long a dump takes."""
    if compression == "gzip":
        return isal_zlib.compress(data, level, 31)  # 31: gzip header and CRC-32, time stamp 0
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=level, write_checksum=True).compress(data)
    return data


def detect_compression(start: bytes) -> Compression | None:
    """Detect the compression from the first bytes of a dump; its file name proves nothing."""
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    if start.startswith(_ZSTD):
        return "zstd"
    return "none" if start.startswith(b"{") else None


class _GzipMember:
    """One gzip member, decompressed to at most `BLOCK` bytes at a time."""

    def __init__(self) -> None:
        self._inner = isal_zlib.decompressobj(31)

    def take(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Return output, unused input, and whether the member has ended."""
        out = self._inner.decompress(data, BLOCK)
        return out, self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail, self._inner.eof


class _ZstdFrame:
    """One zstd frame, with little input at a time, because the library does not limit its output."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()

    def take(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Return output, unused input, and whether the frame has ended."""
        out = self._inner.decompress(data[:_PIECE])
        return out, self._inner.unused_data + data[_PIECE:], self._inner.eof


class Compressed:
    """The uncompressed bytes of a dump, a block at a time. `compression` is detected from its first bytes.

    Iteration raises `DumpRefused` if the dump is truncated or damaged, has trailing bytes, or exceeds `limits`.
    """

    def __init__(self, name: str, chunks: Iterator[bytes], limits: Limits) -> None:
        self._name, self._chunks, self._limits = name, self._counted(chunks), limits
        self._read = 0
        self._start = b""
        while len(self._start) < len(zstandard.FRAME_HEADER) and (more := next(self._chunks, b"")):
            self._start += more
        compression = detect_compression(self._start)
        if compression is None:
            raise self._refused("does not start like a dump", "gzip, zstd, or a JSON object")
        self.compression: Compression = compression

    def __iter__(self) -> Iterator[bytes]:
        """Yield blocks that are not empty, of about a mebibyte at most."""
        if self.compression == "gzip":
            blocks = self._members(_GZIP, _GzipMember)
        elif self.compression == "zstd":
            blocks = self._members(_ZSTD, _ZstdFrame)
        else:
            blocks = chain([self._start], self._chunks)
        written = 0
        for block in blocks:
            written += len(block)
            self._require_modest(written)
            if block:
                yield block

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._read += len(chunk)
            yield chunk

    def _members(self, magic: tuple[bytes, ...], opened: type[_GzipMember] | type[_ZstdFrame]) -> Iterator[bytes]:
        data = self._start
        while data or (data := next(self._chunks, b"")):
            while len(data) < len(magic[0]) and (more := next(self._chunks, b"")):
                data += more
            if not data.startswith(magic):
                raise self._refused(
                    "contains bytes that belong to no part of it", f"the start of a {self.compression} member"
                )
            member, ended = opened(), False
            while not ended:
                try:
                    out, data, ended = member.take(data)
                except _DAMAGED as error:
                    raise self._refused(f"is damaged ({error})", f"{self.compression} data") from error
                yield out
                # A member may have output left after its input is used up: call it again before it gets more.
                if not ended and not data and not out and not (data := next(self._chunks, b"")):
                    raise self._refused("ends within a member", "a whole dump")

    def _require_modest(self, written: int) -> None:
        limits = self._limits
        if written > limits.uncompressed:
            raise self._refused(
                f"grows beyond {limits.uncompressed:,} bytes", "no more than that (Limits.uncompressed)"
            )
        if written > limits.ratio_from and written > limits.ratio * self._read:
            raise self._refused(
                f"grows to {written / self._read:,.0f} times its size", f"at most {limits.ratio:g} times (Limits.ratio)"
            )

    def _refused(self, found: str, expected: str) -> DumpRefused:
        return DumpRefused(f"The dump {self._name} {found}, among its first {self._read:,} bytes; expected {expected}.")

"""The reader of dumps: one pass in constant memory that checks every line against the lines before it."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import fsspec
import orjson

from tasks.dumps import age_encryption
from tasks.dumps.compression import CHUNK, Compressed, Limits
from tasks.dumps.dump_lines import Line, SegmentEnd, SegmentStart, read_line, require_rows, to_copy
from tasks.estate.dumps import FORMAT, FORMAT_VERSION, NOT_CHECKED, DumpFacts, Header, Proof, TableTotals, Trailer
from tasks.estate.errors import DumpRefused
from tasks.estate.schema import Name
from tasks.estate.sites import Immutable

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Segment:
    """A segment that is being read. `blocks`: whole lines, for one pass; lines that are left are read and checked anyway."""

    table: Name
    number: int
    blocks: Iterator[bytes]


@dataclass(frozen=True)
class SealedProof:
    """The proof of a dump, and the digest over all lines before it, to which it is bound."""

    proof: Proof
    body: str


Event = Header | Segment | SealedProof | Trailer


def read(
    url: str,
    *,
    identities: Sequence[str] = (),
    passphrase: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    as_rows: bool = False,
    proven: str | None = None,
) -> Iterator[Event]:
    """Yield the header, each segment with its rows, the proof if there is one, and the trailer, which proves all before it.
    Whether the proof's seal fits is checked with the key (tasks/dumps/leak_search_proof.py).

    Blocks are COPY text, or row lines with `as_rows`. Rows are yielded before their segment's digest is known, so that the
    caller must undo what it did with them if this raises `DumpRefused`, which it does at the first difference.

    `proven`: the trailer's digest of a dump that `check` read before. Its rows are then not parsed again, which is most of
    the work; that they are the same bytes is proven at the trailer at the latest.
    """
    with _opened(url, identities, passphrase) as opened:
        yield from _Dump(opened, limits, proven).events(as_rows=as_rows)


def check(
    url: str,
    *,
    identities: Sequence[str] = (),
    passphrase: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    evaluate_proof: Callable[[Header, SealedProof | None], str] = lambda header, sealed: NOT_CHECKED,
) -> DumpFacts:
    """Read a whole dump and return its facts. `evaluate_proof` returns why it is unproven, or nothing if its proof holds.

    Raise `DumpRefused` with the file, what was found and what was expected.
    """
    with _opened(url, identities, passphrase) as opened:
        dump = _Dump(opened, limits)
        events = [event for event in dump.events(as_rows=True) if not isinstance(event, Segment)]
        header, sealed, trailer = events[0], events[1], events[-1]
        if not isinstance(header, Header) or not isinstance(trailer, Trailer):
            raise TypeError("A dump was read without its header or trailer.")
        return DumpFacts(
            url=url,
            header=header,
            trailer=trailer,
            bytes=opened.stored.bytes,
            sha256=opened.stored.digest.hexdigest(),
            encrypted=opened.encrypted,
            compression=dump.compression,
            unproven=evaluate_proof(header, sealed if isinstance(sealed, SealedProof) else None),
        )


class _Stored:
    """The stored file, counted and hashed while it is read."""

    def __init__(self, name: str, file: Any) -> None:
        self.name, self._file = name, file
        self.bytes, self.digest = 0, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes of the file, none at the end."""
        data: bytes = self._file.read(size)
        self.bytes += len(data)
        self.digest.update(data)
        return data


@dataclass(frozen=True)
class _Opened:
    """A stored dump and its clear bytes."""

    stored: _Stored
    encrypted: bool
    chunks: Iterator[bytes]


@contextmanager
def _opened(url: str, identities: Sequence[str], passphrase: str | None) -> Iterator[_Opened]:
    filesystem, path = fsspec.core.url_to_fs(url)
    try:
        file = filesystem.open(path, "rb")
    except OSError as error:
        raise DumpRefused(f"The dump {path} cannot be opened ({error.strerror or 'not found'}).") from error
    with file:
        stored = _Stored(path, file)
        start = stored.read(age_encryption.START_BYTES)
        encrypted = age_encryption.is_encrypted(start)
        if encrypted:
            chunks = age_encryption.decrypted(path, start, stored, identities=identities, passphrase=passphrase)
        else:
            chunks = _chunks(start, stored)
        with closing(chunks):  # a thread may be decrypting: it ends before its file is closed
            yield _Opened(stored, encrypted, chunks)


def _chunks(start: bytes, stored: _Stored) -> Generator[bytes, None, None]:
    while start:
        yield start
        start = stored.read(CHUNK)


class _Dump:
    """One pass over a dump: what its header announced, and what has been read so far."""

    def __init__(self, opened: _Opened, limits: Limits, proven: str | None = None) -> None:
        self._name = opened.stored.name
        self._proven = proven
        compressed = Compressed(self._name, opened.chunks, limits)
        self.compression: str = compressed.compression
        self._lines = _Lines(self._name, iter(compressed), limits.line)
        self._digest = hashlib.sha256()  # over the header line and each segment's first and last line
        self._totals: list[TableTotals] = []

    def events(self, *, as_rows: bool) -> Iterator[Event]:
        """Yield what `read` yields, comparing each line with the header and the rows before it."""
        header = self._header()
        yield header
        line = self._next()
        for table in header.tables:
            rows, digest, number = 0, hashlib.sha256(), 0
            while number == 0 or (isinstance(line, SegmentStart) and line.table == table.name):
                self._require(line, SegmentStart(table=table.name, number=number))
                checked = self._checked(table.name, number, len(table.columns))
                # A generator of its own: closing it, or stopping early, does not end the checks.
                yield Segment(table.name, number, (block if as_rows else to_copy(block) for block in checked))
                for _ in checked:
                    pass
                rows += self._end.rows
                digest.update(self._end.digest.encode())
                number += 1
                line = self._next()
            self._totals.append(TableTotals(name=table.name, rows=rows, digest=digest.hexdigest()))
        proof = line if isinstance(line, Proof) else None
        if proof is not None:
            yield SealedProof(proof, self._body)
            line = self._next()
        total = sum(table.rows for table in self._totals)
        end = Trailer(
            tables=tuple(self._totals), rows=total, digest=self._digest.hexdigest(), attack=proof and proof.attack
        )
        self._require(line, end)
        self._lines.require_end()
        if self._proven not in (None, self._digest.hexdigest()):
            raise self._refused("is not the one that was checked before", f"the digest {self._proven}")
        yield end

    def _header(self) -> Header:
        line = self._lines.line()
        header = self._parsed(line)
        self._digest.update(line)
        if not isinstance(header, Header) or header.format != FORMAT:
            raise self._refused("does not start with the header of a dump", f"one of the format {FORMAT}")
        names = [str(table.name) for table in header.tables]
        columns = [(str(table.name), column.name) for table in header.tables for column in table.columns]
        if len(set(names)) != len(names) or len(set(columns)) != len(columns):
            raise self._refused("names a table or a column twice in its header", "each once")
        return header

    def _next(self) -> Line:
        data = self._lines.line()
        line = self._parsed(data)
        if isinstance(line, Proof):
            self._body = self._digest.hexdigest()
        if not isinstance(line, Trailer):
            self._digest.update(data)
        return line

    def _parsed(self, line: bytes) -> Line:
        self._require_known_version(line)
        try:
            return read_line(line)
        except ValueError as error:
            raise self._refused(f"is damaged: {error}", "the lines that its header announces") from error

    def _require_known_version(self, line: bytes) -> None:
        """Check the version first: a newer header may have fields that this reader does not know."""
        try:
            content = orjson.loads(line)
        except orjson.JSONDecodeError:
            return
        version = content.get("format_version", 0) if isinstance(content, dict) else 0
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise self._refused(f"has the format version {version}", f"at most {FORMAT_VERSION}: update this program")

    def _checked(self, table: Name, number: int, columns: int) -> Iterator[bytes]:
        rows, digest = 0, hashlib.sha256()
        for block in self._lines.blocks():
            digest.update(block)
            rows += block.count(b"\n")
            if self._proven is None:
                self._require_rows(block, columns, f"segment {number} of {table}")
            yield block
        end = SegmentEnd(table=table, number=number, rows=rows, digest=digest.hexdigest())
        self._require(self._next(), end)
        self._end = end

    def _require_rows(self, block: bytes, columns: int, where: str) -> None:
        try:
            require_rows(block, columns)
        except ValueError as error:
            raise self._refused(f"is damaged in {where}: {error}", "rows as they were written") from error

    def _require(self, found: Immutable, expected: Immutable) -> None:
        """Require the line that follows from the rows and lines so far."""
        if found != expected:
            raise self._refused(f"contains {_shown(found)}", f"{_shown(expected)}, as counted and computed")

    def _refused(self, found: str, expected: str) -> DumpRefused:
        return DumpRefused(f"The dump {self._name} {found}; expected {expected}.")


def _shown(line: Immutable) -> str:
    """Return a line for a message, without tables and hashes, which are long."""
    fields = line.model_dump(mode="json", exclude={Header: {"tables"}, Proof: {"sealed"}}.get(type(line)))
    return f"{type(line).__name__} {fields}"


class _Lines:
    """The uncompressed bytes as lines that describe (`{`) and blocks of rows (`[`)."""

    def __init__(self, name: str, chunks: Iterator[bytes], limit: int) -> None:
        self._name, self._chunks, self._limit = name, chunks, limit
        self._rest = b""

    def line(self) -> bytes:
        """Return the next line of either kind with its newline."""
        while (end := self._rest.find(b"\n") + 1) == 0:
            self._fill()
        line, self._rest = self._rest[:end], self._rest[end:]
        return line

    def blocks(self) -> Iterator[bytes]:
        """Yield whole lines, many at a time, up to the next line that starts with `{`."""
        while True:
            while b"\n" not in self._rest:
                self._fill()
            if self._rest.startswith(b"{"):
                return
            # Rows contain no raw newline, so a newline before `{` always starts a line that describes.
            last = self._rest.find(b"\n{")
            end = (last if last >= 0 else self._rest.rfind(b"\n")) + 1
            block, self._rest = self._rest[:end], self._rest[end:]
            yield block

    def _fill(self) -> None:
        """Read until there is a newline and join the pieces once: a line may be as large as a value."""
        pieces, size = [self._rest], len(self._rest)
        for chunk in self._chunks:
            pieces.append(chunk)
            size += len(chunk)
            if b"\n" in chunk:
                break
            if size > self._limit:
                raise DumpRefused(
                    f"The dump {self._name} contains a line of more than {self._limit:,} bytes (Limits.line)."
                )
        else:
            raise DumpRefused(f"The dump {self._name} ends before its trailer; expected the whole dump.")
        self._rest = b"".join(pieces)

    def require_end(self) -> None:
        """Require that nothing follows the trailer."""
        if self._rest or next(self._chunks, b""):
            raise DumpRefused(f"The dump {self._name} continues after its trailer; expected its end.")

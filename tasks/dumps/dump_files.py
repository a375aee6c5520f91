"""Dump files: their names, and how header, segments and trailer become one file. The format: docs/dump-format.md."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from tasks.dumps import age_encryption
from tasks.dumps.compression import Compression, compress
from tasks.dumps.dump_lines import SegmentEnd, SegmentStart, write_line
from tasks.dumps.segment_writer import MODE, Part
from tasks.estate.dumps import SUFFIXES, DumpFacts, Header, Proof, TableTotals, Trailer
from tasks.estate.errors import NotExported, NotFound

_CHUNK = 1 << 20  # bytes copied at a time
_NAME = r"{}-export-(\d{{8}}-\d{{6}})\.json(\.gz|\.zst)?(\.age)?"


def dump_name(app: str, when: datetime, compression: Compression = "gzip", encrypted: bool = False) -> str:
    """Return `<app>-export-YYYYMMDD-HHMMSS.json.gz`, in UTC. Raise `ValueError` if `when` has no time zone."""
    if when.tzinfo is None:
        raise ValueError("The time of a dump has no time zone; its name is in UTC.")
    sealed = ".age" if encrypted else ""
    return f"{app}-export-{when.astimezone(UTC):%Y%m%d-%H%M%S}{SUFFIXES[compression]}{sealed}"


def newest_dump(folder: str, app: str) -> str:
    """Return the address of an application's newest dump, by the time in its name. Raise `NotFound` without one."""
    system, path = fsspec.core.url_to_fs(folder)
    pattern = re.compile(_NAME.format(re.escape(app)))
    names = [str(each) for each in system.ls(path, detail=False)] if system.exists(path) else []
    dumps = {found[1]: name for name in names if (found := pattern.fullmatch(name.rsplit("/", 1)[-1]))}
    if not dumps:
        raise NotFound(
            f"There is no dump of {app!r} in {Path(folder).name or folder}; expected {app}-export-….json.gz.",
            next_step="Run `anonymize` first, or name a dump by its path or URL.",
        )
    newest = dumps[max(dumps)]
    return system.unstrip_protocol(newest) if "://" in folder else newest


def remove_dump(url: str) -> str:
    """Remove a dump, and return a sentence with the result."""
    system, path = fsspec.core.url_to_fs(url)
    name = path.rsplit("/", 1)[-1]
    try:
        if not system.exists(path):
            return f"The dump {name} is gone."
        system.rm(path)
    except OSError as error:
        return f"The dump {name} could NOT be removed ({type(error).__name__}): remove it."
    return f"The dump {name} was removed."


def assemble(
    target_url: str,
    header: Header,
    parts: Sequence[Part],
    *,
    compression: Compression,
    recipients: Sequence[str] = (),
    passphrase: str | None = None,
    prove: Callable[[str], Proof] | None = None,
) -> DumpFacts:
    """Join the parts to a dump at a path or fsspec URL. The file gets its name only when it is complete.

    `prove` makes the proof line from the digest of all lines before it. With recipients or a passphrase the dump is
    encrypted while it is written, so that the clear file is never on disk. Raise `NotExported` if a segment is missing,
    duplicated or changed since it was written, or if the target exists.
    """
    ordered = _in_order(header, parts)
    proof, trailer = _end(header, ordered, prove)
    encrypted = bool(recipients) or passphrase is not None
    source = _Bundle(header, ordered, proof, trailer, compression)
    try:
        with _new_file(target_url) as file:
            target = _Hashing(file)
            if encrypted:
                age_encryption.encrypt(source, target, recipients=recipients, passphrase=passphrase)  # type: ignore[arg-type]  # it writes
            else:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
    except OSError as error:
        raise NotExported(f"The dump cannot be written ({error.strerror or error}); expected room for it.") from error
    return DumpFacts(
        url=re.sub(r"(?<=://)[^/@]*@", "", target_url),  # without the login
        header=header,
        trailer=trailer,
        bytes=target.bytes,
        sha256=target.digest.hexdigest(),
        encrypted=encrypted,
        compression=compression,
    )


def _in_order(header: Header, parts: Sequence[Part]) -> list[list[Part]]:
    """Return the parts of each table of the header, in order. Raise `NotExported` if one is missing or unknown."""
    known: dict[str, list[Part]] = {str(table.name): [] for table in header.tables}
    strange: set[str] = set()
    for part in parts:
        if str(part.table) in known:
            known[str(part.table)].append(part)
        else:
            strange.add(str(part.table))
    for name, found in known.items():
        found.sort(key=lambda part: part.number)
        numbers = [part.number for part in found]
        if not numbers or numbers != list(range(len(numbers))):
            raise NotExported(f"Table {name} has the segments {numbers}; expected 0 to its last, each once.")
    if strange:
        raise NotExported(f"There are segments of {', '.join(sorted(strange))}; expected only tables of the header.")
    return list(known.values())


def _end(
    header: Header, ordered: Sequence[Sequence[Part]], prove: Callable[[str], Proof] | None
) -> tuple[Proof | None, Trailer]:
    digest = hashlib.sha256(write_line(header))
    totals = []
    for table in ordered:
        of_table = hashlib.sha256()
        for part in table:
            end = SegmentEnd(table=part.table, number=part.number, rows=part.rows, digest=part.digest)
            digest.update(write_line(SegmentStart(table=part.table, number=part.number)) + write_line(end))
            of_table.update(part.digest.encode())
        rows = sum(part.rows for part in table)
        totals.append(TableTotals(name=table[0].table, rows=rows, digest=of_table.hexdigest()))
    proof = prove(digest.hexdigest()) if prove is not None else None
    if proof is not None:
        digest.update(write_line(proof))
    rows = sum(total.rows for total in totals)
    found = proof.attack if proof is not None else None
    return proof, Trailer(tables=tuple(totals), rows=rows, digest=digest.hexdigest(), attack=found)


class _Bundle:
    """A readable stream of the bytes of a dump, without a copy of its parts."""

    def __init__(
        self,
        header: Header,
        ordered: Sequence[Sequence[Part]],
        proof: Proof | None,
        trailer: Trailer,
        compression: Compression,
    ) -> None:
        self._first = compress(write_line(header), compression)
        end = write_line(trailer) if proof is None else write_line(proof) + write_line(trailer)
        self._last = compress(end, compression)
        self._parts = [part for table in ordered for part in table]
        self._chunks = self._all()
        self._rest = memoryview(b"")

    def _all(self) -> Iterator[bytes]:
        yield self._first
        for part in self._parts:
            copied = 0
            with part.path.open("rb", buffering=0) as file:
                while chunk := file.read(_CHUNK):
                    copied += len(chunk)
                    yield chunk
            if copied != part.bytes:
                raise NotExported(
                    f"The part {part.path.name} has {copied:,} bytes; expected the {part.bytes:,} written to it."
                )
        yield self._last

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, or all that are left if `size` is negative."""
        if size < 0:
            return bytes(self._rest) + b"".join(self._chunks)
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return data


class _Hashing:
    """A writable file that counts and hashes its bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes, self.digest = 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of the data."""
        self._file.write(data)
        self.bytes += len(data)
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Flush the file; age calls this."""
        self._file.flush()


@contextmanager
def _new_file(url: str) -> Iterator[BinaryIO]:
    """Open a file under a temporary name; rename it on success and remove it after any failure."""
    filesystem, path = fsspec.core.url_to_fs(url)
    temporary = f"{path}.{uuid4().hex[:8]}.unfinished"
    if filesystem.exists(path):
        raise NotExported(f"The file {path} exists already; expected a new name, because a dump is never overwritten.")
    opened = _local_file if isinstance(filesystem, LocalFileSystem) else _remote_file
    with opened(filesystem, temporary, path) as file:
        yield file


@contextmanager
def _local_file(filesystem: Any, temporary: str, path: str) -> Iterator[BinaryIO]:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename, it fails if the target exists by now
        except FileExistsError as error:
            raise NotExported(f"The file {path} appeared while the dump was written; it was left as it is.") from error
        folder = os.open(Path(path).parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # so that the name survives a power failure
        finally:
            os.close(folder)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def _remote_file(filesystem: Any, temporary: str, path: str) -> Iterator[BinaryIO]:
    """Write under a temporary name: stores differ in what they do with a file that is closed half-written."""
    try:
        with filesystem.open(temporary, "wb") as file:
            yield file
        filesystem.mv(temporary, path)
    finally:
        if filesystem.exists(temporary):
            filesystem.rm(temporary)

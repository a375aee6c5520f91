"""The bundle: header, segments and trailer joined to one self-describing file. The format is in docs/dump-format.md."""

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
    """`<app>-export-YYYYMMDD-HHMMSS.json.gz`, in UTC. Raises `ValueError` where `when` has no time zone."""
    if when.tzinfo is None:
        raise ValueError("The time of a dump has no time zone; its name is in UTC.")
    sealed = ".age" if encrypted else ""
    return f"{app}-export-{when.astimezone(UTC):%Y%m%d-%H%M%S}{SUFFIXES[compression]}{sealed}"


def newest_dump(folder: str, app: str) -> str:
    """The address of the newest dump of an application, by the time in its name. Raises `NotFound`."""
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
    """Remove a dump, and return a sentence that says whether that was possible."""
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
    """Join the parts to a dump at a path or any fsspec URL. It appears under its name only when it is complete.

    `prove` makes the proof line from the digest of all lines before it.

    Sealed on the way where recipients or a passphrase are given, so that the clear whole is never on disk. Raises
    `NotExported` where a segment is missing, doubled or changed since it was written, or where the target exists.
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
        url=re.sub(r"(?<=://)[^/@]*@", "", target_url),  # a login in the URL is nothing to keep
        header=header,
        trailer=trailer,
        bytes=target.bytes,
        sha256=target.digest.hexdigest(),
        encrypted=encrypted,
        compression=compression,
    )


def _in_order(header: Header, parts: Sequence[Part]) -> list[list[Part]]:
    """Per table of the header its parts, from 0 without a gap."""
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
    attack = proof.attack if proof is not None else None
    return proof, Trailer(tables=tuple(totals), rows=rows, digest=digest.hexdigest(), attack=attack)


class _Bundle:
    """The bytes of a dump as something to read from: nothing of it exists twice."""

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
        """At most `size` bytes, none at the end; all that is left where `size` is negative."""
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
    """A file that is counted and hashed while it is written: it need not be read again to be described."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes, self.digest = 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self._file.write(data)
        self.bytes += len(data)
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """age wants a file that can be flushed."""
        self._file.flush()


@contextmanager
def _new_file(url: str) -> Iterator[BinaryIO]:
    """A file under a temporary name beside its target; it gets its own on success, and is gone after any failure."""
    filesystem, path = fsspec.core.url_to_fs(url)
    temporary = f"{path}.{uuid4().hex[:8]}.unfinished"
    if filesystem.exists(path):
        raise NotExported(f"There is a file {path} already; expected a new name, a dump is never overwritten.")
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
            os.link(temporary, path)  # unlike a rename it refuses a target that appeared meanwhile
        except FileExistsError as error:
            raise NotExported(f"The file {path} appeared while the dump was written; it was left as it is.") from error
        folder = os.open(Path(path).parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name survives a power cut too
        finally:
            os.close(folder)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def _remote_file(filesystem: Any, temporary: str, path: str) -> Iterator[BinaryIO]:
    """Stores differ in what closing a half-written file does; under another name it does no harm, and is removed."""
    try:
        with filesystem.open(temporary, "wb") as file:
            yield file
        filesystem.mv(temporary, path)
    finally:
        if filesystem.exists(temporary):
            filesystem.rm(temporary)

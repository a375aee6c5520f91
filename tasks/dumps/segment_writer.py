"""Segments: one range of one table, written by one worker as a file of its own, ready to be joined to others."""

import hashlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from tasks.dumps.compression import BLOCK, Compression, compress
from tasks.dumps.dump_lines import SegmentEnd, SegmentStart, to_rows, write_line
from tasks.estate.dumps import Overlap
from tasks.estate.sites import Immutable
from tasks.estate.tables import Name

MODE = 0o600  # rows, masked or not, are for the user who runs the flow


class Part(Immutable):
    """A finished segment on disk. `bytes` as stored, `uncompressed` with its start and end line."""

    path: Path
    table: Name
    number: int
    rows: int
    digest: str  # SHA-256 (hex) over the bytes of its row lines
    bytes: int
    uncompressed: int
    found: tuple[Overlap, ...] = ()  # values of the source that the attack found in it


class SegmentWriter(AbstractContextManager["SegmentWriter"]):
    """Writes one segment; a context manager. `part` is there once it has been left without an exception.

    The file has another name until then, so that whatever bears the final name is whole; after an exception nothing is
    left. `columns=0` for a table without any, whose rows COPY gives as empty lines.
    """

    def __init__(
        self,
        path: Path,
        table: Name,
        number: int,
        *,
        compression: Compression,
        level: int = 1,
        columns: int | None = None,
    ) -> None:
        self._path, self._table, self._number = Path(path), table, number
        self._compression, self._level, self._columns = compression, level, columns
        self._temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.unfinished")
        self._held: list[bytes] = [write_line(SegmentStart(table=table, number=number))]
        self._size = len(self._held[0])
        self._rows = self._bytes = self._uncompressed = 0
        self._digest = hashlib.sha256()
        self._part: Part | None = None

    def __enter__(self) -> "SegmentWriter":
        # O_EXCL: a file that another process put there, or a link, is never written through.
        self._temporary.unlink(missing_ok=True)
        self._file = os.fdopen(os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb", buffering=0)
        return self

    def write_copy(self, block: bytes) -> None:
        """Add whole lines of COPY text; large blocks are the fast ones. Raises `ValueError` where a line is cut."""
        rows = to_rows(block, columns=self._columns)
        self._rows += block.count(b"\n")
        self._digest.update(rows)
        self._add(rows)

    def _add(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size >= BLOCK:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._held)
        member = memoryview(compress(data, self._compression, level=self._level))
        self._uncompressed += len(data)
        self._bytes += len(member)
        while member:
            member = member[self._file.write(member) :]
        self._held, self._size = [], 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        digest = self._digest.hexdigest()
        self._add(write_line(SegmentEnd(table=self._table, number=self._number, rows=self._rows, digest=digest)))
        if self._held:
            self._flush()
        self._file.close()
        self._temporary.replace(self._path)
        self._part = Part(
            path=self._path,
            table=self._table,
            number=self._number,
            rows=self._rows,
            digest=digest,
            bytes=self._bytes,
            uncompressed=self._uncompressed,
        )

    @property
    def part(self) -> Part:
        """What was written. Raises `ValueError` before the segment is finished."""
        if self._part is None:
            raise ValueError(f"Segment {self._number} of {self._table} is not finished.")
        return self._part

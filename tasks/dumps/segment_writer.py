"""Segment files: one range of one table, written by one worker, ready to be joined to others."""

import hashlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from tasks.dumps.compression import BLOCK, Compression, compress
from tasks.dumps.dump_lines import SegmentEnd, SegmentStart, to_rows, write_line
from tasks.estate.dumps import Overlap
from tasks.estate.schema import Name
from tasks.estate.sites import Immutable

MODE = 0o600  # masked or not, only the user who runs the flow reads rows


class Part(Immutable):
    """A finished segment on disk. `bytes` are as stored; `uncompressed` counts its start and end line too."""

    path: Path
    table: Name
    number: int
    rows: int
    digest: str  # SHA-256 (hex) over the bytes of its row lines
    bytes: int
    uncompressed: int
    found: tuple[Overlap, ...] = ()  # values of the source that the leak search found in it


class SegmentWriter(AbstractContextManager["SegmentWriter"]):
    """A context manager that writes one segment. `part` exists after it was left without an exception.

    The file has another name until then, so that a file with the final name is complete; an exception removes it.
    `columns=0` is for a table without columns, whose rows are empty lines in COPY.
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
        # O_EXCL: never write through a file or link that another process created.
        self._temporary.unlink(missing_ok=True)
        self._file = os.fdopen(os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb", buffering=0)
        return self

    def write_copy(self, block: bytes) -> None:
        """Add whole lines of COPY text; large blocks are faster. Raise `ValueError` if a line is cut."""
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
        """Return the finished segment. Raise `ValueError` before it is finished."""
        if self._part is None:
            raise ValueError(f"Segment {self._number} of {self._table} is not finished.")
        return self._part

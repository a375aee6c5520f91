"""The leak search of a load in processes of its own: Python computes on one core only, and the load waits for the search.

A process reads from a socket. When the program that started it is gone, however it ended, the socket is closed, and the process
ends.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Self

from tasks.dumps.export_plan import ColumnPlan, TablePlan
from tasks.dumps.leak_search import HashedValues, LeakSearch, Lookup
from tasks.estate.dumps import Overlap
from tasks.estate.errors import NotLoaded

ROOT = Path(__file__).parents[2]
END_WITHIN = 5.0  # seconds


class SearchProcesses:
    """Processes that search blocks of COPY text for values whose hashes are known. Use as a context manager."""

    def __init__(self, secrets: HashedValues, count: int) -> None:
        self._secrets, self._count = secrets, count
        self.processes: list[subprocess.Popen[bytes]] = []
        self._opened = ExitStack()
        self._starting: list[Connection] = []
        self._idle: list[Connection] = []
        self._busy: list[Connection] = []

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for _ in range(self._count):
                process, connection = _started()
                opened.callback(_end, process)
                self._starting.append(opened.enter_context(connection))
                self.processes.append(process)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def search(self, table: TablePlan, columns: Sequence[ColumnPlan], blocks: Iterable[bytes]) -> list[Overlap]:
        """Search blocks of whole lines with the fields `columns`, and return what was found, block by block.

        Raise `NotLoaded` if a process ended before its answer.
        """
        found: list[Overlap] = []
        try:
            self._share_hashes()
            for block in blocks:
                if not self._idle:
                    found += self._answers()
                process = self._idle.pop()
                process.send((table, columns, block))
                self._busy.append(process)
            while self._busy:
                found += self._answers()
        except (EOFError, ConnectionError):
            raise NotLoaded(
                "A process of the leak search ended before its answer; expected one for each block. It may have lacked memory.",
                next_step="The target is unchanged. Start the run again, with more memory for the worker or fewer runs at once.",
            ) from None
        return found

    def _share_hashes(self) -> None:
        """Send the hashes, at the first search and not before: a process takes half a second until it reads."""
        packed = self._secrets.pack() if self._starting else b""
        while self._starting:
            self._starting[-1].send_bytes(packed)
            self._idle.append(self._starting.pop())

    def _answers(self) -> list[Overlap]:
        """Wait until a process answers. Each has one block at a time, so that neither side waits for the other to read."""
        found: list[Overlap] = []
        ready = wait(self._busy)
        for process in [each for each in self._busy if each in ready]:
            found += process.recv()
            self._busy.remove(process)
            self._idle.append(process)
        return found


def _started() -> "tuple[subprocess.Popen[bytes], Connection]":
    """Start a process and return it with the connection to it."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603  # this file, with the number of a socket
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=ROOT,
            env={"PATH": os.defpath},  # the settings of the worker, and its secrets, are not needed there
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
    return process, Connection(ours.detach())


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a process whose connection is closed. Kill it if it does not end by itself."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_WITHIN)
        return
    process.kill()
    process.wait()


def main() -> None:
    """Search each block that arrives and send what was found, until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; that which started this one decides
    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, ConnectionError):
        lookup = Lookup(HashedValues.unpack(connection.recv_bytes()))
        while True:
            table, columns, block = connection.recv()
            search = LeakSearch(lookup, table, columns=columns, whole=True)
            search.search_block(block)
            connection.send(search.found)


if __name__ == "__main__":
    main()

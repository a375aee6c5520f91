"""Lines that are typed into the terminal while the demo prints."""

import os
import select
import sys


class TypedLines:
    """Reads standard input without waiting. Nothing is read where it is closed, or belongs to a program in the foreground."""

    def __init__(self, descriptor: int | None = None) -> None:
        """`descriptor`: where to read; by default standard input."""
        self._descriptor = _standard_input() if descriptor is None else descriptor
        self._begun = b""

    def next(self) -> str:
        """Return the next whole line without its end, or "" if none was typed."""
        while b"\n" not in self._begun and self._is_readable():
            read = os.read(self._descriptor, 65536)
            if not read:  # the end of the input
                self._descriptor = -1
            self._begun += read
        line, end, rest = self._begun.partition(b"\n")
        if not end:
            return ""
        self._begun = rest
        return line.decode(errors="replace").strip()

    def _is_readable(self) -> bool:
        if self._descriptor < 0:
            return False
        if os.isatty(self._descriptor) and not _in_foreground(self._descriptor):
            return False  # a read would stop this process
        return bool(select.select([self._descriptor], [], [], 0)[0])


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # the terminal of another session
        return False


def _standard_input() -> int:
    """Return its descriptor, or -1 if it was closed."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return -1

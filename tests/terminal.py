"""A program on a pseudo-terminal, as a person uses it: it sees a terminal, and what is typed unseen is not echoed."""

import os
import pty
import re
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path


class Terminal:
    """A program that was started on a terminal of its own. `shown` is everything that it has printed."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        self.shown = ""
        self._read = 0
        self._process, self._terminal = pty.fork()
        if self._process == 0:  # the program
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it for what runs in the background
                os.chdir(folder)
                os.execve(command[0], list(command), environment)  # noqa: S606  # the program replaces this copy of the test
            finally:
                os._exit(127)

    def expect(self, text: str, within: float = 60.0) -> str:
        """Wait until the program prints something that matches, and return what it has printed since the last call."""
        deadline = time.monotonic() + within
        while not (found := re.search(text, self.shown[self._read :])):
            if time.monotonic() > deadline or not self._receive(deadline):
                raise AssertionError(f"{text!r} was not printed; printed was:\n{self.shown}")
        part = self.shown[self._read : self._read + found.end()]
        self._read += found.end()
        return part

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._terminal, f"{text}\n".encode())

    def type_end(self) -> None:
        """Press Ctrl-D: the input ends."""
        os.write(self._terminal, b"\x04")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._terminal, b"\x03")

    def end(self, within: float = 60.0) -> int:
        """Wait for the end of the program, and return its exit code."""
        deadline = time.monotonic() + within
        while self._receive(deadline):
            pass
        os.close(self._terminal)
        while time.monotonic() < deadline:
            process, status = os.waitpid(self._process, os.WNOHANG)
            if process:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        raise AssertionError(f"The program did not end; printed was:\n{self.shown}")

    def _receive(self, deadline: float) -> bool:
        """Read what the program prints next. Return whether it still runs."""
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # Linux: the program has closed its side
            return False
        self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

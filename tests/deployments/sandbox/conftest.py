"""A running sandbox, and a demo to watch from outside."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deployments.sandbox.processes import MARK
from deployments.sandbox.stack import Stack

ROOT = Path(__file__).parents[3]
FAST = 1 / 300  # a copy of 20 simulated minutes takes 4 s


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A sandbox with everything deployed, for the tests of one file."""
    with Stack(tmp_path_factory.mktemp("sandbox") / "state", FAST) as stack:
        stack.deploy()
        yield stack


class Performance:
    """`python -m deployments.sandbox` as a process, with its printed lines so far."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "deployments.sandbox", "--scale", str(FAST), *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.printed = ""
        self.family: set[int] = set()
        self._homes: set[Path] = set()

    def read_until(self, words: str) -> str:
        """Read its output until a line contains these words, and return that line; fail if the output ends first."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line
            if words in line:
                return line
        raise AssertionError(f"ended without {words!r}:\n{self.printed}")

    def type(self, line: str) -> None:
        """Type a line into its terminal."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    @staticmethod
    def port_is_free(url: str) -> bool:
        """Whether nobody listens there any more."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) != 0

    def finish(self) -> int:
        """Read to the end and return the exit code."""
        assert self.process.stdout is not None
        self.printed += self.process.stdout.read()
        return self.process.wait(timeout=30)

    def note_family(self) -> set[int]:
        """Every process that belongs to this demo's sandbox now: what is marked, the watchdog, and all descendants.

        Database servers are not marked, but children of what is.
        """
        mark = next(m for pid, m in _marks().items() if _parent(pid) == self.process.pid)
        self.family = {pid for pid, m in _marks().items() if m == mark}
        parents = {pid: _parent(pid) for pid in _pids()}
        while young := {pid for pid, of in parents.items() if of in self.family | {self.process.pid}} - self.family:
            self.family |= young
        self._homes = {home for pid in self.family if (home := _home(pid)) is not None}
        return self.family

    def nothing_left(self, within: float = 8.0) -> bool:
        """Whether every process noted before is gone in time, and every folder of a database."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if not [pid for pid in self.family if _alive(pid)] and not [home for home in self._homes if home.exists()]:
                return True
            time.sleep(0.1)
        return False


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["Z", "0"]


def _home(pid: int) -> Path | None:
    """The folder of a database server; None for any other process."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return None
    return Path(words[words.index("-D") + 1]).parent if "-D" in words else None


def _alive(pid: int) -> bool:
    return _stat(pid)[0] != "Z"


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _marks() -> dict[int, str]:
    """The sandbox's mark of every process that has one."""
    found = {}
    for pid in _pids():
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            if variable.startswith(f"{MARK}=".encode()) and pid != os.getpid():
                found[pid] = variable.decode().partition("=")[2]
    return found


@pytest.fixture
def perform() -> Iterator[Callable[..., Performance]]:
    """Start the demo with these arguments; ended with the test."""
    started: list[Performance] = []

    def start(*arguments: str) -> Performance:
        started.append(Performance(*arguments))
        return started[-1]

    yield start
    for performance in started:
        performance.process.kill()
        performance.process.wait()
        for pipe in (performance.process.stdin, performance.process.stdout):
            if pipe is not None:
                pipe.close()

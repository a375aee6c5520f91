"""Processes of the sandbox: whatever ends their owner, nothing survives."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.sandbox.processes import MARK, Program, ProgramFailed, end_marked, free_port, marked
from tests.eventually import eventually

ROOT = Path(__file__).parents[3]
# A program with a grandchild in a session of its own: out of reach of its parent's process group.
FAMILY = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    "time.sleep(600)"
)
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(600)"
)

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="marks are read from /proc")


@pytest.fixture
def mark() -> Iterator[str]:
    """A mark of this test only; what carries it ends with the test."""
    mark = uuid.uuid4().hex
    yield mark
    end_marked(mark)


@pytest.fixture
def program(mark: str, tmp_path: Path) -> Callable[[str], Program]:
    """Start Python code as a program of the sandbox."""

    def start(code: str) -> Program:
        command = [sys.executable, "-c", code]
        return Program("sample", command, os.environ | {MARK: mark}, tmp_path, tmp_path / "sample.log").start()

    return start


@needs_proc
def test_ends_grandchildren(program: Callable[[str], Program], mark: str) -> None:
    """A grandchild that left the process group still carries the mark, and is ended by it."""
    family = program(FAMILY)
    assert eventually(lambda: len(marked(mark)) == 2)
    family.stop(grace=1)
    assert len(marked(mark)) == 1
    end_marked(mark)
    assert marked(mark) == []


def test_ends_the_stubborn(program: Callable[[str], Program], tmp_path: Path) -> None:
    """A program that ignores SIGTERM is killed after its grace, not waited for."""
    stubborn = program(STUBBORN)
    assert eventually(lambda: "ready" in (tmp_path / "sample.log").read_text())
    began = time.monotonic()
    stubborn.stop(grace=0.3)
    assert time.monotonic() - began < 30  # the program would sleep for ten minutes
    assert stubborn.pid is None


def test_stops_twice(program: Callable[[str], Program]) -> None:
    """Stopping what is stopped, or was never started, does nothing."""
    sample = program("pass")
    sample.stop(grace=1)
    sample.stop(grace=1)
    assert sample.pid is None


def test_quotes_the_last_words(program: Callable[[str], Program]) -> None:
    """A program that ended by itself is reported with the end of its log."""
    broken = program("raise SystemExit('no such table')")
    assert eventually(lambda: broken.pid is None)
    with pytest.raises(ProgramFailed, match="no such table"):
        broken.require_running()


@needs_proc
def test_touches_nothing_else(program: Callable[[str], Program], mark: str) -> None:
    """Only what carries this very mark is ended; another sandbox keeps running."""
    ours = program("import time; time.sleep(600)")
    assert eventually(lambda: marked(mark))
    end_marked(uuid.uuid4().hex, within=1)
    assert ours.pid is not None


def test_ports_are_free() -> None:
    """The port offered can be bound, and lies below those that outgoing connections take."""
    port = free_port()
    assert port < 32768
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_watchdog_ends_orphans(mark: str, tmp_path: Path, number: signal.Signals) -> None:
    """When the owner is killed, even by -9, the watchdog ends what it started and removes its temporary folder."""
    folder = tmp_path / "state"
    folder.mkdir()
    owner = (
        "import os, subprocess, sys, time, pathlib\n"
        "from deployments.sandbox.watchdog import keep_watch\n"
        f"watchdog = keep_watch({mark!r}, folder=pathlib.Path({str(folder)!r}), project=pathlib.Path({str(ROOT)!r}))\n"
        f"child = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        f"subprocess.Popen(child, env=os.environ | {{{MARK!r}: {mark!r}}}, start_new_session=True)\n"
        "print(watchdog.pid, flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", owner], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    watchdog = int(process.stdout.readline())
    assert eventually(lambda: marked(mark))
    process.send_signal(number)
    process.wait(timeout=10)
    process.stdout.close()
    assert eventually(lambda: not marked(mark))
    assert eventually(lambda: not folder.exists())
    assert eventually(lambda: not _alive(watchdog))


def _alive(pid: int) -> bool:
    """Whether the process still runs; an orphan that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

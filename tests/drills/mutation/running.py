"""Run the tests of one breakage, each time in a fork of a process that has imported the project once."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.drills.mutation.breakages import Breakage
from tests.drills.mutation.planting import change_of, planted_here

ROOT = Path(__file__).parents[3]
PLAIN = ("-o", "addopts=--import-mode=importlib")  # no drill is left out
CODE = ("flows", "tasks", "deployments")
TESTS_TAKE = 90  # seconds for the tests of one breakage, beyond what they took unbroken; one that hangs is noticed
TEST_TAKES = 15  # the same for one test: a breakage often leaves a loop without an end
UNBROKEN_TIMES = 4  # the machine is busier while breakages are tried than when the tests were timed


@dataclass(frozen=True)
class Planted:
    """A breakage in a file, and the tests that run its lines, fastest first."""

    path: str
    source: str  # the whole file, unbroken
    breakage: Breakage
    tests: tuple[str, ...]
    seconds: float
    slowest: float  # seconds of its slowest test

    @property
    def key(self) -> str:
        """As survivors.yaml names it."""
        return f"{self.path}: {self.breakage.key}"


def try_one(job: tuple[Path, Planted]) -> tuple[bool, Planted]:
    """Whether a test notices this breakage: in a fork of this process, or in a copy of the project in the folder."""
    folder, one = job
    if not one.tests:
        return False, one
    within = TESTS_TAKE + UNBROKEN_TIMES * one.seconds
    if change_of(one.source, one.breakage, str(ROOT / one.path)):
        return _fails(lambda: _run_here(one), within=within), one
    copied = folder / str(os.getpid())
    if not copied.exists():
        ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "images", "benchmarks")
        shutil.copytree(ROOT, copied, ignore=ignored)
    file = copied / one.path
    file.write_text(one.breakage.text, encoding="utf-8")
    try:
        return _fails(lambda: _run_in_copy(copied, one), within=within), one
    finally:
        file.write_text(one.source, encoding="utf-8")


def import_all(tests: Sequence[str]) -> None:
    """Import the project and these tests once for each process: that takes longer than most tests."""
    files = sorted({test.split("::")[0] for test in tests})
    child = ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *PLAIN, *files]
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        if pytest.main(child) != 0:
            os._exit(1)  # the pool must not continue with a part of the tests


def _fails(run: Callable[[], int], *, within: float) -> bool:
    """Whether a test fails or hangs in a fork of this process, so that each breakage starts with the same imports."""
    child = os.fork()
    if child == 0:
        _end_with(run)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _end_with(run: Callable[[], int]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        code = run()
    finally:
        os._exit(int(code))


def _run_here(one: Planted) -> int:
    """Run the tests in this process, with the breakage in its function."""
    if not planted_here(one.source, one.breakage, str(ROOT / one.path)):
        return 0  # not planted: nothing can notice it
    return _run_tests(one)


def _run_in_copy(copied: Path, one: Planted) -> int:
    """Run the tests in a copy of the project whose file is broken."""
    os.chdir(copied)
    os.environ |= {"PYTHONPATH": str(copied), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copied), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    for name in [name for name in sys.modules if name.split(".")[0] in (*CODE, "tests")]:
        del sys.modules[name]
    return _run_tests(one)


def _run_tests(one: Planted) -> int:
    handle, name = tempfile.mkstemp()  # a test a line: too many for a command line
    os.write(handle, "\n".join(one.tests).encode())
    os.close(handle)
    try:
        return int(
            pytest.main(
                [
                    "-q",
                    "-x",
                    "-p",
                    "no:cacheprovider",
                    "-p",
                    "no:xdist",
                    f"--timeout={TEST_TAKES + UNBROKEN_TIMES * one.slowest:.0f}",
                    *PLAIN,
                    f"@{name}",
                ]
            )
        )
    finally:
        os.unlink(name)

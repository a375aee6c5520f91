"""Programs of the sandbox, started with a log and always ended with all their descendants.

The environment of every program contains a mark, which its descendants inherit. Only processes with the mark are ended,
even if their parents are gone. Without /proc, as on macOS, only process groups are ended.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import certifi

MARK = "UNDERSTUDY_SANDBOX"
PROC = Path("/proc")
# Below the range of Linux for outgoing connections, so that none of them takes the port before it is bound.
PORTS = range(20000, 32000)


def exit_at_signals(added: int | None = None) -> None:
    """Exit at the first SIGINT, SIGTERM or SIGHUP and ignore further ones, so that the clean-up is not interrupted.

    The exit code is 0, or the signal's number plus `added`.
    """
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number: int, _: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(0 if added is None else added + number)

    for each in signals:
        signal.signal(each, end)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold signals back until the block is done: a second Ctrl-C must not interrupt the clean-up after the first."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def one_certificate(folder: Path) -> Path:
    """Write a file with a single certificate for PREFECT_API_SSL_CERT_FILE, and return it. For Prefect on plain HTTP only.

    Each of Prefect's clients reads that file, whatever the scheme: 30 ms with all certificates, and a run makes dozens.
    """
    end = "-----END CERTIFICATE-----\n"
    file = folder / "one-certificate.pem"
    file.write_text(Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end, encoding="utf-8")
    return file


class ProgramFailed(Exception):
    """A program of the sandbox ended or did not become ready. The message contains the end of its log."""


@dataclass
class Program:
    """One long-running program. `environment` must contain the mark."""

    name: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> "Program":
        """Start it in a new session, so that Ctrl-C in the terminal reaches only the demo."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def require_running(self) -> None:
        """Raise `ProgramFailed` with the end of the log if it has ended."""
        if self.pid is None:
            raise ProgramFailed(f"{self.name} ended unexpectedly. The end of {self.log}:\n{self.last_words()}")

    def last_words(self, lines: int = 15) -> str:
        """Return the end of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def stop(self, grace: float) -> None:
        """Terminate it, wait up to `grace` seconds, then kill it and its process group."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=grace)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


def marked(mark: str) -> list[int]:
    """Return the ids of other processes with the mark; empty without /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended, or of another user
            if int(entry.name) != os.getpid() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end_marked(mark: str, *, within: float = 10.0) -> None:
    """Kill all processes with the mark, until two searches in a row find none or `within` seconds have passed.

    One search is not enough: the mark of a starting program appears a moment later.
    """
    deadline = time.monotonic() + within
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        left = marked(mark)
        quiet = 0 if left else quiet + 1
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def free_port() -> int:
    """Return a loopback TCP port on which nothing listens."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ProgramFailed(f"No free loopback port among 200 tried between {PORTS.start} and {PORTS.stop}.")

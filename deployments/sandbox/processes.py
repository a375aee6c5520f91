"""Programs of the sandbox: started with a log, ended for certain, children and grandchildren included.

Every program gets a mark in its environment, which its descendants inherit. What carries the mark belongs to the
sandbox, whatever happened to its parents, and nothing else is ever ended. (Without /proc, as on macOS, only process
groups are ended.)
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

MARK = "UNDERSTUDY_SANDBOX"
PROC = Path("/proc")
# Below the range from which Linux takes ports of outgoing connections: nobody grabs one by accident before we bind it.
PORTS = range(20000, 32000)


class ProgramFailed(Exception):
    """A program of the sandbox ended, or did not become ready. The message has the end of its log."""


@dataclass
class Program:
    """One long-running program. `environment` must carry the mark."""

    name: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> "Program":
        """Start it in a session of its own, so that Ctrl-C in the terminal reaches only the demo itself."""
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
        """Process id while it runs, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def require_running(self) -> None:
        """Raise `ProgramFailed` with the end of the log if it has ended."""
        if self.pid is None:
            raise ProgramFailed(f"{self.name} ended unexpectedly. The end of {self.log}:\n{self.last_words()}")

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def stop(self, grace: float) -> None:
        """Ask it to end, wait up to `grace` seconds, then end it and its process group."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=grace)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


def marked(mark: str) -> list[int]:
    """Process ids that carry the mark, ours excepted. Empty where there is no /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            if int(entry.name) != os.getpid() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end_marked(mark: str, *, within: float = 10.0) -> None:
    """End everything that carries the mark, until two looks in a row find nothing, or `within` seconds have passed.

    Two looks, because a program that is just being started shows its mark a moment later.
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
    """A loopback TCP port that nobody listens on right now."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ProgramFailed(f"No free loopback port among 200 tried between {PORTS.start} and {PORTS.stop}.")

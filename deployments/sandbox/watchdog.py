"""The watchdog of the sandbox, which cleans up after its owner has ended in any way.

Run as `python -m deployments.sandbox.watchdog MARK [FOLDER]`, with a pipe as standard input that only the owner holds.
The pipe closes when the owner ends, even by kill -9. Then all marked processes are ended, and FOLDER is removed if given.
"""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from deployments.sandbox.processes import end_marked

REMOVED_WITHIN = 15.0  # seconds; a database needs up to ten to end (postgres.end)


def keep_watch(mark: str, *, folder: Path | None, project: Path) -> subprocess.Popen[bytes]:
    """Start a watchdog for the calling process. Closing its `stdin` starts the clean-up."""
    command = [sys.executable, "-m", "deployments.sandbox.watchdog", mark, *([str(folder)] if folder else [])]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=project,
        start_new_session=True,  # a signal to the owner's group must not reach it
    )


def main() -> None:
    """Wait for the end of the owner, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when the owner does, not before
    sys.stdin.buffer.read()
    end_marked(sys.argv[1])
    for folder in map(Path, sys.argv[2:3]):
        deadline = time.monotonic() + REMOVED_WITHIN
        while folder.exists() and time.monotonic() < deadline:
            shutil.rmtree(folder, ignore_errors=True)  # fails while a database that is ending still writes
            time.sleep(0.1)


if __name__ == "__main__":
    main()

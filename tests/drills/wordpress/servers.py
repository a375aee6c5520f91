"""The programs behind the real sites: whether they are installed, and servers that end with a block."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

WORDPRESS = Path("/usr/share/wordpress")
NEEDED = ("mariadbd", "mariadb-install-db", "mariadb", "mariadb-dump", "php")
MODULES = {"mysqli": "php-mysql", "SimpleXML": "php-xml"}  # without the second, WordPress has no sitemaps
STARTS_WITHIN = 60.0  # seconds for a server to answer on a busy machine


def missing() -> list[str]:
    """What this machine lacks for the drill; an empty list if it can run."""
    lacking = [name for name in NEEDED if shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin") is None]
    if not (WORDPRESS / "wp-load.php").exists():
        lacking.append("wordpress")
    modules = run(["php", "-m"]) if shutil.which("php") else ""
    lacking += [package for module, package in MODULES.items() if modules and module not in modules]
    return lacking


def run(command: list[str], *, given: bytes | None = None) -> str:
    """What a program prints. Raises `RuntimeError` with its own words if it fails."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    ended = subprocess.run(command, input=given, capture_output=True, check=False, env=os.environ | {"PATH": path})
    if ended.returncode:
        raise RuntimeError(f"{command[0]} failed: {ended.stderr.decode(errors='replace')[-800:]}")
    return ended.stdout.decode(errors="replace")


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server process with all its children, ended with the block."""
    env = os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin"} | environment
    with log.open("ab") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written, env=env, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], object]) -> None:
    """Call `look` until it raises no more. Raises its last error after `STARTS_WITHIN`."""
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            look()
            return
        except (RuntimeError, httpx.HTTPError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def database_server(folder: Path) -> Iterator[Path]:
    """A MariaDB with its data in a folder. Yields the socket on which it listens."""
    data, socket_file = folder / "mysql", folder / "mysqld.sock"
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
         "--skip-test-db", *as_root])  # fmt: skip
    command = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket_file}", "--skip-networking",
               f"--pid-file={folder / 'mysqld.pid'}", "--innodb-flush-log-at-trx-commit=0", *as_root]  # fmt: skip
    with running(command, folder / "mysql.log"):
        wait_for(lambda: run(["mariadb", "--no-defaults", f"--socket={socket_file}", "-uroot", "-e", "SELECT 1"]))
        yield socket_file

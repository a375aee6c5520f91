"""The embedded server: starts anywhere and as anyone, serves nobody else, and never outlives its owner."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from deployments.sandbox import postgres as module
from deployments.sandbox.databases import history_serves
from deployments.sandbox.postgres import TRIGRAMS, Postgres, installation
from deployments.sandbox.processes import MARK, PROC, ProgramFailed

ROOT = Path(__file__).parents[3]
SCRIPT = """
import os, sys, threading, time
from pathlib import Path
import psycopg
from deployments.sandbox.postgres import Postgres

kept = Path(sys.argv[2]) if sys.argv[2:] else None
with Postgres(Path(sys.argv[1]), fsync=False, kept=kept) as server:
    busy = psycopg.connect(server.url())
    spin = "SELECT count(*) FROM generate_series(1, 1e9)"
    threading.Thread(target=lambda: busy.execute(spin), daemon=True).start()
    time.sleep(0.3)
    if os.fork():
        print(server.home, flush=True)
    time.sleep(20)  # the worker process outlives its owner
    os._exit(0)
"""


def processes(home: Path) -> list[str]:
    """Command lines of everything that works in this folder or has it in its arguments."""
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            inside = os.readlink(entry / "cwd").startswith(str(home))
        except OSError:
            continue
        if inside or str(home) in line:
            found.append(line)
    return found


def ask(url: str, query: str) -> object:
    """Return the single value of a query."""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def server_folders(folder: Path) -> list[Path]:
    """Folders that a server made here and did not remove."""
    return list(folder.glob("postgres-*"))


def await_gone(home: Path) -> None:
    """Wait until neither the folder nor a process of it is left."""
    deadline = time.monotonic() + 15
    while (home.exists() or processes(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not home.exists()
    assert processes(home) == []


def owner(*folders: Path) -> tuple[subprocess.Popen[str], Path]:
    """A program with a server of its own and a back end that is busy, in an empty environment; and the server's home.

    A second folder is where the data are kept.
    """
    command = [sys.executable, "-c", SCRIPT, *map(str, folders)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={}, start_new_session=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_serves_and_leaves_nothing(tmp_path: Path) -> None:
    """A server takes connections at its address, and when the block ends no process and no file is left."""
    with Postgres(tmp_path / "new" / "folder", fsync=False) as server:
        home = server.home
        assert ask(server.url(), "SELECT 6 * 7") == 42
        assert processes(home)
    await_gone(home)
    assert not list((tmp_path / "new" / "folder").iterdir())


def test_two_at_a_time_are_two(tmp_path: Path) -> None:
    """Servers started at the same moment in the same folder are strangers: own data, own system identifier."""
    servers = [Postgres(tmp_path, fsync=False) for _ in range(3)]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Postgres.start, servers))
        query = "SELECT system_identifier FROM pg_control_system()"
        assert len({ask(server.url(), query) for server in servers}) == 3
    finally:
        for server in servers:
            server.stop()


def test_knows_letters_and_utc(tmp_path: Path) -> None:
    """Umlauts are letters, text is UTF-8 and time is UTC, whatever the machine is set to."""
    with Postgres(tmp_path, fsync=False) as server:
        assert ask(server.url(), "SELECT upper('größe') || lower('ÄÉŁ')") == "GRÖßEäéł"
        assert ask(server.url(), "SHOW server_encoding") == "UTF8"
        assert ask(server.url(), "SHOW timezone") == "UTC"


def test_listens_to_no_network(tmp_path: Path) -> None:
    """Only the socket leads in, and only this user and root reach it: there is no password to guess."""
    with Postgres(tmp_path, fsync=False) as server:
        assert ask(server.url(), "SHOW listen_addresses") == ""
        assert server.home.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("fsync", "answer"), [(True, "on"), (False, "off")])
def test_fsync_is_an_option(tmp_path: Path, fsync: bool, answer: str) -> None:
    """Measurements keep fsync, tests give it up."""
    with Postgres(tmp_path, fsync=fsync) as server:
        assert ask(server.url(), "SHOW fsync") == answer


def test_creates_databases_by_any_name(tmp_path: Path) -> None:
    """A database may be called anything, and may start as a copy of another."""
    with Postgres(tmp_path, fsync=False) as server:
        first = server.create('Schüler & "Co"/?x=1')
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE t AS SELECT 7 AS n")
        assert ask(server.create("copy", template='Schüler & "Co"/?x=1'), "SELECT n FROM t") == 7
        assert ask(server.url("copy", user="postgres"), "SELECT current_database()") == "copy"


def test_tools_reach_it(tmp_path: Path) -> None:
    """The programs of the installation, such as psql and pg_dump, take the same address."""
    with Postgres(tmp_path, fsync=False) as server:
        for command in (["psql", "-Atc", "SELECT 1"], ["pg_dump", "-s"]):
            done = subprocess.run(
                [server.bin_path / command[0], server.url(), *command[1:]], capture_output=True, check=False
            )
            assert (done.returncode, done.stderr) == (0, b"")


def test_older_version(tmp_path: Path) -> None:
    """PostgreSQL 16 is there too, for what must work on both."""
    with Postgres(tmp_path, fsync=False, version=16) as server:
        assert str(ask(server.url(), "SHOW server_version")).startswith("16.")


def test_version_that_is_not_there(tmp_path: Path) -> None:
    """A version that is not installed is named before anything is started."""
    with pytest.raises(ProgramFailed, match="PostgreSQL 9 is not installed"):
        Postgres(tmp_path, version=9)


def test_extension_that_is_not_there(tmp_path: Path) -> None:
    """An extension that no installation offers is named before anything is started."""
    with pytest.raises(ProgramFailed, match="PostgreSQL 18 with no_such_thing is not installed"):
        Postgres(tmp_path, extension="no_such_thing")


@pytest.mark.skipif(not history_serves(), reason="no wheel with pg_trgm for this machine")
def test_extension(tmp_path: Path) -> None:
    """A server with trigrams can create them, and its tools run from where they are."""
    with Postgres(tmp_path, fsync=False, extension=TRIGRAMS) as server, psycopg.connect(server.url()) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
        assert connection.execute("SELECT similarity('word', 'word')").fetchall() == [(1.0,)]
        subprocess.run([server.bin_path / "pg_dump", server.url()], check=True, capture_output=True)


def test_data_that_are_kept(tmp_path: Path) -> None:
    """With a folder for its data, the next server has what the last one had, three times in a row."""
    kept = tmp_path / "kept"
    for number in range(3):
        with Postgres(tmp_path, fsync=False, kept=kept) as server, psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS starts (n int)")
            assert connection.execute("SELECT count(*) FROM starts").fetchall() == [(number,)]
            connection.execute("INSERT INTO starts VALUES (1)")
        assert not server_folders(tmp_path)


def test_data_are_kept_when_it_fails(tmp_path: Path) -> None:
    """An interruption between the two renames of the clean-up loses nothing."""
    kept = tmp_path / "kept"
    with Postgres(tmp_path, fsync=False, kept=kept) as server:
        server.create("precious")
    kept.rename(kept.with_suffix(".old"))
    with Postgres(tmp_path, fsync=False, kept=kept) as server:
        assert ask(server.url("precious"), "SELECT 1") == 1


def kill_owner(process: subprocess.Popen[str], home: Path) -> None:
    """End the owner of a server with kill -9, and wait until the server has gone."""
    process.kill()
    process.wait()
    try:
        await_gone(home)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the worker process


@pytest.mark.skipif(not PROC.exists(), reason="looks for processes in /proc")
def test_data_are_kept_when_the_owner_is_killed(tmp_path: Path) -> None:
    """After kill -9 of its owner, the guard puts the data where the next server finds them."""
    kept = tmp_path / "kept"
    process, home = owner(tmp_path, kept)
    address = f"postgresql://postgres@/postgres?host={home}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE precious")
    kill_owner(process, home)
    with Postgres(tmp_path, fsync=False, kept=kept) as server:
        assert ask(server.url("precious"), "SELECT 1") == 1


def test_path_too_long_for_a_socket(tmp_path: Path) -> None:
    """A folder too deep for a Unix socket is no obstacle: the server goes to a temporary one, and that goes as well."""
    with Postgres(tmp_path / ("deep" * 30), fsync=False) as server:
        home = server.home
        assert ask(server.url(), "SELECT 1") == 1
    await_gone(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as somebody else")
def test_closed_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's server works from a checkout that only root may enter, and no permission is changed for it."""
    closed = tmp_path / "root"
    for folder in (installation(), installation().parent.with_suffix(".libs")):
        shutil.copytree(folder, closed / folder.relative_to(installation().parents[1]), symlinks=True)
    closed.chmod(0o700)
    programs = closed / installation().relative_to(installation().parents[1])
    monkeypatch.setattr(module, "installation", lambda version, extension: programs)
    with Postgres(closed / "data", fsync=False) as server:
        assert ask(server.url(), "SELECT 1") == 1
        assert (server.home / "installation").exists()
        subprocess.run([server.bin_path / "pg_dump", server.url()], check=True, capture_output=True)
    assert closed.stat().st_mode & 0o777 == 0o700


def test_stops_although_busy(tmp_path: Path) -> None:
    """Who is still connected, and at work, does not keep the server alive."""
    server = Postgres(tmp_path, fsync=False).start()
    home = server.home
    connection = psycopg.connect(server.url())

    def work() -> None:
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT count(*) FROM generate_series(1, 1e9)")

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.2)
    server.stop()
    server.stop()
    thread.join(timeout=10)
    assert not thread.is_alive()
    await_gone(home)


@pytest.mark.skipif(not PROC.exists(), reason="looks for processes in /proc")
def test_owner_killed(tmp_path: Path) -> None:
    """When its owner is killed with -9, the server ends with a busy back end and all, and its folder goes.

    Worker processes that the owner has forked, and that outlive it, do not delay that.
    """
    process, home = owner(tmp_path)
    assert ask(f"postgresql://postgres@/postgres?host={home}", "SELECT 1") == 1
    kill_owner(process, home)


@pytest.mark.skipif(not PROC.exists(), reason="looks for processes in /proc")
def test_server_killed(tmp_path: Path) -> None:
    """A server that died on its own is cleaned up like any other."""
    with Postgres(tmp_path, fsync=False) as server:
        home = server.home
        pid = int((home / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 9)
    await_gone(home)


def test_start_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not ready in time is ended, its folder removed, and its log shown."""
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    monkeypatch.setattr(module, "_recorded", lambda home: [])
    server = Postgres(tmp_path, fsync=False)
    with pytest.raises(ProgramFailed, match="was not ready within"):
        server.start()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(ProgramFailed, match="not running"):
        server.url()


@pytest.mark.skipif(not PROC.exists(), reason="reads environments in /proc")
def test_carries_the_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox finds the server by its mark, and the guard, which must outlive it, has none."""
    monkeypatch.setenv(MARK, "mark-of-a-test")
    with Postgres(tmp_path, fsync=False) as server:
        environments = {}
        for entry in PROC.glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes().decode()
                if str(server.home) in line:
                    environments[line] = (entry / "environ").read_bytes()
            except OSError:
                continue
    marked = {
        "postgres" if "bin/postgres" in line else "guard": b"mark-of-a-test" in environments[line]
        for line in environments
    }
    assert marked == {"postgres": True, "guard": False}

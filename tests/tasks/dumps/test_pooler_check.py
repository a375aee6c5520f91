"""A pooler in transaction or statement mode is refused before anything is set on it; in session mode it is left clean."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tasks.dumps.connections import connected_to
from tasks.estate.errors import Misconfigured

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")
Pooler = Callable[..., str]


@pytest.fixture
def pooler(database: str, tmp_path: Path) -> Iterator[Pooler]:
    """Start a PgBouncer before the test's database: `pooler(mode="transaction", size=2)` returns its address."""
    with contextlib.ExitStack() as running:

        def start(*, mode: str, size: int) -> str:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            server = conninfo_to_dict(database)
            given = " ".join(f"{key}={server[key]}" for key in ("host", "port", "dbname", "user") if key in server)
            folder = tmp_path / f"bouncer-{port}"
            folder.mkdir(mode=0o777)
            folder.chmod(0o777)
            (folder / "users").write_text(f'"{server.get("user", "postgres")}" ""\n')
            (folder / "ini").write_text(
                f"[databases]\napp = {given}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
                f"auth_type = trust\nauth_file = {folder / 'users'}\npool_mode = {mode}\ndefault_pool_size = {size}\n"
                "ignore_startup_parameters = extra_float_digits\n"
            )
            for parent in (folder, *folder.parents):
                if os.geteuid() == 0 and parent != Path("/") and "pytest" in str(parent):
                    parent.chmod(0o755)
            as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
            process = subprocess.Popen([str(PGBOUNCER), "-q", *as_nobody, str(folder / "ini")])
            running.callback(lambda: (process.terminate(), process.wait(10)))
            address = f"postgresql://{server.get('user', 'postgres')}@127.0.0.1:{port}/app"
            deadline = time.monotonic() + 20
            while True:
                try:
                    psycopg.connect(address, connect_timeout=2).close()
                    return address
                except psycopg.OperationalError:
                    assert time.monotonic() < deadline, "pgbouncer did not start"
                    time.sleep(0.1)

        yield start


def settings_of(address: str) -> tuple[str, str, str]:
    """The settings that the next client of a pooler finds."""
    with psycopg.connect(address, autocommit=True) as next_one:
        row = next_one.execute(
            "SELECT current_setting('search_path'), current_setting('default_transaction_read_only'),"
            " coalesce(current_setting('understudy.key', true), '')"
        ).fetchone()
    assert row is not None
    return row


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_pooler_that_shares_servers_is_refused_before_anything_is_set(pooler: Pooler, mode: str, size: int) -> None:
    """The error names the variable and the remedy, and the next client finds none of our settings."""
    address = pooler(mode=mode, size=size)
    with (
        pytest.raises(Misconfigured, match="UNDERSTUDY_SOURCE_DATABASE leads to a pooler") as refused,
        connected_to(address, name="t", statement_within=5),
    ):
        pass
    assert "pool_mode = session" in refused.value.next_step
    assert settings_of(address) == ('"$user", public', "off", "")


@needs_pgbouncer
def test_a_busy_pooler_is_refused_too(pooler: Pooler) -> None:
    """Other clients take the servers in between, so that one connection uses two of them."""
    address = pooler(mode="transaction", size=4)
    ended = threading.Event()

    def work() -> None:
        with psycopg.connect(address, autocommit=True, prepare_threshold=None) as connection:
            while not ended.is_set():
                connection.execute("SELECT pg_sleep(0.002)")

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    try:
        with pytest.raises(Misconfigured), connected_to(address, name="t", statement_within=5):
            pass
    finally:
        ended.set()
        for worker in workers:
            worker.join()


@needs_pgbouncer
@pytest.mark.parametrize("size", [1, 3])
def test_a_pooler_in_session_mode_is_accepted_and_left_clean(
    pooler: Pooler, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server belongs to one client; the settings are gone for the next one."""
    monkeypatch.setattr("tasks.dumps.pooler_check.PATIENCE", 0.5)
    address = pooler(mode="session", size=size)
    with connected_to(address, name="t", statement_within=5) as connection:
        connection.execute("SELECT set_config('understudy.key', 'secret', false)")
        assert connection.execute("SHOW search_path").fetchone() == ("",)
    assert settings_of(address) == ('"$user", public', "off", "")


def test_a_server_itself_is_no_pooler(database: str) -> None:
    """The usual case sends one more query and opens no second connection."""
    opened: list[object] = []
    with connected_to(database, name="t", statement_within=5) as connection:
        opened.append(connection)
        (others,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone() or (None,)
    assert others == 0

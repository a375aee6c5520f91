"""The server that is measured: the embedded one, given the memory and the log that a real one would have."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from deployments.sandbox.postgres import UNPRIVILEGED, Postgres

SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",  # no checkpoint in the middle of a contender; one is made before each
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "256MB",
    "work_mem": "32MB",
    "effective_cache_size": "4GB",
    "max_locks_per_transaction": "512",  # pg_dump locks all tables in one transaction; ours needs the default only
    "autovacuum": "off",  # its time would be charged to whoever runs next
}
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def tuned(folder: Path) -> Iterator[Postgres]:
    """An embedded server with `SETTINGS`; without fsync, for both sides alike."""
    with Postgres(folder, fsync=False) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for name, value in SETTINGS.items():
                connection.execute(SQL("ALTER SYSTEM SET {} = {}").format(Identifier(name), Literal(value)))
        _restart(server)
        yield server


def _restart(server: Postgres) -> None:
    """shared_buffers is read at the start only. pg_ctl starts it again with the options it had."""
    programs = Path(os.readlink(f"/proc/{_postmaster(server)}/exe")).parent  # where the server's own user may run them
    owner = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
    identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    subprocess.run(
        [
            programs / "pg_ctl",
            "restart",
            "--silent",
            "--wait",
            "-D",
            server.home / "data",
            "-l",
            server.home / "restarted.log",
        ],
        cwd=server.home,
        env={"LC_ALL": "C", "PATH": os.defpath},
        check=True,
        **identity,
    )


def _postmaster(server: Postgres) -> int:
    return int((server.home / "data" / "postmaster.pid").read_text().split()[0])


def cpu_seconds(server: Postgres) -> float:
    """What the server and all its back ends, ended ones too, have used so far: user and system time."""
    postmaster = _postmaster(server)
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
        except OSError:  # ended meanwhile: counted in its parent
            continue
        parent, times = int(fields[1]), [int(field) for field in fields[11:15]]
        if int(entry.name) == postmaster:
            total += sum(times)  # with those of children that have ended
        elif parent == postmaster:
            total += times[0] + times[1]
    return total / TICKS


def copied(server: Postgres, name: str, template: str) -> str:
    """A new database, copied file by file: as fast as the disk, and without filling the log."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
        connection.execute(SQL(statement).format(Identifier(name), Identifier(template)))
    return server.url(name)


def dropped(server: Postgres, name: str) -> None:
    """No database of that name any more: the disk is needed."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def renewed(server: Postgres, name: str) -> str:
    """An empty database of that name, whatever was there."""
    dropped(server, name)
    return server.create(name)


def settle(server: Postgres, *vacuumed: str) -> None:
    """Before each contender, outside its time: write out what the last one left, remove dead rows."""
    for url in vacuumed:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def public_tables(url: str) -> list[str]:
    """The tables that are copied, quoted, by name."""
    query = "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute(f"{query} ORDER BY 1").fetchall()]  # type: ignore[arg-type]  # ours

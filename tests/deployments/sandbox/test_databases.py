"""The sandbox's databases as programs: announced when whole, and gone with the program, however it ends."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deployments.sandbox.databases import Database
from deployments.sandbox.processes import MARK, Program, marked
from deployments.sandbox.school.database import OWNER, READER
from tests.eventually import eventually

ROOT = Path(__file__).parents[3]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Production, not started yet."""
    database = Database("production", tmp_path / "databases")
    database.forget()
    return database


@pytest.fixture
def program(database: Database, tmp_path: Path) -> Iterator[Program]:
    """Its program, started."""
    command = [sys.executable, "-m", *database.command]
    program = Program("production", command, os.environ | {MARK: "a-database"}, ROOT, tmp_path / "log").start()
    yield program
    program.stop(5)


def test_announced_when_whole(database: Database, program: Program) -> None:
    """Once announced, both roles get in, and the rows are there; only the program itself may be killed by its mark."""
    assert eventually(database.is_ready), program.last_words()
    for role in (OWNER, READER):
        with psycopg.connect(database.url(role)) as connection:
            assert connection.execute("SELECT current_user, count(*) FROM users").fetchall() == [(role, 3001)]
    assert marked("a-database") == [program.pid]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ends_with_its_program(database: Database, program: Program, number: signal.Signals) -> None:
    """Asked or killed, the program takes the server and its folder with it; a new start would find nothing announced."""
    assert eventually(database.is_ready), program.last_words()
    home = Path(program.last_words().split()[-1])
    assert home.exists()
    assert program.pid is not None
    os.kill(program.pid, number)
    assert eventually(lambda: not home.exists())
    database.forget()
    assert not database.is_ready()


def test_may_be_ended_while_it_builds(database: Database, program: Program) -> None:
    """A signal in the middle of the first seconds leaves no server and no folder."""
    assert eventually(lambda: _homes(program)), program.last_words()
    homes = _homes(program)
    program.stop(5)
    assert eventually(lambda: not [home for home in homes if home.exists()])
    assert not database.is_ready()


def _homes(program: Program) -> list[Path]:
    """The folders in which children of the program work."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == program.pid and (home := Path(os.readlink(entry / "cwd"))).name.startswith("postgres-"):
                found.append(home)
        except (OSError, ValueError):
            continue  # ended meanwhile
    return found

"""The leak search of a load in processes: the same findings as in one process, and nothing is left when they end."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tasks.dumps.leak_search import HashedValues, Lookup, searcher, sum_overlaps
from tasks.dumps.search_processes import SearchProcesses
from tasks.estate.errors import NotLoaded
from tests.eventually import eventually
from tests.tasks.dumps.small_databases import planned, table
from tests.tasks.dumps.test_leak_search import MAIL, OTHER, hashes_of

NOTES = planned(table("notes", ["id integer", "v", "w"]), "id: keep, v: keep, w: keep")
COLUMNS = NOTES.columns[1:]
SECRETS = {"users.email": [MAIL, OTHER]}


def blocks(count: int) -> Iterator[bytes]:
    """Blocks with an address in every third."""
    for number in range(count):
        yield f"note {number}\t{MAIL if number % 3 == 0 else 'nothing'}\n".encode()


@pytest.fixture
def processes() -> Iterator[SearchProcesses]:
    """Two processes; none of them is left afterwards."""
    with SearchProcesses(hashes_of(SECRETS), 2) as opened:
        assert [each.poll() for each in opened.processes] == [None, None]
        yield opened
    assert all(each.poll() is not None for each in opened.processes)


def test_processes_find_what_one_process_finds(processes: SearchProcesses) -> None:
    """Table after table, and also if there are more blocks than processes, or none."""
    alone = searcher(Lookup(hashes_of(SECRETS)))
    for count in (1, 20, 0, 3):
        assert sum_overlaps(processes.search(NOTES, COLUMNS, blocks(count))) == sum_overlaps(
            alone(NOTES, COLUMNS, blocks(count))
        )


def test_a_process_that_is_killed_ends_the_load(processes: SearchProcesses) -> None:
    """A block without an answer was not searched."""
    processes.search(NOTES, COLUMNS, blocks(2))
    processes.processes[0].kill()
    with pytest.raises(NotLoaded, match="ended before its answer"):
        processes.search(NOTES, COLUMNS, blocks(20))


def test_an_error_on_the_way_leaves_no_process() -> None:
    """The rows may fail to arrive while others are searched."""

    def failing() -> Iterator[bytes]:
        yield from blocks(5)
        raise psycopg.OperationalError

    with pytest.raises(psycopg.OperationalError), SearchProcesses(hashes_of(SECRETS), 2) as opened:
        opened.search(NOTES, COLUMNS, failing())
    assert [each.poll() for each in opened.processes] == [0, 0]


def test_processes_end_with_the_program_that_started_them(tmp_path: Path) -> None:
    """Also if it is killed: nobody closes anything then."""
    program = (
        "import time; from tasks.dumps.leak_search import HashedValues; from tasks.dumps.search_processes import SearchProcesses\n"
        "with SearchProcesses(HashedValues(), 2) as opened:\n"
        "    print(*(each.pid for each in opened.processes), flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        numbers = killed.stdout.readline().split()
        assert len(numbers) == 2
        killed.kill()
    assert eventually(lambda: not any(Path(f"/proc/{number}").exists() for number in numbers))


def test_a_process_knows_no_setting_of_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords of databases are in the worker's environment, and the search needs none of it."""
    monkeypatch.setenv("UNDERSTUDY_TARGET_DATABASE", "postgresql://u:secret@host/db")
    with SearchProcesses(HashedValues(), 1) as opened:
        opened.search(NOTES, COLUMNS, blocks(1))
        (number,) = (each.pid for each in opened.processes)
        assert b"UNDERSTUDY" not in Path(f"/proc/{number}/environ").read_bytes()

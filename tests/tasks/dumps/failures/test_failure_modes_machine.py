"""Failure modes of the machine: processes killed, disks full, memory, and what lies outside the rows."""

import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tasks.dumps import dump_files, dump_reader
from tasks.dumps.catalog import read_catalog
from tasks.dumps.connections import connected_to, exported_snapshot
from tasks.dumps.extract import Source, extract, units_of
from tasks.estate.errors import NotExported

Pairs = Callable[..., Any]
ROOT = Path(__file__).parents[4]
CLEAR = "Zyxanne.Querulant@example.org"

# Loads a dump and kills itself, as kill -9 would, when the first table has been written.
LOADING = """
import os, signal, sys
from tasks.dumps import dump_reader
from tasks.dumps.catalog import read_catalog
from tasks.dumps.connections import connected_to
from tasks.dumps.load import Load
from tasks.dumps.staging_marker import prepare_marker
from tasks.dumps.dump_reader import Segment
from tasks.dumps.load_plan import draft_load, foreign_keys_to_lift
from tasks.masking.policy import Policy

target, dump, policy = sys.argv[1], dump_reader.check(sys.argv[2]), Policy.model_validate_json(sys.argv[3])
with connected_to(target, name="load", statement_within=60, lock_within=2, reading=False) as connection:
    plan = draft_load(connection, dump, policy, typed="h", real="h", readers="stay", opted_out=(),
                      requested_by="", run_id="killed")
    prepare_marker(connection)
    catalog = read_catalog(connection)

    def killed(events):
        for event in events:
            yield event
            if isinstance(event, Segment):
                os.kill(os.getpid(), signal.SIGKILL)

    lifted = foreign_keys_to_lift(connection, catalog, plan)
    Load(connection, plan, catalog, policy, lifted).run(killed(dump_reader.read(dump.url)))
"""
# Extracts one unit and kills itself when its rows are on disk and its end is not.
EXTRACTING = """
import os, pickle, signal, sys
from pathlib import Path
from tasks.dumps.connections import connected_to, exported_snapshot
from tasks.dumps.extract import Source, extract
from tasks.dumps.segment_writer import SegmentWriter

def killed(self):
    self._flush()
    os.kill(os.getpid(), signal.SIGKILL)

SegmentWriter._finish = killed
table, unit, session = pickle.loads(sys.stdin.buffer.read())
with connected_to(sys.argv[1], name="s", statement_within=60) as connection, exported_snapshot(connection) as held:
    source = Source(snapshot=held, statement_within=60)
    extract(sys.argv[1], source, table, unit, session, folder=Path(sys.argv[2]), compression="none")
"""


def run(code: str, *arguments: str, given: bytes = b"") -> int:
    """Run the code in a process of its own. Return the exit code."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, input=given, capture_output=True, timeout=60, cwd=ROOT).returncode


def test_mode_17_kill_9_in_mid_load_leaves_the_target_as_it_was(pair: Pairs) -> None:
    """The process is gone with half of the tables written; the server undoes it, and the next load goes through."""
    made = pair(
        "CREATE TABLE a (id bigserial PRIMARY KEY, v text); CREATE TABLE b (id bigint REFERENCES a)",
        "a: {id: keep, v: scrub}\nb: keep",
        "INSERT INTO a (v) VALUES ('x'), ('y'); INSERT INTO b VALUES (1)",
        old="INSERT INTO a (v) VALUES ('old'); INSERT INTO b VALUES (1)",
    )
    facts, before = made.export(), made.contents()
    code = run(LOADING, made.url("target", "pair_owner"), facts.url, made.policy.model_dump_json())
    assert code == -signal.SIGKILL
    deadline = time.monotonic() + 10
    alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load' AND datname = current_database()"
    while made.ask(alive) != [(0,)] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert made.contents() == before
    assert made.ask("SELECT count(*) FROM understudy.staging_data") == [(0,)]
    assert made.load(facts).rows == (("a", 2), ("b", 1))


def test_mode_17_kill_9_in_mid_export_leaves_no_dump_and_no_clear_value(pair: Pairs, tmp_path: Path) -> None:
    """What the killed process had written is masked and bears no final name: nothing takes it for a part."""
    made = pair(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text)",
        "t: {id: keep, v: scrub}",
        "INSERT INTO t SELECT n, 'CLEAR' FROM generate_series(1, 500) n".replace("CLEAR", CLEAR),
    )
    url, folder = made.url("source", "pair_reader"), tmp_path / "killed"
    folder.mkdir()
    plan = made.plan()
    with connected_to(url, name="units", statement_within=60) as connection:
        (unit,) = units_of(connection, plan)
    assert (
        run(EXTRACTING, url, str(folder), given=pickle.dumps((plan.of(unit), unit, made.session()))) == -signal.SIGKILL
    )
    (left,) = folder.iterdir()
    assert left.name.endswith(".unfinished")
    assert left.stat().st_mode & 0o777 == 0o600
    assert b"[scrubbed for staging]" in left.read_bytes()
    assert CLEAR.encode() not in left.read_bytes()


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """A disk with room for files of so many bytes: any write beyond fails, as on a full one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_mode_17_a_full_disk_ends_the_export_by_name_and_leaves_nothing(pair: Pairs, tmp_path: Path) -> None:
    """While a part is written, or the whole is joined: no half file stays, and the error names what was missing."""
    made = pair(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text)",
        "t: keep",
        "INSERT INTO t SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 3000) n",
    )
    url, folder = made.url("source", "pair_reader"), tmp_path / "full"
    folder.mkdir()
    plan = made.plan()
    with connected_to(url, name="snapshot", statement_within=60) as holding, exported_snapshot(holding) as held:
        (unit,) = units_of(holding, plan)
        given: Any = (url, Source(snapshot=held, statement_within=60), plan.of(unit), unit, made.session())
        with full_disk(1_000_000), pytest.raises(NotExported, match=r"part of t cannot be written \(File too large\)"):
            extract(*given, folder=folder, compression="none")
        assert list(folder.iterdir()) == []
        part = extract(*given, folder=folder, compression="none")
    header = next(iter(dump_reader.read(made.export().url)))
    with full_disk(1_000_000), pytest.raises(NotExported, match=r"dump cannot be written \(File too large\)"):
        dump_files.assemble(str(folder / "whole.json"), header, [part], compression="none")  # type: ignore[arg-type]  # a header comes first
    assert [path.name for path in folder.iterdir()] == [part.path.name]


def test_mode_15_memory_does_not_grow_with_the_rows(pair: Pairs) -> None:
    """Rows of a megabyte: six times as many take no more memory, neither on their way out nor on their way in."""
    made = pair("CREATE TABLE t (id bigint PRIMARY KEY, v text)", "t: keep")
    grown = []
    for rows in (4, 24):
        filled = "TRUNCATE t; INSERT INTO t SELECT n, repeat(md5(n::text), 32768) FROM generate_series(1, ROWS) n"
        made.change(filled.replace("ROWS", str(rows)), "source")
        tracemalloc.start()
        made.load(made.export())
        grown.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert grown[1] < grown[0] * 1.5 + 2**20
    assert grown[1] < 24 * 2**20


def test_mode_18_texts_outside_the_rows_are_found_and_stay_out(pair: Pairs) -> None:
    """Comments, defaults, checks, views and function bodies that name a person are listed, and none is in the dump."""
    made = pair(
        """CREATE TABLE t (id bigint PRIMARY KEY, v text DEFAULT 'CLEAR', w text CHECK (w <> 'CLEAR'));
        COMMENT ON COLUMN t.v IS 'ask CLEAR'; CREATE VIEW seen AS SELECT id FROM t WHERE v = 'CLEAR';
        CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'CLEAR' $$""".replace("CLEAR", CLEAR),
        "t: {id: keep, v: scrub, w: scrub}",
        "INSERT INTO t (id, w) VALUES (1, 'x')",
    )
    facts = made.export()
    with connected_to(made.url("source", "pair_reader"), name="strays", statement_within=60) as connection:
        strays = read_catalog(connection).strays
    assert {stray.kind for stray in strays} == {"comment", "default", "check", "view", "function"}
    assert CLEAR not in repr(strays)
    assert CLEAR.encode() not in Path(facts.url).read_bytes()


def test_mode_18_members_of_arrays_and_documents_are_masked(pair: Pairs) -> None:
    """Inside arrays, nested arrays of objects and whole documents: every member that the policy names is replaced."""
    made = pair(
        "CREATE TABLE t (id bigint PRIMARY KEY, a text[], j jsonb, k json)",
        "t:\n  id: keep\n  a: {maker: array, each: scrub}\n"
        "  j: {maker: jsonb, paths: {'$.people[*].mail': {maker: email, form: hash}, $.note: scrub}}\n"
        "  k: {maker: jsonb, else: 'null', paths: {$.ok: scrub}}",
        """INSERT INTO t VALUES (1, ARRAY['CLEAR', NULL],
        '{"people": [{"mail": "CLEAR"}, {"mail": "CLEAR", "n": 1}], "note": "CLEAR"}',
        '{"ok": "CLEAR", "new": {"deep": "CLEAR"}}')""".replace("CLEAR", CLEAR),
    )
    facts = made.export()
    assert CLEAR not in Path(facts.url).read_text()
    made.load(facts)
    ((array, document),) = made.ask("SELECT a, j FROM t")
    assert array == ["[scrubbed for staging]", None]
    assert [person.keys() for person in document["people"]] == [{"mail"}, {"mail", "n"}]

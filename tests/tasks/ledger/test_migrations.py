"""The first process that opens a ledger upgrades its tables, once, and no fact is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from tasks.estate.errors import Misconfigured
from tasks.ledger import migrations
from tasks.ledger.ledger import Ledger
from tasks.ledger.tables import metadata
from tests.raw_facts import raw_fact

# The tables of ledgers from before versions were recorded.
FACTS = """CREATE TABLE facts (seq {number} NOT NULL, at VARCHAR(40) NOT NULL, run_id VARCHAR(64) NOT NULL,
    kind VARCHAR(40) NOT NULL, destination_id VARCHAR(64) NOT NULL, plan VARCHAR(64) NOT NULL, detail JSON NOT NULL,
    once VARCHAR(200), previous VARCHAR(64) NOT NULL, hash VARCHAR(64) NOT NULL, PRIMARY KEY (seq), UNIQUE (once))"""
LOCKS = """CREATE TABLE locks (install_id VARCHAR(64) NOT NULL, run_id VARCHAR(64) NOT NULL,
    taken_at VARCHAR(40) NOT NULL, PRIMARY KEY (install_id))"""
INDEXES = [f"CREATE INDEX ix_facts_{column} ON facts ({column})" for column in ("run_id", "destination_id")]
ABORT = "ON facts BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
UNVERSIONED = {
    "sqlite": [
        FACTS.format(number="INTEGER"), LOCKS, *INDEXES,
        f"CREATE TRIGGER facts_no_update BEFORE UPDATE {ABORT}",
        f"CREATE TRIGGER facts_no_delete BEFORE DELETE {ABORT}",
    ],
    "postgresql": [
        FACTS.format(number="SERIAL"), LOCKS, *INDEXES,
        "CREATE FUNCTION facts_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
        "CREATE TRIGGER facts_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON facts "
        "FOR EACH STATEMENT EXECUTE FUNCTION facts_append_only()",
    ],
}  # fmt: skip
# Three facts, written by the code of that time: their hashes must stay valid.
OLD_FACTS = (Path(__file__).parent / "unversioned_facts.jsonl").read_text(encoding="utf-8").splitlines()
OPENER = """
import sys
from tasks.ledger.facts import Asked
from tasks.ledger.ledger import Ledger
print("ready", flush=True)
sys.stdin.readline()
for url in sys.argv[1:]:
    Ledger(url).record(Asked(), run_id="run")
print("alembic" in sys.modules)
"""


def plain(url: str) -> Engine:
    """Open the database without the code of the ledger."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(exist_ok=True)
    return create_engine(url)


def run(engine: Engine, *statements: str) -> None:
    """Run statements in one transaction."""
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def unversioned(url: str) -> Engine:
    """Create a ledger from before versions, with three facts and a lock."""
    engine = plain(url)
    run(engine, *UNVERSIONED[engine.dialect.name], "INSERT INTO locks VALUES ('d', 'run', '2026-11-20T03:00:00+00:00')")
    with engine.begin() as connection:
        for row in map(json.loads, OLD_FACTS):
            names = ", ".join(f":{name}" for name in row)
            row["detail"] = json.dumps(row["detail"])
            connection.execute(text(f"INSERT INTO facts VALUES ({names})"), row)  # noqa: S608  # the names are the file's
    return engine


def guards(engine: Engine) -> set[str]:
    """Return the names of the triggers on the facts."""
    catalog = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = 'facts'::regclass",
    }
    with engine.begin() as connection:
        return set(connection.exec_driver_sql(catalog[engine.dialect.name]).scalars())


def require_newest(engine: Engine) -> None:
    """Require the version, columns, indexes and guards of a new ledger."""
    expected = {"sqlite": {"facts_no_update", "facts_no_delete", "facts_no_replace"}, "postgresql": {"facts_guard"}}
    assert guards(engine) == expected[engine.dialect.name]
    with engine.begin() as connection:
        assert migrations.version_of(connection) == migrations.HEAD
        context = MigrationContext.configure(connection, opts={"version_table": migrations.VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_a_new_ledger_has_the_newest_tables(url: str) -> None:
    """All versions, applied in order, result in the tables of tables.py; opening again changes nothing."""
    Ledger(url).record(raw_fact("asked"), run_id="run")
    require_newest(plain(url))
    assert len(Ledger(url).facts()) == 1
    require_newest(plain(url))


def test_a_ledger_from_before_versions_is_upgraded(url: str) -> None:
    """Every fact, hash and lock stays as it is, and new facts continue the chain."""
    engine = unversioned(url)
    ledger = Ledger(url)
    require_newest(engine)
    assert list(ledger.export()) == OLD_FACTS
    assert ledger.lock_holder("d") == "run"
    assert ledger.record(raw_fact("asked"), run_id="run").seq == len(OLD_FACTS) + 1
    assert ledger.verify() == []


def test_a_ledger_of_the_first_version_is_upgraded(url: str) -> None:
    """Upgrading starts at the recorded version."""
    engine = unversioned(url)
    run(
        engine,
        f"CREATE TABLE {migrations.VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        f"INSERT INTO {migrations.VERSION_TABLE} VALUES ('0001')",  # noqa: S608  # our own constant
    )
    assert list(Ledger(url).export()) == OLD_FACTS
    require_newest(engine)


def test_a_ledger_newer_than_the_code_is_not_opened(url: str) -> None:
    """The message names the known versions, and nothing is changed."""
    Ledger(url)
    engine = plain(url)
    run(engine, f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'")  # noqa: S608  # our own constant
    with pytest.raises(Misconfigured, match="of version '9999'; this Understudy knows versions up to '0002'"):
        Ledger(url)
    with engine.begin() as connection:
        assert migrations.version_of(connection) == "9999"


@pytest.mark.parametrize("theirs", ["CREATE TABLE facts (id INTEGER)", LOCKS])
def test_tables_of_other_applications_are_not_used(tmp_path: Path, theirs: str) -> None:
    """`facts` and `locks` are common names: a table that is not a ledger's stays as it is."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = plain(url)
    run(engine, theirs)
    before = inspect(engine).get_table_names()
    with pytest.raises(Misconfigured, match="not a ledger's"):
        Ledger(url)
    assert inspect(engine).get_table_names() == before


def test_alembic_versions_of_other_applications_are_ignored(url: str) -> None:
    """Another application in the same database may use alembic too."""
    engine = plain(url)
    run(engine, "CREATE TABLE alembic_version (version_num VARCHAR(32))", "INSERT INTO alembic_version VALUES ('77')")
    assert Ledger(url).facts() == []
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == ["77"]


def test_processes_that_open_a_new_ledger_at_once_all_succeed(tmp_path: Path, database: str) -> None:
    """One creates the tables, the others wait for it; later processes do not load alembic."""
    urls = [f"sqlite:///{tmp_path / 'ledger.db'}", database.replace("postgresql://", "postgresql+psycopg://")]
    command = [sys.executable, "-c", OPENER, *urls]
    root = Path(__file__).parents[3]
    processes = [
        subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    assert [process.communicate("go\n", timeout=60) and process.returncode for process in processes] == [0] * 3
    later = subprocess.run(command, cwd=root, input="go\n", capture_output=True, text=True, check=True, timeout=60)
    assert later.stdout == "ready\nFalse\n"
    for url in urls:
        assert len(Ledger(url).facts()) == 4
        assert Ledger(url).verify() == []


def test_a_fact_cannot_be_replaced(tmp_path: Path) -> None:
    """SQLite's REPLACE would delete a fact without firing the guard against deletion."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    Ledger(url).record(raw_fact("approved"), run_id="run", once="answer")
    for numbered in ("1, '', '', 'x', '', '', '{}', 'other'", "2, '', '', 'x', '', '', '{}', 'answer'"):
        with pytest.raises(DBAPIError, match="append-only"):
            run(plain(url), f"INSERT OR REPLACE INTO facts VALUES ({numbered}, '', '')")  # noqa: S608  # from above
    assert [fact.kind for fact in Ledger(url).facts()] == ["approved"]


def test_every_version_is_known_in_order() -> None:
    """The list that is read without alembic equals the one that alembic finds."""
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == migrations.KNOWN

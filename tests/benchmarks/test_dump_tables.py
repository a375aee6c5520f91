"""An export of many empty tables through the flow, compared with `pg_dump` of the same database. Asserts nothing timed.

What is measured is the work for each table and column, because there are no rows. BENCH_TABLES sets the numbers of tables
(1000 and 10000).
"""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.sandbox.postgres import Postgres
from flows.anonymize import anonymize
from tasks.dumps.dump_reader import check
from tests.benchmarks.measuring import Page, peak_mib
from tests.benchmarks.ours import workers
from tests.benchmarks.server import dropped

COUNTS = tuple(int(each) for each in os.environ.get("BENCH_TABLES", "1000 10000").split())
AT_ONCE = 500  # tables a transaction; more need more locks than a server's default has room for
COLUMNS = "id bigserial PRIMARY KEY, name text, email text, note text, created_at timestamptz, n int"
MASKED = "{id: keep, name: first_name, email: email, note: keep, created_at: keep, n: keep, parent: keep}"


@pytest.mark.timeout(3600)
def test_export_of_many_empty_tables(
    server: Postgres, prefect_server: None, page: Page, scratch: Callable[[str], Path]
) -> None:
    """Print the seconds of the flow and of pg_dump for each count, and the peak memory of the flow's process."""
    rows = []
    for count in COUNTS:
        folder = scratch(f"tables{count}")
        url = server.create(f"tables{count}")
        _build(url, count)
        (folder / "many.yaml").write_text(_policy(count))
        with workers(1) as pool:
            ours, peak, exported = pool.submit(_exported, url, folder, PREFECT_API_URL.value()).result()
        began = time.perf_counter()
        subprocess.run([server.bin_path / "pg_dump", "-Fc", url], stdout=subprocess.DEVNULL, check=True)
        theirs = time.perf_counter() - began
        assert exported == count
        rows.append((f"{count:,} tables", ours, 1000 * ours / count, theirs, ours / theirs, peak))
        dropped(server, f"tables{count}")
    page.section(
        "Many empty tables, through the flow",
        ("tables", "seconds", "ms a table", "pg_dump -Fc", "ratio", "MiB in RAM"),
        rows,
        "Half of the tables are masked by name; each has seven columns and refers to the one before. pg_dump has no rows",
        "to prove, no policy, no search for leaks and no file to read back.",
    )


def _build(url: str, count: int) -> None:
    with psycopg.connect(url) as connection:
        for number in range(count):
            parent = f"bigint REFERENCES t{number - 1}" if number else "bigint"
            connection.execute(f"CREATE TABLE t{number} ({COLUMNS}, parent {parent})".encode())
            if number % AT_ONCE == AT_ONCE - 1:
                connection.commit()


def _policy(count: int) -> str:
    rules = "".join(f"  t{number}: {MASKED if number % 2 else 'keep'}\n" for number in range(count))
    return f"app: many\nschema_version: 1\ntables:\n{rules}"


def _exported(url: str, folder: Path, api: str) -> tuple[float, float, int]:
    """Run the flow in this process. Returns its seconds, the peak memory in MiB and the number of tables in the dump."""
    os.environ.update(
        UNDERSTUDY_SOURCE_DATABASE=url,
        UNDERSTUDY_MASKING_KEY="0123456789abcdef" * 4,
        UNDERSTUDY_POLICIES=str(folder),
        UNDERSTUDY_DUMP_FOLDER=str(folder / "dumps"),
        UNDERSTUDY_DUMP_WORK=str(folder / "work"),
        UNDERSTUDY_LEDGER_URL=f"sqlite:///{folder / 'ledger.db'}",
    )
    with temporary_settings({PREFECT_API_URL: api}):
        began = time.perf_counter()
        state: Any = anonymize(policy="many", return_state=True)
        seconds = time.perf_counter() - began
    if state.name != "Exported":
        raise AssertionError(f"{state.name}: {state.message}")
    (dump,) = (folder / "dumps").iterdir()
    return seconds, peak_mib(), len(check(str(dump)).trailer.tables)

"""A whole reload, dump + load + verify with the leak search, against `pg_dump | pg_restore` of the same tables."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.postgres import Postgres
from tasks.estate.dumps import Loaded
from tests.benchmarks.measuring import Page, in_turn
from tests.benchmarks.ours import Export, Laps, export, load, workers
from tests.benchmarks.policies import SIX
from tests.benchmarks.server import copied, dropped, renewed, settle

DEFAULT = "pg_dump -Fc | pg_restore, their defaults"
FAST = "pg_dump -Fc -Z1 | pg_restore"


@pytest.fixture
def staging(server: Postgres, production: Any) -> Iterator[str]:
    """A full staging database, as it is before every reload but the first."""
    yield copied(server, "staging", production.name)
    dropped(server, "staging")


@pytest.mark.timeout(3600)
def test_reload_against_pg_dump_and_pg_restore(
    server: Postgres, production: Any, staging: str, sizes: Any, page: Page, scratch: Callable[[str], Path]
) -> None:
    """Print what a verified reload costs, and what a copy of the same tables through pg_dump and pg_restore costs."""
    folder = scratch("reloads")
    laps: dict[str, dict[str, float]] = {}
    checks: dict[str, tuple[tuple[str, str], ...]] = {}

    def reload(pool: ProcessPoolExecutor, readers: str) -> None:
        made, loaded, seconds = _reload(production.url, staging, folder, pool, readers)
        laps[readers], checks[readers] = seconds, loaded.checks
        assert sum(rows for _, rows in loaded.rows) == production.rows
        assert made.secrets is not None
        assert made.secrets.size > 0

    with workers() as pool:
        contenders = {
            FAST: lambda: _piped(server, production.url, "-Z1"),
            "ours, readers wait": lambda: reload(pool, "wait"),
            "ours, readers stay": lambda: reload(pool, "stay"),
            DEFAULT: lambda: _piped(server, production.url),
        }

        def before() -> None:
            renewed(server, "restored")
            settle(server, staging)

        times = in_turn(contenders, sizes.loads, once=[DEFAULT], before=before)
    dropped(server, "restored")
    rows = [
        (name, times.median(name), times.ratio(name, DEFAULT), times.ratio(name, FAST), times.spread(name))
        for name in contenders
    ]
    page.section(
        "Reload: dump, load and verify against pg_dump | pg_restore",
        ("what", "seconds", "÷ their defaults", "÷ -Z1", "from to"),
        rows,
        "Ours: plan and proof, hashes for the leak search, two worker processes, gzip level 1, the dump read back, one transaction"
        " over a full staging database with its indexes, verification and leak search before the commit. pg_restore fills an empty"
        " database, in many transactions, and verifies nothing. Version 0.1 hashed each value as it is written in its column; now"
        " every form is hashed that it may have in texts, documents and addresses.",
        *(f"readers {readers}: " + ", ".join(f"{step} {s:.2f} s" for step, s in each.items()) for readers, each in laps.items()),
        *(f"verified: {what}: {found}" for what, found in checks["wait"]),
    )  # fmt: skip


def _reload(
    source: str, target: str, folder: Path, pool: ProcessPoolExecutor, readers: str
) -> tuple[Export, Loaded, dict[str, float]]:
    made = export(source, SIX, folder, pool, compression="gzip", complete=True)
    laps = Laps()
    with laps.of("load, verify, leak search"):
        loaded, _ = load(made, target, SIX, readers)
    Path(made.facts.url).unlink()
    return made, loaded, made.laps | laps.seconds


def _piped(server: Postgres, source: str, *options: str) -> None:
    dump = subprocess.Popen([server.bin_path / "pg_dump", "-Fc", *options, source], stdout=subprocess.PIPE)
    restore = [server.bin_path / "pg_restore", "--no-owner", "-d", server.url("restored")]
    subprocess.run(restore, stdin=dump.stdout, check=True)
    assert dump.wait() == 0

"""Masked export against plain COPY and pg_dump of the same tables: ratios, side by side. Asserts nothing timed."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.postgres import Postgres
from tasks.dumps.catalog import identifier, read_catalog
from tasks.dumps.compression import Compression
from tasks.dumps.connections import connected_to
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.extract import units_of
from tasks.estate.dumps import Choices
from tests.benchmarks.measuring import Page, in_turn
from tests.benchmarks.ours import WITHIN, export, workers
from tests.benchmarks.policies import POLICIES
from tests.benchmarks.server import public_tables, settle

PLAIN = "plain COPY text, 1 connection"


@pytest.mark.timeout(3600)
def test_masked_dump_against_plain_copy(
    server: Postgres, production: Any, sizes: Any, page: Page, scratch: Callable[[str], Path]
) -> None:
    """Print what a masked dump costs, and what a plain COPY of the same tables to /dev/null costs."""
    folder = scratch("exports")
    laps: dict[str, dict[str, float]] = {}
    sizes_of: dict[str, int] = {}
    with workers() as pool:
        ours = {
            f"ours, {policy}, {compression}": _ours(production.url, policy, compression, folder, pool, laps, sizes_of)
            for policy, compression in (("six", "none"), ("keyed", "none"), ("six", "gzip"), ("six", "zstd"), ("keyed", "zstd"))
        }  # fmt: skip
        contenders = {
            PLAIN: lambda: _psql(server, [_copies(production.url)], production.url),
            "plain COPY text, 2 connections": lambda: _psql(server, _halves(production.url), production.url),
            **ours,
            "pg_dump -Fc -Z1": lambda: _pg_dump(server, production.url, "-Z1"),
            "pg_dump -Fc (gzip, its default level)": lambda: _pg_dump(server, production.url),
        }
        _psql(server, [_copies(production.url)], production.url)  # warm
        times = in_turn(
            contenders,
            sizes.rounds,
            once=["pg_dump -Fc (gzip, its default level)"],  # some ten times the rest: a second decimal is not worth it
            before=lambda: settle(server),
        )
    rows = [
        (
            name,
            times.median(name),
            times.ratio(name, PLAIN),
            round(production.rows / times.median(name)),
            round(sizes_of[name] / 1e6) if name in sizes_of else "",
            times.spread(name),
        )
        for name in contenders
    ]
    page.section(
        "Masked dump against plain COPY and pg_dump",
        ("what", "seconds", f"÷ {PLAIN}", "rows/s", "MB written", "from to"),
        rows,
        "six: the six default anonymizers, e-mail addresses from ids. keyed: a keyed hash for every text that may identify a person.",
        "Ours: two worker processes, one snapshot, plan and proof, extraction, digests, one file on disk. Not in it: reading the"
        " dump back and hashing values for the leak search, which are measured with the reload.",
        *(f"{name}: " + ", ".join(f"{step} {seconds:.2f} s" for step, seconds in each.items()) for name, each in laps.items()),
    )  # fmt: skip


def _ours(
    url: str,
    policy: str,
    compression: Compression,
    folder: Path,
    pool: ProcessPoolExecutor,
    laps: dict[str, dict[str, float]],
    sizes: dict[str, int],
) -> Callable[[], None]:
    def run() -> None:
        name = f"ours, {policy}, {compression}"
        made = export(url, POLICIES[policy], folder, pool, compression=compression)
        laps[name], sizes[name] = made.laps, made.facts.bytes
        Path(made.facts.url).unlink()

    return run


def _copies(url: str) -> list[str]:
    return [f"COPY {table} TO STDOUT" for table in public_tables(url)]


def _halves(url: str) -> list[list[str]]:
    """The same ranges that our workers get, dealt out to two connections by size."""
    with connected_to(url, name="bench", statement_within=WITHIN) as connection:
        units = units_of(connection, draft_masking(read_catalog(connection), POLICIES["six"], Choices()))
        halves: list[tuple[int, list[str]]] = [(0, []), (0, [])]
        for unit in sorted(units, key=lambda unit: -unit.bytes):
            taken, statements = min(halves)
            end = "" if unit.last_page is None else f" AND ctid < '({unit.last_page},0)'::tid"
            statements.append(
                f"COPY (SELECT * FROM {identifier(unit.leaf).as_string(connection)}"  # noqa: S608  # quoted by psycopg
                f" WHERE ctid >= '({unit.first_page},0)'::tid{end}) TO STDOUT"
            )
            halves[halves.index((taken, statements))] = (taken + max(unit.bytes, 1), statements)
    return [statements for _, statements in halves]


def _psql(server: Postgres, connections: list[list[str]], url: str) -> None:
    running = []
    for statements in connections:
        command = [server.bin_path / "psql", "-X", "-q", *(part for each in statements for part in ("-c", each)), url]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    assert [process.wait() for process in running] == [0] * len(running)


def _pg_dump(server: Postgres, url: str, *options: str) -> None:
    subprocess.run([server.bin_path / "pg_dump", "-Fc", *options, url], stdout=subprocess.DEVNULL, check=True)

"""Where the time of an export goes: server and client, step by step, table by table. One process, nothing in parallel."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.postgres import Postgres
from tasks.dumps import extract as extraction
from tasks.dumps.catalog import read_catalog
from tasks.dumps.compression import compress
from tasks.dumps.connections import connected_to
from tasks.dumps.copied_blocks import copied_blocks
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.dump_lines import require_rows, to_copy, to_rows
from tasks.dumps.export_plan import TablePlan, Unit
from tasks.dumps.masking_sql import set_mask_settings
from tasks.estate.dumps import Choices
from tests.benchmarks.measuring import Page
from tests.benchmarks.ours import WITHIN, session_for
from tests.benchmarks.policies import POLICIES
from tests.benchmarks.server import cpu_seconds, settle

SAMPLE = 64 * 2**20  # bytes of each table whose framing, digests and compression are timed apart
STEPS: dict[str, Callable[[bytes], object]] = {
    "to_rows": to_rows,
    "sha256": lambda block: hashlib.sha256(block).digest(),
    "gzip 1": lambda block: compress(block, "gzip"),
    "zstd 1": lambda block: compress(block, "zstd"),
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("policy", ["six", "keyed"])
def test_where_the_time_of_a_dump_goes(policy: str, server: Postgres, production: Any, page: Page) -> None:
    """Print CPU seconds of server and client and the share of each step, for every table and in all."""
    settle(server)
    rows: list[tuple[Any, ...]] = []
    with connected_to(production.url, name="bench", statement_within=WITHIN) as connection:
        session = session_for(POLICIES[policy], connection.info.server_version)
        plan = draft_masking(read_catalog(connection), POLICIES[policy], Choices())
        for table in plan.tables:
            plain = _run(connection, server, _plain(table))
            masked = _run(connection, server, _masked(table, session), session=session)
            rows.append((table.table.name.name, *_row(plain, masked)))
    whole = [sum(row[place] for row in rows) for place in range(1, len(rows[0]))]
    whole[PLACE_OF_RATIO] = whole[PLACE_OF_RATIO - 1] / whole[0]
    rows.append(("all", *whole))
    page.section(
        f"Where the time goes ({policy}; one connection, one table after the other)",
        ("table", "plain s", "masked s", "÷", "masked MB", "server CPU s", "client: receive s", *(f"{step} s" for step in STEPS)),
        rows,
        "masked s: COPY with masking expressions, blocks thrown away. server CPU, receive: CPU seconds during that. The steps after"
        " it are timed on the blocks themselves (above 64 MB: on the first 64 MB, scaled); one of gzip and zstd is used, or none.",
    )  # fmt: skip


PLACE_OF_RATIO = 2


class _Measured:
    """One COPY: wall, CPU of both sides, bytes, and some of its blocks."""

    def __init__(self, wall: float, server: float, client: float, size: int, blocks: list[bytes]) -> None:
        self.wall, self.server, self.client, self.size, self.blocks = wall, server, client, size, blocks


def _run(connection: Any, server: Postgres, statement: Any, *, session: Any = None) -> _Measured:
    if session is not None:
        set_mask_settings(connection, session)
    before, began, started = cpu_seconds(server), time.process_time(), time.perf_counter()
    size, blocks = 0, []
    for block in copied_blocks(connection, statement):
        size += len(block)
        if size <= SAMPLE:
            blocks.append(block)
    wall, client = time.perf_counter() - started, time.process_time() - began
    return _Measured(wall, cpu_seconds(server) - before, client, size, blocks)


def _row(plain: _Measured, masked: _Measured) -> list[float]:
    steps = []
    scale = masked.size / (sum(map(len, masked.blocks)) or 1)
    framed = [to_rows(block) for block in masked.blocks]
    for step, run in STEPS.items():
        blocks = masked.blocks if step == "to_rows" else framed
        started = time.perf_counter()
        for block in blocks:
            run(block)
        steps.append(scale * (time.perf_counter() - started))
    return [plain.wall, masked.wall, masked.wall / plain.wall, masked.size / 1e6, masked.server, masked.client, *steps]


def _masked(table: TablePlan, session: Any) -> Any:
    whole = Unit(table=table.table.name, leaf=table.table.name, number=0)
    return extraction.copy_statement(table, whole, session)


def _plain(table: TablePlan) -> Any:
    kept = [each.model_copy(update={"rule": each.rule.model_copy(update={"maker": None})}) for each in table.columns]
    return _masked(table.model_copy(update={"columns": tuple(kept)}), None)


@pytest.mark.timeout(600)
def test_speed_of_each_step_of_a_dump(page: Page) -> None:
    """Print the nanoseconds a byte that each step costs on lines like a users table's: what a faster one would save."""
    line = b'4711\tuser-4711@staging.local\tAnna\tM\xc3\xbcller\t\\N\t\t1987-01-01\t$2y$10$abcdefghijklmnopqrstuv\tf\t\\N\tsaid "no"\n'
    block = line * (2**20 // len(line))
    framed = to_rows(block)
    timed = {
        "framing COPY text (to_rows)": (to_rows, block),
        "digest (sha256)": (STEPS["sha256"], framed),
        "gzip level 1": (STEPS["gzip 1"], framed),
        "zstd level 1": (STEPS["zstd 1"], framed),
        "reading: proof that each line is a row (require_rows)": (lambda b: require_rows(b, 11), framed),
        "reading: back to COPY text (to_copy)": (to_copy, framed),
    }
    rows = []
    for name, (run, data) in timed.items():
        best = min(_once(run, data) for _ in range(15))
        rows.append((name, 1e9 * best / len(data), round(len(data) / best / 1e6)))
    page.section("What each step of the client costs", ("step", "ns per byte", "MB/s"), rows)


def _once(run: Callable[[bytes], object], data: bytes) -> float:
    started = time.perf_counter()
    run(data)
    return time.perf_counter() - started

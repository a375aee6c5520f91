"""The peers from the package index against our masked dump: the same data, equal rules, rows a second."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.postgres import Postgres
from tests.benchmarks.dataset import build_shop
from tests.benchmarks.measuring import Page, in_turn
from tests.benchmarks.ours import export, load, workers
from tests.benchmarks.peers import PEERS, Peer, Place, Skipped
from tests.benchmarks.policies import SHOP
from tests.benchmarks.server import copied, dropped, settle

CACHE = Path(__file__).parents[2] / "build" / "peers"
BARE = "ours: plan and masked dump, without what no peer has"
EMAILS = b"@mail-"  # part of every address of the shop's customers: none may be left


@pytest.mark.timeout(4 * 3600)
def test_peers_on_the_same_data(server: Postgres, sizes: Any, page: Page, scratch: Callable[[str], Path]) -> None:
    """Print rows per second of each peer and ours; one that does not install or run is named with its reason."""
    shop = server.create("shop")
    rows = build_shop(shop, sizes.customers)
    page.fact(f"Shop: {rows:,} rows, {sizes.customers:,} customers with six masked columns, the rest orders with three")
    folder = scratch("shop")
    with workers() as pool:

        def ours() -> None:
            made.append(export(shop, SHOP, folder, pool, compression="gzip", complete=True))

        def like_a_peer() -> None:
            export(shop, SHOP, folder, pool, compression="gzip")

        made: list[Any] = []
        times = in_turn({BARE: like_a_peer, "ours": ours}, sizes.rounds, before=lambda: settle(server))
    target = copied(server, "staging", "shop")
    started = time.perf_counter()
    load(made[-1], target, SHOP, "wait")
    loading = time.perf_counter() - started
    dropped(server, "staging")
    mine = rows / times.median("ours")
    bare = times.median(BARE)
    lines: list[tuple[Any, ...]] = [
        (BARE, bare, round(rows / bare), bare / times.median("ours"), times.spread(BARE)),
        ("ours: plan, leak search, masked dump, read back", times.median("ours"), round(mine), 1.0, times.spread("ours")),
        ("ours: the same, loaded and verified", times.median("ours") + loading, round(rows / (times.median("ours") + loading)),
         (times.median("ours") + loading) / times.median("ours"), "one load"),
    ]  # fmt: skip
    for peer in PEERS:
        lines.append(_line(peer, server, sizes, rows, times.median("ours"), scratch(peer.name)))
    dropped(server, "shop")
    page.section(
        "Peers from the package index",
        ("what", "seconds", "rows/s", "time ÷ ours", "rounds"),
        lines,
        f"Single runs of the peers, at most {sizes.peer_seconds} s each. Rules: every masked column becomes a hash of itself; ours is"
        " keyed. What a peer needs before it can start (its own schema, a plain dump to read) is not timed. Ours validates"
        " the plan, searches what it writes for values of the source, and reads its dump back; no peer does.",
    )  # fmt: skip


def _line(peer: Peer, server: Postgres, sizes: Any, rows: int, ours: float, folder: Path) -> tuple[Any, ...]:
    name = f"{peer.name} {peer.version}: {peer.does}"
    try:
        programs = peer.installed(Path(os.environ.get("BENCH_PEERS", CACHE)))
        url = copied(server, "peer", "shop")
        timed = peer.prepare(Place(programs, url, server.bin_path, folder, sizes.peer_seconds))
        settle(server)
        started = time.perf_counter()
        try:
            timed()
        except Skipped as limit:
            if "not done" not in str(limit):
                raise
            return (
                name,
                f"> {sizes.peer_seconds}",
                f"< {rows // sizes.peer_seconds:,}",
                f"> {sizes.peer_seconds / ours:.1f}",
                "cut off",
            )
        seconds = time.perf_counter() - started
        return (name, seconds, round(rows / seconds), seconds / ours, "one run" + _left(folder))
    except Skipped as reason:
        return (name, "", "", "", f"skipped: {reason}")
    finally:
        for database in ("peer", "peer_pynonymizer"):
            dropped(server, database)


def _left(folder: Path) -> str:
    """Return how many clear addresses a peer's plain output contains: with any, it did less than its rules require."""
    out = folder / "out.sql"
    if not out.exists():
        return ""
    with out.open("rb") as file:
        found = sum(line.count(EMAILS) for line in file)
    return f", {found:,} clear addresses left" if found else ""

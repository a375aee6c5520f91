"""What we add to the remote side's own time, API calls per run, and the cost of a step. Prints ratios; asserts nothing timed.

The host's own time is read off the same run: it ends when the emulator's closing checkpoint is completed.
"""

import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task

from deployments.sandbox.host.host import Host
from flows.promote import promote
from flows.refresh import refresh
from tasks.configuration.settings import forget_settings
from tasks.ledger.ledger import Ledger

SCALE = 1 / 60  # the issue's: a copy of 20 minutes takes 20 seconds
GAP = 60 * SCALE  # the evidence needs two readings this far apart, in scaled seconds


@pytest.fixture
def estate() -> Host:
    """The emulated host at the scale of the benchmark."""
    return Host(":memory:", scale=SCALE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("verb", ["refresh", "promote"])
def test_time_added_over_the_remote_side(
    verb: str,
    start: Callable[..., Any],
    worker: Host,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Print the seconds from backup request to backup seen, and from copy sent to arrival proven, against the host's own."""
    monkeypatch.setenv("UNDERSTUDY_PACE", str(SCALE))
    forget_settings()
    worker.publish("schulstage", "files")
    flow_, source, destination = {
        "refresh": (refresh, "schulprod", "schulstage"),
        "promote": (promote, "schulstage", "schulprod"),
    }[verb]
    began = time.monotonic()
    run = start(flow_, source=source, destination=destination).approve()
    whole = time.monotonic() - began
    assert run.state == "Verified", run.message
    at = {fact.kind: fact.at for fact in ledger.facts(run_id=run.id)}
    backups = [
        b for b in worker.store.all("backups") if b["install_id"] == worker.snapshot()["installs"][destination]["id"]
    ]
    ours = next(b for b in backups if run.id in b["description"])
    closing = next(b for b in backups if b["description"].startswith("Checkpoint after"))
    host_backup = (_moment(ours["complete_time"]) - _moment(ours["create_time"])).total_seconds()
    host_copy = (_moment(closing["complete_time"]) - at["sending"]).total_seconds()
    our_backup = (at["planned"] - _moment(ours["create_time"])).total_seconds()
    our_copy = (at["settled"] - at["sending"]).total_seconds()
    calls = Counter(row["method"] for row in worker.journal())
    with capsys.disabled():
        print(f"\n{verb}, scale 1/60, one run, pace 1/60")
        print(
            f"  backup  host {host_backup:6.1f} s   with us {our_backup:6.1f} s   ratio {our_backup / host_backup:.2f}"
        )
        print(f"  copy    host {host_copy:6.1f} s   with us {our_copy:6.1f} s   ratio {our_copy / host_copy:.2f}"
              f"   (of it {GAP:.1f} s the gap between two readings)")  # fmt: skip
        print(
            f"  run     {whole:6.1f} s, over the host's {host_backup + host_copy:.1f} s: ratio {whole / (host_backup + host_copy):.2f}"
        )
        print(f"  calls   {sum(calls.values())} to the hosting API ({dict(calls)})")


def _moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))


@task
def nothing(n: int) -> int:
    """A step that does nothing."""
    return n


@flow
def many(count: int) -> float:
    """Seconds that `count` empty steps take inside a flow."""
    began = time.perf_counter()
    for n in range(count):
        nothing(n)
    return time.perf_counter() - began


def test_cost_of_a_step(prefect_server: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what a Prefect step costs, and what the same function costs when it is called directly."""
    many(5)
    steps = statistics.median(many(40) / 40 for _ in range(5))
    began = time.perf_counter()
    for n in range(100_000):
        nothing.fn(n)
    bare = (time.perf_counter() - began) / 100_000
    with capsys.disabled():
        print(f"\nstep: {steps * 1000:.1f} ms as a Prefect task, {bare * 1e6:.2f} µs bare; a promotion has 11 steps")


def test_cost_of_opening_a_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Print the milliseconds that each step takes to open the ledger, next to a bare connection to the same file."""

    def milliseconds(act: Callable[[], object]) -> float:
        took = []
        for _ in range(50):
            began = time.perf_counter()
            act()
            took.append(time.perf_counter() - began)
        return statistics.median(took) * 1000

    file = tmp_path / "ledger.db"
    opened = milliseconds(lambda: Ledger(f"sqlite:///{file}"))
    bare = milliseconds(lambda: sqlite3.connect(file).close())
    with capsys.disabled():
        print(
            f"\nledger: opened in {opened:.2f} ms, {opened / bare:.0f} times a bare connection of SQLite ({bare:.2f} ms)"
        )

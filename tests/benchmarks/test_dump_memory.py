"""Peak memory of our processes, at the full size and at a fifth of it, which it must not grow with; and a load's steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.postgres import Postgres
from tests.benchmarks.dataset import build_school
from tests.benchmarks.measuring import Page, peak_mib
from tests.benchmarks.ours import export, profiled_load, workers
from tests.benchmarks.policies import SIX
from tests.benchmarks.server import copied, dropped

PARTS = 5  # the large database is this many times the small one


@pytest.mark.timeout(3600)
def test_memory_of_an_exported_and_loaded_dump(
    server: Postgres, production: Any, sizes: Any, page: Page, scratch: Callable[[str], Path]
) -> None:
    """Print the peak memory of export workers, of the process that bundles and reads back, and of the load."""
    small = server.create("small")
    build_school(small, sizes.share / PARTS)
    peaks, _ = _peaks(server, small, "small", scratch("memory"))
    full, seconds = _peaks(server, production.url, production.name, scratch("memory"))
    dropped(server, "small")
    fresh = _fresh()
    page.section(
        "Peak memory of our processes (MiB in RAM)",
        ("process", f"1x ({sizes.megabytes // PARTS} MB)", f"{PARTS}x ({sizes.megabytes} MB)", "growth"),
        [
            (process, peaks[process], full[process], f"{100 * (full[process] / peaks[process] - 1):+.0f} %")
            for process in full
        ],
        f"Of it {fresh:.0f} MiB are Python with this project imported.",
    )
    page.section(
        "Where the time of a load goes",
        ("step", "seconds"),
        list(seconds.items()),
        "readers wait, under a profiler, which adds little: its steps are blocks and statements, not rows.",
    )


def _peaks(server: Postgres, source: str, name: str, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    target = copied(server, "staging", name)
    peaks: dict[str, float] = {}
    with workers(1) as bundler, workers(1) as loader:
        # In a process of its own: this one has held other things.
        made, peaks["export worker, the larger of two"] = bundler.submit(_exported, source, folder).result()
        peaks["plan, leak search hashes, bundle, read back"] = made.held
        # What differs between waiting and staying readers happens in the server.
        seconds, peaks["load, verify, leak search"] = loader.submit(profiled_load, made, target, SIX, "wait").result()
    dropped(server, "staging")
    return peaks, seconds


def _exported(source: str, folder: Path) -> Any:
    with workers() as pool:
        made = export(source, SIX, folder, pool, compression="gzip", complete=True)
    made.held = peak_mib()
    return made, max(made.peaks)


def _fresh() -> float:
    with workers(1) as pool:
        return pool.submit(peak_mib).result()

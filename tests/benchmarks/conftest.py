"""What the benchmarks share: how much is measured, the server with its databases, and the page of results.

All of it is chosen by the environment: BENCH_MB (COPY text of the school, 2000), BENCH_ROUNDS (3), BENCH_LOADS (rounds of
whole reloads, 2), BENCH_CUSTOMERS (of the shop for the peers, 500000), BENCH_ORDERS
(of the WordPress shop, 200000), BENCH_PEER_SECONDS (time limit of a peer, 600),
BENCH_PEERS (folder with the peers' environments), BENCH_PAGE=1 (write docs/performance.md).
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.sandbox.postgres import Postgres
from tests.benchmarks.dataset import FULL_MB, build_school
from tests.benchmarks.measuring import Page
from tests.benchmarks.server import settle, tuned

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"


@dataclass(frozen=True)
class Sizes:
    """How much is measured, and how often."""

    megabytes: int
    rounds: int
    loads: int
    customers: int
    peer_seconds: int

    @property
    def share(self) -> float:
        """Of the full data."""
        return self.megabytes / FULL_MB


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    """The amounts that the environment specifies."""
    return Sizes(
        megabytes=int(os.environ.get("BENCH_MB", FULL_MB)),
        rounds=int(os.environ.get("BENCH_ROUNDS", "3")),
        loads=int(os.environ.get("BENCH_LOADS", "2")),
        customers=int(os.environ.get("BENCH_CUSTOMERS", "500000")),
        peer_seconds=int(os.environ.get("BENCH_PEER_SECONDS", "600")),
    )


@pytest.fixture(scope="session")
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """Collects the results; prints each at once, whatever pytest captures."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(text, flush=True)

    made = Page(show)
    yield made
    if os.environ.get("BENCH_PAGE") == "1" and made.sections:
        PAGE.write_text(made.written(PAGE.read_text("utf-8") if PAGE.exists() else ""), encoding="utf-8")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A place for dumps that is gone afterwards: they are large."""
    made = Path(tempfile.mkdtemp(prefix="understudy-bench-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Postgres]:
    """One server for every database that is measured."""
    with tuned(folder) as made:
        yield made


@dataclass(frozen=True)
class Production:
    """The school's database, filled; never written to by a benchmark."""

    url: str
    name: str
    rows: int


@pytest.fixture(scope="session")
def production(server: Postgres, sizes: Sizes, page: Page) -> Production:
    """The school at its full size."""
    made = Production(server.create("production"), "production", 0)
    rows = build_school(made.url, sizes.share)
    settle(server)
    page.fact(f"School: {rows:,} rows in nine tables, {sizes.megabytes:,} MB as COPY text, generated from a fixed seed")
    return Production(made.url, made.name, rows)


@pytest.fixture
def scratch(folder: Path) -> Iterator[Callable[[str], Path]]:
    """A function that returns an empty folder. All of them are removed after the test."""
    made: list[Path] = []

    def empty(name: str) -> Path:
        path = folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        made.append(path)
        return path

    yield empty
    for path in made:
        shutil.rmtree(path, ignore_errors=True)

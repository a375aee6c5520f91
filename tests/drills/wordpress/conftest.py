"""Two real WordPress sites behind the emulated API, and a worker that looks after them."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.sandbox.host import simulated_work
from deployments.sandbox.host.host import Host
from tasks.configuration.settings import forget_settings
from tests.drills.wordpress.host import Looks, RealHost, Sites
from tests.drills.wordpress.servers import database_server, missing

SCALE = 1 / 240  # a copy of 20 simulated minutes takes 5 seconds
PACE = 1 / 100  # deadlines: a copy may take 54 seconds, because real files and databases are moved
LACKING = missing()
PRODUCTION, STAGING = "www.schulfest.example", "schulstage.wpengine.example"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what is missing instead of failing where there is no WordPress."""
    for item in items:
        if LACKING and "wordpress" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(LACKING)} (Debian's packages)"))


@pytest.fixture(scope="session")
def maria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a MariaDB for the session; each test makes the databases of its sites anew."""
    with database_server(tmp_path_factory.mktemp("maria")) as socket_file:
        yield socket_file


@pytest.fixture
def looks(request: pytest.FixtureRequest) -> tuple[Looks, Looks]:
    """How production and staging look; a test chooses others by an indirect parameter."""
    return getattr(request, "param", (Looks(), Looks(public=False)))


@pytest.fixture
def estate(
    tmp_path: Path, maria: Path, looks: tuple[Looks, Looks], monkeypatch: pytest.MonkeyPatch
) -> Iterator[RealHost]:
    """The host: production and staging are real, the other installs are not touched."""
    with contextlib.ExitStack() as servers:
        sites = Sites(tmp_path, servers, maria)
        sites.add("schulprod", PRODUCTION, looks[0])
        sites.add("schulstage", STAGING, looks[1])
        host = RealHost(sites, tmp_path / "backups", scale=SCALE)
        servers.callback(host.close)
        for kind, does in (
            ("backup", host.end_backup), ("copy", host.land_copy), ("restore", host.land_restore),
            ("measure", host.measure), ("activate", host.activate),
        ):  # fmt: skip
            monkeypatch.setitem(simulated_work.DOING, kind, does)
        yield host


@pytest.fixture
def worker(worker: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The worker of the suite, with the patience that real work needs."""
    monkeypatch.setenv("UNDERSTUDY_PACE", str(PACE))
    forget_settings()
    return worker


class Pair:
    """Two sites, and what they were at first."""

    def __init__(self, sites: Sites, folder: Path) -> None:
        self.sites, self._folder = sites, folder
        self._dumps = {name: sites.dump(name) for name in sites.by_name}
        for name, site in sites.by_name.items():
            shutil.copytree(site.root, folder / "kept" / name, ignore=shutil.ignore_patterns("wp-admin", "wp-includes"))

    def host(self) -> RealHost:
        """A host whose sites are as they were at first."""
        for name, site in self.sites.by_name.items():
            self.sites.load(name, b"SET FOREIGN_KEY_CHECKS = 0;" + self._dumps[name])
            self.sites.copy_files(self._folder / "kept" / name / "wp-content", site.content)
            for extra in (".maintenance", "site-password"):
                (site.root / extra).unlink(missing_ok=True)
        return RealHost(self.sites, self._folder / "backups", scale=SCALE)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, maria: Path) -> Iterator[Pair]:
    """Production and staging with a classic theme: production has more and newer content."""
    folder = tmp_path_factory.mktemp("pair")
    with contextlib.ExitStack() as servers:
        sites = Sites(folder, servers, maria)
        sites.add("schulstage", STAGING, Looks(theme="classic", posts=2))
        sites.add("schulprod", PRODUCTION, Looks(theme="classic"))
        yield Pair(sites, folder)

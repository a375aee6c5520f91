"""Fixtures of all tests: a fast emulator, the worker's settings, a Prefect server, databases, and flows that suspend."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

os.environ.setdefault("DO_NOT_TRACK", "1")  # before Prefect is imported: no telemetry from tests
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")
os.environ["UNDERSTUDY_ESTATE_FILE"] = os.devnull  # a test that needs an estate writes one

import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, settings
from prefect.context import _temporary_global_settings_context, get_settings_context
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from deployments.sandbox.databases import history_serves, prefect_url
from deployments.sandbox.host.host import Host
from deployments.sandbox.host.serve import serve
from deployments.sandbox.postgres import TRIGRAMS, Postgres
from deployments.sandbox.processes import free_port, one_certificate
from deployments.sandbox.school.database import OWNER, build
from tasks.configuration.settings import forget_settings
from tasks.ledger.ledger import Ledger
from tasks.runtime.resources import open_ledger
from tests.people import DEMO_LEAD, PEOPLE, SCHEDULED, Run, write_leads, write_standing

pytest_plugins = ["tests.flows_with_faults", "tests.sweeping", "tests.ssh_access"]

# The suite draws the same examples each time; HYPOTHESIS_PROFILE=random draws new ones. No example has a deadline, because the
# machine may be busy, and a fixture of a function may serve all examples: each example makes its own tables.
BUSY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("suite", derandomize=True, **BUSY)
settings.register_profile("random", **BUSY)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

SLOW_FIRST = (
    "flows",
    "deployments",
)  # folders whose files take a minute; started last, they would run alone at the end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that several processes end at about the same time."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return SLOW_FIRST.index(folder) if folder in SLOW_FIRST else len(SLOW_FIRST)

    items.sort(key=place)


SCALE = 1 / 4000  # a copy of 20 simulated minutes takes 0.3 seconds
PACE = 1 / 1500  # deadlines and intervals: scaled less than the emulator's times


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect server for the session, without heartbeats (a second a run), results in a temporary folder."""
    ours = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOCAL_STORAGE_PATH: tmp_path_factory.mktemp("results"),
        PREFECT_API_SSL_CERT_FILE: str(one_certificate(tmp_path_factory.mktemp("tls"))),
    }
    with ExitStack() as stack:
        if history_serves():
            stack.enter_context(_server_on_postgres(tmp_path_factory.mktemp("history")))
        else:  # no PostgreSQL with pg_trgm for this machine
            stack.enter_context(prefect_test_harness(server_startup_timeout=120))
        stack.enter_context(temporary_settings(ours))
        yield


@contextmanager
def _server_on_postgres(folder: Path) -> Iterator[None]:
    """Run the server of `prefect_test_harness`, which supports only SQLite, on PostgreSQL, which is never locked as a whole."""
    with (
        Postgres(folder, fsync=False, extension=TRIGRAMS) as history,
        temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: prefect_url(history)}),
    ):
        server = SubprocessASGIServer(port=free_port())
        server.start(timeout=120)
        try:
            with (
                temporary_settings({PREFECT_API_URL: server.api_url}),
                _temporary_global_settings_context(
                    get_settings_context()
                ),  # private, but the harness also uses it, for threads
            ):
                yield
        finally:
            logging.disable()  # its last message would go to a stream that pytest has closed
            server.stop()
            logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """An embedded PostgreSQL for the session, in which tests create their own databases."""
    with Postgres(tmp_path_factory.mktemp("postgres"), fsync=False) as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The address of a new, empty database."""
    return postgres.create(f"test_{uuid4().hex[:12]}")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The file of the demo lead's private key in OpenSSH's format, without a passphrase."""
    file = tmp_path / "id_ed25519"
    file.touch(mode=0o600)
    file.write_bytes(PEOPLE[DEMO_LEAD][0].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return file


@pytest.fixture
def estate() -> Host:
    """The emulated hosting API with its installs, in memory, fast."""
    return Host(":memory:", scale=SCALE)


@pytest.fixture
def worker(estate: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """The emulator on a loopback port, and the settings of a worker that uses it. Yields the emulator's state."""
    server = serve(estate)
    address = server.url.removeprefix("http://").rstrip("/")
    standing = write_standing(tmp_path, "schulprod", "schulstage")
    write_leads(tmp_path)
    values = {
        "ESTATE_FILE": str(tmp_path / "estate.yaml"),  # absent until a test writes it
        "LEADS_FILE": str(tmp_path / "leads.yaml"),
        "CODES_FILE": str(tmp_path / "codes.yaml"),
        "FREEZE_FILE": str(tmp_path / "freezes.yaml"),  # absent until a test writes it
        "RISK_FILE": str(tmp_path / "risks.yaml"),  # the same; the defaults apply
        "API_URL": f"http://{address}/v1",
        "API_USER": "demo",
        "API_PASSWORD": "demo",
        "NOTIFY": "ops@schulfest.example",
        "LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "SITE_SCHEME": "http",
        "SITE_GATEWAY": address,
        "STANDING_FILE": str(standing),
        "PACE": str(PACE),
        "BROWSER": "off",  # a browser takes two seconds a plan
        "BROWSER_SANDBOX": "false",
        "PICTURES": str(tmp_path / "pictures"),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"UNDERSTUDY_{name}", value)
    monkeypatch.setattr("tasks.runtime.prefect_records.was_scheduled", lambda run: str(run.id) in SCHEDULED)
    forget_settings()
    yield estate
    server.close()
    forget_settings()


@pytest.fixture
def ledger(worker: Host) -> Ledger:
    """The worker's ledger."""
    return open_ledger()


@pytest.fixture
def start(prefect_server: None, worker: Host) -> Callable[..., Run]:
    """Start a flow as a deployment does: `start(refresh, source=…, destination=…)` returns when it ends or suspends."""

    def begin(flow: Any, *, manually: bool = False, **parameters: Any) -> Run:
        if "requested_by" in flow.parameters.required:
            parameters = {"requested_by": "Dora Developer"} | parameters
        return Run(flow, parameters, by_schedule=parameters.get("approval") == "standing" and not manually).go()

    return begin


@dataclass(frozen=True)
class School:
    """The school's database in production, and in staging with older data. The addresses are the owner's."""

    production: str
    staging: str
    hostname: str
    folder: Path

    def ask(self, query: str, *, production: bool = False) -> list[Any]:
        """Return the rows of a query, on staging unless `production`."""
        with psycopg.connect(self.production if production else self.staging) as connection:
            return connection.execute(query.encode()).fetchall()

    def change(self, statement: str, *, production: bool = False) -> None:
        """Change something on staging, or on production."""
        with psycopg.connect(self.production if production else self.staging) as connection:
            connection.execute(statement.encode())

    def contents(self, *, production: bool = False) -> dict[str, str]:
        """Return a digest of every table's rows, to show whether anything changed."""
        tables = self.ask(TABLES, production=production)
        digest = "SELECT coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') FROM {} AS t"
        return {name: self.ask(digest.format(name), production=production)[0][0] for (name,) in tables}


TABLES = """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'understudy') ORDER BY 1"""


@pytest.fixture(scope="session")
def staging_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A second server, because production and staging never share one."""
    with Postgres(tmp_path_factory.mktemp("staging"), fsync=False) as server:
        yield server


@pytest.fixture(scope="session")
def schools(postgres: Postgres, staging_server: Postgres) -> tuple[str, str]:
    """Two template databases with the school's data; tests work on copies."""
    production, staging = postgres.create("school_template"), staging_server.create("school_template")
    build(production, scale=0.1)
    build(staging, scale=0.1, staging=True)
    return production, staging


@pytest.fixture
def new_school(
    schools: tuple[str, str], postgres: Postgres, staging_server: Postgres, worker: Host, tmp_path: Path
) -> Callable[[pytest.MonkeyPatch], School]:
    """Make fresh copies of both databases, and set up a worker that anonymizes one into the other."""

    def make(patch: pytest.MonkeyPatch) -> School:
        name = f"school_{uuid4().hex[:12]}"
        postgres.create(name, template="school_template")
        staging_server.create(name, template="school_template", owner=OWNER)
        made = School(
            production=postgres.url(name),
            staging=staging_server.url(name, user="schulportal"),
            hostname="staging.schule.example",
            folder=tmp_path / name / "dumps",
        )
        standing = write_standing(tmp_path, "schulportal", "staging.schule.example")
        values = {
            "SOURCE_DATABASE": postgres.url(name, user="schulportal_reader"),
            "TARGET_DATABASE": made.staging,
            "TARGET_HOSTNAME": made.hostname,
            "SOURCE_HOSTNAME": "schule.example",
            "MASKING_KEY": "0123456789abcdef" * 4,
            "DUMP_FOLDER": str(made.folder),
            "DUMP_WORK": str(tmp_path / name / "work"),
            "STANDING_FILE": str(standing),
            "POLICIES": str(Path(__file__).parents[1] / "deployments" / "policies"),
        }
        for key, value in values.items():
            patch.setenv(f"UNDERSTUDY_{key}", value)
        patch.setenv("APP_ALLOW_PROD_IMPORT", "true")
        forget_settings()
        return made

    return make


@pytest.fixture
def school(new_school: Callable[[pytest.MonkeyPatch], School], monkeypatch: pytest.MonkeyPatch) -> School:
    """Fresh copies of both databases, and a worker that is set up to anonymize one into the other."""
    return new_school(monkeypatch)

"""A pytest plugin: which test runs which line, and how long it takes. `-p tests.drills.mutation.tracing` turns it on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

FOLDER = "UNDERSTUDY_TRACES"  # environment variable: where each process writes what it saw

_tracer: coverage.Coverage | None = None
_seconds: dict[str, float] = {}


def pytest_configure(config: pytest.Config) -> None:
    """Start the tracer in each process that runs tests; the xdist controller runs none."""
    global _tracer
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    _tracer = coverage.Coverage(
        data_file=str(Path(os.environ[FOLDER]) / "lines"),
        data_suffix=True,
        source=["flows", "tasks", "deployments"],
        config_file=False,
    )
    _tracer.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Fixtures count as part of the test that asks for them first."""
    if _tracer is not None:
        _tracer.switch_context(item.nodeid)
    yield


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the phases of each test; a test that fails or is skipped here proves nothing later."""
    if report.when == "call" and report.passed:
        _seconds.setdefault(report.nodeid, 0.0)
    if report.nodeid in _seconds:
        _seconds[report.nodeid] += report.duration


def pytest_unconfigure() -> None:
    """Write what this process saw."""
    if _tracer is not None:
        _tracer.stop()
        _tracer.save()
        (Path(os.environ[FOLDER]) / f"seconds-{os.getpid()}.json").write_text(json.dumps(_seconds))

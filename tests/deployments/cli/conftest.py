"""The program, and runs that wait for an answer."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.cli.__main__ import app
from deployments.sandbox.host.host import Host
from tests.deployments.cli.asking_flow import DeploymentWorker, gated


@pytest.fixture
def ask(start: Callable[..., Any]) -> Callable[..., Any]:
    """Start a run that asks, like `ask(kind="arrived")`; see `gated`."""
    return lambda **parameters: start(gated, **parameters)


_asked: list[Any] = []


@pytest.fixture
def asked(request: pytest.FixtureRequest) -> Any:
    """A run that asks, started by the first test that needs it. Do not answer it."""
    if not _asked:
        _asked.append(request.getfixturevalue("ask")())
    return _asked[0]


@pytest.fixture
def cli(worker: Any) -> Callable[..., Any]:
    """Run the program in this process, like `cli("show", code, input="typed\\n")`; not on a terminal."""
    return lambda *arguments, **more: CliRunner().invoke(app, [*map(str, arguments)], **more)


@pytest.fixture
def machine(cli: Callable[..., Any]) -> Callable[..., Any]:
    """Run the program with `--json`, and return the exit code and the document on standard output."""

    def run(*arguments: object, **more: Any) -> tuple[int, Any]:
        result = cli(*arguments, "--json", **more)
        return result.exit_code, json.loads(result.stdout)

    return run


@pytest.fixture
def serving(prefect_server: None) -> Iterator[Callable[..., Any]]:
    """Serve a flow as a deployment until the end of the test, like `serving(flow, "promote")`.

    With `again`, a run that was answered is continued as well.
    """
    working: list[DeploymentWorker] = []

    def serve(body: Any, deployment: str, *, again: bool = False) -> None:
        working.append(DeploymentWorker(body, deployment, again=again).__enter__())

    yield serve
    for each in working:
        each.__exit__()


@pytest.fixture
def nothing(worker: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An account at the emulated host, and a home in which nothing is set up yet. Yields the home."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("API_USER", "API_PASSWORD", "NOTIFY", "STANDING_FILE"):
        monkeypatch.delenv(f"UNDERSTUDY_{name}")
    for name in ("estate", "leads", "codes", "standing"):
        monkeypatch.setenv(f"UNDERSTUDY_{name.upper()}_FILE", str(home / f"{name}.yaml"))
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def init(cli: Callable[..., Any], nothing: Path) -> Callable[..., Any]:
    """Run the command without a terminal."""
    return lambda *options, **more: cli(
        "init", "--environment-file", nothing / "worker.env", "--unit", nothing / "unit.service", *options, **more
    )

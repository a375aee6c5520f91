"""The program, and runs that wait for an answer."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.cli.__main__ import app
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

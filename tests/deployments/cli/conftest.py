"""The program as people start it, and runs that wait for an answer."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from deployments.cli.__main__ import app
from tests.deployments.cli.gates import Hands, gated
from tests.people import DEMO_LEAD, PEOPLE


@pytest.fixture
def ask(start: Callable[..., Any]) -> Callable[..., Any]:
    """Start a run that asks: `ask(kind="arrived")`; see `gated`."""
    return lambda **parameters: start(gated, **parameters)


_asked: list[Any] = []


@pytest.fixture
def asked(request: pytest.FixtureRequest) -> Any:
    """A run that asks, made by the first test that wants it; do not answer it."""
    if not _asked:
        _asked.append(request.getfixturevalue("ask")())
    return _asked[0]


@pytest.fixture
def cli(worker: Any) -> Callable[..., Any]:
    """Run the program in this process: `cli("show", code, input="typed\\n")`; not on a terminal."""
    return lambda *arguments, **more: CliRunner().invoke(app, [*map(str, arguments)], **more)


@pytest.fixture
def machine(cli: Callable[..., Any]) -> Callable[..., Any]:
    """Run the program with `--json`: gives the exit code and the one document on standard output."""

    def run(*arguments: object, **more: Any) -> tuple[int, Any]:
        result = cli(*arguments, "--json", **more)
        return result.exit_code, json.loads(result.stdout)

    return run


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The demo lead's private key as OpenSSH keeps it, without a passphrase."""
    file = tmp_path / "id_ed25519"
    file.touch(mode=0o600)
    file.write_bytes(PEOPLE[DEMO_LEAD][0].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return file


@pytest.fixture
def hands(prefect_server: None) -> Iterator[Callable[..., Any]]:
    """Let a flow be a deployment that somebody works for: `hands(flow, "promote")`, until the test's end.

    With `again` a run that was answered goes on, too.
    """
    working: list[Hands] = []

    def employ(body: Any, deployment: str, *, again: bool = False) -> None:
        working.append(Hands(body, deployment, again=again).__enter__())

    yield employ
    for each in working:
        each.__exit__()

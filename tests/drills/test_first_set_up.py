"""A new user: from an account to a first verified refresh, with a terminal, a Prefect server and a worker as documented.

The account is emulated, and its minutes are seconds. Everything else is what a user starts.
"""

import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyotp
import pytest

from deployments.sandbox.processes import MARK, Program, end_marked, free_port
from tasks.configuration.code_version import PROJECT
from tests.terminal import Terminal

pytestmark = pytest.mark.drill
MOST_ANSWERS, WITHIN = 15, 300.0  # what a new user may be asked, and seconds until the first refresh is verified
SOURCED = 'set -a; . "$0"; set +a; exec "$@"'  # as `init` recommends


@dataclass
class User:
    """A user with a home of their own, whose programs all end with the test."""

    home: Path
    environment: dict[str, str]

    @property
    def settings(self) -> Path:
        """The environment file of the worker."""
        return self.home / ".understudy" / "worker.env"

    def start(self, name: str, command: list[str]) -> Program:
        """Start a program that keeps running."""
        return Program(name, command, self.environment, PROJECT, self.home / f"{name}.log").start()

    def type(self, *words: str, settings: bool = True) -> Terminal:
        """Start `understudy` on a terminal, in a shell with the settings of the worker or without them."""
        program = [sys.executable, "-m", "deployments.cli", *words]
        command = ["/bin/sh", "-c", SOURCED, str(self.settings), *program] if settings else program
        return Terminal(command, self.environment, PROJECT)


def await_answer(url: str, within: float = 120.0) -> None:
    """Wait until something responds at the address."""
    deadline = time.monotonic() + within
    while True:
        try:
            httpx.get(url, timeout=5).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user with an account at the emulated host, and an empty home."""
    host, mark = free_port(), uuid.uuid4().hex
    files = {name: str(tmp_path / f"{name.lower()}.yaml") for name in ("ESTATE", "LEADS", "CODES")}
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", MARK: mark,
        "PREFECT_HOME": str(tmp_path / ".prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
        "UNDERSTUDY_API_URL": f"http://127.0.0.1:{host}/v1", "UNDERSTUDY_SITE_SCHEME": "http",
        "UNDERSTUDY_SITE_GATEWAY": f"127.0.0.1:{host}", "UNDERSTUDY_PACE": str(1 / 60),
    } | {f"UNDERSTUDY_{name}_FILE": path for name, path in files.items()}  # fmt: skip
    user = User(tmp_path, environment)
    try:
        user.start("host", [sys.executable, "-m", "deployments.sandbox.host", "--port", str(host)])
        await_answer(f"http://127.0.0.1:{host}/_sandbox/estate")
        yield user
    finally:
        end_marked(mark)


def converse(screen: Terminal, answers: dict[str, str | Callable[[], str]], *, until: str) -> int:
    """Answer what a program asks for, each by what its label matches, until it prints `until`. Return how many were asked."""
    labels, asked = [f"(?:{label})[^\n]*: $" for label in answers], 0
    while True:
        shown = screen.expect("|".join([until, *labels]), within=240)
        last = shown.rsplit("\n", 1)[-1]
        found = next((answer for label, answer in answers.items() if re.match(label, last)), None)
        if found is None or re.search(until, shown):
            return asked
        screen.type(found if isinstance(found, str) else found())
        asked += 1


def test_a_new_user_reaches_a_verified_refresh(user: User, capsys: pytest.CaptureFixture[str]) -> None:
    """At most fifteen answers and five minutes, with nothing but what the commands themselves name."""
    port = free_port()
    prefect = f"http://127.0.0.1:{port}/api"
    user.start(
        "prefect", [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    )
    await_answer(f"{prefect}/health")
    began = time.monotonic()

    screen = user.type("init", settings=False)
    asked = converse(
        screen,
        {
            "API user": "demo", "API password": "demo", "Which of them": "1", "E-mail address": "ops@example.org",
            "Address of production": "", "First lead": "Anna Lead <anna@example.org>", "SSH public key": "",
            "Second lead": "Bert Lead <bert@example.org>", "Address of the Prefect": prefect, "Write this": "yes",
            "Prepare": "",
        },
        until="Next:",
    )  # fmt: skip
    assert screen.end() == 0, screen.shown
    assert asked <= MOST_ANSWERS
    secret = re.findall(r"or type: ([A-Z2-7]+)", screen.shown)[0]
    assert "understudy run refresh schulprod schulstage" in screen.shown
    set_up = time.monotonic() - began

    worker = [sys.executable, "-m", "deployments.worker", "--pool", "understudy"]
    user.start("worker", ["/bin/sh", "-c", SOURCED, str(user.settings), *worker])
    run = user.type("run", "refresh", "schulprod", "schulstage", "--requested-by", "Anna Lead")
    converse(
        run,
        {
            "Your answer": "approve", "Type the name": "schulstage", "Your name": "Anna Lead",
            "Six digits": lambda: pyotp.TOTP(secret).now(),
        } | dict.fromkeys(["Reason", "Why"], "The first refresh of our own account."),
        until="Verified",
    )  # fmt: skip
    assert run.end(within=120) == 0, run.shown
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\n{asked} answers; set up in {set_up:.0f} s, verified after {took:.0f} s.")
    assert took < WITHIN

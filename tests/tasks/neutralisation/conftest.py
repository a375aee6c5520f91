"""Staging right after a copy of the emulated shop, and connections that run WP-CLI on it without SSH."""

import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request
from deployments.sandbox.host.wp_cli import run_wp
from tasks.estate.errors import Unreachable
from tasks.estate.recipes import Recipe
from tasks.neutralisation.context import Context
from tasks.wpcli.commands import Command
from tasks.wpcli.connection import Answer, _failure

PRODUCTION, STAGING = "www.schulfest.example", "schulstage.wpengine.example"
SCALE = 1 / 100_000  # a changed file is seen at once


class Direct:
    """A connection to an emulated install. `interrupt` is asked before and after each command and may raise."""

    def __init__(self, estate: Host, install: str) -> None:
        self.estate, self.install = estate, install
        self.commands: list[Command] = []
        self.interrupt: Callable[[Command, str], None] = lambda command, when: None

    def run(self, command: Command, *, within: float = 120, accepted: Collection[int] = (0,)) -> Answer:
        self.interrupt(command, "before")
        self.commands.append(command)
        with self.estate.store.lock:
            install = self.estate.named(self.install)
            words = command.arguments(f"/sites/{self.install}")[1:]
            ended = run_wp(install, words, now=self.estate.store.clock())
            self.estate.store.put("installs", install)
        self.interrupt(command, "after")
        answer = Answer(ended.status, ended.out, ended.err)
        if ended.status not in accepted:
            raise _failure(str(command), answer)
        return answer


class Interrupted:
    """Fails at the n-th command, once: before it is executed, or after it, with its answer lost."""

    def __init__(self, number: int, when: str, error: Callable[[], Exception]) -> None:
        self._left, self._when, self._error = number, when, error
        self.met = False

    def __call__(self, command: Command, when: str) -> None:
        if when == self._when and not self.met:
            self._left -= 1
            if self._left < 0:
                self.met = True
                raise self._error()


def dropped() -> Exception:
    """A lost connection."""
    return Unreachable("schulstage: the connection was lost.")


@pytest.fixture
def estate() -> Host:
    """A host whose staging has just received a copy of production: same tables, same files, its own address."""
    host = Host(scale=SCALE)
    copy_down(host)
    return host


def copy_down(host: Host) -> None:
    """Put production's content on staging, as the host's copy does for the primary domain only in `home`."""
    production, staging = host.named("schulprod"), host.named("schulstage")
    content = json.loads(json.dumps(production["database"]))
    staging["database"] = content | {"home": staging["database"]["home"]}
    staging["files"] = {**production["files"], "copied": True}
    host.store.put("installs", staging)


@pytest.fixture
def connection(estate: Host) -> Any:
    """A connection to staging. Any: a double."""
    return Direct(estate, "schulstage")


@pytest.fixture
def source(estate: Host) -> Any:
    """A connection to production. Any: a double."""
    return Direct(estate, "schulprod")


@pytest.fixture
def context() -> Context:
    """The safe recipe for staging after a copy of production."""
    return Context(
        recipe=Recipe.safe(), install="schulstage", source="schulprod", own_domains=(STAGING,), other_domains=(PRODUCTION,),
        moment=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), run="quiet-otter", key=bytes(range(32)), password_hash="$2y$10$hash",
    )  # fmt: skip


def visit(estate: Host, path: str = "/", **query: str) -> Any:
    """Return staging's answer to a visitor."""
    return estate.handle(Request("GET", STAGING, path, query, {}, b""))


def looking(estate: Host) -> Callable[[], Mapping[str, str] | None]:
    """Return what a context uses to see the site as a visitor."""
    return lambda: visit(estate, seen="now").headers  # type: ignore[no-any-return]  # Response.headers


def tables(estate: Host, install: str = "schulstage") -> str:
    """Return everything in the tables of an install, in lower case, to search in."""
    return json.dumps(estate.named(install)["database"]["rows"], ensure_ascii=False).lower()

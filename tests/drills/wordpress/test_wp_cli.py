"""The emulated WP-CLI answers as the real one does on a real WordPress, to the same commands.

WP-CLI is no package of Debian: the real half runs where a program `wp` is installed, and is skipped elsewhere.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Collection
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.wp_cli import run_wp
from tasks.wpcli.commands import Command
from tasks.wpcli.connection import Answer
from tasks.wpcli.wordpress import ENVIRONMENTS, WordPress
from tests.drills.wordpress.conftest import PRODUCTION, Pair

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]
Run = Callable[[Command], Answer]


class Local:
    """A connection that runs each command on this machine."""

    def __init__(self, execute: Run) -> None:
        self._execute = execute

    def run(self, command: Command, *, within: float = 120, accepted: Collection[int] = (0,)) -> Answer:
        answer = self._execute(command)
        assert answer.status in accepted, (str(command), answer.status, answer.error)
        return answer


@pytest.fixture(params=["real", "emulated"])
def execute(request: pytest.FixtureRequest) -> Run:
    """How a command is run on production: by WP-CLI, or by the emulator."""
    if request.param == "emulated":
        host = Host(scale=1 / 240)

        def emulated(command: Command) -> Answer:
            ended = run_wp(host.named("schulprod"), command.arguments("/sites/schulprod")[1:])
            return Answer(ended.status, ended.out, ended.err)

        return emulated
    if shutil.which("wp") is None:
        pytest.skip("WP-CLI is not installed: no program `wp`")
    pair: Pair = request.getfixturevalue("pair")
    root = str(pair.sites.by_name["schulprod"].root)

    def real(command: Command) -> Answer:
        ended = subprocess.run(
            command.arguments(root), capture_output=True, check=False, env=os.environ | {"WP_CLI_ALLOW_ROOT": "1"}
        )
        return Answer(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    return real


@pytest.fixture
def wordpress(execute: Run) -> Any:
    """The WordPress of production."""
    return WordPress(Local(execute))  # type: ignore[arg-type]  # a double


def test_what_diagnose_asks_is_answered(wordpress: WordPress) -> None:
    """Each command exists, with its options, and its answer can be read."""
    assert wordpress.is_installed()
    assert wordpress.environment_type() in ENVIRONMENTS
    assert not wordpress.constant("WP_DEBUG")
    assert not wordpress.constant("NO_SUCH_CONSTANT")
    assert isinstance(wordpress.filters_mail(), bool)
    assert isinstance(wordpress.outdated_plugins(), tuple)
    assert wordpress.modified_core_files() in (None, *range(10_000))  # None without a way to wordpress.org


def test_a_search_counts_rows_by_column(wordpress: WordPress) -> None:
    """The options `home` and `siteurl` are two rows; what is nowhere is found nowhere."""
    found = {(each.table, each.column): each.count for each in wordpress.search(f"//{PRODUCTION}").places}
    assert found["wp_options", "option_value"] >= 2
    assert ("wp_posts", "guid") not in found
    assert wordpress.search("//nowhere.example").places == ()


@pytest.mark.parametrize(
    ("command", "status", "printed"),
    [
        (Command(("option", "get"), ("no_such_option",)), 1, "Error: Could not get 'no_such_option' option."),
        (Command(("plugin", "is-active"), ("no-such-plugin",)), 1, ""),
        (Command(("core", "is-installed"), options={"network": True}), 1, ""),
        (Command(("config", "get"), ("table_prefix",)), 0, "wp_"),
        (Command(("no-such-command",)), 1, "is not a registered wp command"),
        (Command(("option", "get"), ("home",), {"no-such-option": True}), 1, "unknown --no-such-option parameter"),
    ],
    ids=str,
)
def test_refusals_have_the_same_codes_and_words(command: Command, status: int, printed: str, execute: Run) -> None:
    """Exit codes and the words by which a refusal is recognised are the same."""
    answer = execute(command)
    assert answer.status == status
    assert printed in answer.output + answer.error

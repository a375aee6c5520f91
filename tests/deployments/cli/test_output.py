"""What all commands share: `--json`, errors as sentences, exit codes, and output without control characters."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import typer
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.main import get_command
from typer.testing import CliRunner

from deployments.cli.__main__ import app
from deployments.cli.output import MarkdownText, Result, columns, command, new_group, printable
from deployments.cli.reference import leaves
from tasks.estate.errors import Frozen

COMMANDS = dict(leaves(get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_json(name: str) -> None:
    """Each command and each of its options has a help text, and `--json` is one of them."""
    found = COMMANDS[name]
    assert found.help
    options = [each for each in found.params if each.param_type_name == "option"]
    assert "--json" in {word for each in options for word in each.opts}
    assert [each.name for each in found.params if not each.help] == []


@pytest.fixture
def program() -> typer.Typer:
    """A program with a command that is refused, one whose check fails, and one that shows a form."""
    made = new_group("Test.")

    @command(made, "refused")
    def refused() -> Result:
        """Be refused."""
        raise Frozen("schulprod is closed.", next_step="Wait.")

    @command(made, "failed")
    def failed() -> Result:
        """Find something."""
        return Result({"name": "a\x1b[31m"}, ["found \x1b[31m it"], failed=True)

    @command(made, "form")
    def form() -> Result:
        """Show a form."""
        return Result({}, [MarkdownText("**Bold** [here](http://evil.example)")])

    return made


@pytest.mark.parametrize("terminal", ["0", "1"])
def test_a_form_is_rendered_on_a_terminal_only(program: typer.Typer, terminal: str) -> None:
    """Markdown is rendered on a terminal and printed unchanged elsewhere; the address of a link is always shown."""
    shown = CliRunner().invoke(program, ["form"], env={"TTY_COMPATIBLE": terminal}).stdout
    assert ("**Bold**" in shown, "\x1b[1mBold" in shown) == ((True, False) if terminal == "0" else (False, True))
    assert "http://evil.example" in shown


def test_an_error_is_a_sentence_with_a_next_step(program: typer.Typer) -> None:
    """It is printed on standard error with exit code 1 and no traceback; with --json there is a document as well."""
    done = CliRunner().invoke(program, ["refused"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Frozen: schulprod is closed.\nWait.\n"
    document = json.loads(CliRunner().invoke(program, ["refused", "--json"]).stdout)
    assert document == {"error": {"outcome": "Frozen", "message": "schulprod is closed.", "next_step": "Wait."}}


def test_control_characters_are_removed_for_people_and_escaped_for_machines(program: typer.Typer) -> None:
    """Text from outside cannot move the cursor, neither as lines nor as JSON."""
    assert CliRunner().invoke(program, ["failed"]).stdout == "found [31m it\n"
    done = CliRunner().invoke(program, ["failed", "--json"])
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout
    assert json.loads(done.stdout) == {"name": "a\x1b[31m"}


@pytest.mark.parametrize("arguments", [["nonsense"], ["show"], ["watch"], ["waiting", "--nonsense"]])
def test_a_usage_error_exits_with_two(cli: Callable[..., Any], arguments: list[str]) -> None:
    """Usage errors have their own exit code and are printed on standard error."""
    done = cli(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr


def test_without_a_server_no_server_is_started(cli: Callable[..., Any]) -> None:
    """Without a configured server the command fails: on a temporary server, "nothing waits" would be wrong."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        done = cli("waiting")
    assert done.exit_code == 1
    assert "PREFECT_API_URL is not set" in done.stderr


def test_a_server_that_does_not_respond_is_reported(cli: Callable[..., Any]) -> None:
    """The message contains the address and what to check; there is no traceback."""
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        done = cli("waiting")
    assert done.exit_code == 1
    assert "http://127.0.0.1:1/api cannot be reached: nothing listens" in done.stderr


def test_columns_are_aligned_and_printable() -> None:
    """Cells of a column start at the same place and contain neither line breaks nor invisible characters."""
    assert columns([["a", "b\nc"], ["long", printable("\u200bd")]], head=("x", "y")) == [
        "x     y",
        "a     b c",
        "long  d",
    ]

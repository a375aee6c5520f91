"""What every command shares: `--json`, one sentence for an error, exit codes, and nothing on a terminal that bites."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.main import get_command
from typer.testing import CliRunner

from deployments.cli.__main__ import app
from deployments.cli.output import Marked, Told, columns, command, inert, new_group
from tasks.estate.errors import Frozen


def leaves(group: Any, name: str = "understudy") -> Iterator[tuple[str, Any]]:
    """Every command of the program, however deep, with its whole name."""
    for word, found in getattr(group, "commands", {}).items():
        if hasattr(found, "commands"):
            yield from leaves(found, f"{name} {word}")
        else:
            yield f"{name} {word}", found


COMMANDS = dict(leaves(get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_speaks_to_machines(name: str) -> None:
    """Each command has a sentence, each of its options too, and `--json` is one of them."""
    found = COMMANDS[name]
    assert found.help
    options = [each for each in found.params if each.param_type_name == "option"]
    assert "--json" in {word for each in options for word in each.opts}
    assert [each.name for each in found.params if not each.help] == []


@pytest.fixture
def program() -> typer.Typer:
    """A program with a command that is refused and one that looks at something that is not well."""
    made = new_group("Test.")

    @command(made, "refused")
    def refused() -> Told:
        """Be refused."""
        raise Frozen("schulprod is closed.", next_step="Wait.")

    @command(made, "ill")
    def ill() -> Told:
        """Find something."""
        return Told({"name": "a\x1b[31m"}, ["found \x1b[31m it"], failed=True)

    @command(made, "form")
    def form() -> Told:
        """Show a form."""
        return Told({}, [Marked("**Bold** [here](http://evil.example)")])

    return made


@pytest.mark.parametrize("terminal", ["0", "1"])
def test_a_form_is_rendered_on_a_terminal_only(program: typer.Typer, terminal: str) -> None:
    """Bold where it can be shown, as it is elsewhere; the address behind a word is always shown."""
    shown = CliRunner().invoke(program, ["form"], env={"TTY_COMPATIBLE": terminal}).stdout
    assert ("**Bold**" in shown, "\x1b[1mBold" in shown) == ((True, False) if terminal == "0" else (False, True))
    assert "http://evil.example" in shown


def test_an_error_is_a_sentence_and_what_to_do(program: typer.Typer) -> None:
    """On standard error, exit code 1, and no traceback; with --json there is a document too."""
    told = CliRunner().invoke(program, ["refused"])
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr == "Frozen: schulprod is closed.\nWait.\n"
    document = json.loads(CliRunner().invoke(program, ["refused", "--json"]).stdout)
    assert document == {"error": {"outcome": "Frozen", "message": "schulprod is closed.", "next_step": "Wait."}}


def test_control_characters_are_left_out_for_people_and_escaped_for_machines(program: typer.Typer) -> None:
    """What comes from outside can move no cursor, in either way to speak."""
    assert CliRunner().invoke(program, ["ill"]).stdout == "found [31m it\n"
    told = CliRunner().invoke(program, ["ill", "--json"])
    assert told.exit_code == 1
    assert "\x1b" not in told.stdout
    assert json.loads(told.stdout) == {"name": "a\x1b[31m"}


@pytest.mark.parametrize("arguments", [["nonsense"], ["show"], ["plan", "promote"], ["waiting", "--nonsense"]])
def test_a_command_that_is_not_understood_ends_with_two(cli: Callable[..., Any], arguments: list[str]) -> None:
    """Usage errors have an exit code of their own, and their words are on standard error."""
    done = cli(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr


def test_without_a_server_no_server_is_started(cli: Callable[..., Any]) -> None:
    """Prefect would start one of its own, on which nothing waits: a wrong "nothing waits for you"."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        done = cli("waiting")
    assert done.exit_code == 1
    assert "PREFECT_API_URL is not set" in done.stderr


def test_a_server_that_does_not_answer_is_named(cli: Callable[..., Any]) -> None:
    """The address and what to check, not a stack of exceptions."""
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        done = cli("waiting")
    assert done.exit_code == 1
    assert "http://127.0.0.1:1/api cannot be reached: nothing listens" in done.stderr


def test_columns_are_aligned_and_inert() -> None:
    """Cells of one column begin in the same place, and hold neither new lines nor invisible letters."""
    assert columns([["a", "b\nc"], ["long", inert("\u200bd")]], head=("x", "y")) == ["x     y", "a     b c", "long  d"]

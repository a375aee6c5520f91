"""Commands are argument lists: whatever a value contains, a shell reads exactly that value, and WP-CLI no option."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings, strategies

from tasks.estate.errors import Misconfigured
from tasks.wpcli.commands import LONGEST, Command, command_line, quoted

SHELLS = [shell for shell in ("sh", "bash") if shutil.which(shell)]
TEXT = strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NASTY = strategies.sampled_from(
    ["'", "''", '"', "\\", "\n", "$(id)", "`id`", "; id", "&& id", "#", "~", "*", "!!", "-n", "", "\r", "é", "{a,b}"]
)
ARGUMENTS = strategies.lists(TEXT | strategies.lists(NASTY | TEXT).map("".join), min_size=1, max_size=8)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=40)  # each example starts a shell, with up to eight arguments
@given(arguments=ARGUMENTS)
def test_a_shell_reads_exactly_the_arguments(shell: str, arguments: list[str]) -> None:
    """No value breaks out of its argument: a real shell prints each of them unchanged."""
    script = f"printf '%s\\0' {command_line(arguments)}"
    printed = subprocess.run([shell, "-c", script], capture_output=True, check=True).stdout
    assert printed == b"".join(each.encode() + b"\0" for each in arguments)


@given(TEXT)
def test_every_argument_is_quoted(text: str) -> None:
    """Nothing is left outside of quotes, so that no word is an assignment, a keyword or a pattern of the shell."""
    line = quoted(text)
    assert line[0] == line[-1] == "'"
    assert line.replace("'\\''", "")[1:-1].count("'") == 0


@pytest.mark.parametrize(
    "argument", ["a\0b", "half \ud800 of a character", "x" * (LONGEST + 1)], ids=["nul", "half", "long"]
)
def test_what_cannot_be_passed_is_refused_without_its_value(argument: str) -> None:
    """An argument that no program could receive is refused, and the message does not repeat it."""
    with pytest.raises(Misconfigured) as refused:
        quoted(argument)
    assert "x" * 20 not in refused.value.message
    assert "half \ud800" not in refused.value.message


def test_a_command_has_its_values_before_its_options_and_its_folder() -> None:
    """Flags are options without a value; an option that is False is left out."""
    command = Command(("option", "get"), ("home",), {"skip-plugins": True, "format": "json", "quiet": False})
    assert command.arguments("/sites/a") == [
        "wp",
        "option",
        "get",
        "home",
        "--skip-plugins",
        "--format=json",
        "--path=/sites/a",
    ]


@given(strategies.lists(TEXT))
def test_no_value_is_read_as_an_option(values: list[str]) -> None:
    """WP-CLI takes an argument with two hyphens for an option wherever it is: a value that begins so is refused."""
    command = Command(("eval",), tuple(values))
    if any(value.startswith("-") for value in values):
        with pytest.raises(Misconfigured, match="begins with a hyphen"):
            command.arguments("/sites/a")
    else:
        assert command.arguments("/sites/a") == ["wp", "eval", *values, "--path=/sites/a"]


@pytest.mark.parametrize(("words", "options"), [(("option; id",), {}), (("option",), {"a b": True}), (("-x",), {})])
def test_words_and_options_are_names(words: tuple[str, ...], options: dict[str, str | bool]) -> None:
    """What the code writes as a word or an option is a plain name."""
    with pytest.raises(Misconfigured, match="neither a word nor an option"):
        Command(words, (), options).arguments("/sites/a")


def test_a_command_shows_its_words_only() -> None:
    """Values and options may be data of a site, so that no representation contains them."""
    command = Command(("option", "get"), ("secret-name",), {"format": "secret-option"})
    assert str(command) == "wp option get"
    assert "secret" not in repr(command)

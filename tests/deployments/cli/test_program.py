"""The program as a whole: version, completion, usage errors and faults as sentences, and files that are loaded when used."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from deployments.cli import output, program
from deployments.cli.__main__ import app
from deployments.cli.reference import leaves, reference

ROOT = Path(__file__).parents[3]


def run(*arguments: str, **environment: str) -> Any:
    """Run the program in this process."""
    return CliRunner().invoke(app, [*arguments], prog_name="understudy", env=environment)


def test_the_version_names_code_and_prefect() -> None:
    """`--version` prints one line, and with --json a document with the fingerprint of the code."""
    shown = run("--version")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("understudy 0.")
    document = json.loads(run("--version", "--json").stdout)
    assert set(document) == {"version", "code", "prefect", "python"}
    assert document["code"] in shown.stdout


@pytest.mark.parametrize(
    ("typed", "offered"), [("understudy le", ["leads", "ledger"]), ("understudy ledger v", ["verify"])]
)
def test_completion_does_not_load_prefect(typed: str, offered: list[str]) -> None:
    """A shell is offered the commands that fit, in a process that does not import Prefect."""
    code = (
        "import atexit, sys; from deployments.cli.__main__ import main\n"
        "atexit.register(lambda: print('prefect' in sys.modules, file=sys.stderr)); main()"
    )
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_UNDERSTUDY_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | words, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == offered
    assert done.stderr.strip() == "False"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--show-completion` prints the script that the shell reads."""
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    shown = CliRunner().invoke(app, ["--show-completion"], prog_name="understudy")
    assert "_UNDERSTUDY_COMPLETE" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message", "step"),
    [
        (("nonsense",), "No such command 'nonsense'.", "`understudy --help`"),
        (("wating",), "Did you mean 'waiting'?", "`understudy --help`"),
        (("show",), "Missing argument 'CODE|RUN'.", "`understudy show --help`"),
        (("hold", "schulstage"), "Specify --until", "`understudy hold --help`"),
        (("plan", "promote", "a", "b", "--nonsense"), "No such option: --nonsense", "`understudy plan promote --help`"),
    ],
)
def test_a_usage_error_is_a_sentence_with_a_remedy(arguments: tuple[str, ...], message: str, step: str) -> None:
    """It names what was typed wrong and the command whose help explains it; with --json in the document of every error."""
    shown = run(*arguments)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith("Usage: ")
    assert "Invalid value" not in shown.stderr
    assert message in shown.stderr
    assert step in shown.stderr
    done = run(*arguments, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["outcome"]) == (2, "Usage")
    assert message in error["message"]


def test_without_a_command_the_help_is_shown() -> None:
    """Without a command the list of commands is shown as an error; with --json alone, the error is a document."""
    shown = run()
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "approve" in shown.stderr
    assert json.loads(run("--json").stdout)["error"]["message"] == "The command is missing."
    assert "after the command: understudy waiting" in run("--json", "waiting").stderr


def test_a_fault_is_explained_without_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is named by type and place; its text, which may contain values, is shown only on request."""

    def broken(*_: object) -> None:
        raise KeyError("anna@example.org")

    monkeypatch.setattr("deployments.cli.freezes.load_calendar", broken)
    done = run("freezes", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.exit_code, error["outcome"]) == (70, "Fault")
    assert "KeyError at " in error["message"]
    assert "anna" not in done.output
    assert isinstance(run("freezes", **{program.TRACEBACK: "1"}).exception, KeyError)


def test_a_file_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the file system is a sentence with the path."""

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "leads.yaml")

    monkeypatch.setattr("deployments.cli.freezes.load_calendar", denied)
    done = run("freezes")
    assert done.exit_code == 1
    assert "leads.yaml cannot be used: Permission denied." in done.stderr


def test_every_command_is_listed_and_loaded() -> None:
    """Each name of the list has its file, and a name can be replaced."""
    commands = program._Loaded()
    assert {name: found.name for name, found in commands.items()} == {name: name for name in program.COMMANDS}
    assert len(commands) == len(list(get_command(app).commands))  # type: ignore[attr-defined]  # a group


def test_the_page_of_commands_is_what_help_shows() -> None:
    """docs/commands.md is what `python -m deployments.cli.reference` writes."""
    assert (ROOT / "docs/commands.md").read_text(encoding="utf-8") == reference()
    assert "understudy ledger verify" in dict(leaves(get_command(app)))


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes in docs/command-line.md has each code that the program uses, and 0."""
    page = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    codes = [value for name, value in vars(output).items() if name.isupper() and isinstance(value, int)]
    assert len(codes) >= 5
    assert [code for code in (0, *codes) if f"| {code} |" not in page] == []


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TTY_COMPATIBLE": "1"}, True),
        ({"TTY_COMPATIBLE": "1", "NO_COLOR": "1"}, False),
        ({"TTY_COMPATIBLE": "0"}, False),
        ({"TERM": "dumb", "TTY_COMPATIBLE": "1"}, False),
    ],
    ids=["terminal", "NO_COLOR", "pipe", "dumb"],
)
def test_colours_are_for_terminals_that_want_them(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines are coloured on a terminal, unless NO_COLOR is set or the terminal is dumb; words are the same everywhere."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    lines = [output.Good("good"), output.Caution("unknown"), output.Alert("bad")]
    output.print_result(output.Result({}, lines), as_json=False)
    printed = capsys.readouterr().out
    assert ("\x1b[32m" in printed, "\x1b[33m" in printed, "31m" in printed) == (coloured,) * 3
    assert [word for word in ("good", "unknown", "bad") if word not in printed] == []


def test_every_result_and_error_has_one_shape(cli: Callable[..., Any]) -> None:
    """A document is an object; it has the key `error` if there is no result."""
    for arguments, failed in ((("freezes",), False), (("leads", "list"), False), (("settle", "x", "--arrived"), True)):
        document = json.loads(cli(*arguments, "--json").stdout)
        assert isinstance(document, dict)
        assert ("error" in document) == failed
        assert not failed or {"outcome", "message", "next_step"} <= set(document["error"])

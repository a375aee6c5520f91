"""What all commands share: output, prompts, and the conversion of errors to sentences and exit codes."""

import functools
import getpass
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown

from tasks.estate.errors import UnderstudyError

# Exit codes; docs/command-line.md explains them to users.
FAILED = 1  # refused, or a check failed
USAGE = 2  # what was typed was not understood; typer's own number
STILL_OPEN = 3  # the run that was followed neither asked nor ended; no result is known
BROKEN = 70  # a fault of the program; EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # a command that Ctrl-C ends, as in shells
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else.")]


class Alert(str):
    """A line that must not be overlooked: red."""


class Caution(str):
    """A line about something that is not known, or soon needs somebody: yellow."""


class Good(str):
    """A line about something that is as it should be: green."""


STYLES: dict[type[str], str] = {Alert: "bold red", Caution: "yellow", Good: "green"}


class MarkdownText(str):
    """Markdown, rendered on a terminal and printed unchanged elsewhere."""


@dataclass(frozen=True)
class Result:
    """The result of a command: a document for machines, and lines for people. `failed`: a check failed; exit code 1."""

    document: Mapping[str, Any]
    lines: Sequence[str] = ()
    failed: bool = False


class InputEnded(typer.BadParameter):
    """Something was asked for, and nobody can type it: the input has ended."""


class NoResult(Exception):
    """A command stopped before it had a result, with its own exit code. `facts` are added to the JSON document."""

    def __init__(self, message: str, next_step: str, code: int, **facts: str) -> None:
        super().__init__(message)
        self.message, self.next_step, self.code, self.facts = message, next_step, code, facts


def new_group(about: str) -> typer.Typer:
    """Return a group of commands. Help and errors are plain text: the same on a terminal, in a file and in a pipe."""
    return typer.Typer(
        help=about,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,  # a bug shows Python's own traceback, without the values of variables
        add_completion=False,
    )


def command(
    group: typer.Typer, name: str, about: str | None = None
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Register a function as a command: add `--json`, print its `Result`, and explain our errors.

    `about` is the help text, by default the function's docstring.
    """

    def register(body: Callable[..., Result]) -> Callable[..., Result]:
        def run(json: bool, **given: Any) -> None:
            try:
                result = body(**given)
            except UnderstudyError as error:
                explain(error.outcome, error.message, error.next_step, as_json=json)
                raise typer.Exit(FAILED) from error
            except NoResult as stop:
                outcome = "Interrupted" if stop.code == INTERRUPTED else "StillOpen"
                explain(outcome, stop.message, stop.next_step, as_json=json, **stop.facts)
                raise typer.Exit(stop.code) from None
            except KeyboardInterrupt:
                explain("Interrupted", "Interrupted.", "A run that was started continues.", as_json=json)
                raise typer.Exit(INTERRUPTED) from None
            print_result(result, as_json=json)
            if result.failed:
                raise typer.Exit(FAILED)

        group.command(name, help=about)(with_options(run, body, json=(Json, False)))
        return body

    return register


def with_options(run: Callable[..., Any], body: Callable[..., Any], **options: tuple[Any, Any]) -> Callable[..., Any]:
    """Return `run` with the name, docstring and parameters of `body`, and with these options: annotation and default."""
    functools.update_wrapper(run, body)
    signature = inspect.signature(body, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in options.items()
    ]
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]  # typeshed lacks the attribute
    run.__annotations__ = body.__annotations__ | {each.name: each.annotation for each in added}
    return run


def print_aside(*lines: str) -> None:
    """Print lines on standard error: standard output is for the result."""
    _show(Console(stderr=True, highlight=False), lines)


def prompt(label: str, *, hidden: bool = False, refused: Callable[[str], str] = lambda _: "") -> str:
    """Return what a person types; `hidden` does not echo it on a terminal. Raise a usage error at the end of the input.

    `refused` returns why a text does not fit: it is shown, and the text is asked for again. typer's own prompt writes a blank to
    standard output, where a machine expects a document.
    """
    while True:
        typed = _read_line(label, hidden=hidden)
        why = refused(typed)
        if not why:
            return typed
        print_aside(Caution(why))


def _read_line(label: str, *, hidden: bool) -> str:
    if hidden and sys.stdin.isatty():
        try:
            return getpass.getpass(f"{label}: ", stream=sys.stderr).strip()
        except EOFError:
            typed = ""
    else:
        typer.echo(f"{label}: ", err=True, nl=False)
        typed = sys.stdin.readline()
    if not typed:
        raise InputEnded(f"{label}: nothing was typed, and the option is missing.")
    return typed.strip()


def printable(text: str) -> str:
    """Return text from outside without characters that move a cursor or hide a letter."""
    return "".join(c for c in text if c.isprintable() or c == "\n")


def columns(rows: Sequence[Sequence[object]], *, head: Sequence[str] = ()) -> list[str]:
    """Return rows as lines with aligned columns."""
    table = [[printable(str(cell)).replace("\n", " ") for cell in row] for row in ([head, *rows] if head else rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def explain(outcome: str, message: str, next_step: str, *, as_json: bool, **facts: str) -> None:
    """Print why there is no result, and what to do; with `as_json` also as the one document of an error."""
    print_aside(Alert(f"{outcome}: {message}"), next_step)
    if as_json:
        error = {"outcome": outcome, "message": message, "next_step": next_step}
        print_result(Result({"error": error | facts}), as_json=True)


def print_result(result: Result, *, as_json: bool) -> None:
    """Print a result on standard output: its document, or its lines."""
    if as_json:
        # ASCII only: control characters from outside are escaped, whatever reads the document
        typer.echo(json.dumps(result.document, indent=1, default=str))
        return
    _show(Console(highlight=False), result.lines)


def _show(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        if isinstance(line, MarkdownText) and console.is_terminal:
            console.print(Markdown(printable(line), hyperlinks=False))  # shows each address instead of hiding it
            continue
        # rich prints colours on a terminal only, and none if NO_COLOR is set or TERM is dumb
        style = next((style for kind, style in STYLES.items() if isinstance(line, kind)), None)
        console.print(printable(line), style=style, markup=False, emoji=False, soft_wrap=True)

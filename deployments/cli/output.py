"""What every command shares: the one place that prints, and the one that makes a sentence and an exit code of an error."""

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

FAILED = 1  # exit code: refused, or not well; 2 is typer's own for a command that was not understood
STILL_OPEN = 3  # exit code: the run that was followed neither asked nor ended; no result is known
INTERRUPTED = 130  # exit code of a command that Ctrl-C ends, as shells have it
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]


class Loud(str):
    """A line that must not be overlooked."""


class Marked(str):
    """Markdown: rendered on a terminal, as it is elsewhere."""


@dataclass(frozen=True)
class Told:
    """What a command found: a document for machines, lines for people. `failed`: it looked, and what it saw is not well."""

    document: Mapping[str, Any]
    lines: Sequence[str] = ()
    failed: bool = False


class Ended(Exception):
    """A command stops before there is a result, with an exit code of its own. `facts` are for the JSON document."""

    def __init__(self, message: str, next_step: str, code: int, **facts: str) -> None:
        super().__init__(message)
        self.message, self.next_step, self.code, self.facts = message, next_step, code, facts


def new_group(about: str) -> typer.Typer:
    """A group of commands. Plain help and plain errors: the same words on a terminal, in a file and in a pipe."""
    return typer.Typer(
        help=about,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,  # a bug shows Python's own traceback, without the values of variables
        add_completion=False,
    )


def command(group: typer.Typer, name: str) -> Callable[[Callable[..., Told]], Callable[..., Told]]:
    """Make a function a command of the group: it gets `--json`, its `Told` is printed, our errors become sentences."""

    def register(body: Callable[..., Told]) -> Callable[..., Told]:
        @functools.wraps(body)
        def run(**given: Any) -> None:
            as_json = given.pop("json")
            try:
                told = body(**given)
            except UnderstudyError as error:
                _explain(error.outcome, error.message, error.next_step, as_json=as_json)
                raise typer.Exit(FAILED) from error
            except Ended as ended:
                outcome = "Interrupted" if ended.code == INTERRUPTED else "StillOpen"
                _explain(outcome, ended.message, ended.next_step, as_json=as_json, **ended.facts)
                raise typer.Exit(ended.code) from None
            _print(told, as_json=as_json)
            if told.failed:
                raise typer.Exit(FAILED)

        signature = inspect.signature(body, eval_str=True)
        option = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)
        run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]  # typeshed knows no __signature__ of a function
        run.__annotations__ = body.__annotations__ | {"json": Json}
        group.command(name)(run)
        return body

    return register


def aside(*lines: str) -> None:
    """Say something on the way, on standard error: standard output is for the result."""
    _show(Console(stderr=True, highlight=False), lines)


def ask(question: str, *, hidden: bool = False) -> str:
    """What a person types, asked on standard error; `hidden` is not shown while it is typed.

    Not typer's own prompt: that one writes a blank to standard output, where a machine waits for a document.
    """
    if hidden and sys.stdin.isatty():
        return getpass.getpass(f"{question}: ", stream=sys.stderr).strip()
    typer.echo(f"{question}: ", err=True, nl=False)
    typed = sys.stdin.readline()
    if not typed:
        raise typer.BadParameter(f"{question}: nothing was typed, and no option says it.")
    return typed.strip()


def inert(text: str) -> str:
    """Text from outside without control characters: nothing that it holds moves a cursor or hides a letter."""
    return "".join(c for c in text if c.isprintable() or c == "\n")


def columns(rows: Sequence[Sequence[object]], *, head: Sequence[str] = ()) -> list[str]:
    """Rows as lines with aligned columns."""
    table = [[inert(str(cell)).replace("\n", " ") for cell in row] for row in ([head, *rows] if head else rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _explain(outcome: str, message: str, next_step: str, *, as_json: bool, **facts: str) -> None:
    aside(Loud(f"{outcome}: {message}"), next_step)
    if as_json:
        error = {"outcome": outcome, "message": message, "next_step": next_step}
        _print(Told({"error": error | facts}), as_json=True)


def _print(told: Told, *, as_json: bool) -> None:
    if as_json:
        # ASCII only: a control character of the outside arrives escaped, whatever reads it
        typer.echo(json.dumps(told.document, indent=1, default=str))
        return
    _show(Console(highlight=False), told.lines)


def _show(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        if isinstance(line, Marked) and console.is_terminal:
            console.print(Markdown(inert(line), hyperlinks=False))  # an address is shown, not hidden behind words
            continue
        style = "bold red" if isinstance(line, Loud) else None
        console.print(inert(line), style=style, markup=False, emoji=False, soft_wrap=True)

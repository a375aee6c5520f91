"""The program as a whole: loads a command when it is used, and explains every error in a sentence with a remedy."""

import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from deployments.cli.output import BROKEN, FAILED, USAGE, Json, Result, command, explain, new_group, print_result
from tasks.configuration.code_version import PROJECT, code_version

TRACEBACK = "UNDERSTUDY_TRACEBACK"

# Each command, with its file; a file of the same name that has a `group` contains all commands of that group.
COMMANDS = {
    "doctor": "doctor", "status": "status", "history": "status", "run": "run", "watch": "watch",
    "open": "watch", "diagnose": "run", "plan": "plan", "waiting": "waiting", "show": "waiting",
    "approve": "approve", "reject": "approve", "arrived": "approve", "settle": "settle", "hold": "hold", "freezes": "freezes",
    "standing": "standing", "leads": "leads", "ledger": "ledger", "dump": "dump", "load": "load", "trust-host": "trust_host",
    "desk": "desk", "deploy": "deploy", "init": "init",
}  # fmt: skip


class _Loaded(MutableMapping[str, Any]):
    """The commands by name. A file is imported when its command is used: completion and `--version` do not wait for Prefect."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            self._found[name] = _load(name, COMMANDS[name])
        return self._found[name]

    def __setitem__(self, name: str, found: Any) -> None:
        self._found[name] = found

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _load(name: str, file: str) -> Any:
    module = import_module(f"deployments.cli.{file}")
    program = getattr(module, "group", None) if name == file else None
    if program is None:
        program = new_group("")
        command(program, name)(getattr(module, name.replace("-", "_")))
    found = get_command(program)
    found.name = name
    return found


class Program(TyperGroup):
    """The group of all commands. A usage error, a missing file and a fault of the program are explained like our own errors."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Loaded()

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what may follow: the names of commands, without loading them to read their help."""
        options = super().shell_complete(ctx, incomplete) if incomplete.startswith("-") else []
        item: Any = import_module("typer._click.shell_completion").CompletionItem
        return [*options, *(item(name) for name in COMMANDS if name.startswith(incomplete))]

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        """Run the command that was typed, and exit with its code."""
        typed = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in typed
        try:
            code = super().main(typed, *more, **{**options, "standalone_mode": False})
        except typer.TyperException as error:
            sys.exit(_explain_usage(error, as_json=as_json))
        except OSError as error:
            if error.filename is None:
                raise
            message = f"{error.filename} cannot be used: {error.strerror or type(error).__name__}."
            explain("Misconfigured", message, "Check the path and its permissions, then try again.", as_json=as_json)
            sys.exit(FAILED)
        except Exception as fault:
            if os.environ.get(TRACEBACK):
                raise
            _explain_fault(fault, as_json=as_json)
            sys.exit(BROKEN)
        sys.exit(code if isinstance(code, int) else 0)


def _explain_usage(error: typer.TyperException, *, as_json: bool) -> int:
    """Explain what was typed wrong, and return the exit code."""
    context: Any = getattr(error, "ctx", None)
    incomplete = type(error).__name__ == "NoArgsIsHelpError"  # its message is the whole help
    if incomplete and not as_json:
        typer.echo(error.message, err=True)
        return USAGE
    named = getattr(error, "param", None) or getattr(error, "param_hint", None)
    own = isinstance(error, typer.BadParameter) and not named  # one of our sentences, which needs no "Invalid value:"
    message = error.message if own else error.format_message()
    if incomplete:
        message = "The command is missing."
    where = context.command_path if context is not None else "understudy"
    explain("Usage", message, f"`{where} --help` shows what is expected.", as_json=as_json)
    return error.exit_code


def _explain_fault(fault: Exception, *, as_json: bool) -> None:
    """Explain a fault of the program itself by its type and place: its text may contain values that nobody should see."""
    place, trace = "", fault.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(PROJECT) and ".venv" not in file.parts:
            place = f" at {file.relative_to(PROJECT).as_posix()}:{trace.tb_lineno}"
        trace = trace.tb_next
    message = f"The program failed: {type(fault).__name__}{place}."
    step = (
        f"This is a fault of Understudy. `{TRACEBACK}=1` shows the traceback; read it before you send it to anybody, "
        "because it may contain values."
    )
    explain("Fault", message, step, as_json=as_json)


def start(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version, and exit.")] = False,
    json: Json = False,
) -> None:
    """Start, approve and follow runs that overwrite staging or production, and check what was done."""
    if show_version:
        print_result(versions(), as_json=json)
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.BadParameter("The command is missing.")
    if json:
        raise typer.BadParameter(f"Write --json after the command: understudy {context.invoked_subcommand} … --json.")


def versions() -> Result:
    """Return the version, the fingerprint of the code (a plan is valid for this code only), and those of Prefect and Python."""
    found = {
        "version": version("understudy"),
        "code": code_version(),
        "prefect": version("prefect"),
        "python": sys.version.split()[0],
    }
    line = f"understudy {found['version']} (code {found['code']}, Prefect {found['prefect']}, Python {found['python']})"
    return Result(found, [line])

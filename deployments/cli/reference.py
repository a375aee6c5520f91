"""Write docs/commands.md, the reference of all commands: `python -m deployments.cli.reference > docs/commands.md`.

A test compares the page with the program.
"""

from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from deployments.cli.__main__ import app

HEAD = """# Commands

*Reference.* What `--help` shows, on one page: `python -m deployments.cli.reference` writes it. What the commands have in common is in
[command-line.md](command-line.md). Every command has `--json` and `--help`, which are not repeated here.
"""
EVERYWHERE = {"--json", "--help"}


def leaves(group: Any, name: str = "understudy") -> Iterator[tuple[str, Any]]:
    """Yield every command of the program with its full name."""
    for word, found in getattr(group, "commands", {}).items():
        if hasattr(found, "commands"):
            yield from leaves(found, f"{name} {word}")
        else:
            yield f"{name} {word}", found


def reference() -> str:
    """Return the page."""
    return "\n".join([HEAD, *(_part(name, found) for name, found in leaves(get_command(app)))])


def _part(name: str, found: Any) -> str:
    context = typer.Context(found, info_name=name)
    records = [each.get_help_record(context) for each in found.params]
    rows = [f"| `{_cell(words)}` | {_cell(text)} |" for words, text in records if words.split()[0] not in EVERYWHERE]
    table = ["", "| argument or option | meaning |", "|---|---|", *rows] if rows else []
    usage = _cell(found.get_usage(context).removeprefix("Usage: "))
    return "\n".join([f"## {name}", "", f"`{usage}`", "", _prose(found.help), *table, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _prose(text: str | None) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


if __name__ == "__main__":
    print(reference(), end="")

"""One command of WP-CLI on an emulated install, and how it ends."""

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard output, standard error."""

    status: int
    out: str = ""
    err: str = ""


@dataclass(frozen=True)
class Invocation:
    """One command on one install: what is left of its arguments after the command's words, its options, and the time.

    A command that changes the site changes the install's document; whoever runs it stores the document.
    """

    install: Document
    values: list[str]
    options: dict[str, str | bool]
    now: float = 0.0


def refused(message: str) -> Ended:
    """Return the end of a command that WP-CLI refuses."""
    return Ended(1, err=f"Error: {message}\n")

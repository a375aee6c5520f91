"""Answers of a person: given as an option or in the environment, or typed on a terminal until they are right."""

import re
import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from deployments.cli.output import Caution, print_aside, prompt
from tasks.estate.errors import Misconfigured, UnderstudyError

T = TypeVar("T")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class Answers:
    """Where answers come from. `asked`: how many a person was asked for; a repeated one after a mistake counts once."""

    def __init__(self) -> None:
        self.on_terminal = sys.stdin.isatty()
        self.asked = 0

    def get(
        self,
        label: str,
        accept: Callable[[str], T],
        *,
        option: str,
        given: str | None = None,
        default: str | None = None,
        hidden: bool = False,
    ) -> T:
        """Return what `accept` makes of the answer: of `given`, or of what is typed; nothing typed is `default`.

        `accept` raises one of our errors for a wrong answer. On a terminal it is shown and the answer asked for again. Without a
        terminal it is raised, and without an answer a usage error names the `option`.
        """
        if given is not None:
            return accept(given)
        if not self.on_terminal:
            if default is None:
                raise typer.BadParameter(f"{label}: there is no answer, and no terminal to ask for it. Use {option}.")
            return accept(default)
        self.asked += 1
        while True:
            typed = prompt(label, hidden=hidden) or default
            if typed is None:
                print_aside(Caution("This needs an answer. Ctrl-C ends the command; nothing was written."))
                continue
            try:
                return accept(typed)
            except UnderstudyError as error:
                print_aside(Caution(f"{error.message} {error.next_step}"))

    def confirm(self, label: str, *, option: str, given: bool | None = None, default: bool | None = None) -> bool:
        """Return whether the answer is yes."""
        words = {None: None, True: "yes", False: "no"}
        shown = f"{label} (yes or no)" if default is None else f"{label} (yes or no; Enter: {words[default]})"
        return self.get(shown, _yes, option=option, given=words[given], default=words[default])


def _yes(text: str) -> bool:
    if text.casefold() in ("y", "yes"):
        return True
    if text.casefold() in ("n", "no"):
        return False
    raise Misconfigured(f"{text!r} is neither yes nor no.", next_step="Type yes or no.")


def email(text: str) -> str:
    """Return an e-mail address. Raise `Misconfigured` if it is not one."""
    if not EMAIL.fullmatch(text):
        raise Misconfigured(f"{text!r} is not an e-mail address.", next_step="Expected one like ops@example.org.")
    return text


def optional(accept: Callable[[str], T]) -> Callable[[str], T | None]:
    """Return the same rule for an answer that may be empty: then it is None."""
    return lambda text: accept(text) if text else None

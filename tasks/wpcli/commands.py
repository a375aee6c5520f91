"""WP-CLI commands as argument lists, and the one function that quotes them for the shell behind SSH.

SSH carries one command line, which the login shell of the gateway parses. So no command is ever built as text: values become
arguments, and each argument is quoted, whatever it contains.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tasks.estate.errors import Misconfigured

LONGEST = 100_000  # bytes of an argument; Linux refuses 131,072 and more
LONGEST_COMMAND = 570.0  # seconds; after 600 without output the gateway ends the session, and the answer would be lost
NAME = re.compile(r"[a-z][a-z0-9_-]*")  # of a word and of an option: constants of the code


@dataclass(frozen=True)
class Command:
    """One WP-CLI command: its words (`option`, `get`), its values and its options. Only the words are shown in messages.

    An option that is True is a flag. WP-CLI reads every argument that begins with `--` as an option, and has no sign that ends
    the options, so such a value cannot be passed and is refused.
    """

    words: tuple[str, ...]
    values: tuple[str, ...] = field(default=(), repr=False)
    options: Mapping[str, str | bool] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return " ".join(("wp", *self.words))

    def arguments(self, path: str) -> list[str]:
        """Return the arguments for the WordPress in the folder `path`. Raise `Misconfigured` if a value cannot be passed."""
        for name in (*self.words, *self.options):
            if not NAME.fullmatch(name):
                raise Misconfigured(f"{name[:60]!r} is neither a word nor an option of WP-CLI.")
        if any(value.startswith("-") for value in self.values):
            raise Misconfigured(
                f"{self}: a value begins with a hyphen, so that WP-CLI reads it as an option. It is not shown."
            )
        flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in self.options.items() if value]
        return ["wp", *self.words, *self.values, *flags, f"--path={path}"]


def command_line(arguments: Sequence[str]) -> str:
    """Return the command line that a POSIX shell splits into exactly these arguments. Raise `Misconfigured` for others."""
    return " ".join(map(quoted, arguments))


def quoted(argument: str) -> str:
    """Return an argument in single quotes, in which a shell interprets nothing. Raise `Misconfigured` if it cannot be passed."""
    try:
        size = len(argument.encode())
    except UnicodeEncodeError:
        raise Misconfigured("An argument of a command contains half of a character. It is not shown.") from None
    if "\0" in argument or size > LONGEST:
        raise Misconfigured(
            f"An argument of a command contains a NUL, or is longer than {LONGEST:,} bytes. It is not shown."
        )
    return "'" + argument.replace("'", "'\\''") + "'"

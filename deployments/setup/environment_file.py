"""The environment file of a worker: settings and secrets, in lines that `sh` and systemd read alike."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tasks.configuration.settings import Settings, forget_settings
from tasks.estate.errors import Misconfigured

LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
LITERAL = re.compile(r"'([^']*)'")
PLAIN = re.compile(r"""[^"'\\]*""")
ESCAPED = '["\\\\`$]'  # what has a meaning between double quotes, in sh and in systemd
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f]")
HEAD = """# Settings of Understudy's worker, with secrets: only the worker's user may read this file, and it is never in git.
# In a shell: set -a; . THIS_FILE; set +a. In a unit of systemd: EnvironmentFile=. Every setting is described in docs/settings.md.
"""


class EnvironmentFile:
    """A file of `NAME="value"` lines. Lines that are not changed stay as they are, with their comments and order."""

    def __init__(self, path: Path) -> None:
        """Read the file; a missing one is empty. Raise `Misconfigured` with the number of a line that is not understood."""
        self.path = path.expanduser()
        try:
            self.text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self.text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{self.path} cannot be read: {type(error).__name__}.") from None
        self.values = {name: value for _, name, value in self._lines()}

    def with_values(self, values: Mapping[str, str]) -> str:
        """Return the text with these values: a line of the same name is replaced, others are added at the end."""
        lines = (self.text or HEAD).removesuffix("\n").split("\n")
        numbers = {name: number for number, name, _ in self._lines()}
        for name, value in values.items():
            if name in numbers:
                lines[numbers[name]] = _line(name, value)
            else:
                lines.append(_line(name, value))
        return "\n".join([*lines, ""])

    def _lines(self) -> Iterator[tuple[int, str, str]]:
        """Yield number from 0, name and value of each line. The last of several lines of one name counts, as in a shell."""
        for number, line in enumerate(self.text.split("\n")):
            text = line.strip()
            if not text or text.startswith(("#", ";")):
                continue
            found = LINE.fullmatch(text)
            value = _value(found["value"].strip()) if found else None
            if found is None or value is None:
                raise Misconfigured(
                    f'Line {number + 1} of {self.path} is not understood; expected NAME="value". The line is not shown.',
                    next_step="Nothing was written. Correct the line, then try again.",
                )
            yield number, found["name"], value


def _value(text: str) -> str | None:
    if found := QUOTED.fullmatch(text):
        return re.sub(rf"\\({ESCAPED})", r"\1", found[1])
    if found := LITERAL.fullmatch(text):
        return found[1]
    return text if PLAIN.fullmatch(text) else None


def _line(name: str, value: str) -> str:
    """Return the line of a setting. Raise `Misconfigured` if the value contains a control character such as a line end."""
    if UNWRITABLE.search(value):
        raise Misconfigured(
            f"The value of {name} contains a control character, which an environment file cannot hold. It is not shown.",
            next_step=f"Put the value into a file of its own, and set {name}_FILE to the path of that file.",
        )
    escaped = re.sub(f"({ESCAPED})", r"\\\1", value)
    return f'{name}="{escaped}"'


@contextmanager
def environment_with(values: Mapping[str, str]) -> Iterator[None]:
    """Add these values to the environment within the block, and read the settings anew. What is set already comes first."""
    added = {name: value for name, value in values.items() if not _is_set(name)}
    os.environ.update(added)
    forget_settings()
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        forget_settings()


def _is_set(name: str) -> bool:
    """Return whether a setting has a value, in the variable itself or in a file that another variable names."""
    bare = name.removesuffix("_FILE")
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE") or (bare != name and os.environ.get(bare)))


def settings_of_this_shell(more: tuple[str, ...] = ()) -> dict[str, str]:
    """Return every setting that the environment holds now: a worker that starts elsewhere must have the same.

    `more`: names of settings that the estate names. A secret in a file is returned as its path.
    """
    names = [*(f"UNDERSTUDY_{field.upper()}" for field in Settings.model_fields), *more]
    both = [each for name in names for each in (name, f"{name}_FILE")]
    return {name: value for name in dict.fromkeys(both) if (value := os.environ.get(name))}

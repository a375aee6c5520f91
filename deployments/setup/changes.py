"""The files that a set-up writes: whether this user may write them, what changes in them, and all of them written together."""

import difflib
import os
import pwd
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.configuration.code_version import PROJECT
from tasks.configuration.reviewed_files import NewText, replace_files
from tasks.estate.errors import Misconfigured, Refused

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class FileChange:
    """A file before and after. `lines`: what people are shown instead of the difference, for a file that contains secrets."""

    path: Path
    before: str | None
    after: str
    mode: int
    lines: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What happens to the file, in a word."""
        if self.before is None:
            return "created"
        return "kept" if self.before == self.after else "changed"

    @property
    def shown(self) -> list[str]:
        """The difference as lines."""
        if self.lines:
            return list(self.lines)
        old, new = (self.before or "").splitlines(), self.after.splitlines()
        return [
            line for line in difflib.unified_diff(old, new, lineterm="", n=1) if not line.startswith(("---", "+++"))
        ]


def current_text(path: Path) -> str | None:
    """Return the text of a file with its own line ends, or None if there is no file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {type(error).__name__}.") from None


def require_project(paths: Sequence[Path]) -> None:
    """Raise `Misconfigured` if a path is relative, and the worker would find another file there: it runs in the project's folder."""
    relative = [path for path in paths if not path.is_absolute()]
    if relative and Path.cwd().resolve() != PROJECT:
        raise Misconfigured(
            f"The worker reads {relative[0]} in {PROJECT}, and this is another folder.",
            next_step=f"Run the command there: cd {PROJECT}",
        )


def require_writable(paths: Sequence[Path]) -> None:
    """Raise `Misconfigured` if this user may not replace one of the files, before anybody has typed an answer."""
    for path in (each.expanduser().resolve() for each in paths):
        if path.is_dir():
            raise Misconfigured(f"{path} is a folder; expected a file.", next_step="Name a file, or another path.")
        if path.exists() and path.stat().st_uid != os.geteuid():
            raise Misconfigured(
                f"{path} belongs to the user {_user(path.stat().st_uid)}; you are {_user(os.geteuid())}.",
                next_step="Run this command as the user of the worker, who owns its files, or name another path.",
            )
        folder = next(each for each in path.parents if each.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise Misconfigured(
                f"Nothing can be written to {folder}, which is read-only for {_user(os.geteuid())} or not a folder.",
                next_step="Run this command as a user who may write there, or name another path.",
            )


def write_together(changes: Sequence[FileChange]) -> None:
    """Write all changes, or none of them: a signal waits until all files are complete.

    Raise `Refused` if somebody changed one of the files since it was read.
    """
    changed = [each for each in changes if each.kind != "kept"]
    for each in changed:
        if current_text(each.path) != each.before:
            raise Refused(
                f"{each.path} was changed while this command waited for answers.",
                next_step="Nothing was written. Run the command again.",
            )
    with signals_held():
        replace_files(*(NewText(each.path, each.after, each.mode) for each in changed))


@contextmanager
def signals_held() -> Iterator[None]:
    """Let signals wait until the end of the block: Ctrl-C must not leave one of two files."""
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)

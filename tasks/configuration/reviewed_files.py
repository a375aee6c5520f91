"""Reviewed files: YAML lists that people change under review and that decide what a worker may do.

A mistake in a file raises an error with file, entry and field. It is never read as an empty list.
"""

import contextlib
import os
import tempfile
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tasks.estate.errors import Misconfigured

DUPLICATE = "a key occurs twice"
Entry = TypeVar("Entry", bound=BaseModel)


class _OnceOnly(yaml.SafeLoader):
    """Refuses a duplicate key in a mapping: YAML keeps the last one, a reviewer reads the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the mapping, or raise if a key is duplicate."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, DUPLICATE, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse(text: str, path: Path) -> Any:
    """Return the content of `text`, which was read from `path`.

    Raise `Misconfigured` with the number of the line but not its text: the file may contain secrets.
    """
    try:
        return yaml.load(text, Loader=_OnceOnly)  # noqa: S506  # a SafeLoader that refuses more
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        reason = f": {DUPLICATE}" if error.problem == DUPLICATE else ""
        raise Misconfigured(f"{path} is not valid YAML{line}{reason}.") from None
    except (yaml.YAMLError, ValueError):  # ValueError: a date such as 2026-02-30
        raise Misconfigured(f"{path} is not valid YAML.") from None


def read_entries(path: Path, kind: type[Entry], *, called: str) -> list[Entry]:
    """Return the entries of a YAML list, each a `kind`, which messages call `called` ("a lead"). A missing or empty file has
    no entries. Raise `Misconfigured` with the file, the number of the entry from 1, and its wrong fields.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {type(error).__name__}.") from error
    entries = parse(text, path)
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise Misconfigured(f"{path} contains a {type(entries).__name__}; expected a list.")
    return [_validated(entry, kind, f"Entry {n} of {path} is not {called}") for n, entry in enumerate(entries, start=1)]


def _validated(entry: Any, kind: type[Entry], complaint: str) -> Entry:
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'entry'}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_url=False, include_input=False)
        )
        raise Misconfigured(f"{complaint}: {wrong}.") from None


@dataclass(frozen=True)
class NewText:
    """The text that a file is to have. `mode` are its permissions; None: those of the file that it replaces."""

    path: Path
    text: str
    mode: int | None = None


def replace_file(path: Path, text: str, *, mode: int | None = None) -> None:
    """Replace a file atomically: a reader sees the old text or the new one. A link stays a link.

    `mode` are the permissions of the new file, by default those of the old one.
    """
    replace_files(NewText(path, text, mode))


def replace_files(*files: NewText) -> None:
    """Replace each file atomically, and none of them before the texts of all are on the disk next to them."""
    written: list[tuple[Path, Path]] = []
    try:
        for each in files:
            path = each.path.resolve()
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600 from its first moment
            written.append((Path(name), path))
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(each.text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(path.stat().st_mode & 0o777 if each.mode is None else each.mode)
        for new, path in written:
            new.replace(path)
    except BaseException:
        for new, _ in written:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
        raise

"""Reviewed files: lists in YAML that people change under review, and that decide what a worker may do.

A mistake in one is an error that names file, entry and field; it is never read as an empty list.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tasks.estate.errors import Misconfigured

Entry = TypeVar("Entry", bound=BaseModel)


class _OnceOnly(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping: plain YAML keeps the last, a reviewer sees the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping, unless a key stands in it twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, "a key stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse(text: str, path: Path) -> Any:
    """The YAML in `text`, which was read from `path`. Raises `Misconfigured` with the line, never with the line's words:
    the file may hold secrets.
    """
    try:
        return yaml.load(text, Loader=_OnceOnly)  # noqa: S506  # a SafeLoader that refuses more
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        twice = ": a key stands twice" if error.problem == "a key stands twice" else ""
        raise Misconfigured(f"{path} is not YAML that we read{line}{twice}.") from None
    except (yaml.YAMLError, ValueError):  # ValueError: a date such as 2026-02-30
        raise Misconfigured(f"{path} is not YAML that we read.") from None


def read_entries(path: Path, kind: type[Entry], *, called: str) -> list[Entry]:
    """The entries of a YAML list, each a `kind`, which messages call `called` ("a lead"). An absent or empty file is no
    entry. Raises `Misconfigured` naming the file, the entry's number from 1, and its fields that are wrong.
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
        raise Misconfigured(f"{path} holds a {type(entries).__name__}; expected a list.")
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

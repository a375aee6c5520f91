"""Adds sites and databases to the text of an estate file. Everything that a person wrote stays as it is."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tasks.configuration.estate_file import parse_estate
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Database, Estate, Site
from tasks.estate.sites import Immutable

INDENT = 2  # of the entries of a new list, as in docs/estate.md


def with_entries(text: str, path: Path, *, sites: Sequence[Site] = (), databases: Sequence[Database] = ()) -> str:
    """Return the text with these entries at the end of their lists.

    The result is read by the worker's own reader. Raise `Misconfigured` if it has a mistake, or if the entries cannot be added
    without a change of what is there; then the message contains them, to be added by a person.
    """
    before = parse_estate(text, path)
    added = text
    for section, entries in (("sites", sites), ("databases", databases)):
        if entries:
            added = _with_list(added, section, _as_yaml(entries), path)
    wanted = before.model_copy(update={"sites": (*before.sites, *sites), "databases": (*before.databases, *databases)})
    if _read(added, path) != wanted:
        raise _by_a_person(path, [*sites, *databases])
    return added


def _read(text: str, path: Path) -> Estate | None:
    """Return what the new text describes, or None if it is not even YAML: then the old one has a form that we do not know."""
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    return parse_estate(text, path)


def _with_list(text: str, section: str, entries: str, path: Path) -> str:
    """Return the text with more entries in one of its lists."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    ends = "\r\n" if "\r\n" in text else "\n"
    entries = entries.replace("\n", ends)
    start = text if not text or text.endswith("\n") else text + ends
    if root is None:
        return f"{start}{section}:{ends}{_indented(entries, INDENT)}"
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise _by_a_person(path, entries)
    value = next((value for key, value in root.value if key.value == section), None)
    if value is None:
        return f"{start}{section}:{ends}{_indented(entries, INDENT)}"
    if isinstance(value, yaml.SequenceNode) and value.value and not value.flow_style:
        return _after_line(start, _last_line(value), _indented(entries, value.start_mark.column))
    if isinstance(value, yaml.SequenceNode) and value.value:
        raise _by_a_person(path, entries)
    inserted = ends + _indented(entries, INDENT).rstrip("\r\n")
    return text[: value.start_mark.index].rstrip(" ") + inserted + text[value.end_mark.index :]


def _after_line(text: str, number: int, added: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: number + 1], added, *lines[number + 1 :]])


def _last_line(node: yaml.Node) -> int:
    """Return the number from 0 of the line on which a value ends; comments that follow it do not belong to it."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return _last_line(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return _last_line(node.value[-1])
    return int(node.end_mark.line)


def _as_yaml(entries: Sequence[Immutable]) -> str:
    content: list[dict[str, Any]] = [each.model_dump(mode="json", exclude_defaults=True) for each in entries]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)  # a value stays on its line


def _indented(text: str, columns: int) -> str:
    return textwrap.indent(text, " " * columns)


def _by_a_person(path: Path, entries: str | Sequence[Immutable]) -> Misconfigured:
    listed = entries if isinstance(entries, str) else _as_yaml(entries)
    return Misconfigured(
        f"{path} is written in a form to which entries cannot be added safely. These are missing:\n{listed.rstrip()}",
        next_step="Nothing was written. Add them to the file manually, then run `understudy init` again.",
    )

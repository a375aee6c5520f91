"""Read a policy's YAML: keys stay the text as written, and every key has its line."""

from collections.abc import Iterator
from typing import Any

import yaml

TEXT = "tag:yaml.org,2002:str"
Lines = dict[tuple[str, ...], int]  # path of a key → its line, from 1
KINDS: dict[type[yaml.Node], str] = {yaml.MappingNode: "mapping", yaml.SequenceNode: "sequence"}


class WrongKey(yaml.MarkedYAMLError):
    """A key that is valid YAML and that a policy cannot use."""


def read_yaml(text: str) -> tuple[Any, Lines]:
    """Return the content and the line of every key.

    Keys are names of tables, columns and options: `no:`, `on:`, `null:`, `~:`, `007:` and `2026-01-01:` stay these texts
    instead of the values that YAML 1.1 reads. Raise `yaml.YAMLError` with the line for a key that is not a single text,
    or that is given twice: YAML would silently keep the last one, and a mask would be lost.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, {}
        lines = dict(_lines(root, ()))
        return loader.construct_document(root), lines
    except ValueError as error:  # as in 2026-13-45
        raise yaml.YAMLError("a value looks like a date or number and is not valid; quote it") from error
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply, or an alias that contains itself") from error
    finally:
        loader.dispose()


def _lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Make every key a text, and yield its line."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            _require_text(key)
            line = key.start_mark.line + 1
            if key.value in seen:
                raise _wrong(key, f"{key.value!r} is given twice (first in line {seen[key.value]})")
            seen[key.value] = line
            key.tag = TEXT
            yield (*path, key.value), line
            yield from _lines(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, str(number)), value.start_mark.line + 1
            yield from _lines(value, (*path, str(number)))


def _require_text(key: yaml.Node) -> None:
    if not isinstance(key, yaml.ScalarNode):
        raise _wrong(key, f"a key is a {KINDS[type(key)]}; expected the name of a table, column or option")
    if key.tag == "tag:yaml.org,2002:merge":
        raise _wrong(key, "`<<` merges are not read; expected every rule written out, or a pattern")


def _wrong(key: yaml.Node, problem: str) -> WrongKey:
    return WrongKey(problem=problem, problem_mark=key.start_mark)

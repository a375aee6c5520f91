"""YAML whose every value has a position, so that a mistake is reported with its line and column, and all of them at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Place = tuple[str | int, ...]  # keys and numbers, from the whole file to one value
NULLS = ("", "~", "null", "Null", "NULL")
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads 500 sites in 0.1 s, PyYAML in 1.5 s


@dataclass(frozen=True, order=True)
class Fault:
    """One mistake in a file. Line and column count from 1."""

    line: int
    column: int
    what: str
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        """Return the mistake as one line."""
        return f"line {self.line}, column {self.column}, {self.what}: found {self.found}; expected {self.expected}. {self.remedy}"


class PositionedYaml:
    """The content of a text: mappings, lists, texts and None. Scalars are not converted: `02:30` and `no` stay these texts.

    `faults`: what is not YAML, duplicate keys (the first one is kept) and aliases.
    """

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self._positions: dict[Place, tuple[int, int]] = {}
        self._seen: set[int] = set()
        self.content: Any = self._read(text)

    def position(self, place: Place) -> tuple[int, int]:
        """Return line and column of a value's key, of an entry of a list, or of the nearest thing that contains it."""
        while place and place not in self._positions:
            place = place[:-1]
        return self._positions.get(place, (1, 1))

    def fault(self, place: Place, *, found: str, expected: str, remedy: str, what: str = "") -> Fault:
        """Return a mistake at this place. `what` names it; by default the place does."""
        return Fault(*self.position(place), what or name_of(place), found, expected, remedy)

    def _read(self, text: str) -> Any:
        try:
            root = yaml.compose(text, Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        except (yaml.YAMLError, RecursionError):
            line, column = 1, 1
        else:
            return None if root is None else self._value(root, ())
        remedy = "Check indentation, quotes and brackets here and in the line before."
        self.faults.append(Fault(line, column, "the file", "text that is not YAML", "keys and values", remedy))
        return None

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self._positions.setdefault(place, _start(node))
        if id(node) in self._seen:
            self._add(node, place, "an alias (*)", "the text itself", "Write it out: a reviewer must see it here.")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(each, (*place, number)) for number, each in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        return None if plain and node.value in NULLS else node.value

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._add(key, place, "a key that is a list or mapping", "a text", "Write the key as one text.")
                continue
            inner = (*place, key.value)
            if key.value in content:
                first = self._positions[inner][0]
                self._add(key, inner, f"this key again (first in line {first})", "each key once", "Remove one of them.")
                continue
            self._positions[inner] = _start(key)
            content[key.value] = self._value(value, inner)
        return content

    def _add(self, node: yaml.Node, place: Place, found: str, expected: str, remedy: str) -> None:
        self.faults.append(Fault(*_start(node), name_of(place), found, expected, remedy))


def name_of(place: Place) -> str:
    """Return a place as people read it, with entries of lists counted from 1: `sites 2, nightly, zone`."""
    words: list[str] = []
    for step in place:
        if isinstance(step, int) and words:
            words[-1] += f" {step + 1}"
        else:
            words.append(str(step))
    return ", ".join(words) or "the file"


def entries(content: Any, section: str) -> list[tuple[int, Mapping[str, Any]]]:
    """Return number and content of each mapping in a list of the file; wrong shapes are left out, others report them."""
    found = content.get(section) if isinstance(content, Mapping) else None
    return (
        [(number, each) for number, each in enumerate(found or ()) if isinstance(each, Mapping)]
        if isinstance(found, list)
        else []
    )


def _start(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1

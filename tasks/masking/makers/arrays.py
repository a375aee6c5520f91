"""Arrays: a maker for each element. NULL elements stay NULL; arrays of several dimensions become flat."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from psycopg.sql import SQL, Composable

from tasks.masking.makers.maker import Maker, Place, Row
from tasks.masking.session_settings import Session

if TYPE_CHECKING:
    from tasks.masking.makers.maker import Maker as AnyMaker  # the package sets the union of all makers

ELEMENT = SQL("understudy_element")
QUOTED = frozenset('{},"\\ \t\n\r\v\f')  # array_out quotes elements with these, the empty one and NULL


class Array(Maker):
    """`each` applied to every element of an array column."""

    maker: Literal["array"] = "array"
    each: "AnyMaker"

    def _element(self, place: Place) -> Place:
        return place.inside(ELEMENT, replace(place.column, array=False, not_null=False))

    @property
    def has_python_twin(self) -> bool:
        """Whether the maker of the elements has one."""
        return self.each.has_python_twin

    def sql(self, place: Place, session: Session) -> Composable:
        """Return an array of the replacements. An array that is empty, or NULL, becomes an empty one."""
        made = SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(ELEMENT, self.each.sql(self._element(place), session))
        whole = SQL("SELECT array_agg({}) FROM unnest({}) AS understudy_array({})").format(made, place.read, ELEMENT)
        return SQL("coalesce(({}), '{{}}')").format(whole)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        inner = self._element(place)
        made = (None if e is None else self.each.value(e, inner, session, row) for e in elements(original))
        return "{" + ",".join(map(_printed, made)) + "}"

    def problems(self, place: Place) -> list[str]:
        """Require an array whose elements the maker can serve."""
        if not place.column.array:
            return [f"{place.column.type} is not an array"]
        return self.each.problems(self._element(place))


def elements(printed: str) -> Iterator[str | None]:
    """Yield the elements of an array as PostgreSQL prints it, flat. Array bounds before `=` are dropped."""
    text = printed[printed.find("{") :]
    at, inside, quoted, begun = 0, "", False, False
    while at < len(text):
        character = text[at]
        if character == '"':
            end = at + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            inside, quoted, begun, at = _unescaped(text[at + 1 : end]), True, True, end
        elif character in "{},":
            if begun:
                yield inside if quoted or inside != "NULL" else None
            inside, quoted, begun = "", False, False
        else:
            inside, begun = inside + character, True
        at += 1


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    characters = iter(text)
    return "".join(next(characters) if character == "\\" else character for character in characters)


def _printed(element: str | None) -> str:
    if element is None:
        return "NULL"
    if element and element.upper() != "NULL" and QUOTED.isdisjoint(element):
        return element
    return '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'

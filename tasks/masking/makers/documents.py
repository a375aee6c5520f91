"""JSON documents: makers for the values at given paths, wherever those exist; the rest stays, or becomes null.

In Python a document is read and printed as jsonb does it: keys by length, then by bytes; the last of equal keys; numbers as
numeric.
"""

import json
from dataclasses import replace
from decimal import Decimal
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import ConfigDict, Field, model_validator

from tasks.estate.schema import Column
from tasks.estate.sites import Immutable
from tasks.masking.makers.json_paths import Branch, tree
from tasks.masking.makers.maker import JSON, Maker, Place, Row
from tasks.masking.session_settings import Session

if TYPE_CHECKING:
    from tasks.masking.makers.maker import Maker as AnyMaker  # the package sets the union of all makers

KEY, VALUE = SQL("understudy_key"), SQL("understudy_value")
NULL = SQL("'null'::jsonb")
HOLD_NOTHING: tuple[Any, ...] = (None, True, False, "", [], {})


def _holds_nothing(value: Composable) -> Composable:
    return SQL("{} IN ('null', 'true', 'false', '\"\"', '[]', '{{}}')").format(value)


@cache
def _text_column(name: str) -> Column:
    return Column(name=name, type="text", base="text", category="S")


class Member(Immutable):
    """The maker for a path. `group` and `by` are the column's, unless given: with them, an address in a document stays
    equal to the same address in a column. A policy writes all options into one mapping.
    """

    maker: "AnyMaker"
    group: str | None = None
    by: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _apart(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"maker": given}
        if not isinstance(given, dict) or not isinstance(given.get("maker"), str):
            return given
        own = {key: given[key] for key in ("group", "by") if key in given}
        return {**own, "maker": {key: value for key, value in given.items() if key not in own}}

    def place(self, place: Place, expression: Composable) -> Place:
        """Return the place of a value in the document: text, whatever its JSON type."""
        column = _text_column(place.column.name)
        by = place.table.column(self.by) if self.by is not None else place.by
        return replace(place, column=column, expression=expression, group=self.group or place.group, by=by)


class Document(Maker):
    """`paths` maps paths to makers. Paths that a document does not have are ignored, and JSON null stays.

    Results are JSON strings (those of `number` and `placeholder_size` are numbers). An object or array at the end of a
    path is replaced as a whole. With `else: null`, every other value on the way becomes null; keys are always kept.

    A value on the way may have another shape than the paths expect: an array, or a string that contains a document,
    instead of an object. `else` decides about it: with `refuse`, the default, it becomes null, and the plan is refused if a
    sampled row has one; with `keep` it stays; with `null` it becomes null. Empty values, true and false always stay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, ignored_types=(cached_property,))

    maker: Literal["jsonb"] = "jsonb"
    paths: dict[str, Member] = Field(min_length=1)
    rest: Literal["refuse", "keep", "null"] = Field(default="refuse", alias="else")

    @model_validator(mode="before")
    @classmethod
    def _null_of_yaml(cls, given: Any) -> Any:
        """In YAML, `else: null` is None."""
        return {**given, "else": "null"} if isinstance(given, dict) and given.get("else", "") is None else given

    @model_validator(mode="after")
    def _paths_agree(self) -> "Document":
        _ = self._tree
        return self

    @cached_property
    def _tree(self) -> Branch[Member]:
        return tree(self.paths.items())

    @property
    def has_python_twin(self) -> bool:
        """Whether all its makers have one."""
        return all(member.maker.has_python_twin for member in self.paths.values())

    def sql(self, place: Place, session: Session) -> Composable:
        """Return an expression of type jsonb, also for json columns. A NULL becomes JSON null."""
        read = place.read if place.column.base == "jsonb" else SQL("{}::jsonb").format(place.read)
        return SQL("coalesce({}, {})").format(self._sql(self._tree, read, place, session), NULL)

    def _sql(self, branch: Branch[Member], value: Composable, place: Place, session: Session) -> Composable:
        """Return an expression that is NULL if `value` is NULL."""
        if branch.leaf is not None:
            text = SQL("{} #>> '{{}}'").format(value)
            return self._leaf(branch.leaf, text, place, session)
        otherwise = value if self.rest == "keep" else NULL
        if self.rest == "refuse":
            otherwise = SQL("CASE WHEN {} THEN {} ELSE {} END").format(_holds_nothing(value), value, NULL)
        cases = []
        if branch.keys or branch.member:
            cases.append(SQL("WHEN 'object' THEN {}").format(self._object(branch, value, place, session)))
        if branch.element:
            inner = SQL("SELECT jsonb_agg({}) FROM jsonb_array_elements({}) AS understudy_elements({})").format(
                self._sql(branch.element, VALUE, place, session), value, VALUE
            )
            cases.append(SQL("WHEN 'array' THEN coalesce(({}), '[]')").format(inner))
        return SQL("CASE jsonb_typeof({}) {} ELSE {} END").format(value, SQL(" ").join(cases), otherwise)

    def _object(self, branch: Branch[Member], value: Composable, place: Place, session: Session) -> Composable:
        """Set named members one by one if the rest is kept; otherwise visit every member."""
        if branch.member is None and self.rest != "null":
            whole = value
            for key, child in branch.keys.items():
                made = self._member(child, value, key, place, session)
                whole = SQL("jsonb_set({}, ARRAY[{}], {}, false)").format(whole, Quoted(key), made)
            return whole
        cases = [
            SQL("WHEN {} THEN {}").format(Quoted(key), self._sql(child, VALUE, place, session))
            for key, child in branch.keys.items()
        ]
        other: Composable = NULL if self.rest == "null" else VALUE
        if branch.member is not None:
            other = self._sql(branch.member, VALUE, place, session)
        made = SQL("CASE {} {} ELSE {} END").format(KEY, SQL(" ").join(cases), other) if cases else other
        return SQL(
            "coalesce((SELECT jsonb_object_agg({}, {}) FROM jsonb_each({}) AS understudy_members({}, {})), '{{}}')"
        ).format(KEY, made, value, KEY, VALUE)

    def _member(self, child: Branch[Member], value: Composable, key: str, place: Place, session: Session) -> Composable:
        """Return an expression that is never NULL: jsonb_set() would make the whole document NULL."""
        if child.leaf is not None:
            made = self._leaf(child.leaf, SQL("{} ->> {}").format(value, Quoted(key)), place, session)
        else:
            made = self._sql(child, SQL("({} -> {})").format(value, Quoted(key)), place, session)
        return SQL("coalesce({}, {})").format(made, NULL)

    def _leaf(self, member: Member, text: Composable, place: Place, session: Session) -> Composable:
        made = member.maker.sql(member.place(place, SQL("({})").format(text)), session)
        return SQL("CASE WHEN ({}) IS NOT NULL THEN coalesce(to_jsonb({}), {}) ELSE {} END").format(
            text, made, NULL, NULL
        )

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        document = read_json(original or "null")
        return print_json(self._value(self._tree, document, place, session, row))

    def _value(self, branch: Branch[Member], value: Any, place: Place, session: Session, row: Row) -> Any:
        if branch.leaf is not None:
            return self._leaf_of(branch.leaf, value, place, session, row)
        if isinstance(value, dict) and (branch.keys or branch.member):
            return {
                key: self._value(child, inner, place, session, row) if child else self._other(inner)
                for key, inner in value.items()
                for child in [branch.keys.get(key, branch.member)]
            }
        if isinstance(value, list) and branch.element:
            return [self._value(branch.element, inner, place, session, row) for inner in value]
        if self.rest == "refuse":
            return value if value in HOLD_NOTHING else None
        return self._other(value)

    def _other(self, value: Any) -> Any:
        return value if self.rest != "null" else None

    def misfit(self, place: Place) -> Composable | None:
        """Return an SQL expression for the first place where a document has another shape than the paths expect.

        It is NULL for a document that fits. Without `else: refuse` there is no such expression: None.
        """
        if self.rest != "refuse":
            return None
        read = place.read if place.column.base == "jsonb" else SQL("{}::jsonb").format(place.read)
        return self._misfit(self._tree, read, "$")

    def _misfit(self, branch: Branch[Member], value: Composable, path: str) -> Composable:
        if branch.leaf is not None:
            return SQL("NULL::text")
        cases = []
        if branch.keys or branch.member:
            inner = [
                self._misfit(child, SQL("({} -> {})").format(value, Quoted(key)), f"{path}.{key}")
                for key, child in branch.keys.items()
                if child.leaf is None
            ]
            if branch.member is not None and branch.member.leaf is None:
                others = SQL("jsonb_each({}) AS understudy_members({}, {}) WHERE NOT {} = ANY ({}::text[])").format(
                    value, KEY, VALUE, KEY, Quoted(list(branch.keys))
                )
                inner.append(self._first(self._misfit(branch.member, VALUE, f"{path}.*"), others))
            found = SQL("coalesce({})").format(SQL(", ").join([*inner, SQL("NULL::text")]))
            cases.append(SQL("WHEN 'object' THEN {}").format(found))
        if branch.element:
            elements = SQL("jsonb_array_elements({}) AS understudy_elements({})").format(value, VALUE)
            inside = self._first(self._misfit(branch.element, VALUE, f"{path}[*]"), elements)
            cases.append(SQL("WHEN 'array' THEN {}").format(inside))
        shape = SQL("{} || jsonb_typeof({})").format(Quoted(f"{path}: "), value)
        return SQL(
            "CASE WHEN {value} IS NULL OR {nothing} THEN NULL ELSE CASE jsonb_typeof({value}) {cases} ELSE {shape} END END"
        ).format(value=value, nothing=_holds_nothing(value), cases=SQL(" ").join(cases), shape=shape)

    def _first(self, shape: Composable, source: Composable) -> Composable:
        return SQL("(SELECT min({}) FROM {})").format(shape, source)

    def _leaf_of(self, member: Member, value: Any, place: Place, session: Session, row: Row) -> Any:
        text = _scalar_text(value)
        if text is None:
            return None
        made = member.maker.value(text, member.place(place, SQL("")), session, row)
        return Digits(made) if member.maker.is_numeric and made is not None else made

    def problems(self, place: Place) -> list[str]:
        """Require json or jsonb, makers that can serve text, and the columns that paths name with `by`."""
        if place.column.base not in JSON or place.column.array:
            return [f"{place.column.type} is not json or jsonb"]
        found = []
        for path, member in self.paths.items():
            if member.by is not None and place.table.column(member.by) is None:
                found.append(f"{path}: {place.table.name} has no column {member.by!r}")
            found += [f"{path}: {problem}" for problem in member.maker.problems(member.place(place, VALUE))]
        return found


class Digits(str):
    """A number as the digits that jsonb prints for it: a float would lose some."""


def read_json(text: str) -> Any:
    """Return the document, numbers as `Digits`. Raise `ValueError` for text that is not JSON."""
    return json.loads(text, parse_int=_digits, parse_float=_digits, parse_constant=_refuse_constant, strict=True)


def print_json(document: Any) -> str:
    """Return the document as jsonb prints it."""
    if isinstance(document, Digits):
        return str(document)
    if isinstance(document, dict):
        members = sorted(document.items(), key=lambda member: (len(member[0].encode()), member[0].encode()))
        return "{" + ", ".join(f"{_json_string(key)}: {print_json(value)}" for key, value in members) + "}"
    if isinstance(document, list):
        return "[" + ", ".join(map(print_json, document)) + "]"
    return _json_string(document)


def _scalar_text(value: Any) -> str | None:
    """Return what `->>` returns: text without quotes, everything else as it prints; None for null."""
    if value is None:
        return None
    return str(value) if isinstance(value, str) else print_json(value)


def _json_string(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # strings, true, false, null: escaped as PostgreSQL does


def _digits(number: str) -> Digits:
    value = Decimal(number)
    # numeric has no negative zero; its scale is never negative, as with format "f"
    return Digits(f"{value:f}".removeprefix("-") if value.is_zero() else f"{value:f}")


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")

"""What every maker has: one replacement as an SQL expression and in Python, and what it guarantees about its results."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from psycopg.sql import SQL, Composable, Identifier

from tasks.estate.dumps import Anonymizer
from tasks.estate.schema import Column, KeyKind, Table
from tasks.estate.sites import Immutable
from tasks.masking.session_settings import Session

Uniqueness = Literal["unique", "collides", "constant"]
Row = Mapping[str, str | None]

DIGITS = {"int2": 6, "int4": 11, "int8": 20, "uuid": 36}  # characters at most, with the sign
JSON = ("json", "jsonb")
AS_PRINTED = ("bool", "inet", "cidr")  # types whose cast to text differs from what COPY prints
ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Place:
    """Where a maker works: a column, the group whose key it uses, and the column that identifies the person (`by`).

    With `by`, the text of that column is hashed instead of the value, so that a person gets the same fake in every column
    and table of the group. If `by` is NULL, the value is hashed; a NULL value counts as the empty text. `expression` is
    read instead of the column for an element of an array or a member of a JSON document.
    """

    table: Table
    column: Column
    group: str
    by: Column | None = None
    expression: Composable | None = None

    @property
    def read(self) -> Composable:
        """Return the value in its own type; it may be NULL."""
        return self.expression if self.expression is not None else Identifier(self.column.name)

    @property
    def text(self) -> Composable:
        """Return the value as the text that is hashed; never NULL."""
        if self.column.not_null and self.expression is None:
            return text_of(self.column, self.read)
        return SQL("coalesce({}, '')").format(text_of(self.column, self.read))

    @property
    def message(self) -> Composable:
        """Return what is hashed: the text of `by`, else of the value. Never NULL."""
        if self.by is None:
            return self.text
        by = text_of(self.by, Identifier(self.by.name))
        return by if self.by.not_null else SQL("coalesce({}, {})").format(by, self.text)

    def message_of(self, original: str, row: Row) -> str:
        """Return the same in Python, from values as COPY prints them."""
        by = row.get(self.by.name) if self.by is not None else None
        if self.by is not None and by is not None:
            return canonical(self.by, by)
        return canonical(self.column, original)

    @property
    def primary(self) -> Column | None:
        """Return the table's primary key, if it is a single column."""
        key = self.table.primary
        return self.table.column(key.columns[0]) if key is not None and len(key.columns) == 1 else None

    @property
    def one_each(self) -> bool:
        """Whether different rows hash different texts: there is no `by`, or `by` is unique by itself."""
        return self.by is None or is_unique(self.table, self.by)

    def inside(self, expression: Composable, column: Column | None = None) -> "Place":
        """Return the place of an element or member of this value."""
        return replace(self, expression=expression, column=column or self.column)


def is_unique(table: Table, column: Column) -> bool:
    """Return whether a key of the table proves that no two rows have the same value in this column."""
    kinds = (KeyKind.PRIMARY, KeyKind.UNIQUE)
    plain = (
        key for key in table.unique_keys if key.kind in kinds and not (key.expressions or key.predicate or key.leaf)
    )
    return column.not_null and any(key.columns == (column.name,) for key in plain)


def text_of(column: Column, expression: Composable) -> Composable:
    """Return a value as text, equal for values that PostgreSQL calls equal: char(n) unpadded, citext in lower case."""
    if not column.array and column.base in AS_PRINTED:
        return SQL("nullif(concat({}), '')").format(expression)
    if not column.array and column.base == "citext":
        return SQL('lower({}::text COLLATE "C")').format(expression)
    return SQL("{}::text").format(expression)


def canonical(column: Column, text: str) -> str:
    """Return the same in Python, from what COPY prints. Only ASCII is lowered: the two sides agree on nothing else."""
    if column.base == "bpchar" and not column.array:
        return text.rstrip(" ")
    if column.base == "citext" and not column.array:
        return text.translate(ASCII_LOWER)
    return text


class Maker(Immutable):
    """A way to replace a value. `anonymizer` is the switch that it belongs to; None: it cannot be switched off.

    `sql` returns an expression over the row, of type text or `name` unless the maker documents another type, and never NULL
    unless NULL is the replacement. `value` returns equal bytes, from what COPY prints; None is NULL.
    """

    maker: str
    anonymizer: Anonymizer | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether the result is of a type of number, also as a member of a JSON document."""
        return False

    @property
    def has_python_twin(self) -> bool:
        """Whether `value` can be called. Only such makers can mask a raw dump while it is loaded."""
        return True

    def sql(self, place: Place, session: Session) -> Composable:
        """Return the replacement as an SQL expression over the row."""
        raise NotImplementedError

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """Return the same in Python; `row` contains the row's values as COPY prints them."""
        raise NotImplementedError

    def problems(self, place: Place) -> list[str]:
        """Return why this maker cannot serve this column; empty if it can. CHECKs and domains are not considered."""
        return []

    def uniqueness(self, place: Place) -> Uniqueness:
        """Return whether results provably differ, differ as far as `bits` allows, or are all the same."""
        return "collides"

    def bits(self, place: Place) -> float:
        """Return the size of the output space in bits: n rows collide with probability n²/2^(bits+1). 0 if `by` repeats."""
        unique = self.uniqueness(place)
        if unique == "unique":
            return inf
        return 0.0 if unique == "constant" or not place.one_each else self.space(place)

    def space(self, place: Place) -> float:
        """Return the bits of a single result, if every row hashes another text. 0 is the safe answer."""
        return 0.0


class Nothing(Maker):
    """A maker whose result is NULL."""

    def sql(self, place: Place, session: Session) -> Composable:
        """Return NULL."""
        return SQL("NULL::text")

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """Return None."""
        return None


class FromNumber(Maker):
    """A maker whose result depends on the keyed number of the value (or of `by`) alone."""

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        return self._sql(session.number(place.group, place.message), place, session)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        return self._value(session.number_of(place.group, place.message_of(original, row)), place, session)

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        raise NotImplementedError

    def _value(self, number: int, place: Place, session: Session) -> str:
        raise NotImplementedError


def text_problems(place: Place, longest: int | None = None, *, also: tuple[str, ...] = ()) -> list[str]:
    """Return why text of up to `longest` characters does not fit: not a text column (nor of a type in `also`), or too short."""
    column = place.column
    if column.array:
        return [f"{column.type} is an array: use `array` with a maker for each element"]
    if column.category != "S" and column.base not in also:
        return [f"{column.type} is not a text type"]
    return length_problems(place, longest)


def length_problems(place: Place, longest: int | None) -> list[str]:
    """Return why `longest` characters do not fit the column."""
    limit = place.column.max_length
    if longest is None or limit is None or longest <= limit or place.column.array:
        return []
    return [f"{place.column.type} is too short: a result may have {longest} characters"]


def once(number: Composable, result: Composable) -> Composable:
    """Return `result`, which reads `DRAWN` more than once, over a number that PostgreSQL computes once because of OFFSET 0."""
    return SQL("(SELECT {} FROM (SELECT {} AS n OFFSET 0) AS understudy_drawn)").format(result, number)


DRAWN = SQL("understudy_drawn.n")

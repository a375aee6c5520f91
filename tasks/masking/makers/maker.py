"""What every maker is: the same replacement twice, as an SQL expression and in Python, and what it proves about itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from psycopg.sql import SQL, Composable, Identifier

from tasks.estate.dumps import Anonymizer
from tasks.estate.sites import Immutable
from tasks.estate.tables import Column, KeyKind, Table
from tasks.masking.session import Session

Uniqueness = Literal["unique", "collides", "constant"]
Row = Mapping[str, str | None]

DIGITS = {"int2": 6, "int4": 11, "int8": 20, "uuid": 36}  # characters at most, with the sign
JSON = ("json", "jsonb")
AS_PRINTED = ("bool", "inet", "cidr")  # types whose cast to text differs from what COPY prints
ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Place:
    """Where a maker works: a column, the group whose key it uses, and the column that says whose value it is (`by`).

    With `by`, that column's text is hashed in place of the value: the same person gets the same fake in every column
    and table of the group. A NULL there falls back to the value, and a NULL value counts as the empty text.
    `expression` is what to read in place of the column: a member of an array or of a JSON document.
    """

    table: Table
    column: Column
    group: str
    by: Column | None = None
    expression: Composable | None = None

    @property
    def read(self) -> Composable:
        """The value itself, in its own type; may be NULL."""
        return self.expression if self.expression is not None else Identifier(self.column.name)

    @property
    def text(self) -> Composable:
        """The value as text, in the form that is hashed: never NULL."""
        if self.column.not_null and self.expression is None:
            return text_of(self.column, self.read)
        return SQL("coalesce({}, '')").format(text_of(self.column, self.read))

    @property
    def message(self) -> Composable:
        """What is hashed: the text of `by`, or else of the value. Never NULL."""
        if self.by is None:
            return self.text
        by = text_of(self.by, Identifier(self.by.name))
        return by if self.by.not_null else SQL("coalesce({}, {})").format(by, self.text)

    def message_of(self, original: str, row: Row) -> str:
        """The same in Python, from values as COPY prints them."""
        by = row.get(self.by.name) if self.by is not None else None
        if self.by is not None and by is not None:
            return canonical(self.by, by)
        return canonical(self.column, original)

    @property
    def primary(self) -> Column | None:
        """The table's primary key, if it is a single column."""
        key = self.table.primary
        return self.table.column(key.columns[0]) if key is not None and len(key.columns) == 1 else None

    @property
    def one_each(self) -> bool:
        """Whether no two rows can hash the same: no `by`, or one that is unique by itself."""
        return self.by is None or is_unique(self.table, self.by)

    def inside(self, expression: Composable, column: Column | None = None) -> "Place":
        """The place of a member of this value."""
        return replace(self, expression=expression, column=column or self.column)


def is_unique(table: Table, column: Column) -> bool:
    """Whether a key of the table proves that every row has another value in this column."""
    kinds = (KeyKind.PRIMARY, KeyKind.UNIQUE)
    plain = (
        key for key in table.unique_keys if key.kind in kinds and not (key.expressions or key.predicate or key.leaf)
    )
    return column.not_null and any(key.columns == (column.name,) for key in plain)


def text_of(column: Column, expression: Composable) -> Composable:
    """A value as text, equal for values that PostgreSQL calls equal: char(n) without padding, citext in lower case."""
    if column.array:
        return SQL("{}::text").format(expression)
    if column.base in AS_PRINTED:
        return SQL("nullif(concat({}), '')").format(expression)
    if column.base == "citext":
        return SQL('lower({}::text COLLATE "C")').format(expression)
    return SQL("{}::text").format(expression)


def canonical(column: Column, text: str) -> str:
    """The same in Python, from what COPY prints. Only ASCII is lowered: the two sides agree on nothing else."""
    if column.base == "bpchar" and not column.array:
        return text.rstrip(" ")
    if column.base == "citext" and not column.array:
        return text.translate(ASCII_LOWER)
    return text


class Maker(Immutable):
    """A way to replace a value. `anonymizer` is the switch it belongs to; None is never switched off.

    `sql` gives an expression over the row, of type text unless its maker says otherwise; it is never NULL unless that
    is the maker's meaning. `value` gives equal bytes from what COPY prints; None is NULL.
    """

    maker: str
    anonymizer: Anonymizer | None = None

    @property
    def gives_number(self) -> bool:
        """Whether the result is of a type of number, also as a member of a JSON document."""
        return False

    @property
    def has_python_twin(self) -> bool:
        """Whether `value` can be called: a raw dump can only be masked on its way in by makers that have it."""
        return True

    def sql(self, place: Place, session: Session) -> Composable:
        """The replacement as an SQL expression over the row."""
        raise NotImplementedError

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """The same in Python; `row` holds the row's values as COPY prints them."""
        raise NotImplementedError

    def problems(self, place: Place) -> list[str]:
        """Why this maker cannot serve this column, in words; empty if it can. CHECKs and domains are not looked at."""
        return []

    def uniqueness(self, place: Place) -> Uniqueness:
        """Whether results differ for certain, differ as far as `bits` go, or are all the same."""
        return "collides"

    def bits(self, place: Place) -> float:
        """Size of the output space in bits: n rows collide with probability n²/2^(bits+1). 0 if `by` repeats."""
        unique = self.uniqueness(place)
        if unique == "unique":
            return inf
        return 0.0 if unique == "constant" or not place.one_each else self.space(place)

    def space(self, place: Place) -> float:
        """How many bits a single result can tell, where every row hashes something else. 0 is the safe answer."""
        return 0.0


def text_problems(place: Place, longest: int | None = None, *, also: tuple[str, ...] = ()) -> list[str]:
    """Why text of up to `longest` characters does not fit: not a text column (nor a type in `also`), or too short."""
    column = place.column
    if column.array:
        return [f"{column.type} is an array: use `array` with a maker for each element"]
    if column.category != "S" and column.base not in also:
        return [f"{column.type} holds no text"]
    return length_problems(place, longest)


def length_problems(place: Place, longest: int | None) -> list[str]:
    """Why `longest` characters do not fit the column."""
    limit = place.column.max_length
    if longest is None or limit is None or longest <= limit or place.column.array:
        return []
    return [f"{place.column.type} is too short: a result may have {longest} characters"]


def once(number: Composable, result: Composable) -> Composable:
    """`result`, which reads `DRAWN` more than once, over a number that is computed once (OFFSET 0 sees to that)."""
    return SQL("(SELECT {} FROM (SELECT {} AS n OFFSET 0) AS understudy_drawn)").format(result, number)


DRAWN = SQL("understudy_drawn.n")

"""Numbers in a range, and one of a few given values."""

from math import log2
from typing import Annotated, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import Field, model_validator

from tasks.masking.makers.maker import Maker, Place, Row, text_problems
from tasks.masking.session import Session

INTEGERS = {"int2": 2**15 - 1, "int4": 2**31 - 1, "int8": 2**63 - 1}
OTHERS = ("numeric", "float4", "float8")
WIDEST = 2**59  # the hash is read as 60 bits, so that no remainder is more than twice as frequent as another


class Number(Maker):
    """A keyed integer from `low` to `high`, both included."""

    maker: Literal["number"] = "number"
    low: int = 0
    high: int

    @model_validator(mode="after")
    def _in_order(self) -> "Number":
        if not (0 < self.high - self.low < WIDEST and max(abs(self.low), abs(self.high)) < 2**62):
            raise ValueError("needs low < high, less than 2^59 apart")
        return self

    @property
    def gives_number(self) -> bool:
        """A bigint."""
        return True

    @property
    def _count(self) -> int:
        return self.high - self.low + 1

    def sql(self, place: Place, session: Session) -> Composable:
        """An expression of type bigint."""
        number = session.number(place.group, place.message)
        return SQL("({}::bigint + mod({}, {}))").format(Quoted(self.low), number, Quoted(self._count))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        return str(self.low + session.number_of(place.group, place.message_of(original, row)) % self._count)

    def problems(self, place: Place) -> list[str]:
        """Needs a number that reaches so far, or text with room for the digits."""
        column = place.column
        found = text_problems(place, max(len(str(self.low)), len(str(self.high))), also=(*INTEGERS, *OTHERS))
        limit = INTEGERS.get(column.base)
        if limit is not None and not (-limit <= self.low and self.high <= limit):
            found.append(f"{column.type} does not reach from {self.low} to {self.high}")
        return found

    def space(self, place: Place) -> float:
        """As many bits as the range holds."""
        return log2(self._count)


class Choice(Maker):
    """One of `values`, the same for the same value (or `by`). For enums, flags in words, and anything with few values."""

    maker: Literal["choice"] = "choice"
    values: Annotated[tuple[str, ...], Field(min_length=1, max_length=200)]

    def sql(self, place: Place, session: Session) -> Composable:
        """A constant array: cheap because it is short."""
        number = session.number(place.group, place.message)
        listed = SQL(", ").join(map(Quoted, self.values))
        return SQL("(ARRAY[{}]::text[])[1 + mod({}, {})]").format(listed, number, Quoted(len(self.values)))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        return self.values[session.number_of(place.group, place.message_of(original, row)) % len(self.values)]

    def problems(self, place: Place) -> list[str]:
        """Length and labels of an enum are looked at; whether another type reads the values, the plan asks the database."""
        column = place.column
        if column.array:
            return [f"{column.type} is an array: use `array` with a maker for each element"]
        longest = max(map(len, self.values))
        found = text_problems(place, longest) if column.category == "S" else []
        if column.enum_labels:
            unknown = [value for value in self.values if value not in column.enum_labels]
            found += [f"{column.type} has no label {value!r}" for value in unknown]
        return found

    def space(self, place: Place) -> float:
        """As many bits as there are values."""
        return log2(len(self.values))

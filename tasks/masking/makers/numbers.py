"""Numbers in a range, and one of a few given values."""

from math import log2
from typing import Annotated, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import Field, model_validator

from tasks.masking.makers.maker import FromNumber, Place, text_problems
from tasks.masking.session_settings import Session

INTEGERS = {"int2": 2**15 - 1, "int4": 2**31 - 1, "int8": 2**63 - 1}
OTHERS = ("numeric", "float4", "float8")
WIDEST = 2**59  # the hash is read as 60 bits, so that no remainder is more than twice as frequent as another


class Number(FromNumber):
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
    def is_numeric(self) -> bool:
        """The result is a bigint."""
        return True

    @property
    def _count(self) -> int:
        return self.high - self.low + 1

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        return SQL("({}::bigint + mod({}, {}))").format(Quoted(self.low), number, Quoted(self._count))

    def _value(self, number: int, place: Place, session: Session) -> str:
        return str(self.low + number % self._count)

    def problems(self, place: Place) -> list[str]:
        """Require a numeric column with this range, or text with room for the digits."""
        column = place.column
        found = text_problems(place, max(len(str(self.low)), len(str(self.high))), also=(*INTEGERS, *OTHERS))
        limit = INTEGERS.get(column.base)
        if limit is not None and not (-limit <= self.low and self.high <= limit):
            found.append(f"{column.type} does not reach from {self.low} to {self.high}")
        return found

    def space(self, place: Place) -> float:
        """Return the bits of the range."""
        return log2(self._count)


class Choice(FromNumber):
    """One of `values`, the same for the same value (or `by`). For enums, flags in words, and anything with few values."""

    maker: Literal["choice"] = "choice"
    values: Annotated[tuple[str, ...], Field(min_length=1, max_length=200)]

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        listed = SQL(", ").join(map(Quoted, self.values))  # a constant array: cheap because it is short
        return SQL("(ARRAY[{}]::text[])[1 + mod({}, {})]").format(listed, number, Quoted(len(self.values)))

    def _value(self, number: int, place: Place, session: Session) -> str:
        return self.values[number % len(self.values)]

    def problems(self, place: Place) -> list[str]:
        """Check the length and the labels of an enum. For other types the plan asks the database."""
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
        """Return the bits of a choice among the values."""
        return log2(len(self.values))

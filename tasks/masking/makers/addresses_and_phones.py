"""Postal addresses and phone numbers: fakes that look local and reach nobody."""

from math import log2
from typing import Annotated, ClassVar, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import Field

from tasks.estate.dumps import Anonymizer
from tasks.masking.fake_pools import Kind
from tasks.masking.makers.maker import FromNumber, Place, length_problems, text_problems
from tasks.masking.makers.names import FromPool
from tasks.masking.session_settings import Session

INTERNATIONAL, NATIONAL = 13, 11  # characters of +49 30 23125 000 and 030 23125 000, written without spaces


class Street(FromPool):
    """A street with a house number."""

    maker: Literal["street"] = "street"
    anonymizer: Anonymizer | None = Anonymizer.CONTACT
    pool_kind: ClassVar[Kind] = "streets"


class City(FromPool):
    """A city."""

    maker: Literal["city"] = "city"
    anonymizer: Anonymizer | None = Anonymizer.CONTACT
    pool_kind: ClassVar[Kind] = "cities"


class Postcode(FromNumber):
    """Digits that never begin with 0, five unless `digits` is given (Austria and Switzerland have four)."""

    maker: Literal["postcode"] = "postcode"
    anonymizer: Anonymizer | None = Anonymizer.CONTACT
    digits: Annotated[int, Field(ge=3, le=10)] = 5

    @property
    def _lowest(self) -> int:
        return int(10 ** (self.digits - 1))

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        return SQL("({} + mod({}, {}))::text").format(Quoted(self._lowest), number, Quoted(9 * self._lowest))

    def _value(self, number: int, place: Place, session: Session) -> str:
        return str(self._lowest + number % (9 * self._lowest))

    def problems(self, place: Place) -> list[str]:
        """Require a text column with room for the digits, or an integer."""
        return text_problems(place, self.digits, also=("int4", "int8", "numeric"))

    def space(self, place: Place) -> float:
        """Return the bits that the digits can represent."""
        return log2(9 * self._lowest)


class Phone(FromNumber):
    """One of 5,000 German numbers that are never assigned (see fake_pools), in international form if the column has room.

    With `prefix`, that and `digits` digits instead: for other countries, or if many numbers must differ.
    """

    maker: Literal["phone"] = "phone"
    anonymizer: Anonymizer | None = Anonymizer.CONTACT
    prefix: Annotated[str, Field(pattern=r"^\+?[0-9 ()/-]+$")] | None = None
    digits: Annotated[int, Field(ge=3, le=12)] = 7

    def _numbers(self, place: Place) -> Kind:
        short = place.column.max_length is not None and place.column.max_length < INTERNATIONAL
        return "national_phones" if short else "phones"

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        if self.prefix is None:
            return session.pool(self._numbers(place)).pick(number)
        last = SQL("lpad(mod({}, {})::text, {}, '0')").format(number, Quoted(10**self.digits), Quoted(self.digits))
        return SQL("{} || {}").format(Quoted(self.prefix), last)

    def _value(self, number: int, place: Place, session: Session) -> str:
        if self.prefix is None:
            return session.pool(self._numbers(place)).pick_of(number)
        return f"{self.prefix}{number % 10**self.digits:0{self.digits}}"

    def problems(self, place: Place) -> list[str]:
        """Require a text column with room for a whole number: a cut one might be somebody's."""
        longest = NATIONAL if self.prefix is None else len(self.prefix) + self.digits
        return text_problems(place) + length_problems(place, longest)

    def space(self, place: Place) -> float:
        """Return twelve bits, or those of the digits."""
        return log2(5000) if self.prefix is None else log2(10**self.digits)

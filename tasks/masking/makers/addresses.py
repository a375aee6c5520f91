"""Where people live and how they are called up: fakes that look local and reach nobody."""

from math import log2
from typing import Annotated, ClassVar, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import Field

from tasks.estate.dumps import Anonymizer
from tasks.masking.fake_pools import Kind
from tasks.masking.makers.maker import Maker, Place, Row, length_problems, text_problems
from tasks.masking.makers.names import Drawn
from tasks.masking.session import Session

INTERNATIONAL, NATIONAL = 13, 11  # characters of +49 30 23125 000 and 030 23125 000, written without spaces


class Street(Drawn):
    """A street with a house number."""

    maker: Literal["street"] = "street"
    anonymizer: Anonymizer | None = Anonymizer.CONTACT
    drawn_from: ClassVar[Kind] = "streets"


class City(Drawn):
    """A city."""

    maker: Literal["city"] = "city"
    anonymizer: Anonymizer | None = Anonymizer.CONTACT
    drawn_from: ClassVar[Kind] = "cities"


class Postcode(Maker):
    """Digits that never begin with 0, five unless `digits` says otherwise (Austria and Switzerland have four)."""

    maker: Literal["postcode"] = "postcode"
    anonymizer: Anonymizer | None = Anonymizer.CONTACT
    digits: Annotated[int, Field(ge=3, le=10)] = 5

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        lowest = 10 ** (self.digits - 1)
        number = session.number(place.group, place.message)
        return SQL("({} + mod({}, {}))::text").format(Quoted(lowest), number, Quoted(9 * lowest))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        lowest = 10 ** (self.digits - 1)
        return str(lowest + session.number_of(place.group, place.message_of(original, row)) % (9 * lowest))

    def problems(self, place: Place) -> list[str]:
        """Needs a text column with room for the digits, or an integer."""
        return text_problems(place, self.digits, also=("int4", "int8", "numeric"))

    def space(self, place: Place) -> float:
        """As many bits as the digits hold."""
        return log2(9 * 10 ** (self.digits - 1))


class Phone(Maker):
    """One of 5,000 German numbers that are never assigned (see pools), in international form where the column has room.

    With `prefix`, that and `digits` digits instead: for other countries, or where many numbers must differ.
    """

    maker: Literal["phone"] = "phone"
    anonymizer: Anonymizer | None = Anonymizer.CONTACT
    prefix: Annotated[str, Field(pattern=r"^\+?[0-9 ()/-]+$")] | None = None
    digits: Annotated[int, Field(ge=3, le=12)] = 7

    def _numbers(self, place: Place) -> Kind:
        short = place.column.max_length is not None and place.column.max_length < INTERNATIONAL
        return "national_phones" if short else "phones"

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        number = session.number(place.group, place.message)
        if self.prefix is None:
            return session.pool(self._numbers(place)).pick(number)
        last = SQL("lpad(mod({}, {})::text, {}, '0')").format(number, Quoted(10**self.digits), Quoted(self.digits))
        return SQL("{} || {}").format(Quoted(self.prefix), last)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        number = session.number_of(place.group, place.message_of(original, row))
        if self.prefix is None:
            return session.pool(self._numbers(place)).pick_of(number)
        return f"{self.prefix}{number % 10**self.digits:0{self.digits}}"

    def problems(self, place: Place) -> list[str]:
        """Needs a text column with room for a whole number: a cut one might be somebody's."""
        return text_problems(place) + length_problems(place, NATIONAL if self.prefix is None else self._longest)

    @property
    def _longest(self) -> int:
        return len(self.prefix or "") + self.digits

    def space(self, place: Place) -> float:
        """Twelve bits, or those of the digits."""
        return log2(5000) if self.prefix is None else log2(10**self.digits)

"""Bank accounts that pass the checksum and belong to no bank."""

from math import log2
from typing import Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted

from tasks.masking.makers.maker import DRAWN, FromNumber, Place, once, text_problems
from tasks.masking.session_settings import Session

# Digits after country and checksum (IBAN registry, ISO 13616). All begin with 9 here: the first digit of a German bank
# code is its clearing area, 1 to 8 (Bundesbank), and we know of no Austrian or Swiss bank code that begins with 9.
DIGITS = {"DE": 18, "AT": 16, "CH": 17}
Country = Literal["DE", "AT", "CH"]


def country_remainder(country: str) -> int:
    """Return what country letters and an empty checksum add to the remainder (ISO 7064, mod 97-10): A is 10 … Z is 35."""
    return int("".join(str(int(letter, 36)) for letter in country) + "00") % 97


class Iban(FromNumber):
    """A well-formed IBAN of `country` with a valid checksum and a bank code that no bank has."""

    maker: Literal["iban"] = "iban"
    country: Country = "DE"

    @property
    def _room(self) -> int:
        return int(10 ** (DIGITS[self.country] - 1))

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        # Every step fits a bigint: the account has at most 18 digits.
        account = SQL("{} + mod({}, {})").format(Quoted(9 * self._room), number, Quoted(self._room))
        check = SQL("98 - mod(mod({}, 97) * {} + {}, 97)").format(
            DRAWN, Quoted(10**6 % 97), Quoted(country_remainder(self.country))
        )
        whole = SQL("{} || lpad(({})::text, 2, '0') || {}").format(Quoted(self.country), check, DRAWN)
        return once(account, whole)

    def _value(self, number: int, place: Place, session: Session) -> str:
        account = 9 * self._room + number % self._room
        check = 98 - (account % 97 * 10**6 + country_remainder(self.country)) % 97
        return f"{self.country}{check:02}{account}"

    def problems(self, place: Place) -> list[str]:
        """Require a text column with room for all of it."""
        return text_problems(place, 4 + DIGITS[self.country])

    def space(self, place: Place) -> float:
        """Return the bits of all digits but the first."""
        return log2(self._room)

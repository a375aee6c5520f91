"""Names of people and companies from a locale's pool, picked by a keyed hash: the same person gets the same name."""

from typing import ClassVar, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted

from tasks.estate.dumps import Anonymizer
from tasks.masking.fake_pools import Kind, longest, pool
from tasks.masking.makers.maker import DRAWN, FromNumber, Place, once, text_problems
from tasks.masking.session_settings import Pool, Session

SHORTEST_FULL_NAME = 7  # characters: less leaves no room for two names


class FromPool(FromNumber):
    """A fake from one pool, cut to the column's length. Collides: never for a unique column."""

    pool_kind: ClassVar[Kind]

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        return session.pool(self.pool_kind, place.column.max_length).pick(number)

    def _value(self, number: int, place: Place, session: Session) -> str:
        return session.pool(self.pool_kind, place.column.max_length).pick_of(number)

    def problems(self, place: Place) -> list[str]:
        """Require a text column."""
        return text_problems(place)

    def space(self, place: Place) -> float:
        """Return a safe minimum: pools hold some 50 to 3,000 fakes, far too few for any unique column."""
        return 5.0


class FirstName(FromPool):
    """A first name."""

    maker: Literal["first_name"] = "first_name"
    anonymizer: Anonymizer | None = Anonymizer.NAMES
    pool_kind: ClassVar[Kind] = "first_names"


class LastName(FromPool):
    """A last name. It depends on the part of the hash that the first name does not use: in one group and with one `by`,
    the first, last and full names of a person agree, and first and last names vary independently.
    """

    maker: Literal["last_name"] = "last_name"
    anonymizer: Anonymizer | None = Anonymizer.NAMES
    pool_kind: ClassVar[Kind] = "last_names"

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        rest = SQL("{} / {}").format(number, Quoted(len(pool("first_names", session.locale))))
        return super()._sql(rest, place, session)

    def _value(self, number: int, place: Place, session: Session) -> str:
        return super()._value(number // len(pool("first_names", session.locale)), place, session)


class FullName(FromNumber):
    """First and last name, equal to those of `first_name` and `last_name` for the same group and `by`.

    If the column is too short for the longest pair, each name is cut to half of it.
    """

    maker: Literal["full_name"] = "full_name"
    anonymizer: Anonymizer | None = Anonymizer.NAMES

    def _sql(self, number: Composable, place: Place, session: Session) -> Composable:
        firsts, lasts = _halves(place, session)
        rest = SQL("{} / {}").format(DRAWN, Quoted(len(firsts.names)))
        return once(number, SQL("{}::text || ' ' || {}::text").format(firsts.pick(DRAWN), lasts.pick(rest)))

    def _value(self, number: int, place: Place, session: Session) -> str:
        firsts, lasts = _halves(place, session)
        return f"{firsts.pick_of(number)} {lasts.pick_of(number // len(firsts.names))}"

    def problems(self, place: Place) -> list[str]:
        """Require a text column with room for two names."""
        return text_problems(place, SHORTEST_FULL_NAME)

    def space(self, place: Place) -> float:
        """Return the sum of both names."""
        return 10.0


class Company(FromPool):
    """The name of a company."""

    maker: Literal["company"] = "company"
    pool_kind: ClassVar[Kind] = "companies"


def _halves(place: Place, session: Session) -> tuple[Pool, Pool]:
    limit = place.column.max_length
    room = longest("first_names", session.locale) + 1 + longest("last_names", session.locale)
    cut: tuple[int | None, int | None] = (None, None)
    if limit is not None and room > limit:
        cut = ((limit - 1) // 2, limit - 1 - (limit - 1) // 2)
    return session.pool("first_names", cut[0]), session.pool("last_names", cut[1])

"""Names of people and companies from a locale's pool, drawn by a keyed hash: the same person, the same name."""

from typing import ClassVar, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted

from tasks.estate.dumps import Anonymizer
from tasks.masking.fake_pools import Kind, longest, pool
from tasks.masking.makers.maker import DRAWN, Maker, Place, Row, once, text_problems
from tasks.masking.session import Pool, Session

SHORTEST_FULL_NAME = 7  # characters: less leaves no room for two names


class Drawn(Maker):
    """A fake out of one pool, at the keyed hash of the value or of `by`. Collides: never on a unique column."""

    drawn_from: ClassVar[Kind]

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        pool = session.pool(self.drawn_from, place.column.max_length)
        return pool.pick(session.number(place.group, place.message))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        pool = session.pool(self.drawn_from, place.column.max_length)
        return pool.pick_of(session.number_of(place.group, place.message_of(original, row)))

    def problems(self, place: Place) -> list[str]:
        """Needs a text column. Fakes are cut to its length."""
        return text_problems(place)

    def space(self, place: Place) -> float:
        """Nothing to count on: pools hold some 50 to 3,000 fakes, far too few for any unique column."""
        return 5.0


class FirstName(Drawn):
    """A first name."""

    maker: Literal["first_name"] = "first_name"
    anonymizer: Anonymizer | None = Anonymizer.NAMES
    drawn_from: ClassVar[Kind] = "first_names"


class LastName(Maker):
    """A last name. Read from the part of the hash that the first name leaves over: in one group and with one `by`,
    first names, last names and full names of a person agree, and first and last vary independently.
    """

    maker: Literal["last_name"] = "last_name"
    anonymizer: Anonymizer | None = Anonymizer.NAMES

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        number = session.number(place.group, place.message)
        lasts = session.pool("last_names", place.column.max_length)
        return lasts.pick(SQL("{} / {}").format(number, Quoted(len(pool("first_names", session.locale)))))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        number = session.number_of(place.group, place.message_of(original, row))
        lasts = session.pool("last_names", place.column.max_length)
        return lasts.pick_of(number // len(pool("first_names", session.locale)))

    def problems(self, place: Place) -> list[str]:
        """Needs a text column. Fakes are cut to its length."""
        return text_problems(place)

    def space(self, place: Place) -> float:
        """As for first names."""
        return 5.0


class FullName(Maker):
    """First and last name, as `first_name` and `last_name` would give them for the same group and `by`.

    Where the column is too short for the longest pair, each half is cut to half of it.
    """

    maker: Literal["full_name"] = "full_name"
    anonymizer: Anonymizer | None = Anonymizer.NAMES

    def sql(self, place: Place, session: Session) -> Composable:
        """One hash for both names."""
        firsts, lasts = _halves(place, session)
        rest = SQL("{} / {}").format(DRAWN, Quoted(len(firsts.names)))
        both = SQL("{} || ' ' || {}").format(firsts.pick(DRAWN), lasts.pick(rest))
        return once(session.number(place.group, place.message), both)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        firsts, lasts = _halves(place, session)
        number = session.number_of(place.group, place.message_of(original, row))
        return f"{firsts.pick_of(number)} {lasts.pick_of(number // len(firsts.names))}"

    def problems(self, place: Place) -> list[str]:
        """Needs a text column with room for two names."""
        return text_problems(place, SHORTEST_FULL_NAME)

    def space(self, place: Place) -> float:
        """The sum of its halves."""
        return 10.0


class Company(Drawn):
    """The name of a company."""

    maker: Literal["company"] = "company"
    drawn_from: ClassVar[Kind] = "companies"


def _halves(place: Place, session: Session) -> tuple[Pool, Pool]:
    limit = place.column.max_length
    room = longest("first_names", session.locale) + 1 + longest("last_names", session.locale)
    cut: tuple[int | None, int | None] = (None, None)
    if limit is not None and room > limit:
        cut = ((limit - 1) // 2, limit - 1 - (limit - 1) // 2)
    return session.pool("first_names", cut[0]), session.pool("last_names", cut[1])

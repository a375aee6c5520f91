"""Fixed results: blank, a constant, NULL, the scrubbed text, and the staging password."""

import json
from itertools import accumulate
from typing import Annotated, Literal

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import ConfigDict, Field

from tasks.estate.dumps import Anonymizer
from tasks.masking.makers.maker import (
    DRAWN,
    JSON,
    Maker,
    Nothing,
    Place,
    Row,
    Uniqueness,
    canonical,
    length_problems,
    once,
    text_problems,
)
from tasks.masking.session_settings import Session

SCRUBBED = "[scrubbed for staging]"
BCRYPT_CHARACTERS = 60
REPEATED = 1000  # repetitions of a filler that `keep_length` cuts; longer originals get this length


class Same(Maker):
    """The same result in every row."""

    def _text(self, place: Place, session: Session) -> str:
        raise NotImplementedError

    def sql(self, place: Place, session: Session) -> Composable:
        """Return a literal."""
        return SQL("{}::text").format(Quoted(self._text(place, session)))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """Return the same text."""
        return self._text(place, session)

    def uniqueness(self, place: Place) -> Uniqueness:
        """Return `constant`."""
        return "constant"


class Blank(Same):
    """The empty text. It belongs to an anonymizer only if the policy names one: not only contact details are blanked."""

    maker: Literal["blank"] = "blank"

    def _text(self, place: Place, session: Session) -> str:
        return ""

    def problems(self, place: Place) -> list[str]:
        """Require a text column. The plan asks the database whether a CHECK refuses the empty text."""
        return text_problems(place)


class Constant(Same):
    """The text of `value`, in any column whose type reads it. The plan checks that with the database."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    maker: Literal["constant"] = "constant"
    text: str = Field(alias="value")

    def _text(self, place: Place, session: Session) -> str:
        return self.text

    def problems(self, place: Place) -> list[str]:
        """Check the length, the label of an enum and JSON."""
        found = length_problems(place, len(self.text))
        column = place.column
        if column.enum_labels and not column.array and self.text not in column.enum_labels:
            found.append(f"{column.type} has no label {self.text!r}")
        if column.base in JSON and not column.array and not _is_json(self.text):
            found.append("the constant is not JSON")
        return found


class Null(Nothing):
    """NULL, in any column that allows it."""

    maker: Literal["null"] = "null"

    def problems(self, place: Place) -> list[str]:
        """Refuse a column that is NOT NULL, also by its domain."""
        return [f"{place.column.name} is NOT NULL"] if place.column.not_null else []

    def uniqueness(self, place: Place) -> Uniqueness:
        """Return `unique`, but `constant` if an index has NULLS NOT DISTINCT (PostgreSQL 15 and newer)."""
        keys = (key for key in place.table.unique_keys if place.column.name in key.columns)
        return "constant" if any("NULLS NOT DISTINCT" in key.definition for key in keys) else "unique"


class Scrub(Same):
    """The body of a message or letter becomes `text`, cut to the column's length. In JSON columns it is a JSON string.

    With `keep_length` the text is repeated to the length of the original (at most a thousand times), so that sizes and
    page breaks stay realistic; the length itself is kept too, and may identify a text.
    """

    maker: Literal["scrub"] = "scrub"
    anonymizer: Anonymizer | None = Anonymizer.BODIES
    text: Annotated[str, Field(min_length=1)] = SCRUBBED
    keep_length: bool = False

    def _text(self, place: Place, session: Session) -> str:
        text = self.text[: place.column.max_length]
        return json.dumps(text, ensure_ascii=False) if place.column.base in JSON else text

    def sql(self, place: Place, session: Session) -> Composable:
        """Return a literal, or the first n characters of a long one. Of the original, only the length is read.

        The long one is cut as bytes, at a quarter of the cost: left() walks over every character. So does char_length(); the
        length of the encoded text is counted in two thirds of its time.
        """
        if not self.keep_length:
            return super().sql(place, session)
        filler = SQL("(SELECT convert_to(repeat({}, {}), 'UTF8'))").format(Quoted(self.text), Quoted(REPEATED))
        cut = SQL("convert_from(substr({}, 1, {}), 'UTF8')")
        length = SQL("length(textsend({}), 'UTF8')").format(place.text)
        if self.text.isascii():
            return cut.format(filler, length)
        return once(length, cut.format(filler, self._bytes_for(DRAWN)))

    def _bytes_for(self, length: Composable) -> Composable:
        """Return the number of bytes that so many characters of the repeated text have; all of them, if it is shorter."""
        ends = accumulate((len(character.encode()) for character in self.text[:-1]), initial=0)
        return SQL("least({n}, {most}) / {count} * {bytes} + (ARRAY[{ends}])[1 + least({n}, {most}) % {count}]").format(
            n=length,
            most=Quoted(len(self.text) * REPEATED),
            count=Quoted(len(self.text)),
            bytes=Quoted(len(self.text.encode())),
            ends=SQL(", ").join(map(Quoted, ends)),
        )

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        if not self.keep_length:
            return self._text(place, session)
        original = canonical(place.column, original)
        return (self.text * min(1 + len(original) // len(self.text), REPEATED))[: len(original)]

    def problems(self, place: Place) -> list[str]:
        """Require a text or JSON column; with `keep_length`, text."""
        found = text_problems(place, also=JSON)
        if self.keep_length and place.column.base in JSON:
            found.append(f"{place.column.type} has no length to keep")
        return found

    def uniqueness(self, place: Place) -> Uniqueness:
        """Return `constant`, or `collides` with `keep_length`."""
        return "collides" if self.keep_length else "constant"


class Password(Same):
    """The bcrypt hash of the staging password, computed once: every account logs in with it, and no original hash is copied.

    `prefix` is what the application expects ($2y$ for PHP, $2a$ for older libraries); the algorithm is the same.
    """

    maker: Literal["password"] = "password"
    anonymizer: Anonymizer | None = Anonymizer.PASSWORDS
    prefix: Literal["$2a$", "$2b$", "$2y$"] = "$2b$"
    cost: Annotated[int, Field(ge=4, le=15)] = 10

    def _text(self, place: Place, session: Session) -> str:
        return session.password_hash(self.prefix, self.cost)

    def problems(self, place: Place) -> list[str]:
        """Require a text column of 60 characters."""
        return text_problems(place, BCRYPT_CHARACTERS)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True

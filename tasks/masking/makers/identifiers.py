"""Values that mean nothing and only must differ: hashes, tokens, UUIDs, addresses on the web."""

import base64
from typing import Annotated, Literal
from uuid import UUID

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import Field

from tasks.masking.makers.maker import Maker, Place, Row, text_problems
from tasks.masking.session import Session


class Hash(Maker):
    """The first `chars` hexadecimal digits of the keyed hash; 16 are 64 bits, enough for some 10^8 rows."""

    maker: Literal["hash"] = "hash"
    chars: Annotated[int, Field(ge=8, le=64)] = 16

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        return session.hex(place.group, place.message, self.chars)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        return session.hex_of(place.group, place.message_of(original, row), self.chars)

    def problems(self, place: Place) -> list[str]:
        """Needs a text column with room for all digits: a cut hash collides sooner than it says."""
        return text_problems(place, self.chars)

    def space(self, place: Place) -> float:
        """Four bits a digit."""
        return 4.0 * self.chars


class Token(Maker):
    """The keyed hash as letters, digits, `-` and `_`: looks like an API key or a reset token, opens nothing."""

    maker: Literal["token"] = "token"  # the name of a maker
    chars: Annotated[int, Field(ge=8, le=43)] = 32

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        hashed = session.hmac(place.group, place.message)
        # no more bytes than are shown, and two replace(): a quarter of what translate() over the whole hash takes
        encoded = SQL("encode(substr({}, 1, {}), 'base64')").format(hashed, Quoted((self.chars * 3 + 3) // 4))
        return SQL("left(replace(replace({}, '+', '-'), '/', '_'), {})").format(encoded, Quoted(self.chars))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        hashed = session.hmac_of(place.group, place.message_of(original, row))
        return base64.urlsafe_b64encode(hashed)[: self.chars].decode()

    def problems(self, place: Place) -> list[str]:
        """Needs a text column with room for all of it."""
        return text_problems(place, self.chars)

    def space(self, place: Place) -> float:
        """Six bits a character, of the hash's 256."""
        return min(6.0 * self.chars, 256.0)


class Uuid(Maker):
    """A UUID in the form of version 4 (RFC 9562) made of the keyed hash: 14 bytes vary, those of version and variant stand."""

    maker: Literal["uuid"] = "uuid"

    def sql(self, place: Place, session: Session) -> Composable:
        """Of type uuid for uuid columns, else of type text."""
        hashed = session.hmac(place.group, place.message)
        shaped = SQL("encode(set_byte(set_byte(substr({}, 1, 16), 6, 64), 8, 128), 'hex')::uuid").format(hashed)
        return shaped if place.column.base == "uuid" else SQL("{}::text").format(shaped)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        digits = session.hex_of(place.group, place.message_of(original, row), 32)
        return str(UUID(f"{digits[:12]}40{digits[14:16]}80{digits[18:]}"))

    def problems(self, place: Place) -> list[str]:
        """Needs a uuid column, or a text column with room for 36 characters."""
        return text_problems(place, None if place.column.base == "uuid" else 36, also=("uuid",))

    def space(self, place: Place) -> float:
        """See the class."""
        return 112.0


class Url(Maker):
    """`https://staging.invalid/<hash>`: the top level domain never resolves (RFC 2606)."""

    maker: Literal["url"] = "url"
    prefix: Annotated[str, Field(min_length=1)] = "https://staging.invalid/"
    chars: Annotated[int, Field(ge=8, le=64)] = 16

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        return SQL("{} || {}").format(Quoted(self.prefix), session.hex(place.group, place.message, self.chars))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        return self.prefix + session.hex_of(place.group, place.message_of(original, row), self.chars)

    def problems(self, place: Place) -> list[str]:
        """Needs a text column with room for all of it."""
        return text_problems(place, len(self.prefix) + self.chars)

    def space(self, place: Place) -> float:
        """Four bits a digit of the hash."""
        return 4.0 * self.chars

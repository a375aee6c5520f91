"""Technical identifiers: hashes, tokens, UUIDs, web addresses and network addresses."""

import base64
from ipaddress import IPv6Address
from typing import Annotated, Literal
from uuid import UUID

from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Quoted
from pydantic import Field

from tasks.masking.makers.maker import Maker, Place, Row, text_problems
from tasks.masking.session_settings import LONG, Session

NETWORK6 = "2001:db8::"  # for documentation, RFC 3849
LONGEST_ADDRESS = len("2001:db8::ffff:ffff:ffff:ffff")


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
        """Require a text column with room for all digits: a cut hash collides sooner than `space` promises."""
        return text_problems(place, self.chars)

    def space(self, place: Place) -> float:
        """Return four bits for each digit."""
        return 4.0 * self.chars


class Token(Maker):
    """The keyed hash as letters, digits, `-` and `_`: it looks like an API key or a reset token and grants no access."""

    maker: Literal["token"] = "token"  # the name of a maker
    chars: Annotated[int, Field(ge=8, le=43)] = 32

    @property
    def _bytes(self) -> int:
        return min((self.chars * 3 + 3) // 4, LONG)  # base64 prints 43 characters of 32 bytes

    def sql(self, place: Place, session: Session) -> Composable:
        """See the class."""
        # Fewer bytes than the hash, and two replace(): a quarter of the time of translate() over the whole hash.
        encoded = SQL("encode({}, 'base64')").format(session.digest(place.group, place.message, self._bytes))
        return SQL("left(replace(replace({}, '+', '-'), '/', '_'), {})").format(encoded, Quoted(self.chars))

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        hashed = session.digest_of(place.group, place.message_of(original, row), self._bytes)
        return base64.urlsafe_b64encode(hashed)[: self.chars].decode()

    def problems(self, place: Place) -> list[str]:
        """Require a text column with room for all of it."""
        return text_problems(place, self.chars)

    def space(self, place: Place) -> float:
        """Return six bits for each character, up to the 256 of the hash."""
        return min(6.0 * self.chars, 256.0)


class Uuid(Maker):
    """A UUID in the form of version 4 (RFC 9562) made of the keyed hash: 14 bytes vary, those of version and variant are fixed."""

    maker: Literal["uuid"] = "uuid"

    def sql(self, place: Place, session: Session) -> Composable:
        """Return an expression of type uuid for uuid columns, else of type text."""
        hashed = session.digest(place.group, place.message, 16)
        shaped = SQL("encode(set_byte(set_byte({}, 6, 64), 8, 128), 'hex')::uuid").format(hashed)
        return shaped if place.column.base == "uuid" else SQL("{}::text").format(shaped)

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        digits = session.hex_of(place.group, place.message_of(original, row), 32)
        return str(UUID(f"{digits[:12]}40{digits[14:16]}80{digits[18:]}"))

    def problems(self, place: Place) -> list[str]:
        """Require a uuid column, or a text column with room for 36 characters."""
        return text_problems(place, None if place.column.base == "uuid" else 36, also=("uuid",))

    def space(self, place: Place) -> float:
        """Return the bits of the 14 bytes that vary."""
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
        """Require a text column with room for all of it."""
        return text_problems(place, len(self.prefix) + self.chars)

    def space(self, place: Place) -> float:
        """Return four bits for each digit of the hash."""
        return 4.0 * self.chars


class Ip(Maker):
    """An address for documentation (RFC 5737, RFC 3849) of the original's family, without its netmask.

    Text that is not an address counts as IPv4, with a colon as IPv6.
    """

    maker: Literal["ip"] = "ip"

    def sql(self, place: Place, session: Session) -> Composable:
        """Return text, also for inet and cidr columns: only one of the two branches hashes."""
        number = session.number(place.group, place.message)
        return SQL("CASE WHEN strpos({}, ':') > 0 THEN host('2001:db8::'::inet + {}) ELSE {} END").format(
            place.text, number, session.pool("ipv4_addresses").pick(number)
        )

    def value(self, original: str, place: Place, session: Session, row: Row) -> str | None:
        """See the class."""
        number = session.number_of(place.group, place.message_of(original, row))
        if ":" in original:
            return str(IPv6Address(NETWORK6) + number)
        return session.pool("ipv4_addresses").pick_of(number)

    def problems(self, place: Place) -> list[str]:
        """Require inet, cidr, or text with room for the longest address."""
        inet = place.column.base in ("inet", "cidr")
        return text_problems(place, None if inet else LONGEST_ADDRESS, also=("inet", "cidr"))

    def space(self, place: Place) -> float:
        """Return nine bits: there are 762 IPv4 addresses for documentation."""
        return 9.5

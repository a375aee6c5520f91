"""Network addresses of the same family, in ranges that are never routed."""

from ipaddress import IPv6Address
from typing import Literal

from psycopg.sql import SQL, Composable

from tasks.masking.makers.maker import Maker, Place, Row, text_problems
from tasks.masking.session import Session

NETWORK6 = "2001:db8::"  # for documentation, RFC 3849
LONGEST = len("2001:db8::ffff:ffff:ffff:ffff")


class Ip(Maker):
    """An address for documentation (RFC 5737, RFC 3849) of the original's family, without its netmask.

    What is no address counts as IPv4: text with a colon is taken for IPv6.
    """

    maker: Literal["ip"] = "ip"

    def sql(self, place: Place, session: Session) -> Composable:
        """Text, also for inet and cidr columns: only one of the two branches hashes."""
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
        """Needs inet, cidr, or text with room for the longest address."""
        inet = place.column.base in ("inet", "cidr")
        return text_problems(place, None if inet else LONGEST, also=("inet", "cidr"))

    def space(self, place: Place) -> float:
        """Nine bits: there are 762 IPv4 addresses for documentation."""
        return 9.5

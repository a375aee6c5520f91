"""How one column of a WordPress table is masked, as an SQL expression.

An address becomes a keyed hash of itself, so that equal addresses stay equal in all tables, under the same reserved domain
as on the PostgreSQL side. Everything else depends only on the key and the number of the row's owner (user, order, comment), so
that masking a row again changes nothing: a step that was interrupted is repeated, and its check is the same comparison.
"""

from enum import StrEnum

from tasks.masking.fake_pools import UNASSIGNED, Kind, pool
from tasks.masking.keyring import block_keys
from tasks.masking.makers.email import DOMAIN
from tasks.neutralisation.statements import binary, literal, unicode, utf8

LOCK = "!"  # stands for a password that nobody has: no hash is equal to it
NAMES = 64  # of each pool; they travel with each statement, whose length is limited
MASKED = "masked"  # stands for free text
HASH_CHARS = 16  # hexadecimal digits of an address: 64 bits, as on the PostgreSQL side


class Mask(StrEnum):
    """What is put in place of a value. An empty value stays empty."""

    EMAIL = "email"
    LOGIN = "login"
    FIRST_NAME = "first name"
    LAST_NAME = "last name"
    FULL_NAME = "full name"
    COMPANY = "company"
    STREET = "street"
    CITY = "city"
    POSTCODE = "postcode"
    PHONE = "phone"
    IP = "IP address"
    TEXT = "text"
    BLANK = "blank"
    PASSWORD = "password"  # noqa: S105  # the kind of a column
    LOCKED = "locked"


POOLS: dict[Mask, Kind] = {
    Mask.FIRST_NAME: "first_names",
    Mask.LAST_NAME: "last_names",
    Mask.COMPANY: "companies",
    Mask.STREET: "streets",
    Mask.CITY: "cities",
}


class Masker:
    """Builds the expressions with one key. `password_hash` is the new password of every masked account."""

    def __init__(self, key: bytes, password_hash: str, locale: str) -> None:
        self._inner, self._outer = map(binary, block_keys(key))
        self._password, self._locale = literal(password_hash), locale

    def keyed(self, message: str) -> str:
        """Return the SQL for HMAC-SHA256 of a text expression, in hex."""
        inner = f"UNHEX(SHA2(CONCAT({self._inner}, {utf8(message)}), 256))"
        return f"SHA2(CONCAT({self._outer}, {inner}), 256)"

    def address(self, column: str) -> str:
        """Return the SQL for the replacement of an e-mail address; a replacement stays as it is."""
        replaced = f"CONCAT('u', SUBSTR({self.keyed(f'LOWER(TRIM({column}))')}, 1, {HASH_CHARS}), '@{DOMAIN}')"
        return f"CASE WHEN {column} LIKE 'u%@{DOMAIN}' THEN {unicode(column)} ELSE {replaced} END"

    def expression(self, mask: Mask, column: str, group: str, owner: str) -> str:
        """Return the SQL for the new value of a column. `owner` is the expression of the owner's number within `group`."""
        return (
            f"CASE WHEN {column} = '' THEN {unicode(column)} ELSE {self._replacement(mask, column, group, owner)} END"
        )

    def _replacement(self, mask: Mask, column: str, group: str, owner: str) -> str:
        def number(part: int, below: int) -> str:
            digits = f"SUBSTR({self.keyed(f'''CONCAT('{group}:', {owner})''')}, {1 + 8 * part}, 8)"
            return f"MOD(CONV({digits}, 16, 10), {below})"

        def drawn(kind: Mask, part: int) -> str:
            names = _few(pool(POOLS[kind], self._locale))
            return f"ELT(1 + {number(part, len(names))}, {', '.join(map(literal, names))})"

        parts = {Mask.FIRST_NAME: 0, Mask.LAST_NAME: 1, Mask.COMPANY: 2, Mask.STREET: 3, Mask.CITY: 4}
        match mask:
            case Mask.EMAIL:
                return self.address(column)
            case Mask.LOGIN:
                return f"CONCAT('user-', {owner})"
            case Mask.FULL_NAME:
                return f"CONCAT({drawn(Mask.FIRST_NAME, 0)}, ' ', {drawn(Mask.LAST_NAME, 1)})"
            case Mask.POSTCODE:
                return f"SUBSTR(CONCAT('00000', {number(5, 100_000)}), -5)"
            case Mask.PHONE:
                exchanges = ", ".join(f"'{each}'" for each in UNASSIGNED)
                exchange = f"ELT(1 + {number(6, len(UNASSIGNED))}, {exchanges})"
                return f"CONCAT('0', {exchange}, SUBSTR(CONCAT('000', {number(7, 1000)}), -3))"
            case Mask.IP:
                return f"CONCAT('192.0.2.', 1 + {number(7, 254)})"  # RFC 5737: never routed
            case Mask.TEXT:
                return f"'{MASKED}'"
            case Mask.BLANK:
                return "''"
            case Mask.PASSWORD:
                return self._password
            case Mask.LOCKED:
                return f"'{LOCK}'"
            case _:
                return drawn(mask, parts[mask])


def _few(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return at most `NAMES` of a pool, evenly spread, those that a column in Latin-1 can hold if there are any."""
    western = tuple(name for name in names if name.encode("latin-1", "ignore").decode("latin-1") == name) or names
    return western[:: max(1, len(western) // NAMES)][:NAMES]

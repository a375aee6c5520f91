"""The settings that masking expressions need in a database session, and the keyed hash in SQL and in Python.

Keys and pools travel as settings (`set_config` with bound parameters), never in a statement's text. Expressions read
them in uncorrelated sub-selects, which PostgreSQL evaluates once per statement.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Literal

import bcrypt
from psycopg.sql import SQL, Composable, Composed
from psycopg.sql import Literal as Quoted

from tasks.masking.fake_pools import Kind, pool
from tasks.masking.keyring import Keyring

PASSWORD = "staging123"  # noqa: S105  # public by design: the password of every account on staging
OUTPUT = {  # how values are printed: the Python forms parse exactly this
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
SHORT, LONG = 16, 32  # bytes of SHA-256 and SHA-512 that a result may show: the half that is kept back protects it
NUMBER_BYTES = 8
LARGEST = 2**60 - 1  # of a number: positive in a bigint, and with room for a product with a small factor
CASTS_BYTES = 180000  # PostgreSQL 18 casts bytea to bigint: 80 of 465 ns less than a cast of its hexadecimal digits
SALT_BYTES = 16  # of bcrypt
BCRYPT_ALPHABET = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)


Algorithm = Literal["sha256", "sha512"]
PREFIXES: dict[Algorithm, str] = {"sha256": "k", "sha512": "l"}  # in the names of settings


@dataclass(frozen=True)
class Pool:
    """A list of fakes. `array` is the list in SQL, of type `name[]`: PostgreSQL finds a member by its offset."""

    names: tuple[str, ...]
    array: Composable

    def pick(self, number: Composable) -> Composable:
        """Return the fake at a number (bigint, from 0, modulo the pool size), of type `name`: each cast to text costs a tenth."""
        return SQL("({})[1 + mod({}, {})]").format(self.array, number, Quoted(len(self.names)))

    def pick_of(self, number: int) -> str:
        """Return the same in Python."""
        return self.names[number % len(self.names)]


class Hashed(Composed):
    """A keyed hash in SQL, which several columns of a row may need. `message` is the text that is hashed."""

    def __init__(self, hashed: Composed, message: Composable) -> None:
        super().__init__([hashed])
        self.message = message


class Session:
    """The settings of the expressions that are built with it. Build all expressions, then set `settings`, then run them.

    The names of settings depend on groups and pools only, so that a statement's text is the same in every run.
    `server_version` (as server_version_num) chooses faster expressions with equal results; 0 stands for any server that we
    know. It can be pickled.
    """

    def __init__(self, keyring: Keyring, locale: str = "de_DE", *, server_version: int = 0) -> None:
        self.keyring = keyring
        self.locale = locale
        self.server_version = server_version
        self.settings: dict[str, str] = dict(OUTPUT)
        self._prefixes: dict[tuple[str, Algorithm], bytes] = {}
        self._pools: dict[tuple[Kind, int | None], Pool] = {}
        self._hashed: dict[int, str] = {}  # cost → salt and digest

    def _prefix(self, group: str, algorithm: Algorithm) -> bytes:
        if (group, algorithm) not in self._prefixes:
            made = self.keyring.short_prefix if algorithm == "sha256" else self.keyring.long_prefix
            self._prefixes[group, algorithm] = made(group)
        return self._prefixes[group, algorithm]

    def _read(self, name: str, value: str, kind: str) -> Composable:
        self.settings[name] = value
        return SQL("(SELECT current_setting({})::" + kind + ")").format(Quoted(name))

    def digest(self, group: str, message: Composable, length: int) -> Composable:
        """Return the first `length` bytes of the keyed hash of a text expression under the group's key, as bytea.

        It is SHA-256, or for more than `SHORT` bytes SHA-512, over a secret prefix and the text. Raise `ValueError` for more
        than `LONG`: a reader of more than half of a hash could extend the text.
        """
        algorithm = _algorithm(length)
        name = f"understudy.{PREFIXES[algorithm]}_{hashlib.sha256(group.encode()).hexdigest()[:12]}"
        prefix = self._read(name, "\\x" + self._prefix(group, algorithm).hex(), "bytea")
        # textsend() writes in the client's encoding, which a connection of ours sets to UTF-8; convert_to() is slower.
        hashed = SQL("{}({} || textsend({}))").format(SQL(algorithm), prefix, message)
        return SQL("substr({}, 1, {})").format(Hashed(hashed, message), Quoted(length))

    def digest_of(self, group: str, message: str, length: int) -> bytes:
        """Return the same in Python."""
        algorithm = _algorithm(length)
        return hashlib.new(algorithm, self._prefix(group, algorithm) + message.encode()).digest()[:length]

    def number(self, group: str, message: Composable) -> Composable:
        """Return 60 bits of the keyed hash as a bigint from 0 to 2^60 - 1."""
        first = self.digest(group, message, NUMBER_BYTES)
        if self.server_version >= CASTS_BYTES:
            return SQL("({}::bigint & {})").format(first, Quoted(LARGEST))
        return SQL("(('x' || encode({}, 'hex'))::bit(64)::bigint & {})").format(first, Quoted(LARGEST))

    def number_of(self, group: str, message: str) -> int:
        """Return the same in Python."""
        return int.from_bytes(self.digest_of(group, message, NUMBER_BYTES), "big") & LARGEST

    def hex(self, group: str, message: Composable, length: int) -> Composable:
        """Return the first `length` hexadecimal digits of the keyed hash."""
        digits = SQL("encode({}, 'hex')").format(self.digest(group, message, (length + 1) // 2))
        return digits if length % 2 == 0 else SQL("left({}, {})").format(digits, Quoted(length))

    def hex_of(self, group: str, message: str, length: int) -> str:
        """Return the same in Python."""
        return self.digest_of(group, message, (length + 1) // 2).hex()[:length]

    def pool(self, kind: Kind, longest: int | None = None) -> Pool:
        """Return the fakes of a kind in the session's locale, cut to `longest` characters. Cut fakes keep their order."""
        if (kind, longest) not in self._pools:
            names = pool(kind, self.locale)
            name = f"understudy.p_{kind}"
            if longest is not None and longest < max(map(len, names)):
                names = tuple(entry[:longest].rstrip() for entry in names)
                name += f"_{longest}"
            self._pools[kind, longest] = Pool(names, self._read(name, _array_literal(names), "name[]"))
        return self._pools[kind, longest]

    def password_hash(self, prefix: str = "$2b$", cost: int = 10) -> str:
        """Return the bcrypt hash of the staging password, the same for every row and every worker of a run.

        The salt comes from the key instead of a random source, so that all workers have the same. `$2y$` is the prefix of
        PHP's password_hash(); the algorithm is that of `$2b$`.
        """
        return f"{prefix}{self._password_hashes(cost)}"

    def _password_hashes(self, cost: int) -> str:
        if cost not in self._hashed:
            seed = self.digest_of("understudy/password", str(cost), SALT_BYTES)
            salt = base64.b64encode(seed).rstrip(b"=").translate(BCRYPT_ALPHABET)
            hashed = bcrypt.hashpw(PASSWORD.encode(), b"$2b$%02d$" % cost + salt)
            self._hashed[cost] = hashed.decode().removeprefix("$2b$")
        return self._hashed[cost]


def _algorithm(length: int) -> Algorithm:
    """Return the hash for a result of so many bytes."""
    if length > LONG:
        raise ValueError(f"A result shows {length} bytes of a hash; expected at most {LONG}.")
    return "sha256" if length <= SHORT else "sha512"


def _array_literal(names: tuple[str, ...]) -> str:
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in quoted) + "}"


def opens(password: str, hashed: str) -> bool:
    """Return whether the password belongs to this hash; what is no bcrypt hash opens with none."""
    try:
        return bcrypt.checkpw(password.encode(), hashed.encode())
    except ValueError:
        return False

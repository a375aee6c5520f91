"""SQL on the database of a site, through `wp db query`: the one function for literals, queries, changes and slices.

Statements are built from constants of the code, names from the catalogue and literals. What a query prints is returned to the
caller and appears in no message.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.estate.errors import CommandRefused, Unreachable
from tasks.wpcli.commands import LONGEST_COMMAND, Command

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

NAME = re.compile(r"[A-Za-z0-9_$-]{1,64}")  # of a table or column; others are not WordPress's and are refused
SLICE = 50_000  # rows of a slice at least; measured: a few seconds in a shop with 200,000 orders
SLICES = 40  # of a table at most, so that a table with sparse keys does not take thousands of commands
TEXT_TYPES = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
WHOLE_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint")


def literal(text: str) -> str:
    """Return a text as a literal in which MySQL interprets nothing, whatever its SQL mode and character set are."""
    if not text:
        return "''"
    try:
        return f"_utf8mb4 X'{text.encode().hex()}'"
    except UnicodeEncodeError:
        raise CommandRefused("A value for SQL contains half of a character. It is not shown.") from None


def binary(data: bytes) -> str:
    """Return bytes as a literal."""
    return f"X'{data.hex()}'"


def unicode(text: str) -> str:
    """Return the SQL for a text expression in UTF-8: tables of old plugins have other character sets."""
    return f"CONVERT({text} USING utf8mb4)"


def utf8(text: str) -> str:
    """Return the SQL for the bytes of a text expression in UTF-8. Comparisons of bytes have no collation that could differ."""
    return f"CAST({unicode(text)} AS BINARY)"


def identifier(name: str) -> str:
    """Return the name of a table or column in backticks. Raise `CommandRefused` for another name."""
    if not NAME.fullmatch(name):
        raise CommandRefused(f"{name[:64]!r} is not a name of a table or column; expected letters, digits, _, $ and -.")
    return f"`{name}`"


@dataclass(frozen=True)
class Column:
    """A column of a table: its type in lower case, and whether it is the primary key by itself or part of it."""

    name: str
    type: str
    in_key: bool

    @property
    def is_text(self) -> bool:
        """Whether it contains text."""
        return self.type in TEXT_TYPES


class Database:
    """The tables of one site with its prefix. Methods raise as `Connection.run`."""

    def __init__(self, connection: "Connection", prefix: str) -> None:
        self._run, self.prefix = connection.run, prefix
        self._tables: dict[str, tuple[Column, ...]] | None = None
        self._ends: dict[str, tuple[int, int]] = {}

    def rows(self, query: str, *, within: float = LONGEST_COMMAND) -> list[list[str]]:
        """Return the rows of a query as texts; NULL is the text `NULL`."""
        printed = self._run(Command(("db", "query"), (query,), {"skip-column-names": True}), within=within).output
        return [line.split("\t") for line in printed.removesuffix("\n").split("\n")] if printed else []

    def number(self, query: str) -> int:
        """Return the one number that a query returns. Raise `Unreachable` if the answer cannot be read."""
        rows = self.rows(query)
        if len(rows) != 1 or len(rows[0]) != 1 or not re.fullmatch(r"-?\d+", rows[0][0]):
            raise Unreachable("wp db query: the answer is not one number.")
        return int(rows[0][0])

    def change(self, statement: str) -> int:
        """Execute a statement that changes rows, and return how many it changed.

        It begins with SET: WP-CLI adds a query of its own to what begins with UPDATE or DELETE, and then prints no rows.
        """
        return max(0, self.number(f"SET NAMES utf8mb4;\n{statement};\nSELECT ROW_COUNT()"))

    @property
    def tables(self) -> dict[str, tuple[Column, ...]]:
        """All tables with the prefix and their columns, read once."""
        if self._tables is None:
            found: dict[str, list[Column]] = {}
            pattern = literal(self.prefix.replace("_", "\\_") + "%")
            for row in self.rows(
                "SELECT table_name, column_name, data_type, column_key FROM information_schema.columns "
                f"WHERE table_schema = DATABASE() AND table_name LIKE {pattern} ORDER BY table_name, ordinal_position"
            ):
                table, column, kind, key = row
                found.setdefault(table, []).append(Column(column, kind.lower(), key == "PRI"))
            self._tables = {table: tuple(columns) for table, columns in found.items()}
        return self._tables

    def named(self, suffix: str) -> tuple[str, ...]:
        """Return the tables of this suffix: `options` is `wp_options` and, in a network, `wp_2_options`. Absent: no table."""
        pattern = re.compile(rf"{re.escape(self.prefix)}(\d+_)?{re.escape(suffix)}")
        return tuple(table for table in self.tables if pattern.fullmatch(table))

    def has_columns(self, table: str, *columns: str) -> bool:
        """Return whether a table has all these columns."""
        return {*columns} <= {each.name for each in self.tables[table]}

    def key_of(self, table: str) -> str | None:
        """Return the column that is the primary key and a whole number, or None."""
        keys = [each for each in self.tables[table] if each.in_key]
        return keys[0].name if len(keys) == 1 and keys[0].type in WHOLE_NUMBERS else None

    def slices(self, table: str) -> Iterator[str]:
        """Yield conditions that select all rows of a table in parts, each short enough for one command.

        A table without a numeric key is one part. Rows that are added after the first call are in no part.
        """
        key = self.key_of(table)
        if key is None:
            yield "1 = 1"
            return
        column, name = identifier(key), identifier(table)
        if table not in self._ends:
            (ends,) = self.rows(f"SELECT COALESCE(MIN({column}), 0), COALESCE(MAX({column}), -1) FROM {name}")
            self._ends[table] = (int(ends[0]), int(ends[1]))
        first, last = self._ends[table]
        size = max(SLICE, -(-(last - first + 1) // SLICES))
        for start in range(first, last + 1, size):
            yield f"{column} BETWEEN {start} AND {start + size - 1}"

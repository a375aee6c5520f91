"""Changing: whether staging's types take the values of a dump as they are, or round, cut or pad them without a word.

The values of a column are summed up, in any order, before they are written and after they were read back in the dump's type.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier

Blocks = Iterable[bytes]


class Sums:
    """Sums over the values of some columns of one table. `types` maps each to its type in the dump."""

    def __init__(self, columns: Sequence[str], types: dict[str, str]) -> None:
        self._places = {name: place for place, name in enumerate(columns) if name in types}
        self._types, self._given = types, dict.fromkeys(types, 0)

    def counting(self, blocks: Blocks) -> Iterator[bytes]:
        """Yield the blocks of COPY text, and add their values up on the way."""
        for block in blocks:
            _add(block, self._places, self._given)
            yield block

    def changed(self, connection: psycopg.Connection[Any], table: Composable) -> list[str]:
        """Return the columns of which the table holds other values than it was given. One whose type the server cannot turn
        back into the dump's counts as changed, unless its text is the same.
        """
        return [name for name in self._types if self._sum(connection, table, name) != self._given[name]]

    def _sum(self, connection: psycopg.Connection[Any], table: Composable, name: str) -> int:
        column = Identifier(name)
        back = SQL("{}::text::{}").format(column, SQL(self._types[name]))
        for value in (back, column):
            found = {name: 0}
            try:
                statement = SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(value, table)
                with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
                    for block in copy:
                        _add(bytes(block), {name: 0}, found)
            except psycopg.Error:
                continue
            return found[name]
        return -1


def _add(block: bytes, places: dict[str, int], sums: dict[str, int]) -> None:
    for line in block.split(b"\n")[:-1]:
        fields = line.split(b"\t")
        for name, place in places.items():
            digest = hashlib.blake2b(fields[place], digest_size=8).digest()
            sums[name] = (sums[name] + int.from_bytes(digest)) % 2**64

"""Trial tables: temporary copies of staging's tables with the same requirements, for a trial that is rolled back."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from tasks.dumps.catalog import identifier
from tasks.dumps.row_requirements import Requirement
from tasks.estate.dumps import DumpedTable, LoadOrder
from tasks.estate.planning_faults import Fault
from tasks.estate.relations import Resolver
from tasks.estate.schema import COUNTING, Catalog, Column, Kind, Name, Relation, Table

Connection = psycopg.Connection[Any]


class ValueSums:
    """Sums of column values, which show whether staging's types round, cut or pad the values of a dump.

    Values are added up, in any order, before they are written and after they are read back. `types`: those of the dump.
    """

    def __init__(self, columns: Sequence[str], types: dict[str, str]) -> None:
        self._places = {name: place for place, name in enumerate(columns) if name in types}
        self._types, self._given = types, dict.fromkeys(types, 0)

    def summed(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the blocks of COPY text, and add up their values."""
        for block in blocks:
            _add(block, self._places, self._given)
            yield block

    def changed_columns(self, connection: psycopg.Connection[Any], table: Composable) -> list[str]:
        """Return the columns whose values differ from those that were written. A column whose type cannot be converted back
        to the dump's counts as changed, unless its text is the same.
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


@dataclass
class TrialTable:
    """A temporary copy of one of staging's tables, and the results of its trial."""

    table: Table
    dumped: DumpedTable
    order: LoadOrder
    demands: list[Requirement]
    reading: list[str]  # CHECKs that read other tables: not in the copy
    temporary: dict[Name, str] = field(default_factory=dict)  # names of the copies, of its partitions too
    problem: str = ""  # why it cannot be tried
    fault: Fault | None = None
    sums: ValueSums | None = None  # of the columns whose types differ

    @property
    def name(self) -> str:
        """The table's name, as in the policy."""
        return str(self.table.name)


class TrialTableBuilder:
    """The builder of one trial table: its columns, CHECKs, keys and partitions, without what a load switches off."""

    def __init__(
        self, connection: Connection, catalog: Catalog, resolver: Resolver, copy: TrialTable, prefix: str
    ) -> None:
        self._connection, self._catalog, self._resolver = connection, catalog, resolver
        self._copy, self._prefix = copy, prefix
        off = {check.name for check in copy.table.checks if check.enforced and not check.validated}
        self._off = sorted(off | {*copy.reading})

    def make(self) -> None:
        """Create the table. Raise `psycopg.Error` if a part of it cannot be copied."""
        table = self._copy.table
        root = self._resolver.find(table.name)
        self._make(root or Relation(name=table.name, kind=Kind.ORDINARY))
        given = {*self._copy.order.columns}
        for column in table.copied:
            if column.name not in given and column.default is not None and not column.identity:
                self._give_default(column)

    def _make(self, relation: Relation) -> str:
        name = self._copy.temporary[relation.name] = f"{self._prefix}_{len(self._copy.temporary)}"
        identity = " INCLUDING IDENTITY" if not relation.partition else ""
        statement = f"CREATE TEMPORARY TABLE {{}} (LIKE {{}} INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING INDEXES{identity})"
        made = SQL(statement).format(Identifier(name), identifier(relation.name))
        by = SQL(f" PARTITION BY {relation.key}" if relation.key else "")  # as the catalogue prints it; no template
        self._connection.execute(made + by)
        self._loosen(relation.name, name)
        for part in self._resolver.parts(relation.name) if relation.kind is Kind.PARTITIONED else ():
            below = self._make(part)
            attach = SQL("ALTER TABLE {} ATTACH PARTITION {} ").format(
                Identifier("pg_temp", name), Identifier("pg_temp", below)
            )
            self._connection.execute(attach + SQL(part.bound))  # as the catalogue prints it
        return name

    def _loosen(self, real: Name, name: str) -> None:
        """Drop the NOT VALID constraints, as a load does: in a copy they would be valid."""
        target = Identifier("pg_temp", name)
        for constraint in self._off:
            self._connection.execute(
                SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(target, Identifier(constraint))
            )
        strict = {c.name for c in self._copy.table.columns if c.not_null or real in c.not_null_leaves}
        query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attnotnull"
        for (column,) in self._connection.execute(query, (f"pg_temp.{name}",)).fetchall():
            if column not in strict:
                self._connection.execute(
                    SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(target, Identifier(column))
                )

    def _give_default(self, column: Column) -> None:
        """Set the default of a column that the dump lacks. A default from a sequence must not use up staging's sequence."""
        target = Identifier("pg_temp", self._copy.temporary[self._copy.table.name])
        name = Identifier(column.name)
        drawn = any((self._copy.table.name, column.name) in sequence.uses for sequence in self._catalog.sequences)
        if not drawn:
            default = SQL(column.default or "NULL")  # as the catalogue prints it
            self._connection.execute(SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT ").format(target, name) + default)
        elif column.base in COUNTING[:3] and not column.array:
            self._connection.execute(SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(target, name))
            self._connection.execute(
                SQL("ALTER TABLE {} ALTER COLUMN {} ADD GENERATED BY DEFAULT AS IDENTITY").format(target, name)
            )

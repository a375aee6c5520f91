"""The attack: production's own values, hashed, searched for in everything that a dump holds and a load writes.

Why: a policy can be complete and still wrong, because a personal value also stands in a column that nobody thought of.
The source hashes, under a key of this run, the forms (tasks/dumps/leak_search_forms.py) of values that masking replaces. Whoever
writes the dump looks for them in each block that is written, and the load does so again over what arrived. Clear values
never leave the source; the hashes travel sealed within the dump (tasks/dumps/leak_search_proof.py).
"""

import json
import secrets as random
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from tasks.dumps.connections import in_short_transactions
from tasks.dumps.export_plan import ColumnPlan, MaskingPlan, TablePlan
from tasks.dumps.leak_search_forms import Kind, forms_in, search_forms_sql
from tasks.dumps.leak_search_prefilter import Traits
from tasks.dumps.masking_sql import masked, set_mask_settings
from tasks.dumps.row_sources import LARGE_TABLE, rows_of
from tasks.dumps.unicode_folding import folded, set_folding_map
from tasks.estate.dumps import Overlap
from tasks.estate.tables import Table
from tasks.masking.session import Session

VALUES = 20_000  # forms of each column; a column that leaks at all leaks many of them, and more only cost time
FREQUENT = 20  # a value that more rows share identifies nobody ("unknown")
COMPARED = 4000  # characters of a replacement in which the original is looked for
CACHED = 1 << 16  # forms known to be harmless; they are not hashed again
# Fakes of these come from pools of real names and places: an equal value is chance, not a leak.
FROM_POOLS = {
    "first_name",
    "last_name",
    "full_name",
    "company",
    "street",
    "city",
    "postcode",
    "choice",
    "number",
    "birth_date",
    "date_shift",
}
HASHES = {"hash", "token", "uuid"}  # made of nothing but the keyed hash
KEYED = HASHES | {"email", "url"}  # the same, in a form of their own: an export looks at a sample of them
IDENTIFIERS = KEYED | {"phone", "iban", "ip", "sql"}  # one word of letters is a login; of other makers it is a word
CONSTANT = {"blank", "constant", "null", "password"}  # compared as such, when they are verified
SAMPLED = 500  # values of a keyed column in each block
SEARCHABLE = ("S", "U", "E", "R", "C", "I")  # text, other, enum, range, composite, network address
DOCUMENTS = ("json", "jsonb", "xml", "hstore", "tsvector")


@dataclass
class HashedValues:
    """What the attack knows: a key, and for each masked column the hashes of its forms. Never printed or logged."""

    key: str = field(default_factory=lambda: random.token_hex(16), repr=False)
    hashes: dict[str, "array[int]"] = field(default_factory=dict, repr=False)
    traits: "array[int]" = field(
        default_factory=lambda: array("q"), repr=False
    )  # of all forms (tasks/dumps/leak_search_prefilter.py)

    @property
    def size(self) -> int:
        """Return how many forms are searched for."""
        return sum(map(len, self.hashes.values()))

    def pack(self) -> bytes:
        """Return it as bytes, to be sealed: a line of JSON and the hashes, eight bytes each, big-endian."""
        lengths = {label: len(values) for label, values in self.hashes.items()}
        head = {"key": self.key, "traits": len(self.traits), "lengths": lengths}
        return b"".join((json.dumps(head).encode(), b"\n", *map(_big_endian, (self.traits, *self.hashes.values()))))

    @classmethod
    def unpack(cls, packed: bytes) -> "HashedValues":
        """Return what `pack` packed."""
        line, _, rest = packed.partition(b"\n")
        head = json.loads(line)
        found, place = cls(key=head["key"], traits=_numbers(rest[: 8 * head["traits"]])), 8 * head["traits"]
        for label, length in head["lengths"].items():
            found.hashes[label] = _numbers(rest[place : place + 8 * length])
            place += 8 * length
        return found


def _big_endian(numbers: "array[int]") -> bytes:
    swapped = array("q", numbers)
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped.tobytes()


def _numbers(packed: bytes) -> "array[int]":
    return array("q", _big_endian(array("q", packed)))


# At the source --------------------------------------------------------------------------------------------------------


def collect_hashes(
    connection: psycopg.Connection[Any], plan: MaskingPlan, session: Session, *, snapshot: str = ""
) -> HashedValues:
    """Return the hashes of the values that masking replaces, computed inside the source within its snapshot.

    `snapshot`: that of the connection's transaction, which is then left and entered again on the way (`in_turns`).
    """
    found = HashedValues()
    traits, known = Traits(found.key), set[int]()
    wanted = [(table, each) for table in plan.tables for each in table.columns if is_hashed(each)]
    statements = [
        (_label(table, each), _collected(table.table, each, _replacement(table, each, session), traits))
        for table, each in wanted
    ]

    def prepare() -> None:
        set_mask_settings(connection, session)
        set_folding_map(connection)
        connection.execute("SELECT set_config('understudy.attack', %s, true)", (found.key,))

    with nullcontext() if snapshot else connection.transaction():
        prepare()
        for label, statement in (
            in_short_transactions(connection, snapshot, statements, prepare) if snapshot else statements
        ):
            rows = connection.execute(statement).fetchall()
            found.hashes[label] = array("q", sorted(row[0] for row in rows))
            known.update(row[1] for row in rows)
    found.traits = array("q", sorted(known))
    return found


def _label(table: TablePlan, each: ColumnPlan) -> str:
    return f"{table.table.name}.{each.column.name}"


def _replacement(table: TablePlan, each: ColumnPlan, session: Session) -> Composable:
    """Return what the column becomes, if that could still hold the value; a keyed hash cannot, and is dear to compute."""
    if each.rule.word in HASHES and not _nested(each):
        return SQL("''")
    return masked(table, each, session)


def _nested(each: ColumnPlan) -> bool:
    return each.column.array or each.column.base in DOCUMENTS or each.column.category in ("R", "C")


def is_hashed(each: ColumnPlan) -> bool:
    """Return whether values of a column are searched for: it is masked, by a maker that makes no real names."""
    if each.rule.word == "trigger" or (each.rule.word == "recompute" and each.column.category != "S"):
        return False  # what it becomes is not known yet; a vector or number holds what other columns hold, which are searched for
    return each.masked and each.rule.word not in FROM_POOLS and each.column.base != "bytea"


def _kind(each: ColumnPlan) -> Kind:
    if _nested(each):
        return "nested"
    return "identifier" if each.rule.word in IDENTIFIERS else "text"


def _collected(table: Table, each: ColumnPlan, made: Composable, traits: Traits) -> Composed:
    """Return a query of the hashes and traits of a column's forms: those that are rare enough and really replaced."""
    source = rows_of(table)
    if table.estimated_rows > 2 * VALUES and table.estimated_rows > LARGE_TABLE and not table.foreign_leaves:
        share = Literal(min(100.0, 200.0 * VALUES / table.estimated_rows))
        source = SQL("{} TABLESAMPLE SYSTEM ({})").format(source, share)
    column: Composable = Identifier(each.column.name)
    if each.column.base == "json" and not each.column.array:  # one spelling, unless it holds what jsonb refuses
        column = SQL("CASE WHEN {0}::text LIKE '%\\u0000%' THEN {0}::text ELSE {0}::jsonb::text END").format(column)
    elif each.column.category == "I":
        column = SQL("regexp_replace({}::text, '/(32|128)$', '')").format(column)
    return SQL(
        "WITH originals AS (SELECT ({column})::text AS v, coalesce(({made})::text, '') AS made FROM {source}"
        " WHERE {name} IS NOT NULL), replaced AS (SELECT v, left(made, {compared}) AS made FROM originals"
        " WHERE v <> '' AND strpos(made, v) = 0)"
        " SELECT {hash}, {trait} FROM (SELECT n.form FROM replaced, LATERAL (SELECT {folded} AS now) AS m, LATERAL ({needles}) AS n"
        " WHERE CASE left(form, 1) WHEN '#' THEN strpos(regexp_replace(now, '[^0-9]+', '', 'g'), substr(form, 2)) = 0"
        " WHEN '=' THEN true ELSE strpos(now, form) = 0 END) AS forms"
        " GROUP BY form HAVING count(*) <= {frequent} LIMIT {most}"
    ).format(
        column=column,
        name=Identifier(each.column.name),
        made=made,
        source=source,
        compared=Literal(COMPARED),
        hash=_hash(SQL("form")),
        trait=traits.of_sql(SQL("form")),
        folded=folded(SQL("made")),
        needles=search_forms_sql(SQL("v"), _kind(each)),
        frequent=Literal(FREQUENT),
        most=Literal(VALUES),
    )


def _hash(text: Composable) -> Composable:
    """64 bits of SHA-256 over key and text, as a bigint: 10^6 hashes against 10^8 values meet by chance 5 times in 10^6."""
    return SQL(
        "('x' || left(encode(sha256(convert_to((SELECT current_setting('understudy.attack')) || {}, 'UTF8')), 'hex'), 16))"
        "::bit(64)::bigint"
    ).format(text)


# Over what was written ------------------------------------------------------------------------------------------------


class Lookup:
    """Which columns' values have a form. Holds eight bytes a hash, and some bits that answer most questions."""

    def __init__(self, secrets: HashedValues) -> None:
        self.size = secrets.size
        self.traits = Traits(secrets.key, secrets.traits)
        self._key = secrets.key.encode()
        self._labels = {label: hashes for label, hashes in secrets.hashes.items() if hashes}
        bits = 1 << max(16, (16 * self.size).bit_length())
        self._mask, self._filter = bits - 1, bytearray(bits >> 3)
        for hashes in self._labels.values():
            for number in hashes:
                self._filter[(number & self._mask) >> 3] |= 1 << (number & 7)
        self._harmless: set[str] = set()

    def sources(self, forms: set[str]) -> Iterator[str]:
        """Yield, for each form that is known, the columns of the source that it comes from."""
        key, mask, bits, new = self._key, self._mask, self._filter, forms - self._harmless
        if len(self._harmless) > CACHED:
            self._harmless = set()
        for form in new:
            number = int.from_bytes(sha256(key + form.encode()).digest()[:8], "big", signed=True)
            if bits[(number & mask) >> 3] >> (number & 7) & 1:
                labels = [label for label, hashes in self._labels.items() if _holds(hashes, number)]
                yield from labels
                if labels:
                    continue
            self._harmless.add(form)


def _holds(hashes: "array[int]", number: int) -> bool:
    place = bisect_left(hashes, number)
    return place < len(hashes) and hashes[place] == number


class LeakSearch:
    """Looks through blocks of one table's rows, as COPY text whose fields are those of `columns`."""

    def __init__(
        self, lookup: Lookup, table: TablePlan, *, columns: Sequence[ColumnPlan] | None = None, whole: bool
    ) -> None:
        """`whole`: of keyed columns every value is looked at, not only a sample."""
        self._lookup = lookup
        chosen = table.columns if columns is None else columns
        self._wanted = [(at, each) for at, each in enumerate(chosen) if is_searched(each)] if lookup.size else []
        self._table, self._whole = table, whole
        self._found = Counter[tuple[str, str]]()
        self.columns = len(self._wanted)

    def search_block(self, block: bytes) -> None:
        """Look through whole lines."""
        if not self._wanted:
            return
        last = self._wanted[-1][0] + 1
        rows = [line.split(b"\t", last) for line in block.split(b"\n")[:-1]]
        for at, each in self._wanted:
            values = {row[at] for row in rows}
            values.discard(b"\\N")
            if not self._whole and each.masked and each.rule.word in KEYED and not _nested(each):
                values = set(list(values)[:SAMPLED])
            text = b"\n".join(values).decode()
            forms = forms_in([text], nested=_nested(each), traits=self._lookup.traits)
            for source in self._lookup.sources(forms):
                self._found[_label(self._table, each), source] += 1

    @property
    def found(self) -> tuple[Overlap, ...]:
        """Where values of the source were found, and whose they are."""
        return tuple(
            Overlap(found=where, source=whose, forms=count) for (where, whose), count in sorted(self._found.items())
        )


def is_searched(each: ColumnPlan) -> bool:
    """Return whether a column can hold a text, and is not made from pools, constant (verified as such), or never read."""
    if each.unread or each.column.base in ("bytea", "uuid"):
        return False
    if not (each.column.array or each.column.category in SEARCHABLE):
        return False
    return not (each.masked and each.rule.word in FROM_POOLS | CONSTANT)


def count_searched(tables: Iterable[TablePlan]) -> int:
    """Return how many columns of these tables are looked through."""
    return sum(is_searched(each) for table in tables for each in table.columns)


def sum_overlaps(overlaps: Iterable[Overlap]) -> tuple[Overlap, ...]:
    """Return overlaps of several searches with equal pairs added up."""
    total = Counter[tuple[str, str]]()
    for each in overlaps:
        total[each.found, each.source] += each.forms
    return tuple(Overlap(found=found, source=source, forms=count) for (found, source), count in sorted(total.items()))


def search_loaded(
    connection: psycopg.Connection[Any], tables: Iterable[TablePlan], lookup: Lookup
) -> tuple[Overlap, ...]:
    """Look through everything that tables of the target hold now, within the caller's transaction."""
    found: list[Overlap] = []
    for table in tables:
        columns = [each for each in table.columns if is_searched(each)]
        if not columns or not lookup.size:
            continue
        search = LeakSearch(lookup, table, columns=columns, whole=True)
        names = SQL(", ").join(Identifier(each.column.name) for each in columns)
        statement = SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(names, rows_of(table.table))
        held = bytearray()
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in copy:
                held += row
                if len(held) >= 1 << 20:
                    search.search_block(bytes(held))
                    held.clear()
        search.search_block(bytes(held))
        found += search.found
    return tuple(found)

"""The leak search: look for hashes of production's own values in everything that a dump contains and a load writes.

A complete policy can still be wrong, because a personal value may also occur in a column that nobody expected. The source
hashes the forms (leak_search_forms.py) of the values that masking replaces, with a key of this run. The export searches
each block that it writes, and the load searches what arrived. Clear values never leave the source; the hashes travel
sealed in the dump (leak_search_proof.py).
"""

import json
import secrets
import sys
from array import array
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import chain
from typing import Any, TypeVar

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from tasks.dumps.connections import in_short_transactions
from tasks.dumps.copied_blocks import copied_blocks
from tasks.dumps.export_plan import ColumnPlan, MaskingPlan, TablePlan
from tasks.dumps.leak_search_forms import SHORTEST, Kind, forms_in, search_forms_sql
from tasks.dumps.leak_search_prefilter import Traits
from tasks.dumps.masking_sql import masked, set_mask_settings
from tasks.dumps.row_sources import LARGE_TABLE, rows_of
from tasks.dumps.unicode_folding import folded, set_folding_map
from tasks.estate.dumps import Overlap
from tasks.estate.schema import Table
from tasks.masking.session_settings import Session

VALUES = 20_000  # different values of each column: a column that leaks at all leaks many of them
SEEDS = 1 << 31  # of the choice of values, which differs each night
FREQUENT = 20  # rows; a value in more of them identifies nobody ("unknown")
COMPARED = 4000  # characters of a replacement that are searched for the original
CACHED = 1 << 16  # forms known to be harmless, which are not hashed again
# These makers draw from pools of real names and places: an equal value is chance, not a leak.
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
HASHES = {"hash", "token", "uuid"}  # the keyed hash and nothing else
KEYED = HASHES | {"email", "url"}  # the keyed hash in a special form; an export searches a sample of them
IDENTIFIERS = KEYED | {"phone", "iban", "ip", "sql"}  # a single word is a login here; elsewhere it is a common word
CONSTANT = {"blank", "constant", "null", "password"}  # verified by comparison
SAMPLED = 125  # values of a keyed column in each block that is written
SEARCHABLE = ("S", "U", "E", "R", "C", "I")  # text, other, enum, range, composite, network address
DOCUMENTS = ("json", "jsonb", "xml", "hstore", "tsvector")
T = TypeVar("T")
# Searches blocks of a table's COPY text with these columns as fields, and returns what was found.
Searcher = Callable[[TablePlan, Sequence[ColumnPlan], Iterable[bytes]], Iterable[Overlap]]


@dataclass
class HashedValues:
    """A key, and the hashes of the forms of each masked column. Never printed or logged."""

    key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    hashes: dict[str, "array[int]"] = field(default_factory=dict, repr=False)
    traits: "array[int]" = field(
        default_factory=lambda: array("q"), repr=False
    )  # of all forms (tasks/dumps/leak_search_prefilter.py)

    @property
    def size(self) -> int:
        """Return how many forms are searched for."""
        return sum(map(len, self.hashes.values()))

    def pack(self) -> bytes:
        """Return a line of JSON and the hashes as bytes, eight for each, big-endian."""
        lengths = {label: len(values) for label, values in self.hashes.items()}
        head = {"key": self.key, "traits": len(self.traits), "lengths": lengths}
        return b"".join((json.dumps(head).encode(), b"\n", *map(_big_endian, (self.traits, *self.hashes.values()))))

    @classmethod
    def unpack(cls, packed: bytes) -> "HashedValues":
        """Return the object that `pack` was called on."""
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


# On the source --------------------------------------------------------------------------------------------------------


def collect_hashes(
    connections: Sequence[psycopg.Connection[Any]], plan: MaskingPlan, session: Session, *, snapshot: str = ""
) -> HashedValues:
    """Compute the hashes of the values that masking replaces, on the source's server, on all `connections` at once.

    Several connections need a `snapshot`, which each of them uses. Its transactions are ended and started again several times
    (`in_short_transactions`).
    """
    found = HashedValues()
    traits, seed = Traits(found.key), secrets.randbelow(SEEDS)
    waiting = deque(
        (_label(table, each), _collected(table.table, each, _replacement(table, each, session), traits, seed))
        for table in plan.tables
        for each in table.columns
        if is_hashed(each)
    )
    collect = partial(_collect, waiting=waiting, session=session, key=found.key, snapshot=snapshot)
    with ThreadPoolExecutor(len(connections)) as pool:
        columns = list(chain.from_iterable(pool.map(collect, connections)))
    found.hashes = dict(sorted((label, hashes) for label, hashes, _ in columns))
    found.traits = array("q", sorted(set().union(*(known for _, _, known in columns))))
    return found


def _collect(
    connection: psycopg.Connection[Any],
    *,
    waiting: deque[tuple[str, Composed]],
    session: Session,
    key: str,
    snapshot: str,
) -> list[tuple[str, "array[int]", set[int]]]:
    """Run those of the `waiting` statements that no other connection takes. Return label, hashes and traits of each."""

    def prepare() -> None:
        set_mask_settings(connection, session)
        set_folding_map(connection)
        connection.execute("SELECT set_config('understudy.search_key', %s, true)", (key,))

    statements = _taken_from(waiting)
    with nullcontext() if snapshot else connection.transaction():
        prepare()
        found = []
        for label, statement in (
            in_short_transactions(connection, snapshot, statements, prepare) if snapshot else statements
        ):
            hashes, known = array("q"), set[int]()
            for block in copied_blocks(connection, SQL("COPY ({}) TO STDOUT").format(statement)):
                numbers = array("q", map(int, block.split()))
                hashes.extend(numbers[::2])
                known.update(numbers[1::2])
            found.append((label, array("q", sorted(hashes)), known))
        return found


def _taken_from(waiting: deque[T]) -> Iterator[T]:
    """Yield the items until none is left. Other threads may take some of them."""
    while True:
        try:
            item = waiting.popleft()
        except IndexError:
            return
        yield item


def _label(table: TablePlan, each: ColumnPlan) -> str:
    return f"{table.table.name}.{each.column.name}"


def _replacement(table: TablePlan, each: ColumnPlan, session: Session) -> Composable:
    """Return the column's mask, or an empty text for a keyed hash, which is expensive and cannot contain the value."""
    if each.rule.word in HASHES:
        return SQL("''")
    return masked(table, each, session)


def _nested(each: ColumnPlan) -> bool:
    return each.column.array or each.column.base in DOCUMENTS or each.column.category in ("R", "C")


def is_hashed(each: ColumnPlan) -> bool:
    """Return whether the column's values are searched for: it is masked, and not by names from a pool."""
    if each.rule.word == "trigger" or (each.rule.word == "recompute" and each.column.category != "S"):
        return False  # its new value is not known yet, or derives from columns that are searched for themselves
    return each.masked and each.rule.word not in FROM_POOLS and each.column.base != "bytea"


def _kind(each: ColumnPlan) -> Kind:
    if _nested(each):
        return "nested"
    return "identifier" if each.rule.word in IDENTIFIERS else "text"


def _collected(table: Table, each: ColumnPlan, made: Composable, traits: Traits, seed: int) -> Composed:
    """Return a query for the hashes and traits of those forms of a column that are rare and really replaced.

    It reads the rows twice: first it picks values at random, then it looks for the forms of these. Forms are expensive, and
    to keep all values until the choice is made would take space on the server. `seed` is the same for both.

    `OFFSET 0` keeps the planner from copying an expression, such as the mask, into each place that uses it.
    """
    source = rows_of(table)
    if table.estimated_rows > LARGE_TABLE and not table.foreign_leaves:
        share = Literal(min(100.0, 200.0 * VALUES / table.estimated_rows))
        source = SQL("{} TABLESAMPLE SYSTEM ({}) REPEATABLE ({})").format(source, share, Literal(seed))
    column: Composable = Identifier(each.column.name)
    if each.column.base == "json" and not each.column.array:  # one spelling, unless jsonb refuses it
        column = SQL("CASE WHEN {0}::text LIKE '%\\u0000%' THEN {0}::text ELSE {0}::jsonb::text END").format(column)
    elif each.column.category == "I":
        column = SQL("regexp_replace({}::text, '/(32|128)$', '')").format(column)
    return SQL(
        "WITH picked AS MATERIALIZED (SELECT {value} AS h FROM {source} WHERE octet_length(({column})::text) >= {shortest}"
        " GROUP BY h HAVING count(*) <= {frequent} ORDER BY h LIMIT {most}),"
        " originals AS (SELECT ({column})::text AS v, coalesce(({made})::text, '') AS made FROM {source}"
        " WHERE {value} IN (SELECT h FROM picked) OFFSET 0),"
        " replaced AS (SELECT v, left(made, {compared}) AS made FROM originals WHERE strpos(made, v) = 0 OFFSET 0)"
        " SELECT {hash}, {trait} FROM (SELECT n.form FROM replaced, LATERAL (SELECT {folded} AS now OFFSET 0) AS m,"
        " LATERAL ({needles}) AS n"
        " WHERE CASE left(form, 1) WHEN '#' THEN strpos(regexp_replace(now, '[^0-9]+', '', 'g'), substr(form, 2)) = 0"
        " WHEN '=' THEN true ELSE strpos(now, form) = 0 END) AS forms"
        " GROUP BY form HAVING count(*) <= {frequent}"
    ).format(
        value=SQL('hashtextextended(({})::text COLLATE "C", {})').format(column, Literal(seed)),
        column=column,
        made=made,
        source=source,
        compared=Literal(COMPARED),
        hash=_hash(SQL("form")),
        trait=traits.of_sql(SQL("form")),
        folded=folded(SQL("made")),
        needles=search_forms_sql(SQL("v"), _kind(each)),
        frequent=Literal(FREQUENT),
        most=Literal(VALUES),
        shortest=Literal(SHORTEST),
    )


def _hash(text: Composable) -> Composable:
    """Return 64 bits of SHA-256 as a bigint: 10^6 hashes and 10^8 values collide with a probability of 5 in 10^6."""
    return SQL(
        "('x' || left(encode(sha256(convert_to((SELECT current_setting('understudy.search_key')) || {}, 'UTF8')), 'hex'), 16))"
        "::bit(64)::bigint"
    ).format(text)


# Over what was written ------------------------------------------------------------------------------------------------


class Lookup:
    """An index from a form to the columns that contain it: eight bytes for each hash, and a bit filter."""

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
        """Yield the source columns of each form that was hashed."""
        key, mask, bits, new = self._key, self._mask, self._filter, forms - self._harmless
        if len(self._harmless) > CACHED:
            self._harmless = set()
        for form in new:
            number = int.from_bytes(sha256(key + form.encode()).digest()[:8], "big", signed=True)
            maybe = bits[(number & mask) >> 3] >> (number & 7) & 1
            labels = [label for label, hashes in self._labels.items() if _holds(hashes, number)] if maybe else []
            yield from labels
            if not labels:
                self._harmless.add(form)


def _holds(hashes: "array[int]", number: int) -> bool:
    place = bisect_left(hashes, number)
    return place < len(hashes) and hashes[place] == number


class LeakSearch:
    """A search through the rows of one table: blocks of COPY text with the fields `columns`."""

    def __init__(
        self, lookup: Lookup, table: TablePlan, *, columns: Sequence[ColumnPlan] | None = None, whole: bool
    ) -> None:
        """With `whole`, every value of a keyed column is searched, not only a sample."""
        self._lookup = lookup
        chosen = table.columns if columns is None else columns
        self._wanted = [(at, each) for at, each in enumerate(chosen) if is_searched(each)] if lookup.size else []
        self._table, self._whole, self._width = table, whole, len(chosen)
        self._found = Counter[tuple[str, str]]()
        self.columns = len(self._wanted)

    def search_block(self, block: bytes) -> None:
        """Search a block of whole lines."""
        if not self._wanted:
            return
        # One split for all rows: COPY text has a tab or a newline behind each field, and neither within one.
        fields = block.replace(b"\n", b"\t").split(b"\t")
        fields.pop()  # behind the last newline
        for at, each in self._wanted:
            values = set(fields[at :: self._width])
            values.discard(b"\\N")
            if not self._whole and each.masked and each.rule.word in KEYED and not _nested(each):
                values = set(list(values)[:SAMPLED])
            text = b"\n".join(values).decode()
            forms = forms_in([text], nested=_nested(each), traits=self._lookup.traits)
            for source in self._lookup.sources(forms):
                self._found[_label(self._table, each), source] += 1

    @property
    def found(self) -> tuple[Overlap, ...]:
        """The columns in which values of the source were found, with their source columns."""
        return tuple(
            Overlap(found=where, source=whose, forms=count) for (where, whose), count in sorted(self._found.items())
        )


def is_searched(each: ColumnPlan) -> bool:
    """Return whether a column can contain text, and is neither constant, nor drawn from a pool, nor unread."""
    if each.unread or each.column.base in ("bytea", "uuid"):
        return False
    if not (each.column.array or each.column.category in SEARCHABLE):
        return False
    return not (each.masked and each.rule.word in FROM_POOLS | CONSTANT)


def count_searched(tables: Iterable[TablePlan]) -> int:
    """Return how many columns of these tables are searched."""
    return sum(is_searched(each) for table in tables for each in table.columns)


def sum_overlaps(overlaps: Iterable[Overlap]) -> tuple[Overlap, ...]:
    """Sum up the overlaps of several searches by pair of columns."""
    total = Counter[tuple[str, str]]()
    for each in overlaps:
        total[each.found, each.source] += each.forms
    return tuple(Overlap(found=found, source=source, forms=count) for (found, source), count in sorted(total.items()))


def searcher(lookup: Lookup) -> Searcher:
    """Return what searches in this process, every value of every column."""

    def search(table: TablePlan, columns: Sequence[ColumnPlan], blocks: Iterable[bytes]) -> Iterable[Overlap]:
        looking = LeakSearch(lookup, table, columns=columns, whole=True)
        for block in blocks:
            looking.search_block(block)
        return looking.found

    return search


def search_loaded(
    connection: psycopg.Connection[Any], tables: Iterable[TablePlan], search: Searcher
) -> tuple[Overlap, ...]:
    """Search all rows of these tables of the target, within the caller's transaction."""
    found: list[Overlap] = []
    for table in tables:
        if columns := [each for each in table.columns if is_searched(each)]:
            names = SQL(", ").join(Identifier(each.column.name) for each in columns)
            statement = SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(names, rows_of(table.table))
            found += search(table, columns, copied_blocks(connection, statement))
    return sum_overlaps(found)

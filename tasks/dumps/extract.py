"""Extraction of masked rows from the source, in parallel ranges of one snapshot."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Literal

from tasks.dumps.catalog import identifier
from tasks.dumps.compression import Compression
from tasks.dumps.connections import connected_to, is_connection_lost, use_snapshot, without_values
from tasks.dumps.copied_blocks import copied_blocks
from tasks.dumps.export_plan import MaskingPlan, TablePlan, Unit
from tasks.dumps.leak_search import LeakSearch, Lookup
from tasks.dumps.masking_sql import masked_columns, set_mask_settings
from tasks.dumps.row_sources import only
from tasks.dumps.segment_writer import Part, SegmentWriter
from tasks.dumps.shared_hashes import select_hashed_once
from tasks.estate.errors import LeakFound, NotExported, Unreachable
from tasks.estate.schema import Name
from tasks.estate.sites import Immutable
from tasks.masking.session_settings import Session

RANGE_BYTES = (
    64 * 2**20
)  # of a table's size on disk: some seconds of work, so that all workers end at about the same time
BATCH_BYTES = RANGE_BYTES  # of the units that share a connection
UNIT_COSTS = 2**18  # bytes that take as long as a unit without rows: some milliseconds
PAGE = 8192  # bytes, PostgreSQL's default block size; another size only moves the borders of ranges


class Batch(Immutable):
    """Units that one worker extracts over one connection, each with the plan of its table."""

    units: tuple[tuple[TablePlan, Unit], ...]

    def __str__(self) -> str:
        """Return the first table and the number of other units, for the names of task runs."""
        first = self.units[0][1]
        more = f" and {len(self.units) - 1} more" if len(self.units) > 1 else f" {first.number}"
        return f"{first.table}{more}"


class Source(Immutable):
    """The snapshot and time limit of an export; the address contains a password and is passed separately."""

    snapshot: str
    statement_within: float


def units_of(connection: psycopg.Connection[Any], plan: MaskingPlan, *, range_bytes: int = RANGE_BYTES) -> list[Unit]:
    """Return the units of an export in the order of the dump: large tables in ranges, each other table as one unit."""
    sizes = _sizes(connection, plan)
    return [unit for table in plan.tables for unit in _ranges(table, sizes, range_bytes)]


def batches_of(plan: MaskingPlan, units: Iterable[Unit], *, batch_bytes: int = BATCH_BYTES) -> list[Batch]:
    """Return the units in batches, one connection each, largest first so that all workers end at about the same time.

    A range of a large table is a batch of its own. Small tables share one: a connection and a task for each of ten
    thousand empty tables would take hours.
    """
    batches: list[list[Unit]] = []
    room = 0
    for unit in sorted(units, key=lambda unit: -unit.bytes):
        size = unit.bytes + UNIT_COSTS
        if size > room:
            batches.append([])
            room = batch_bytes
        batches[-1].append(unit)
        room -= size
    return [Batch(units=tuple((plan.of(unit), unit) for unit in batch)) for batch in batches]


def _sizes(connection: psycopg.Connection[Any], plan: MaskingPlan) -> dict[Name, tuple[int, int]]:
    """Return the bytes of each leaf: of its pages, and with its TOAST and maps."""
    leaves = [leaf for table in plan.tables for leaf in table.table.leaves or (table.table.name,)]
    names = [identifier(leaf).as_string(connection) for leaf in leaves]
    query = """SELECT pg_relation_size(leaf), pg_table_size(leaf)
        FROM unnest(%s::text[]::regclass[]) WITH ORDINALITY AS t (leaf, place) ORDER BY place"""
    found = connection.execute(query, [names]).fetchall()
    return dict(zip(leaves, found, strict=True))


def _ranges(plan: TablePlan, sizes: dict[Name, tuple[int, int]], range_bytes: int) -> Iterator[Unit]:
    numbers = count()
    for leaf in plan.table.leaves or (plan.table.name,):
        heap, whole = sizes[leaf]
        pages = math.ceil(heap / PAGE)
        wanted = max(1, min(math.ceil(whole / range_bytes), pages))
        for index in range(wanted):
            first = pages * index // wanted
            last = pages * (index + 1) // wanted if index + 1 < wanted else None
            yield Unit(
                table=plan.table.name,
                leaf=leaf,
                number=next(numbers),
                first_page=first,
                last_page=last,
                bytes=whole // wanted,
            )


def copy_statement(plan: TablePlan, unit: Unit, session: Session) -> Composed:
    """Return the COPY statement for the unit's masked rows. Clear text of a masked column never leaves the server."""
    condition: Composable = SQL("")
    if unit.first_page or unit.last_page is not None:
        parts = [SQL("ctid >= {}::tid").format(Literal(f"({unit.first_page},0)"))]
        if unit.last_page is not None:
            parts.append(SQL("ctid < {}::tid").format(Literal(f"({unit.last_page},0)")))
        condition = SQL(" WHERE {}").format(SQL(" AND ").join(parts))
    rows = select_hashed_once(masked_columns(plan, session), plan.table, only(unit.leaf))
    return SQL("COPY ({}{}) TO STDOUT").format(rows, condition)


def extract(
    url: str,
    source: Source,
    plan: TablePlan,
    unit: Unit,
    session: Session,
    *,
    folder: Path,
    compression: Compression,
    lookup: Lookup | None = None,
) -> Part:
    """Write one unit as a part of the dump, over a connection of its own; see `extract_batch`."""
    batch = Batch(units=((plan, unit),))
    return extract_batch(url, source, batch, session, folder=folder, compression=compression, lookup=lookup)[0]


def extract_batch(
    url: str,
    source: Source,
    batch: Batch,
    session: Session,
    *,
    folder: Path,
    compression: Compression,
    canaries: tuple[str, ...] = (),
    lookup: Lookup | None = None,
) -> tuple[Part, ...]:
    """Write the units of a batch as parts of the dump, in order, over one connection.

    Each part lists the values of `lookup` that were found in it. A part gets its name only when it is complete, so that
    this may be called again after a failure. Raise `Unreachable` if the connection is lost, `LeakFound` if a planted
    canary occurs in the output, and `NotExported` for other errors.
    """
    searched = tuple(canary.encode() for canary in canaries)
    statements = [
        copy_statement(plan, unit, session) for plan, unit in batch.units
    ]  # before `set_mask_settings`: they say which keys it needs
    with connected_to(url, name="understudy export", statement_within=source.statement_within) as connection:
        use_snapshot(connection, source.snapshot)
        set_mask_settings(connection, session)
        return tuple(
            _extract_unit(
                connection,
                statement,
                plan,
                unit,
                folder=folder,
                compression=compression,
                canaries=searched,
                lookup=lookup,
            )
            for statement, (plan, unit) in zip(statements, batch.units, strict=True)
        )


def _extract_unit(
    connection: psycopg.Connection[Any],
    statement: Composed,
    plan: TablePlan,
    unit: Unit,
    *,
    folder: Path,
    compression: Compression,
    canaries: tuple[bytes, ...],
    lookup: Lookup | None,
) -> Part:
    search = LeakSearch(lookup, plan, whole=False) if lookup is not None else None
    path = folder / f"{part_file_stem(unit.table)}.{unit.number:05d}.part"
    try:
        with SegmentWriter(path, unit.table, unit.number, compression=compression, columns=len(plan.columns)) as writer:
            for block in copied_blocks(connection, statement):
                _require_clean(block, canaries, plan)
                writer.write_copy(block)
                if search is not None:
                    search.search_block(block)
        return writer.part.model_copy(update={"found": search.found}) if search is not None else writer.part
    except psycopg.Error as error:
        if is_connection_lost(error):
            raise Unreachable(f"The export of {unit.table} was cut off ({without_values(error)}).") from None
        raise NotExported(f"{unit.table} cannot be exported: {without_values(error)}.") from None
    except OSError as error:
        raise NotExported(
            f"A part of {unit.table} cannot be written ({error.strerror}); expected room for it."
        ) from None


def _require_clean(block: bytes, canaries: tuple[bytes, ...], plan: TablePlan) -> None:
    """Raise `LeakFound` with the column, never the value, if a planted canary is in the block."""
    for canary in canaries:
        at = block.find(canary)
        if at != -1:
            before = block.count(b"\t", block.rfind(b"\n", 0, at) + 1, at)
            raise LeakFound(
                f"A planted canary is in the output of {plan.table.name}.{plan.columns[before].column.name}; expected none in a dump."
            )


def part_file_stem(name: Name) -> str:
    """Return a file name for a table: its letters and digits, and a digest that makes it unique."""
    plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in str(name))[:40]
    return f"{plain}-{hashlib.sha256(str(name).encode()).hexdigest()[:8]}"

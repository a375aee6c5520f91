"""Masking during the load: the worker masks a dump that was exported raw, before staging receives a byte.

The Python forms of the makers return what the SQL forms would have returned. It is slow, a row at a time.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tasks.dumps.dump_reader import Segment
from tasks.dumps.export_plan import TablePlan
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import DumpRefused
from tasks.masking.session_settings import Session

Blocks = Iterable[bytes]
PLAIN = {b"\\b": "\b", b"\\f": "\f", b"\\n": "\n", b"\\r": "\r", b"\\t": "\t", b"\\v": "\v", b"\\\\": "\\"}
ESCAPE = re.compile(rb"\\.", re.DOTALL)
ESCAPED = str.maketrans({value: key.decode() for key, value in PLAIN.items()})


def segment_masker(
    plan: LoadPlan, tables: Sequence[TablePlan], session: Session
) -> Callable[[Segment, Blocks], Blocks]:
    """Return the function through which a load passes each segment: it masks these tables and no others."""
    masks = {str(each.table.name): each for each in tables}
    columns = {str(order.name): order.columns for order in plan.tables}

    def masked(segment: Segment, blocks: Blocks) -> Blocks:
        name = str(segment.table)
        return mask_rows(masks[name], columns[name], blocks, session) if name in masks else blocks

    return masked


def mask_rows(plan: TablePlan, columns: tuple[str, ...], blocks: Iterable[bytes], session: Session) -> Iterator[bytes]:
    """Yield COPY text with the plan's masks applied. `columns`: those of the dump, in the order of its values.

    Raise `DumpRefused` if a maker has no Python form.
    """
    wanted = {each.column.name: each for each in plan.columns if each.masked}
    without = [
        name for name, each in wanted.items() if each.rule.maker is not None and not each.rule.maker.has_python_twin
    ]
    if without:
        raise DumpRefused(
            f"{plan.table.name}.{without[0]} is masked by an SQL expression, which cannot be applied while a raw dump is loaded.",
            next_step="Nothing was loaded. Export again with the anonymizers on.",
        )
    for block in blocks:
        lines = block.split(b"\n")[:-1]
        yield b"".join(_line(plan, wanted, columns, line, session) for line in lines)


def _line(
    plan: TablePlan, wanted: Mapping[str, object], columns: tuple[str, ...], line: bytes, session: Session
) -> bytes:
    row = dict(zip(columns, map(_read, line.split(b"\t")), strict=True))
    made = {name: _masked(plan, name, row, session) if name in wanted else value for name, value in row.items()}
    return b"\t".join(_written(value) for value in made.values()) + b"\n"


def _masked(plan: TablePlan, name: str, row: dict[str, str | None], session: Session) -> str | None:
    each = next(each for each in plan.columns if each.column.name == name)
    value, maker = row[name], each.rule.maker
    if maker is None or each.rule.nulls == "equalise":
        return None
    if value is None and each.rule.nulls == "keep" and not each.column.not_null:
        return None
    return maker.value(value or "", each.place(plan.table, of_null=value is None), session, row)


def _read(field: bytes) -> str | None:
    if field == b"\\N":
        return None
    return ESCAPE.sub(lambda found: PLAIN[found.group()].encode(), field).decode()


def _written(value: str | None) -> bytes:
    return b"\\N" if value is None else value.translate(ESCAPED).encode()

"""Uniqueness after masking, proven before the first byte: by what makers guarantee, or by the birthday bound."""

from collections.abc import Iterator, Mapping

from tasks.estate.tables import Key, KeyKind, Table
from tasks.masking.makers.making import Maker, Place

# n rows drawn from 2^b values collide with probability about n²/2^(b+1); one failed night in a million is accepted.
ACCEPTED = 1e-6
FEWEST = 10_000  # rows to reckon with where statistics say less: they may be old
Masked = Mapping[str, tuple[Maker | None, Place]]


def key_faults(table: Table, masked: Masked) -> Iterator[str]:
    """Why masking could break a key of the table, one sentence each."""
    yield from _twins(table, masked)
    for key in table.unique_keys:
        touched = [name for name in masked if _touches(key, name)]
        if touched and not _held_by_another(key, table, masked):
            for name in touched:
                maker, place = masked[name]
                if maker is not None and (why := _why_not(key, maker, place, table)):
                    yield f"{table.name}.{name}: {why}"


def _twins(table: Table, masked: Masked) -> Iterator[str]:
    """Two unique addresses made of one key would be equal in every row: whoever may have either could not be told apart."""
    made: dict[Maker, str] = {}
    unique = {key.columns[0] for key in table.unique_keys if len(key.columns) == 1}
    for name, (maker, _) in masked.items():
        if maker is None or getattr(maker, "form", "") != "id" or name not in unique:
            continue
        if maker in made:
            yield f"{table.name}.{name}: its addresses would be those of {made[maker]} again; use form: hash for one of them"
        made.setdefault(maker, name)


def _touches(key: Key, column: str) -> bool:
    """Whether the key reads the column; inside an expression or predicate, its name in the definition is enough."""
    return column in key.columns or ((key.expressions or key.predicate) and column in key.definition)


def _held_by_another(key: Key, table: Table, masked: Masked) -> bool:
    """Whether some of the key's columns are kept and unique by themselves: then the rest may be anything."""
    if key.kind is KeyKind.EXCLUSION:
        return False
    others = (other for other in table.unique_keys if other.kind is not KeyKind.EXCLUSION and other.columns)
    return any(
        set(other.columns) <= set(key.columns) and not other.expressions and not other.predicate
        and not any(name in masked for name in other.columns)
        for other in others
    )  # fmt: skip


def _why_not(key: Key, maker: Maker, place: Place, table: Table) -> str:
    if key.kind is KeyKind.EXCLUSION:
        return f"the exclusion constraint {key.name} reads it; no maker is proven to keep it"
    if key.expressions and place.column.name not in key.columns and not _only_case(key, place.column.name):
        return f"the unique index {key.name} computes with it; no maker is proven to keep that unique"
    kind = maker.uniqueness(place)
    if kind == "unique":
        return ""
    if kind == "constant":
        return f"{maker.maker} gives equal values, but {key.name} must be unique"
    rows = max(2 * table.estimated_rows, FEWEST)
    bits = maker.bits(place)
    risk = rows**2 / 2 ** (bits + 1)
    if risk <= ACCEPTED:
        return ""
    return f"{maker.maker} tells apart 2^{bits:.0f} values, too few for {rows} rows of the unique {key.name}"


def _only_case(key: Key, column: str) -> bool:
    """lower(x) and upper(x) keep apart what makers keep apart: their results have one case."""
    return any(
        f"{function}({column}" in key.definition or f"{function}(({column})" in key.definition
        for function in ("lower", "upper")
    )

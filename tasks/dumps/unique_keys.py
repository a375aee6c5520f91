"""Unique keys after masking, checked before the first byte: by what makers guarantee, or by the birthday bound."""

from collections.abc import Iterator, Mapping

from tasks.estate.planning_faults import Fault
from tasks.estate.schema import Key, KeyKind, Table
from tasks.masking.makers.maker import Maker, Place

# n rows drawn from 2^b values collide with probability about n²/2^(b+1); one failed export in a million is accepted.
ACCEPTED = 1e-6
FEWEST = 10_000  # rows to expect if the statistics have fewer: they may be old
Masked = Mapping[str, tuple[Maker | None, Place]]


def key_faults(table: Table, masked: Masked) -> Iterator[Fault]:
    """Yield why masking could break a unique key of the table."""
    yield from _equal_addresses(table, masked)
    for key in table.unique_keys:
        touched = [name for name in masked if name in columns_read_by(key, table)]
        if not touched or _held_by_another(key, table, masked):
            continue
        reasons = {name: why for name in touched if (why := _why_not(key, *masked[name], table))}
        parts = [name for name in touched if name in {*key.columns, *key.folded}]
        if key.kind is not KeyKind.EXCLUSION and any(masked[name][0] and name not in reasons for name in parts):
            continue  # one part that is unique by itself keeps the whole key unique, whatever its other parts become
        where = f" on the partition {key.leaf}" if key.leaf else ""
        for name, why in reasons.items():
            yield Fault("unique", f"{table.name}.{name}{where}: {why}", str(table.name), name, _remedy(key))


def _equal_addresses(table: Table, masked: Masked) -> Iterator[Fault]:
    """Yield unique columns of addresses that would be equal in every row, because both are made from the row's key."""
    made: dict[Maker, str] = {}
    unique = {key.columns[0] for key in table.unique_keys if len(key.columns) == 1}
    for name, (maker, _) in masked.items():
        if maker is None or getattr(maker, "form", "") != "id" or name not in unique:
            continue
        if maker in made:
            why = f"{table.name}.{name}: its addresses would be equal to those of {made[maker]}"
            yield Fault("unique", why, str(table.name), name, "use form: hash for one of them")
        made.setdefault(maker, name)


def _remedy(key: Key) -> str:
    if key.kind is KeyKind.EXCLUSION:
        return "keep the column, or drop the table"
    return "use a maker with a value of its own for each row (hash, uuid, email by the key), or keep the column"


def columns_read_by(key: Key, table: Table) -> set[str]:
    """Return the columns that the key reads, through generated columns down to those that are copied."""
    named = {*key.columns, *key.computed, *key.conditions}
    return named | {base for column in table.columns if column.name in named for base in column.computed_from}


def _held_by_another(key: Key, table: Table, masked: Masked) -> bool:
    """Return whether some of the key's columns are kept and unique by themselves: then the other columns do not matter."""
    if key.kind is KeyKind.EXCLUSION:
        return False
    others = (other for other in table.unique_keys if other.kind is not KeyKind.EXCLUSION and other.columns)
    return any(
        set(other.columns) <= set(key.columns) and not other.expressions and not other.predicate
        and other.leaf in (None, key.leaf) and not any(name in masked for name in columns_read_by(other, table))
        for other in others
    )  # fmt: skip


def _why_not(key: Key, maker: Maker | None, place: Place, table: Table) -> str:
    name = place.column.name
    if maker is None:
        return ""
    if key.kind is KeyKind.EXCLUSION:
        return f"the exclusion constraint {key.name} reads it; no maker is proven to keep it"
    if name in key.conditions and name not in {*key.columns, *key.computed}:
        return f"the unique index {key.name} covers only rows that {name} selects; no maker is proven to select the same rows"
    if name not in {*key.columns, *key.folded}:
        how = ", ".join(key.formulas) or "a generated column"
        return f"the unique index {key.name} computes {how} with it; no maker is proven to keep that unique"
    kind = maker.uniqueness(place)
    if kind == "unique":
        return ""
    if kind == "constant":
        return f"{maker.maker} makes equal values, but {key.name} must be unique"
    rows = max(2 * table.estimated_rows, FEWEST)
    bits = maker.bits(place)
    risk = rows**2 / 2 ** (bits + 1)
    if risk <= ACCEPTED:
        return ""
    return f"{maker.maker} makes 2^{bits:.0f} different values, too few for {rows} rows of the unique {key.name}"

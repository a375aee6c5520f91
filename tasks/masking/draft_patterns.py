"""Compress a draft: columns that many tables have, and keys, are kept by one line of the policy.

Only `keep` is compressed, and only if every column that a pattern matches is drafted so. A mask stays where it is read:
beside its column.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from tasks.estate.tables import Catalog
from tasks.masking.classify import ColumnDraft, Draft
from tasks.masking.key_columns import keys_of
from tasks.masking.policy_patterns import matches
from tasks.masking.proposals import KEEP

SEVERAL = 3  # tables with a column of one name from which a pattern is shorter
MANY = 8  # columns with one ending from which a pattern is shorter and says something
# Endings by which a name says that it describes the record. Others (`_name`, `_value`) say nothing of the next column.
ENDINGS = (
    "at", "on", "count", "counts", "limit", "size", "bytes", "enabled", "disabled", "type", "status", "state", "level", "version",
    "position", "order", "format", "mode", "required", "allowed", "visible", "timeout", "interval", "seconds", "days", "ids",
    "events", "access",
)  # fmt: skip
Spot = tuple[str, str]


def compress(drafted: Draft, catalog: Catalog) -> Draft:
    """Return the draft with patterns for what repeats. The rules of all columns stay, and so do decided lines."""
    open_columns = {
        (str(table.name), column.name): column
        for table in drafted.tables
        if table.whole is None
        for column in table.columns
        if not column.covered and not column.settled
    }
    keys = keys_of(catalog) & open_columns.keys()
    as_keys = len(keys) >= SEVERAL and not any(open_columns[spot].rule is None for spot in keys)
    covered = {spot for spot in keys if as_keys and open_columns[spot].rule == KEEP}
    patterns: dict[str, str] = {}
    everything = {
        (str(table.name), column.name): column
        for table in drafted.tables
        if table.whole is None
        for column in table.columns
    }
    for pattern in _candidates(open_columns, covered):
        matched = [spot for spot in everything if matches(pattern, spot[1])]
        if all(everything[spot].rule == KEEP for spot in matched):
            patterns[f"*.{pattern}"] = KEEP
            covered |= {spot for spot in matched if spot in open_columns}
    return drafted.model_copy(
        update={"patterns": drafted.patterns | patterns, "keep_keys": drafted.keep_keys or as_keys}
    ).covering(covered)


def _candidates(columns: Mapping[Spot, ColumnDraft], covered: set[Spot]) -> Iterator[str]:
    """Patterns of column names, the wider ones first. Evaluated as they are taken: `covered` grows meanwhile."""
    for ending in ENDINGS:
        names = [name for spot in columns if spot not in covered and (name := spot[1]).endswith(f"_{ending}")]
        if len(names) >= MANY:
            yield f"*_{ending}"
    counted = Counter(name for _, name in columns.keys() - covered)
    for name, number in sorted(counted.items()):
        if number >= SEVERAL and re.fullmatch(r"\w+", name):
            yield name

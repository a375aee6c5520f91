"""Write a draft as a policy file: patterns for what repeats, and each line with its reason as a comment.

Only `keep` becomes a pattern, and only if every column that the pattern matches is drafted so: a mask stays with its column.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tasks.estate.schema import Catalog
from tasks.masking.classify import ColumnDraft, Draft, TableDraft
from tasks.masking.key_columns import keys_of
from tasks.masking.policy import is_pattern
from tasks.masking.policy_patterns import matches
from tasks.masking.proposals import KEEP

ENDLESS = 1 << 30  # characters of a line of YAML: a wrapped one would lose its comment
SEVERAL = 3  # columns with one name, from which a pattern is shorter
MANY = 8  # columns with one ending, from which a pattern is shorter and readable
# Endings of names that describe the record. Others (`_name`, `_value`) mean nothing for the next column.
ENDINGS = (
    "at", "on", "count", "counts", "limit", "size", "bytes", "enabled", "disabled", "type", "status", "state", "level", "version",
    "position", "order", "format", "mode", "required", "allowed", "visible", "timeout", "interval", "seconds", "days", "ids",
    "events", "access",
)  # fmt: skip
Spot = tuple[str, str]


def compress(drafted: Draft, catalog: Catalog) -> Draft:
    """Return the draft with patterns for what repeats. Every column keeps its rule, and decided lines stay."""
    everything = {
        (str(table.name), column.name): column
        for table in drafted.tables
        if table.whole is None
        for column in table.columns
    }
    open_columns = {spot: column for spot, column in everything.items() if not column.covered and not column.settled}
    keys = keys_of(catalog) & open_columns.keys()
    as_keys = len(keys) >= SEVERAL and not any(open_columns[spot].rule is None for spot in keys)
    covered = {spot for spot in keys if as_keys and open_columns[spot].rule == KEEP}
    patterns: dict[str, str] = {}
    for pattern in _candidates(open_columns, covered):
        matched = [spot for spot in everything if matches(pattern, spot[1])]
        if all(everything[spot].rule == KEEP for spot in matched):
            patterns[f"*.{pattern}"] = KEEP
            covered |= {spot for spot in matched if spot in open_columns}
    return drafted.model_copy(
        update={"patterns": drafted.patterns | patterns, "keep_keys": drafted.keep_keys or as_keys}
    ).covering(covered)


def _candidates(columns: Mapping[Spot, ColumnDraft], covered: set[Spot]) -> Iterator[str]:
    """Yield patterns of column names, the wider ones first. The caller adds to `covered` during the iteration."""
    for ending in ENDINGS:
        names = [name for spot in columns if spot not in covered and (name := spot[1]).endswith(f"_{ending}")]
        if len(names) >= MANY:
            yield f"*_{ending}"
    counted = Counter(name for _, name in columns.keys() - covered)
    for name, number in sorted(counted.items()):
        if number >= SEVERAL and re.fullmatch(r"\w+", name):
            yield name


def as_yaml(drafted: Draft) -> str:
    """Return the draft as a policy file, each line with its reason, in the order of the catalogue.

    An undecided column is a comment, so that the policy has no rule for it and a plan is refused.
    """
    lines = [
        f"# Draft: {len(drafted.tables)} tables, {len(drafted.undecided)} columns undecided. Read every line; decide those first.",
        *(f"# Gone from the database: {_scalar(name)}" for name in drafted.gone),
        f"app: {_scalar(drafted.app)}",
        f"schema_version: {drafted.schema_version}",
        f"locale: {_scalar(drafted.locale)}",
        *(["keys: keep"] if drafted.keep_keys else []),
        *_undecided_lines(drafted),
    ]
    tables = [
        f"  {_scalar(name)}: {_flow(rule) if isinstance(rule, dict) else rule}"
        for name, rule in drafted.patterns.items()
    ]
    for table in drafted.tables:
        tables += _table_lines(table)
    lines += ["tables:", *tables] if tables else ["tables: {}"]
    if drafted.references:
        lines += ["references:", *(f"  - {_scalar(reference)}" for reference in drafted.references)]
    rest = yaml.safe_dump(drafted.rest, sort_keys=False, allow_unicode=True) if drafted.rest else ""
    return "\n".join([*lines, "unclassified: fail", rest]).rstrip("\n") + "\n"


def _undecided_lines(drafted: Draft) -> Iterator[str]:
    """Yield the columns that a person has to decide, as comments before everything else."""
    found = [(table, column) for table in drafted.tables for column in table.columns if column.rule is None]
    if found:
        yield f"# Undecided, {len(found)} columns. Write each below, with keep or a maker."
    for table, column in found:
        mark = "new; " if column.new else ""
        yield _plain(f"# UNDECIDED {_scalar(str(table.name))}: {{{_key(column.name)}: }}  # {mark}{column.reason}")


def _table_lines(table: TableDraft) -> Iterator[str]:
    key = f"  {_scalar(str(table.name))}:"
    mark = "new; " if table.new else ""
    if table.whole is not None:
        yield f"{key} {table.whole}  # {mark}{table.reason}"
        yield from (_plain(f"  #   doubtful: {_scalar(column.name)}: {column.doubt}") for column in table.columns)
        return
    shown = [column for column in table.columns if column.rule is not None and not column.covered]
    if any(column.covered for column in table.columns) and not shown:
        return  # patterns cover all columns
    yield (key if shown else f"{key} {{}}") + ("  # new" if table.new else "")
    yield from (_plain(_column_line(column)) for column in shown)


def _column_line(column: ColumnDraft) -> str:
    mark = "new; " if column.new else ""
    rule = _flow(column.rule) if isinstance(column.rule, dict) else _scalar(str(column.rule))
    doubt = f"; DOUBTFUL: {column.doubt}" if column.doubt else ""
    sure = f" ({column.confidence:.0%} sure)" if column.confidence < 1 else ""
    return f"    {_key(column.name)}: {rule}  # {mark}{column.reason}{sure}{doubt}"


def _plain(line: str) -> str:
    """Return a text on one line: reasons quote names, and a name may contain a line break."""
    return "".join(sign if sign.isprintable() else " " for sign in line)


def _flow(value: Any, style: str | None = None) -> str:
    """Return a value on one line; letters of any language stay, everything else outside ASCII is escaped."""

    def dumped(as_is: bool, quotes: str | None) -> str:
        text: str = yaml.safe_dump(
            value, default_flow_style=True, default_style=quotes, sort_keys=False, allow_unicode=as_is, width=ENDLESS
        )
        return text.strip()

    readable = dumped(True, style)
    # Only double quotes escape a line break; YAML's other styles would spread it over lines.
    return readable if readable.isprintable() else dumped(False, '"')


def _key(column: str) -> str:
    """Return a column as a key of the policy: a name with a `*` is in double quotes, so that it is not a pattern."""
    quoted = '"' + column.replace('"', '""') + '"'
    return _scalar(quoted if is_pattern(column) else column)


def _scalar(text: str) -> str:
    """Return a text on one line, quoted if YAML would otherwise read something else (`null`, `on`, a colon)."""
    plain = re.fullmatch(r"[^\W\d][\w.-]*", text) and text.isprintable() and yaml.safe_load(text) == text
    return text if plain else _flow(text, '"')

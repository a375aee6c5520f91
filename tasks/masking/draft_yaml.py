"""Render a draft as the text of a policy file, with the reason of each line as its comment."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tasks.masking.classify import ColumnDraft, Draft, TableDraft
from tasks.masking.policy import is_pattern

ENDLESS = 1 << 30  # characters of a line of YAML: a wrapped one would lose its comment


def as_yaml(drafted: Draft) -> str:
    """The draft as a policy file, each line with its reason; tables and columns in the order of the catalogue.

    An undecided column is a comment, so that the policy does not know it and a plan under it stops.
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
    """The columns that a person has to decide, before everything else. They are comments: the plan stops at each."""
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
        return  # patterns say all of it
    yield (key if shown else f"{key} {{}}") + ("  # new" if table.new else "")
    yield from (_plain(_column_line(column)) for column in shown)


def _column_line(column: ColumnDraft) -> str:
    mark = "new; " if column.new else ""
    rule = _flow(column.rule) if isinstance(column.rule, dict) else _scalar(str(column.rule))
    doubt = f"; DOUBTFUL: {column.doubt}" if column.doubt else ""
    sure = f" ({column.confidence:.0%} sure)" if column.confidence < 1 else ""
    return f"    {_key(column.name)}: {rule}  # {mark}{column.reason}{sure}{doubt}"


def _plain(line: str) -> str:
    """A line that stays one: reasons quote names, and a name may hold a line break."""
    return "".join(sign if sign.isprintable() else " " for sign in line)


def _flow(value: Any, style: str | None = None) -> str:
    """A value on one line; letters of any language stay readable, everything else outside ASCII is escaped."""

    def dumped(as_is: bool, quotes: str | None) -> str:
        text: str = yaml.safe_dump(
            value, default_flow_style=True, default_style=quotes, sort_keys=False, allow_unicode=as_is, width=ENDLESS
        )
        return text.strip()

    readable = dumped(True, style)
    # Only double quotes escape a line break; YAML's other styles would spread it over lines.
    return readable if readable.isprintable() else dumped(False, '"')


def _key(column: str) -> str:
    """A column as a key of the policy: one whose name holds a `*` is in double quotes, so that it is no pattern."""
    quoted = '"' + column.replace('"', '""') + '"'
    return _scalar(quoted if is_pattern(column) else column)


def _scalar(text: str) -> str:
    """A text on one line, quoted where YAML would otherwise read something else (`null`, `on`, a colon)."""
    plain = re.fullmatch(r"[^\W\d][\w.-]*", text) and text.isprintable() and yaml.safe_load(text) == text
    return text if plain else _flow(text, '"')

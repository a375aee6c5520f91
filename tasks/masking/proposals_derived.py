"""Propose rules for derived columns: recomputed if possible, kept if all that they read is kept, else undecided."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks.estate.schema import Catalog, Column, KeyKind, Table
from tasks.masking.derived_columns import Derived, derived_columns, is_embedding, left_on, looks_derived
from tasks.masking.personal_columns import spelling
from tasks.masking.personal_values import Kind
from tasks.masking.proposals import KEEP, UNDECIDED, Proposal, undecided
from tasks.masking.trigger_writes import Spot

SURE = 0.85
RECOMPUTED = ("recompute", "trigger")  # in a policy: {recompute: …}
TITLES = ("title", "name", "subject", "label", "headline", "full_name", "display_name", "titel", "bezeichnung")
FIRST, LAST = (
    ("first_name", "firstname", "given_name", "vorname"),
    ("last_name", "lastname", "family_name", "surname", "nachname"),
)
SLUG = re.compile(r"_(slug|permalink)_$")
NORMALISED = re.compile(
    r"^(?:normalized|normalised|canonical|lower|lowercase)_(\w+)$|^(\w+)_(?:normalized|normalised|canonical|lower|lowercase)$"
)
Samples = Mapping[Spot, Sequence[str]]


def propose_derived(
    catalog: Catalog, proposals: Mapping[Spot, Proposal], known: Mapping[str, Any], samples: Samples
) -> dict[Spot, Proposal]:
    """Return the proposals, with those of derived columns adapted to the rules of the columns that they read.

    `known`: the tables of the existing policy.
    """
    derived, masked = derived_columns(catalog), _masked(proposals, known)
    found = dict(proposals)
    for table in catalog.tables:
        name = str(table.name)
        mine = {c.name: derived[name, c.name] for c in table.copied if (name, c.name) in derived}
        by_trigger = _by_trigger(catalog, table, mine, masked)
        # Vectors come last: they read what is not recomputed.
        for column in sorted(table.copied, key=lambda each: each.base == "tsvector"):
            spot = (name, column.name)
            if column.name in mine and column.base != "bool":
                found[spot] = _of_known(table, column, mine[column.name], by_trigger, found, masked)
            elif column.name not in mine and (looks_derived(column) or is_embedding(column)):
                found[spot] = _by_name(table, column, found, masked, samples.get(spot, ()))
    return found


def _masked(proposals: Mapping[Spot, Proposal], known: Mapping[str, Any]) -> set[Spot]:
    """Return the columns that a maker replaces, by the existing policy or else by the proposal."""
    return {
        spot
        for spot, proposal in proposals.items()
        if (decided_rule(known, *spot) or proposal.maker) not in (KEEP, UNDECIDED)
    }


def decided_rule(known: Mapping[str, Any], table: str, column: str) -> str:
    """Return the existing policy's rule for a column as a word: `keep` or a maker. Empty if there is no rule."""
    rules = known.get(table)
    if rules == KEEP:
        return KEEP
    if not isinstance(rules, dict) or column not in rules:
        return ""
    rule = rules[column]
    return str(rule.get("maker", "recompute") if isinstance(rule, dict) else rule or "null")


def _by_trigger(catalog: Catalog, table: Table, mine: Mapping[str, Derived], masked: Collection[Spot]) -> set[str]:
    """Return the columns of a table that its triggers can compute during a load, as many as are possible together."""
    wanted = {name for name, derived in mine.items() if set(derived.reads) & set(masked)}
    while wanted and (faults := left_on(catalog, table, sorted(wanted)).faults):
        wanted -= {column for column, _ in faults}
    return wanted


def _of_known(
    table: Table,
    column: Column,
    derived: Derived,
    by_trigger: set[str],
    proposals: Mapping[Spot, Proposal],
    masked: Collection[Spot],
) -> Proposal:
    """Return the proposal for a column whose sources the catalogue contains."""
    name, own = str(table.name), proposals[str(table.name), column.name]
    sources = [source for source in derived.reads if source in masked]
    reason = f"derives from {_listed(sources or derived.reads)}: {derived.by}"
    if not sources:
        rules = {proposals[source].maker for source in derived.reads if source in proposals}
        if looks_derived(column) and UNDECIDED not in rules:
            return Proposal(KEEP, f"{reason}; all that it reads is kept", SURE, kind=own.kind)
        return own
    if column.name in by_trigger:
        return Proposal("trigger", reason, SURE, kind=own.kind)
    texts = [source for source in derived.reads if source in proposals and proposals[source].maker not in RECOMPUTED]
    if column.base == "tsvector" and texts and all(source[0] == name for source in derived.reads):
        return _recomputed(_words([source for _, source in texts]), reason)
    return (
        undecided(f"{reason}; write `recompute` with SQL over the masked row, or a maker", own.kind)
        if own.maker == KEEP
        else own
    )


def _by_name(
    table: Table, column: Column, proposals: Mapping[Spot, Proposal], masked: Collection[Spot], values: Sequence[str]
) -> Proposal:
    """Return the proposal for a column that is derived by its name or type only."""
    own, masked_texts = proposals[str(table.name), column.name], _masked_texts(table, proposals, masked)
    there = {each.name.lower(): each for each in masked_texts if each.name != column.name}
    if not there:
        return own
    if is_embedding(column):
        reason = "an embedding: the original text can be guessed from it"
        return (
            undecided(reason, Kind.FREE_TEXT) if column.not_null else Proposal("null", reason, 0.7, kind=Kind.FREE_TEXT)
        )
    if column.base == "tsvector":
        sources = [each.name for each in there.values()]
        return _recomputed(
            _words(sources), f"contains words of other columns, of which {', '.join(sources)} are masked"
        )
    expression, source = _expression(table, column, there, values)
    if expression:
        return replace(_recomputed(expression, f"name looks derived from {source}, which is masked"), kind=own.kind)
    return own


def _masked_texts(table: Table, proposals: Mapping[Spot, Proposal], masked: Collection[Spot]) -> list[Column]:
    """Return the masked texts that an expression may read, without recomputed ones."""
    spots = {
        (str(table.name), column.name): column for column in table.copied if column.category == "S" and not column.array
    }
    return [column for spot, column in spots.items() if spot in masked and proposals[spot].maker not in RECOMPUTED]


def _expression(table: Table, column: Column, there: Mapping[str, Column], values: Sequence[str]) -> tuple[str, str]:
    """Return SQL for a slug, a normalised form or initials and the column that it reads, or two empty texts."""
    spelled = spelling(column.name)
    if SLUG.search(spelled):
        source = next((there[title] for title in TITLES if title in there), None)
        if source is not None:
            made = f"lower(regexp_replace({_read(source, column)}, '[^[:alnum:]]+', '-', 'g'))"
            return _distinct(table, column, made), source.name
    normalised = NORMALISED.match(spelled.strip("_"))
    if normalised:
        source = next(
            (c for c in there.values() if spelling(c.name).strip("_") == (normalised[1] or normalised[2])), None
        )
        if source is not None:
            how = "upper" if values and all(value == value.upper() for value in values) else "lower"
            return f"{how}({_read(source, column)})", source.name
    if spelled.endswith("_initials_") and not _is_unique(table, column):
        parts = [next((there[each] for each in names if each in there), None) for names in (FIRST, LAST)]
        if all(parts):
            return " || ".join(f"left({_read(each, column)}, 1)" for each in parts if each), "the names"
    return "", ""


def _read(source: Column, column: Column) -> str:
    quoted = _quoted(source.name)
    return f"coalesce({quoted}, '')" if column.not_null and not source.not_null else quoted


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _words(sources: Sequence[str]) -> str:
    return f"to_tsvector('simple', concat_ws(' ', {', '.join(map(_quoted, sources))}))"


def _is_unique(table: Table, column: Column) -> bool:
    return any(
        key.kind is not KeyKind.EXCLUSION and column.name in {*key.columns, *key.computed} for key in table.unique_keys
    )


def _distinct(table: Table, column: Column, made: str) -> str:
    """Return the expression cut to the column's length, with the row's key if the column is in a unique key."""
    key = table.primary
    apart = (
        f" || '-' || {_quoted(key.columns[0])}" if _is_unique(table, column) and key and len(key.columns) == 1 else ""
    )
    if column.max_length is None:
        return made + apart
    return f"left({made}, {max(1, column.max_length - (21 if apart else 0))}){apart}"


def _recomputed(expression: str, reason: str) -> Proposal:
    return Proposal("recompute", reason, SURE, {"recompute": expression})


def _listed(spots: Sequence[Spot]) -> str:
    return ", ".join(f"{table}.{column}" for table, column in spots)

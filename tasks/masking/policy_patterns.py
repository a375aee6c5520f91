"""Patterns of a policy (`*.created_at: keep`, `auth.*: exclude`): which rule each table and column gets from them.

A rule for a named table and column has precedence over every pattern, and a pattern over one that matches more. If two
patterns have different rules and neither matches only a part of the other, that is a fault: a person decides.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from tasks.estate.schema import Catalog, Table
from tasks.masking.key_columns import keys_of
from tasks.masking.policy import ColumnRule, Pattern, Policy, TableRule, is_pattern, unquoted

KEEP = ColumnRule()
ANY = "*"
PART = re.compile(r'"((?:[^"]|"")*)"|([^".]*)')


@dataclass(frozen=True)
class Reading:
    """One way to read a pattern. `column` is None if it matches whole tables; all parts are names with wildcards."""

    pattern: Pattern
    schema: str
    table: str
    column: str | None
    rule: ColumnRule | str  # a rule for columns, or `drop` or `exclude`

    @property
    def scope(self) -> tuple[str, str, str]:
        """Return the names that it matches: schema, table and column."""
        return self.schema, self.table, ANY if self.column is None else self.column

    def has_table(self, table: Table) -> bool:
        """Return whether it matches the table."""
        return matches(self.schema, table.name.schema_name) and matches(self.table, table.name.name)


@dataclass(frozen=True)
class Expanded:
    """A policy with its patterns written out for one database, and the faults of the patterns there."""

    policy: Policy
    faults: tuple[str, ...] = ()
    by_pattern: Mapping[tuple[str, str], str] | None = None  # (table, column) → the pattern that keeps or masks it


def expand(policy: Policy, catalog: Catalog) -> Expanded:
    """Write out the policy's patterns and `keys: keep` for the tables of `catalog`.

    The returned policy has rules for tables and columns only. Exports are refused with `faults`; loads ignore them, because
    a database with an older schema may have nothing that a pattern matches.
    """
    if not policy.patterns and policy.keys is None:
        return Expanded(policy)
    faults: list[str] = []
    readings = [each for pattern in policy.patterns for each in _reading(pattern, catalog, faults)]
    keys = keys_of(catalog) if policy.keys else frozenset()
    tables, origin = dict(policy.tables), {}
    for table in catalog.tables:
        found = [each for each in readings if each.has_table(table)]
        rule, sources = _table_rule(table, catalog, policy, found, keys, faults)
        if rule is not None:
            tables[str(table.name)] = rule
            origin.update({(str(table.name), column): source for column, source in sources.items()})
    plain = policy.model_copy(update={"tables": tables, "patterns": (), "keys": None})
    return Expanded(plain, tuple(dict.fromkeys(faults)), origin)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the parts of a key between its dots. In a quoted part `*` is a literal, returned as `\\*`."""
    parts, at = [], 0
    while at <= len(name):
        found = PART.match(name, at)
        if found is None or (found.end() < len(name) and name[found.end()] != "."):
            return (name,)
        quoted = found[1]
        parts.append(found[2] if quoted is None else quoted.replace('""', '"').replace(ANY, "\\*"))
        at = found.end() + 1
    return tuple(parts)


@lru_cache(maxsize=4096)
def _regex(glob: str) -> re.Pattern[str]:
    pieces = re.split(r"(\\\*|\*)", glob)
    return re.compile("".join(".*" if piece == ANY else re.escape(piece.replace("\\*", ANY)) for piece in pieces), re.S)


def matches(glob: str, name: str) -> bool:
    """Return whether a name with wildcards matches a name. Case-sensitive."""
    return _regex(glob).fullmatch(name) is not None


def within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    """Return whether `outer` matches everything that `inner` matches, part by part."""
    return all(matches(there, here) for here, there in zip(inner, outer, strict=True))


def _reading(pattern: Pattern, catalog: Catalog, faults: list[str]) -> Iterator[Reading]:
    """Yield the ways to read a pattern that match something in the database; a pattern without one is a fault."""
    parts = parts_of(pattern.name)
    tables = _as_tables(parts)
    if pattern.columns is not None:
        found = [
            Reading(pattern, *where, column, rule) for where in tables for column, rule in _literal(pattern.columns)
        ]
        reached = [each for each in found if _reaches(each, catalog)]
        for column in dict.fromkeys(each.column for each in found if each not in reached):
            faults.append(
                f"line {pattern.line}: the pattern {pattern.name}: no table that it matches has a column {column}"
            )
        yield from reached
        return
    if pattern.whole is not None:
        found = [Reading(pattern, *where, None, pattern.whole) for where in tables]
    else:
        rule = pattern.rule or KEEP
        found = [Reading(pattern, *where, rule) for where in _as_columns(parts)]
        if rule.maker is None and rule.nulls == "keep":
            found += [Reading(pattern, *where, None, rule) for where in tables]
    reached = [each for each in found if _reaches(each, catalog)]
    if not reached:
        what = "table" if pattern.whole else "table or column" if pattern.rule == KEEP else "column"
        faults.append(
            f"line {pattern.line}: the pattern {pattern.name} matches no {what} of the database; correct or remove it"
        )
    if len({each.column is None for each in reached}) == 2:
        faults.append(
            f"line {pattern.line}: the pattern {pattern.name} matches tables and columns; "
            "write `schema.table: {'*': keep}` for tables, or `schema.table.column: keep` for columns"
        )
    yield from reached


def _literal(columns: Mapping[str, ColumnRule]) -> Iterator[tuple[str, ColumnRule]]:
    """Yield the columns of a table pattern; a name without a wildcard may be in quotes."""
    for name, rule in columns.items():
        yield name if is_pattern(name) else unquoted(name).replace(ANY, "\\*"), rule


def _as_tables(parts: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (schema, table) of a key for tables. A single `*` is every table of every schema."""
    if len(parts) == 1:
        return [(ANY if parts[0] == ANY else "public", parts[0])]
    return [(parts[0], parts[1])] if len(parts) == 2 else []


def _as_columns(parts: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return (schema, table, column) of a key for columns."""
    if len(parts) == 2:
        return [(ANY if parts[0] == ANY else "public", parts[0], parts[1])]
    return [(parts[0], parts[1], parts[2])] if len(parts) == 3 else []


def _reaches(reading: Reading, catalog: Catalog) -> bool:
    return any(
        reading.has_table(table)
        and (reading.column is None or any(matches(reading.column, each.name) for each in table.copied))
        for table in catalog.tables
    )


def _table_rule(
    table: Table,
    catalog: Catalog,
    policy: Policy,
    readings: list[Reading],
    keys: frozenset[tuple[str, str]],
    faults: list[str],
) -> tuple[TableRule | None, dict[str, str]]:
    """Return the rule of one table with what patterns add to it, and the pattern of each added column."""
    name = str(table.name)
    own = policy.tables.get(name)
    inherited = [rule for each in _ancestors(table, catalog) if (rule := policy.tables.get(each)) is not None]
    if (own is not None and own.whole is not None) or (own is None and any(rule.whole for rule in inherited)):
        return own, {}
    whole = None if own is not None or inherited else _whole(name, readings, faults)
    if whole is not None:
        return whole, {}
    columns = dict(own.columns) if own is not None else {}
    taken = {*columns, *(column for rule in inherited for column in rule.columns)}
    sources: dict[str, str] = {}
    for column in table.copied:
        if column.name in taken:
            continue
        best = _best(f"{name}.{column.name}", [r for r in readings if _applies(r, column.name)], faults)
        if best is not None and isinstance(best.rule, ColumnRule):
            columns[column.name] = best.rule
            sources[column.name] = best.pattern.name
        elif (name, column.name) in keys:
            columns[column.name] = KEEP
            sources[column.name] = "keys: keep"
    if not sources:
        return own, {}
    return TableRule(columns=columns, line=own.line if own is not None else 0), sources


def _applies(reading: Reading, column: str) -> bool:
    return isinstance(reading.rule, ColumnRule) and (reading.column is None or matches(reading.column, column))


def _ancestors(table: Table, catalog: Catalog) -> Iterator[str]:
    for parent in table.parents:
        yield str(parent)
        found = catalog.table(str(parent))
        if found is not None:
            yield from _ancestors(found, catalog)


def _whole(name: str, readings: list[Reading], faults: list[str]) -> TableRule | None:
    """Return `drop` or `exclude` by the narrowest pattern for tables, unless it has rules for columns."""
    found = {id(each.pattern): _of_table(each) for each in readings if each.column is None or each.pattern.columns}
    best = _best(name, list(found.values()), faults)
    if best is None or isinstance(best.rule, ColumnRule):
        return None
    return TableRule(whole=best.pattern.whole, line=best.pattern.line)


def _of_table(reading: Reading) -> Reading:
    """Return the reading for the comparison of whole tables: every rule for columns means that the table is copied."""
    return replace(reading, column=None, rule=reading.rule if isinstance(reading.rule, str) else KEEP)


def _best(name: str, found: list[Reading], faults: list[str]) -> Reading | None:
    """Return the narrowest pattern. It is a fault if two differ and neither matches only a part of the other."""
    if not found:
        return None
    narrow = [each for each in found if not any(_narrower(other, each) for other in found)]
    rules = {_meaning(each) for each in narrow}
    if len(rules) > 1:
        named = " and ".join(f"{each.pattern.name} (line {each.pattern.line})" for each in narrow[:2])
        faults.append(f"{name}: the patterns {named} give it different rules; add a rule for {name} itself")
    return narrow[0]


def _narrower(one: Reading, other: Reading) -> bool:
    return within(one.scope, other.scope) and not within(other.scope, one.scope)


def _meaning(reading: Reading) -> str:
    rule = reading.rule
    return rule if isinstance(rule, str) else rule.model_copy(update={"line": 0}).model_dump_json()

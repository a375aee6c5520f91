"""The plan of an export: how the policy treats every column of this database, and the units of work."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from graphlib import CycleError, TopologicalSorter

from pydantic import Field

from tasks.estate.dumps import Anonymizer, Choices, DumpedColumn, DumpedTable, Header
from tasks.estate.schema import Catalog, Column, DatabaseIdentity, Name, Stray, Table, by_name
from tasks.estate.sites import Immutable
from tasks.masking.makers.maker import Maker, Place
from tasks.masking.makers.recompute import ByTrigger, Recompute
from tasks.masking.policy import ColumnRule, Policy, TableRule

KEEP = ColumnRule()


class ColumnPlan(Immutable):
    """One column: its rule, the group of its key, and whether it is exported raw or not read at all."""

    column: Column
    rule: ColumnRule
    group: str
    raw: bool = False
    unread: bool = False
    watched: tuple[str, ...] = ()  # masked columns whose words must not occur in the rows of this kept one

    @property
    def masked(self) -> bool:
        """Return whether a maker replaces the value."""
        return self.rule.maker is not None and not self.raw and not self.unread

    @property
    def anonymizer(self) -> Anonymizer | None:
        """Return the anonymizer that switches this column's mask."""
        return anonymizer_of(self.rule)

    def place(self, table: Table, *, of_null: bool = False) -> Place:
        """Return where its maker works. `of_null`: a masked NULL is made by the row's key if the rule names no column;
        otherwise all NULLs would become one value, which shows them.
        """
        by = table.column(self.rule.by) if self.rule.by else None
        place = Place(table=table, column=self.column, group=self.group, by=by)
        return replace(place, by=place.by or place.primary) if of_null else place


class TablePlan(Immutable):
    """One table with its exported columns in order."""

    table: Table
    columns: tuple[ColumnPlan, ...]

    @property
    def makers(self) -> dict[str, tuple[Maker | None, Place]]:
        """Return the makers that must keep unique keys, by column. Recomputed columns are checked on their rows instead."""
        computed = (Recompute, ByTrigger)
        chosen = (each for each in self.columns if each.masked and not isinstance(each.rule.maker, computed))
        return {each.column.name: (each.rule.maker, each.place(self.table)) for each in chosen}

    @property
    def dumped(self) -> DumpedTable:
        """Return the table's entry in the dump's header."""
        columns = (
            DumpedColumn.of(c.column, c.rule.word if not c.unread else "unread", anonymizer=c.anonymizer, raw=c.raw)
            for c in self.columns
        )
        return DumpedTable(name=self.table.name, columns=tuple(columns))


class Unit(Immutable):
    """A unit of work: the rows of one leaf in a range of pages, `[first_page, last_page)`; None means to the end."""

    table: Name
    leaf: Name
    number: int  # of the segment in its table, from 0
    first_page: int = 0
    last_page: int | None = None
    bytes: int = 0  # on disk, estimated


class MaskingPlan(Immutable):
    """All tables of an export, parents before children. `dropped` tables are exported without rows, `excluded` ones not."""

    tables: tuple[TablePlan, ...]
    dropped: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = Field(default=())

    @property
    def anonymizers(self) -> tuple[Anonymizer, ...]:
        """Return the anonymizers that run on at least one column."""
        ran = {c.anonymizer for t in self.tables for c in t.columns if c.masked}
        return tuple(kind for kind in Anonymizer if kind in ran)

    def table(self, name: str) -> TablePlan | None:
        """Return the plan of the table that prints as `name`, or None."""
        return by_name(self, self.tables, lambda plan: str(plan.table.name)).get(name)

    def of(self, unit: Unit) -> TablePlan:
        """Return the plan of a unit's table."""
        return by_name(self, self.tables, lambda plan: str(plan.table.name))[str(unit.table)]


def anonymizer_of(rule: ColumnRule) -> Anonymizer | None:
    """Return the anonymizer of a rule: the one it names, else its maker's. A rule without one cannot be switched off."""
    return rule.anonymizer or (rule.maker.anonymizer if rule.maker is not None else None)


class Snapshot(Immutable):
    """An exported snapshot of the source. It lasts as long as the connection that exported it; the time is UTC."""

    id: str
    taken_at: datetime
    source: DatabaseIdentity


class ExportPlan(Immutable):
    """A whole export: the dump's header, the treatment of every column, and the units of work."""

    policy: str  # name of its file
    header: Header
    masking: MaskingPlan
    units: tuple[Unit, ...]
    strays: tuple[Stray, ...] = ()


def rule_for(table: Table, catalog: Catalog, policy: Policy) -> TableRule | None:
    """Return the table's own rule, or that of a table from which it inherits: a parent's mask applies to its children."""
    own = policy.tables.get(str(table.name))
    if own is not None:
        return own
    parents = [catalog.table(str(parent)) for parent in table.parents]
    return next((rule for parent in parents if parent and (rule := rule_for(parent, catalog, policy))), None)


def rules_of(catalog: Catalog, policy: Policy) -> Iterator[tuple[str, dict[str, ColumnRule]]]:
    """Yield the rules of every exported column, by table and column."""
    audit = set(audit_tables(catalog, policy))
    for table in catalog.tables:
        rule = rule_for(table, catalog, policy)
        if rule is None or rule.whole in ("drop", "exclude") or str(table.name) in audit:
            continue
        inherited = inherited_rules(table, catalog, policy)
        yield (
            str(table.name),
            {c.name: KEEP if rule.whole == "keep" else inherited.get(c.name, KEEP) for c in table.copied},
        )


def inherited_rules(table: Table, catalog: Catalog, policy: Policy) -> dict[str, ColumnRule]:
    """Return the table's column rules over those of its inheritance parents."""
    rules: dict[str, ColumnRule] = {}
    for parent in reversed([catalog.table(str(name)) for name in table.parents]):
        if parent is not None:
            rules |= inherited_rules(parent, catalog, policy)
    own = policy.tables.get(str(table.name))
    return rules | (own.columns if own is not None else {})


def audit_tables(catalog: Catalog, policy: Policy) -> list[str]:
    """Return the application's audit table in a list, which is empty if the database has none."""
    return [policy.audit.table] if catalog.table(policy.audit.table) is not None else []


def whole_tables(catalog: Catalog, policy: Policy, kind: str) -> Iterator[str]:
    """Yield the tables that the policy treats as a whole in this way ("drop", "exclude")."""
    for table in catalog.tables:
        rule = rule_for(table, catalog, policy)
        if rule is not None and rule.whole == kind:
            yield str(table.name)


def parents_first(catalog: Catalog) -> list[Table]:
    """Return the tables in an order in which foreign keys find what they refer to, as far as circles allow."""
    by_name = {str(table.name): table for table in catalog.tables}
    before: dict[str, set[str]] = {name: set() for name in by_name}
    for key in catalog.foreign_keys:
        child, parent = str(key.table), str(key.references)
        if child in by_name and parent in by_name and child != parent:
            before[child].add(parent)
    while True:
        try:
            return [by_name[name] for name in TopologicalSorter(before).static_order()]
        except CycleError as error:
            circle = error.args[1]  # [a, b, …, a], each before the next
            before[circle[1]].discard(circle[0])


def table_plan(
    table: Table, rules: dict[str, ColumnRule], groups: dict[tuple[str, str], str], choices: Choices
) -> TablePlan:
    """Return the plan of one table from the rules of its columns."""
    columns = []
    for column in table.copied:
        rule = rules[column.name]
        kind = anonymizer_of(rule)
        binary = kind is Anonymizer.ATTACHMENTS and column.base == "bytea"
        columns.append(
            ColumnPlan(
                column=column,
                rule=rule,
                group=groups.get((str(table.name), column.name), f"{table.name}.{column.name}"),
                raw=kind is not None and kind in choices.opted_out,
                unread=binary and not choices.attachments,
            )
        )
    return TablePlan(table=table, columns=tuple(columns))

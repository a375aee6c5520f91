"""The masking plan: what becomes of every column of this database under this policy, or why it cannot be said.

Fails closed: a table or column that the policy does not name, a rule that names nothing, a maker that does not fit, a key
or a foreign key that would break, all are faults, and every one of them is named at once.
"""

from collections.abc import Iterator
from datetime import datetime
from graphlib import CycleError, TopologicalSorter

from pydantic import Field

from tasks.dumps.grouping import groups_of
from tasks.dumps.uniqueness import key_faults
from tasks.estate.dumps import Anonymizer, DumpedColumn, DumpedTable, Header
from tasks.estate.errors import PolicyRefused
from tasks.estate.sites import Frozen
from tasks.estate.tables import Catalog, Column, DatabaseIdentity, Name, Stray, Table
from tasks.masking.makers.making import Place
from tasks.masking.policy import ColumnRule, Policy, TableRule

KEEP = ColumnRule()


class Choices(Frozen):
    """What a person chose in the form. `opted_out` needs the risk phrase; that is checked before a plan is made."""

    attachments: bool = True
    opted_out: tuple[Anonymizer, ...] = ()


class ColumnPlan(Frozen):
    """One column: its rule, the group of its key, and whether it travels raw or is not read at all."""

    column: Column
    rule: ColumnRule
    group: str
    raw: bool = False
    unread: bool = False

    @property
    def masked(self) -> bool:
        """Whether a maker replaces the value."""
        return self.rule.maker is not None and not self.raw and not self.unread

    @property
    def anonymizer(self) -> Anonymizer | None:
        """The switch this column belongs to."""
        return anonymizer_of(self.rule)

    def place(self, table: Table) -> Place:
        """Where its maker works."""
        by = table.column(self.rule.by) if self.rule.by else None
        return Place(table=table, column=self.column, group=self.group, by=by)


class TablePlan(Frozen):
    """One table with its copied columns in order."""

    table: Table
    columns: tuple[ColumnPlan, ...]

    @property
    def dumped(self) -> DumpedTable:
        """The entry of the dump's header."""
        columns = (
            DumpedColumn.of(c.column, c.rule.word if not c.unread else "unread", anonymizer=c.anonymizer, raw=c.raw)
            for c in self.columns
        )
        return DumpedTable(name=self.table.name, columns=tuple(columns))


class Unit(Frozen):
    """A unit of work: the rows of one leaf in a range of pages, `[first_page, last_page)`; None = to the end."""

    table: Name
    leaf: Name
    number: int  # of the segment in its table, from 0
    first_page: int = 0
    last_page: int | None = None
    bytes: int = 0  # on disk, estimated; the share of the whole


class MaskingPlan(Frozen):
    """Everything an export does, parents before children. `dropped` tables travel without rows, `excluded` ones not."""

    tables: tuple[TablePlan, ...]
    dropped: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = Field(default=())

    @property
    def anonymizers(self) -> tuple[Anonymizer, ...]:
        """The anonymizers that run on at least one column."""
        ran = {c.anonymizer for t in self.tables for c in t.columns if c.masked and c.anonymizer}
        return tuple(kind for kind in Anonymizer if kind in ran)

    def table(self, name: str) -> TablePlan | None:
        """The plan of the table that prints as `name`."""
        return next((table for table in self.tables if str(table.table.name) == name), None)

    def of(self, unit: Unit) -> TablePlan:
        """The plan of a unit's table."""
        return next(table for table in self.tables if table.table.name == unit.table)


def anonymizer_of(rule: ColumnRule) -> Anonymizer | None:
    """The switch a rule belongs to: its own word, else its maker's kind. None is never switched off."""
    return rule.anonymizer or (rule.maker.anonymizer if rule.maker is not None else None)


def draft_masking(catalog: Catalog, policy: Policy, choices: Choices) -> MaskingPlan:
    """The plan. Raises `PolicyRefused` naming every fault and what to add."""
    faults = [*_unknown_names(catalog, policy), *_unclassified(catalog, policy)]
    if catalog.identity.encoding == "SQL_ASCII":
        faults.append(
            "the database has the encoding SQL_ASCII: its text may be anything; expected UTF8 or another real one"
        )
    rules = dict(rules_of(catalog, policy))
    groups, group_faults = groups_of(catalog, policy, rules)
    faults += group_faults
    wanted = [table for table in parents_first(catalog) if str(table.name) in rules]
    plans = [table_plan(table, rules[str(table.name)], groups, choices) for table in wanted]
    for plan in plans:
        faults += _maker_faults(plan)
        faults += key_faults(
            plan.table, {c.column.name: (c.rule.maker, c.place(plan.table)) for c in plan.columns if c.masked}
        )
    faults += [
        f"{stray.where}: holds what looks like {stray.what}" for stray in catalog.strays if stray.kind == "generated"
    ]
    if faults:
        shown = "; ".join(faults[:SHOWN]) + (f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else "")
        raise PolicyRefused(
            f"The policy for {policy.app!r} does not fit the database {catalog.identity.database}: {shown}."
        )
    return MaskingPlan(
        tables=tuple(plans),
        dropped=tuple(_whole(catalog, policy, "drop")),
        excluded=tuple(sorted({*_whole(catalog, policy, "exclude"), *_audit(catalog, policy)})),
        left_out=catalog.left_out,
        notes=tuple(_notes(plans)),
    )


class Snapshot(Frozen):
    """An exported snapshot of the source, by its id; it lives as long as the connection that holds it. UTC."""

    id: str
    taken_at: datetime
    source: DatabaseIdentity


class ExportPlan(Frozen):
    """A whole export: what the dump will say of itself, what becomes of every column, and the units of work."""

    policy: str  # name of its file
    header: Header
    masking: MaskingPlan
    units: tuple[Unit, ...]
    strays: tuple[Stray, ...] = ()


SHOWN = 40  # faults in one message; a policy for an unknown database would fill a page


def rule_for(table: Table, catalog: Catalog, policy: Policy) -> TableRule | None:
    """The table's own rule, or that of a table it inherits from: a mask on the parent holds for its children."""
    own = policy.tables.get(str(table.name))
    if own is not None or not table.parents:
        return own
    parents = [catalog.table(str(parent)) for parent in table.parents]
    return next((rule for parent in parents if parent and (rule := rule_for(parent, catalog, policy))), None)


def rules_of(catalog: Catalog, policy: Policy) -> Iterator[tuple[str, dict[str, ColumnRule]]]:
    """The rule of every column that travels, by table and column."""
    audit = set(_audit(catalog, policy))
    for table in catalog.tables:
        rule = rule_for(table, catalog, policy)
        if rule is None or rule.whole in ("drop", "exclude") or str(table.name) in audit:
            continue
        inherited = _inherited(table, catalog, policy)
        yield (
            str(table.name),
            {c.name: KEEP if rule.whole == "keep" else inherited.get(c.name, KEEP) for c in table.copied},
        )


def _inherited(table: Table, catalog: Catalog, policy: Policy) -> dict[str, ColumnRule]:
    """The table's column rules over those of its inheritance parents."""
    rules: dict[str, ColumnRule] = {}
    for parent in reversed([catalog.table(str(name)) for name in table.parents]):
        if parent is not None:
            rules |= _inherited(parent, catalog, policy)
    own = policy.tables.get(str(table.name))
    return rules | (own.columns if own is not None else {})


def _audit(catalog: Catalog, policy: Policy) -> list[str]:
    return [policy.audit.table] if catalog.table(policy.audit.table) is not None else []


def _whole(catalog: Catalog, policy: Policy, kind: str) -> Iterator[str]:
    for table in catalog.tables:
        rule = rule_for(table, catalog, policy)
        if rule is not None and rule.whole == kind:
            yield str(table.name)


def _unknown_names(catalog: Catalog, policy: Policy) -> Iterator[str]:
    """Rules that name nothing: a typo in a table or column would leave the real one unmasked."""
    for name, rule in policy.tables.items():
        table = catalog.table(name)
        if table is None:
            if rule.whole is None:  # a whole table that is gone is no risk
                yield f"line {rule.line}: the database has no table {name}"
            continue
        for column, said in rule.columns.items():
            found = table.column(column)
            if found is None:
                yield f"line {said.line}: {name} has no column {column}"
            elif found.generated and said.maker is not None:
                yield f"line {said.line}: {name}.{column} is generated and never copied; mask what it is computed from"
            elif said.by and table.column(said.by) is None:
                yield f"line {said.line}: {name}.{column}: by: {name} has no column {said.by}"


def _unclassified(catalog: Catalog, policy: Policy) -> Iterator[str]:
    audit = set(_audit(catalog, policy))
    for table in catalog.tables:
        rule = rule_for(table, catalog, policy)
        if rule is None and str(table.name) not in audit:
            yield f"the table {table.name} is not classified; add it to the policy (columns, keep, drop or exclude)"
        elif rule is not None and rule.whole is None:
            named = _inherited(table, catalog, policy)
            for column in table.copied:
                if column.name not in named:
                    yield f"the column {table.name}.{column.name} ({column.type}) is not classified; add keep or a maker"


def parents_first(catalog: Catalog) -> list[Table]:
    """Tables in an order in which foreign keys find what they point at, as far as there is one."""
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
    """The plan of one table from the rules of its columns."""
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


def _maker_faults(plan: TablePlan) -> Iterator[str]:
    for each in plan.columns:
        if each.rule.maker is None:
            continue
        told = each.rule.maker.problems(each.place(plan.table))
        if each.rule.nulls == "equalise" and each.column.not_null:
            told.append("nulls: equalise makes every value NULL, but the column is NOT NULL")
        if each.rule.by and plan.table.column(each.rule.by) is None:
            told.append(f"by: there is no column {each.rule.by}")
        yield from (f"line {each.rule.line}: {plan.table.name}.{each.column.name}: {problem}" for problem in told)


def _notes(plans: list[TablePlan]) -> Iterator[str]:
    for plan in plans:
        if plan.table.primary is None:
            yield f"{plan.table.name} has no primary key"
        for each in plan.columns:
            if each.rule.maker is not None and not each.rule.maker.has_python_twin:
                yield f"{plan.table.name}.{each.column.name}: {each.rule.word} works in the database only; a raw dump cannot be loaded"

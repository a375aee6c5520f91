"""The trial of a load before the approval: rows are written to temporary copies of staging's tables with other definitions.

Staging's own server checks them, with its types, CHECKs, keys and partitions; everything is rolled back. What cannot be
tried is a doubt of the plan. Tables whose demands the dump promises already (tasks/dumps/row_requirements.py) are not read.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from tasks.dumps.catalog import query_catalog
from tasks.dumps.connections import role_search_path, without_values
from tasks.dumps.dump_reader import Event, Segment
from tasks.dumps.load import without_skipped
from tasks.dumps.refused_rows import refused_row_fault
from tasks.dumps.row_requirements import Requirement, Requirements, unproven_requirements
from tasks.dumps.row_sources import count_rows, rows_of
from tasks.dumps.trial_tables import TrialTable, TrialTableBuilder, ValueSums
from tasks.estate.dumps import LoadOrder, LoadPlan
from tasks.estate.errors import DumpRefused
from tasks.estate.planning_faults import Fault, as_facts, listed
from tasks.estate.relations import Resolver
from tasks.estate.schema import Catalog, Table

Connection = psycopg.Connection[Any]
MOST_ROWS = 2_000_000  # of one table; a trial of more takes as long as a load and fills staging's disk
REFUSED = ("22", "23", "54")  # SQLSTATE classes in which staging refuses a value or a row each time
SHOWN = 20  # faults in one message


def require_rows_accepted(
    connection: Connection, plan: LoadPlan, catalog: Catalog, events: Callable[[], Iterator[Event]]
) -> tuple[Fault, ...]:
    """Return the plan's doubts: those that the trial leaves open, and requirements that could not be tried.

    Raise `DumpRefused` with every table that refuses rows.
    """
    trial = Trial(connection, plan, catalog)
    if trial.copies:
        trial.run(events)
    if faults := trial.faults:
        raise DumpRefused(
            f"Staging refuses rows of the dump: {listed(faults, SHOWN)}.",
            next_step="Nothing was loaded. Run the application's migrations or these statements on staging, then start again.",
            faults=as_facts(faults),
        )
    settled = {name for name, copy in trial.copies.items() if not copy.problem}
    left = (doubt for doubt in plan.doubts if doubt.kind != "partition" or doubt.table not in settled)
    return tuple(dict.fromkeys((*left, *trial.doubts())))


class Trial:
    """The trial of a load: the tables that must be tried, and the results."""

    def __init__(self, connection: Connection, plan: LoadPlan, catalog: Catalog) -> None:
        self._connection, self._plan, self._catalog = connection, plan, catalog
        self._resolver, self._demands = Resolver.of(catalog), Requirements(connection, catalog)
        self._rows = {str(order.name): order.rows for order in plan.tables}
        self._dumped = {str(table.name): table for table in plan.header.tables}
        self._watched = bool(query_catalog(connection, "event_triggers"))  # whether DDL runs the application's code
        self._calling: list[tuple[Table, Requirement, str]] = []
        self.faults: list[Fault] = []
        self._changed: list[Fault] = []
        self._keys: list[Requirement] = []
        self.copies: dict[str, TrialTable] = {}
        found = {str(order.name): self._open(order) for order in plan.tables if order.rows}
        ends = {str(name) for key in self._keys if key.key for name in (key.key.table, key.key.references)}
        for name, copy in found.items():
            if copy is not None and (copy.demands or name in ends):
                self.copies[name] = copy
        for copy in self.copies.values():
            copy.problem, copy.sums = self._problem(copy), _sums(copy)

    def _open(self, order: LoadOrder) -> TrialTable | None:
        """Return the table with the requirements that the dump does not prove."""
        name = str(order.name)
        table, dumped = self._catalog.table(name), self._dumped[name]
        if table is None:
            return None
        given = {*order.columns} - {*order.skipped}
        demands = [d for d in self._demands.of(table) if _concerns(d, table, given)]
        calling = {d.constraint: f for d in demands if (f := self._demands.reading_others(d, table))}
        self._calling += [
            (table, d, ", ".join(calling[d.constraint]))
            for d in demands
            if d.constraint in calling and d.kind == "check"
        ]
        rest = [d for d in demands if not (d.kind == "check" and d.constraint in calling)]
        missing = unproven_requirements(rest, dumped.promises, dumped.sampled, order.rows)
        null = {column.name for column in dumped.columns if column.rule == "null"}
        keys = [d for d in self._demands.keys(table) if not {*d.columns} & null and {*d.columns} <= given]
        here = [d for d in keys if d.key and str(d.key.references) in self._rows]
        self._keys += unproven_requirements(here, dumped.promises, dumped.sampled, order.rows)
        self._keys += [d for d in keys if d not in here]  # rows that staging keeps or deletes are not production's
        return TrialTable(table, dumped, order, missing, [*calling])

    def _problem(self, copy: TrialTable) -> str:
        """Return why a table's rows cannot be tried, or an empty string."""
        if self._watched:
            return "an event trigger would run the application's code"
        if any(name == copy.table.name for name, _ in self._plan.firing):
            return "a trigger computes columns of it while rows are written"
        if any(column.raw for column in copy.dumped.columns):
            return "the dump contains personal data in it, which must not reach staging before the load is approved"
        if copy.order.rows > MOST_ROWS:
            return f"it has {copy.order.rows} rows; at most {MOST_ROWS} are tried"
        return ""

    def run(self, events: Callable[[], Iterator[Event]]) -> None:
        """Try the rows, in a transaction that is rolled back."""
        wanted = {name: copy for name, copy in self.copies.items() if not copy.problem}
        if not wanted:
            return
        with self._connection.transaction(force_rollback=True):
            for number, copy in enumerate(wanted.values()):
                try:
                    with self._connection.transaction():
                        TrialTableBuilder(
                            self._connection, self._catalog, self._resolver, copy, f"understudy_try_{number}"
                        ).make()
                except psycopg.Error as error:
                    copy.problem = f"no copy could be made ({without_values(error)})"
            with role_search_path(self._connection):
                self._fill(events, {name: copy for name, copy in wanted.items() if not copy.problem})
                for copy in wanted.values():
                    self._compare(copy)
            for key in self._keys:
                self._find_orphans(key)
        self.faults += [copy.fault for copy in self.copies.values() if copy.fault is not None]

    def _fill(self, events: Callable[[], Iterator[Event]], wanted: dict[str, TrialTable]) -> None:
        last = max((n for n, table in enumerate(self._plan.header.tables) if str(table.name) in wanted), default=-1)
        later = {str(table.name) for table in self._plan.header.tables[last + 1 :]}
        for event in events():
            if not isinstance(event, Segment):
                continue
            if str(event.table) in later:
                break
            copy = wanted.get(str(event.table))
            if copy is not None and copy.fault is None and not copy.problem:
                self._attempt(copy, lambda copy=copy, blocks=event.blocks: self._write(copy, blocks))  # type: ignore[misc]  # mypy infers no type for a lambda's defaults

    def _attempt(self, copy: TrialTable, act: Callable[[], None]) -> None:
        try:
            with self._connection.transaction():
                act()
                self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            if self._connection.closed or (error.sqlstate or "")[:2] not in REFUSED:
                copy.problem = f"the trial ended with {without_values(error)}"
                if self._connection.closed:
                    raise
            else:
                names = {temporary: name for name, temporary in copy.temporary.items()}
                copy.fault = refused_row_fault(error, copy.table, copy.dumped, names)

    def _write(self, copy: TrialTable, blocks: Iterable[bytes]) -> None:
        order, target = copy.order, Identifier("pg_temp", copy.temporary[copy.table.name])
        wanted = [column for column in order.columns if column not in order.skipped]
        if not wanted:
            rows = Literal(sum(block.count(b"\n") for block in blocks))
            self._connection.execute(SQL("INSERT INTO {} SELECT FROM generate_series(1, {})").format(target, rows))
            return
        statement = SQL("COPY {} ({}) FROM STDIN").format(target, SQL(", ").join(map(Identifier, wanted)))
        with self._connection.cursor() as cursor, cursor.copy(statement) as writing:
            left = without_skipped(order, blocks) if order.skipped else blocks
            for block in copy.sums.summed(left) if copy.sums is not None else left:
                writing.write(block)

    def _compare(self, copy: TrialTable) -> None:
        """Report the columns whose values staging would change."""
        if copy.sums is None or copy.fault is not None or copy.problem:
            return
        types = {column.name: column.type for column in copy.dumped.columns}
        for name in copy.sums.changed_columns(self._connection, Identifier("pg_temp", copy.temporary[copy.table.name])):
            column = copy.table.column(name)
            theirs = column.type if column is not None else "type"
            message = f"{copy.name}.{name}: in the dump it is {types[name]}; staging's {theirs} changes values"
            remedy = f"on staging: ALTER TABLE {copy.name} ALTER COLUMN {name} TYPE {types[name]}"
            self._changed.append(Fault("changed", message, copy.name, name, remedy))

    def _find_orphans(self, demand: Requirement) -> None:
        """Report the rows of a table that would refer to rows that do not exist."""
        key = demand.key
        child = self.copies.get(str(key.table)) if key is not None else None
        if key is None or child is None or child.problem or child.fault is not None:
            return
        parent = self._parent(str(key.references))
        if parent is None:
            return
        temporary = Identifier("pg_temp", child.temporary[key.declared_on])
        try:
            with self._connection.transaction():
                full = "MATCH FULL" in key.definition
                orphaned = _orphaned(parent, key.columns, key.referenced_columns, full)
                count = count_rows(self._connection, SQL("{} AS c").format(temporary), orphaned)
        except psycopg.Error as error:
            child.problem = f"the foreign key {key.name} could not be tried ({without_values(error)})"
            return
        if count:
            columns = ", ".join(key.columns)
            self.faults.append(
                Fault(
                    "foreign-key",
                    f"{key.declared_on}.{columns}: {count} rows of the dump refer to rows that {key.references} will not have;"
                    f" the foreign key {key.name} on staging expects them",
                    str(key.table), key.columns[0],
                    f"export {key.references}, mask the column with null, or on staging: ALTER TABLE {key.declared_on}"
                    f" DROP CONSTRAINT {key.name}",
                )
            )  # fmt: skip

    def _parent(self, name: str) -> Composed | None:
        """Return the rows that a table will have after the load, or None if they are not known."""
        table = self._catalog.table(name)
        if table is None:
            return None
        if name in self._plan.emptied or self._rows.get(name) == 0:
            return SQL("(SELECT * FROM {} WHERE false)").format(rows_of(table))
        if name not in self._rows:
            return SQL("(SELECT * FROM {})").format(rows_of(table))
        copy = self.copies[name]
        if copy.problem or copy.fault is not None:
            return None
        return SQL("(SELECT * FROM {})").format(Identifier("pg_temp", copy.temporary[table.name]))

    def doubts(self) -> Iterator[Fault]:
        """Yield what was not tried, and CHECKs whose result depends on other tables."""
        for table, demand, functions in self._calling:
            yield Fault(
                "check",
                f"{demand.where}: the CHECK {demand.constraint} calls {functions}, which may read tables that are being replaced",
                str(table.name), remedy="on staging: drop it, or make it NOT VALID, and have a trigger check it",
            )  # fmt: skip
        yield from self._changed
        for copy in self.copies.values():
            for demand in copy.demands if copy.problem else ():
                yield self._doubt(copy, demand, copy.problem)
        for demand in self._keys:
            if demand.key is None:
                continue
            ends = [self.copies.get(str(name)) for name in (demand.key.table, demand.key.references)]
            child = ends[0]
            why = next((end.problem for end in ends if end is not None and end.problem), "")
            if child is not None and why:
                yield self._doubt(child, demand, why)

    def _doubt(self, copy: TrialTable, demand: Requirement, why: str) -> Fault:
        column = demand.columns[0] if len(demand.columns) == 1 else ""
        found = next((f"; in the dump it is {c.type}" for c in copy.dumped.columns if c.name == column), "")
        return Fault(
            demand.kind,
            f"{demand.where or copy.name}: staging requires of each row that {demand.words}{found if demand.kind == 'type' else ''};"
            f" the dump does not prove that, and its rows were not tried: {why}",
            copy.name, column, remedy="compare the definitions, and run the application's migrations on staging",
        )  # fmt: skip


def _sums(copy: TrialTable) -> ValueSums | None:
    wanted = [column for column in copy.order.columns if column not in copy.order.skipped]
    differing = {demand.columns[0] for demand in copy.demands if demand.kind == "type"} & {*wanted}
    types = {column.name: column.type for column in copy.dumped.columns if column.name in differing}
    return ValueSums(wanted, types) if types else None


def _concerns(demand: Requirement, table: Table, given: set[str]) -> bool:
    """Return whether the dump's rows can fail the requirement: its type matters only if the column gets a value."""
    if demand.kind == "type" and demand.columns[0] not in given:
        column = table.column(demand.columns[0])
        return column is not None and column.generated
    return True


def _orphaned(parent: Composed, columns: tuple[str, ...], referenced: tuple[str, ...], full: bool) -> Composed:
    pairs = [
        SQL("p.{} = c.{}").format(Identifier(theirs), Identifier(mine))
        for mine, theirs in zip(columns, referenced, strict=True)
    ]
    nulls = SQL("num_nulls({})").format(SQL(", ").join(Identifier("c", name) for name in columns))
    mixed = SQL("{} BETWEEN 1 AND {}").format(nulls, Literal(len(columns) - 1)) if full else SQL("false")
    return SQL("{} = 0 AND NOT EXISTS (SELECT FROM {} AS p WHERE {}) OR {}").format(
        nulls, parent, SQL(" AND ").join(pairs), mixed
    )

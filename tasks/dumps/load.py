"""The load of a dump: one transaction, verified before it commits; until then staging is unchanged."""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Identifier, Literal

from tasks.dumps.catalog import identifier
from tasks.dumps.connections import configure, role_search_path, without_values
from tasks.dumps.dump_reader import Event, SealedProof, Segment
from tasks.dumps.export_plan import parents_first
from tasks.dumps.leak_search import HashedValues
from tasks.dumps.load_privileges import populated_views
from tasks.dumps.row_sources import rows_of
from tasks.dumps.sequences import restart_sequences
from tasks.dumps.staging_marker import write_marker
from tasks.dumps.triggers_and_constraints import add_constraint, disabled_triggers, dropped_unvalidated, rebuilt_indexes
from tasks.dumps.verify_load import verify_loaded
from tasks.estate.dumps import Loaded, LoadOrder, LoadPlan, Trailer
from tasks.estate.errors import DestinationBusy, NotLoaded, OutcomeUnknown
from tasks.estate.relations import Resolver
from tasks.estate.schema import Catalog, ForeignKey, Kind, Name, Table
from tasks.masking.policy import Policy

Blocks = Iterable[bytes]
Remask = Callable[[Segment, Blocks], Blocks]
OnTableLoaded = Callable[[str, int], None]
ALONE = 0x756E64657273  # advisory lock of this database: one load at a time
REFUSED_COMMIT = re.compile(
    "23...|40(?!003)..."
)  # SQLSTATEs of a rollback: constraints, conflicts; 40003 is "not known"
LARGE = 10_000  # rows; below, maintaining an index takes milliseconds
PATIENCE = "3s"  # a server may need a moment to end the session of a process that is gone


def require_no_other_load(connection: psycopg.Connection[Any]) -> None:
    """Take the lock of loads until the connection is closed. Raise `DestinationBusy` if another session keeps it."""
    try:
        with connection.transaction():
            configure(connection, {"lock_timeout": PATIENCE})
            connection.execute("SELECT pg_advisory_lock(%s)", (ALONE,))
    except psycopg.errors.LockNotAvailable:
        raise DestinationBusy("Another load of this target is running; expected none.") from None


def require_stored_here(written: Iterable[Table]) -> None:
    """Raise `NotLoaded` if a table to be emptied has rows on another server; the plan refuses such tables too."""
    for table in written:
        if table.foreign_leaves:
            raise NotLoaded(
                f"{table.name} has the foreign partition {table.foreign_leaves[0]}: emptying it would change another server."
            )


class Load:
    """One load on one connection (autocommit, not reading). `lifted`: foreign keys to drop and make again.

    `unsealed` returns the hashes of the dump's proof; `remask` replaces raw values before they are written;
    `on_table_loaded(table, rows)` is called as the rows of a table grow.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        plan: LoadPlan,
        catalog: Catalog,
        policy: Policy,
        lifted: list[ForeignKey],
        *,
        unsealed: Callable[[SealedProof], HashedValues | None] = lambda sealed: None,
        remask: Remask | None = None,
        on_table_loaded: OnTableLoaded = lambda table, rows: None,
    ) -> None:
        self._connection, self._plan, self._catalog, self._policy = connection, plan, catalog, policy
        self._lifted, self._unsealed, self._remask, self._on_table_loaded = lifted, unsealed, remask, on_table_loaded
        self._secrets: HashedValues | None = None
        self._rows: dict[str, int] = {}

    def run(self, events: Iterable[Event]) -> Loaded:
        """Load and commit, on a connection that holds the lock of loads. Raise `OutcomeUnknown` if the commit's answer was lost.

        Every other error is raised after a rollback: `NotLoaded`, `LeakFound` if verification found personal data, and
        those of reading the dump.
        """
        started = time.monotonic()
        self._connection.execute("BEGIN")
        try:
            checks = self._inside(events)
        except psycopg.Error as error:
            self._roll_back()
            raise NotLoaded(f"The load was rolled back: {without_values(error)}.") from None
        except BaseException:  # also a cancelled run: no row may stay
            self._roll_back()
            raise
        self._commit()
        return Loaded(
            rows=tuple(self._rows.items()),
            checks=checks,
            committed_at=datetime.now(UTC),
            took_seconds=round(time.monotonic() - started, 3),
        )

    def _roll_back(self) -> None:
        if not self._connection.closed:
            try:
                self._connection.execute("ROLLBACK")
            except psycopg.Error:
                self._connection.close()  # the server rolls back when the connection is lost

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error as error:
            answered = self._connection.info.transaction_status is TransactionStatus.IDLE
            if answered and error.sqlstate and REFUSED_COMMIT.fullmatch(error.sqlstate):
                raise NotLoaded(f"The load was rolled back at its commit: {without_values(error)}.") from None
            raise OutcomeUnknown(
                f"The answer to the commit was lost ({without_values(error)}).",
                next_step="Retry this run: it looks for its marker on staging and does not load again.",
            ) from None
        except BaseException as error:  # the run was stopped while it waited for the answer
            raise OutcomeUnknown(f"The answer to the commit was not waited for ({type(error).__name__}).") from error

    def _inside(self, events: Iterable[Event]) -> tuple[tuple[str, str], ...]:
        names = {*self._plan.emptied, *(str(order.name) for order in self._plan.tables)}
        written = [table for table in parents_first(self._catalog) if str(table.name) in names]
        for name in names - {str(table.name) for table in written}:
            raise NotLoaded(f"Staging has no table {name} any more; the plan was drafted when it had.")
        require_stored_here(written)
        tables = {table.name for table in written}
        with (
            disabled_triggers(self._connection, tables, self._plan.firing),
            dropped_unvalidated(self._connection, tables),
        ):
            with role_search_path(self._connection):
                self._lift()
                with rebuilt_indexes(self._connection, self._rebuilt(written)):
                    self._empty(written)
                    self._fill(events)
                # Deferred constraints are checked now: pending checks forbid ALTER TABLE, and a commit should not fail.
                self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                self._restore_foreign_keys()
                restart_sequences(self._connection, self._plan, self._catalog)
                self._refresh()
                self._analyze(written)
            checks = verify_loaded(self._connection, self._plan, self._catalog, self._policy, self._rows, self._secrets)
        write_marker(self._connection, self._plan, banner_text(self._plan))
        return checks

    def _rebuilt(self, written: list[Table]) -> set[Name]:
        """Return the tables whose indexes are built after their rows: large ones, if readers wait for the commit anyway."""
        if self._plan.readers == "stay":
            return set()
        large = {str(order.name) for order in self._plan.tables if order.rows >= LARGE}
        return {table.name for table in written if str(table.name) in large}

    def _refresh(self) -> None:
        """Refresh the materialized views. Raise `NotLoaded` with the view that fails."""
        for view in populated_views(self._connection, self._catalog, self._plan):
            try:
                self._connection.execute(SQL("REFRESH MATERIALIZED VIEW {}").format(identifier(view)))
            except psycopg.errors.UndefinedFunction as error:  # PostgreSQL 17 refreshes with a restricted search_path
                raise NotLoaded(
                    f"The materialized view {view} cannot be refreshed: {without_values(error)}.",
                    next_step="The target is unchanged. Since PostgreSQL 17 a refresh finds functions only with their "
                    "schema: qualify them in the view and in the functions that it calls.",
                ) from None

    def _analyze(self, written: list[Table]) -> None:
        """Analyze the tables, except those with inheritance children on other servers, which ANALYZE would read.

        Since PostgreSQL 17 ANALYZE has a restricted search_path, in which an index expression may not find its function:
        such a table gets no new statistics, as with autovacuum.
        """
        resolver = Resolver.of(self._catalog)
        for table in written:
            if not any(heir.kind is Kind.FOREIGN for heir in resolver.heirs(table.name)):
                with suppress(psycopg.errors.UndefinedFunction), self._connection.transaction():
                    self._connection.execute(SQL("ANALYZE {}").format(identifier(table.name)))

    def _lift(self) -> None:
        for key in self._lifted:
            self._connection.execute(
                SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(identifier(key.declared_on), Identifier(key.name))
            )

    def _restore_foreign_keys(self) -> None:
        """Add the dropped foreign keys again; PostgreSQL checks each against all rows.

        The key of a kept table becomes NOT VALID, because its rows may refer to rows that no longer exist.
        """
        for key in self._lifted:
            definition = key.definition.removesuffix(" NOT VALID")
            unchecked = str(key.table) in {*self._plan.kept, *self._plan.untouched} or not key.validated
            if unchecked and not definition.endswith(" NOT ENFORCED"):
                definition += " NOT VALID"
            add_constraint(self._connection, key.declared_on, key.name, definition, key.comment)

    def _empty(self, written: list[Table]) -> None:
        """Empty the tables, children first. TRUNCATE is fast and makes readers wait; with DELETE they see the old rows."""
        if self._plan.readers == "wait":
            if written:
                self._connection.execute(SQL("TRUNCATE {}").format(SQL(", ").join(map(rows_of, written))))
            return
        for table in reversed(written):
            self._connection.execute(SQL("DELETE FROM {}").format(rows_of(table)))

    def _fill(self, events: Iterable[Event]) -> None:
        orders = {str(order.name): order for order in self._plan.tables}
        self._rows = dict.fromkeys(orders, 0)
        lifted = {(key.declared_on, key.name) for key in self._lifted}
        left = (key for key in self._catalog.foreign_keys if (key.declared_on, key.name) not in lifted)
        held = {key.table for key in left if key.table == key.references}
        for event, segments in groupby(events, key=lambda event: _together(event, held)):
            if isinstance(event, Trailer) and event.digest != self._plan.digest:
                raise NotLoaded(f"The dump {self._plan.dump} is not the one that was planned; expected its digest.")
            if isinstance(event, SealedProof):
                self._secrets = self._unsealed(event)
            if not isinstance(event, tuple):
                continue
            order = orders.get(str(event[0]))
            if order is None:
                continue  # the reader skips its rows and still checks its digest
            self._rows[str(order.name)] += self._copy(order, self._blocks(segments))
            self._on_table_loaded(str(order.name), self._rows[str(order.name)])

    def _blocks(self, segments: Iterable[Event]) -> Blocks:
        for segment in segments:
            if isinstance(segment, Segment):
                yield from segment.blocks if self._remask is None else self._remask(segment, segment.blocks)

    def _copy(self, order: LoadOrder, blocks: Blocks) -> int:
        wanted = [column for column in order.columns if column not in order.skipped]
        if not wanted:
            return self._copy_nothing(order, blocks)
        columns = SQL(", ").join(map(Identifier, wanted))
        statement = SQL("COPY {} ({}) FROM STDIN").format(identifier(order.name), columns)
        with self._connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for block in without_skipped(order, blocks) if order.skipped else blocks:
                    copy.write(block)
            return cursor.rowcount

    def _copy_nothing(self, order: LoadOrder, blocks: Blocks) -> int:
        """Insert empty rows into a table without a column to write."""
        rows = sum(block.count(b"\n") for block in blocks)
        statement = SQL("INSERT INTO {} SELECT FROM generate_series(1, {})").format(
            identifier(order.name), Literal(rows)
        )
        return self._connection.execute(statement).rowcount


def without_skipped(order: LoadOrder, blocks: Blocks) -> Blocks:
    """Remove the columns that staging lacks: their values, perhaps raw, never reach its disk or log."""
    kept = [place for place, column in enumerate(order.columns) if column not in order.skipped]
    for block in blocks:
        rows = (line.split(b"\t") for line in block.split(b"\n")[:-1])
        yield b"".join(b"\t".join([row[place] for place in kept]) + b"\n" for row in rows)


def _together(event: Event, held: set[Name]) -> Event | tuple[Name, int | None]:
    """Return the key of segments that one statement writes: all of a table that refers to itself, so that its rows find
    each other. Other segments get a statement each, because PostgreSQL keeps a statement's pending checks in memory.
    """
    if isinstance(event, Segment):
        return (event.table, None if event.table in held else event.number)
    return event


def banner_text(plan: LoadPlan) -> str:
    """Return the text for the application's banner. A copy with its row ids is pseudonymised, never anonymous."""
    when = f"{plan.header.exported_at:%Y-%m-%d %H:%M} UTC"
    kind = "copy that CONTAINS PERSONAL DATA" if plan.arrives_raw else "pseudonymised copy"
    return f"Staging data: {kind} of {plan.header.source_host} of {when}."

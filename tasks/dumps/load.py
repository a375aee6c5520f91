"""Load: everything in one transaction, verified before it commits; until then staging is as it was."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from tasks.dumps.attack import Secrets
from tasks.dumps.catalog import asked, identifier
from tasks.dumps.connecting import without_values
from tasks.dumps.marker import write_marker
from tasks.dumps.masks import rows_of
from tasks.dumps.planning import parents_first
from tasks.dumps.reading import Event, Segment
from tasks.dumps.verify import verify_loaded
from tasks.estate.dumps import Loaded, LoadOrder, LoadPlan, Trailer
from tasks.estate.errors import DestinationBusy, NotLoaded, OutcomeUnknown
from tasks.estate.tables import Catalog, ForeignKey, Name, Table
from tasks.masking.policy import Policy

Blocks = Iterable[bytes]
Remask = Callable[[Segment, Blocks], Blocks]
Told = Callable[[str, int], None]


ALONE = 0x756E64657273  # advisory lock of this database: one load at a time, whoever runs it


def require_alone(connection: psycopg.Connection[Any]) -> None:
    """No other load may be under way. In a transaction the lock lasts to its end, and dies with its connection.

    Raises `DestinationBusy`.
    """
    taken = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (ALONE,)).fetchone()
    if taken != (True,):
        raise DestinationBusy("Another load of this target is under way; expected none.")


class Load:
    """One load on one connection (autocommit, not reading). `lifted`: foreign keys to drop and make again.

    `remask` replaces raw values on their way in; `told(table, rows)` hears of each table that is in.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        plan: LoadPlan,
        catalog: Catalog,
        policy: Policy,
        lifted: list[ForeignKey],
        *,
        secrets: Secrets | None = None,
        remask: Remask | None = None,
        told: Told = lambda table, rows: None,
    ) -> None:
        self._connection, self._plan, self._catalog, self._policy = connection, plan, catalog, policy
        self._lifted, self._secrets, self._remask, self._told = lifted, secrets, remask, told
        self._rows: dict[str, int] = {}

    def run(self, events: Iterable[Event]) -> Loaded:
        """Do it. Raises `NotLoaded` (rolled back), `LeakFound` (the same, because verification found personal data),
        what reading the dump raises (the same), or `OutcomeUnknown` where the answer to the commit was lost.
        """
        started = time.monotonic()
        self._connection.execute("BEGIN")
        try:
            require_alone(self._connection)
            checks = self._inside(events)
        except psycopg.Error as error:
            self._roll_back()
            raise NotLoaded(f"The load was rolled back: {without_values(error)}.") from None
        except BaseException:  # whatever it was, nothing of it may stay
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
                self._connection.close()  # the server rolls back what a vanished client leaves open

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            raise OutcomeUnknown(
                f"The answer to the commit was lost ({without_values(error)}).",
                next_step="Retry this run: it looks for its marker on staging and never loads again.",
            ) from None
        except psycopg.Error as error:  # a deferred constraint: the commit itself was refused
            raise NotLoaded(f"The load was rolled back at its commit: {without_values(error)}.") from None

    def _inside(self, events: Iterable[Event]) -> tuple[tuple[str, str], ...]:
        names = {*self._plan.emptied, *(str(order.name) for order in self._plan.tables)}
        written = [table for table in parents_first(self._catalog) if str(table.name) in names]
        for name in names - {str(table.name) for table in written}:
            raise NotLoaded(f"Staging has no table {name} any more; the plan was drafted when it had.")
        with self._quiet_triggers(written):
            self._lift()
            self._empty(written)
            self._fill(events)
            self._restore_foreign_keys()
            self._restart_sequences()
            for view in self._catalog.materialized_views:
                self._connection.execute(SQL("REFRESH MATERIALIZED VIEW {}").format(identifier(view)))
            for table in written:
                self._connection.execute(SQL("ANALYZE {}").format(identifier(table.name)))
            checks = verify_loaded(self._connection, self._plan, self._catalog, self._policy, self._rows, self._secrets)
        write_marker(self._connection, self._plan, notice_for(self._plan))
        return checks

    @contextmanager
    def _quiet_triggers(self, written: list[Table]) -> Iterator[None]:
        """Triggers of people do not fire during the load, and have their old state afterwards."""
        names = {leaf for table in written for leaf in (table.name, *table.leaves)}
        triggers = [row for row in asked(self._connection, "triggers") if _named(row) in names]
        for row in triggers:
            self._alter(row, "DISABLE")
        yield
        words = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}
        for row in triggers:
            self._alter(row, words[row["state"]])

    def _alter(self, row: dict[str, Any], word: str) -> None:
        statement = "ALTER TABLE {} " + word + " TRIGGER {}"
        self._connection.execute(SQL(statement).format(identifier(_named(row)), Identifier(row["trigger"])))

    def _lift(self) -> None:
        for key in self._lifted:
            self._connection.execute(
                SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(identifier(key.table), Identifier(key.name))
            )

    def _restore_foreign_keys(self) -> None:
        """Make them again; PostgreSQL checks each against all rows. Rows that staging keeps may point at rows that are
        gone, so a kept table's key is made NOT VALID: it holds from now on.
        """
        for key in self._lifted:
            definition = key.definition.removesuffix(" NOT VALID")
            if str(key.table) in self._plan.kept or not key.validated:
                definition += " NOT VALID"
            self._connection.execute(
                SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                    identifier(key.table), Identifier(key.name), SQL(definition)
                )
            )  # fmt: skip

    def _empty(self, written: list[Table]) -> None:
        """Children before parents. TRUNCATE is fast and makes readers wait; DELETE lets them see the old rows."""
        if self._plan.readers == "wait":
            if written:
                self._connection.execute(SQL("TRUNCATE {}").format(SQL(", ").join(map(rows_of, written))))
            return
        for table in reversed(written):
            self._connection.execute(SQL("DELETE FROM {}").format(rows_of(table)))

    def _fill(self, events: Iterable[Event]) -> None:
        orders = {str(order.name): order for order in self._plan.tables}
        self._rows = dict.fromkeys(orders, 0)
        for event in events:
            if isinstance(event, Trailer) and event.digest != self._plan.digest:
                raise NotLoaded(f"The dump {self._plan.dump} is not the one that was planned; expected its digest.")
            if not isinstance(event, Segment):
                continue
            order = orders.get(str(event.table))
            blocks: Blocks = event.blocks
            if order is None:
                for _ in blocks:  # read on: its digest is checked although its rows are not wanted
                    pass
                continue
            if self._remask is not None:
                blocks = self._remask(event, blocks)
            self._rows[str(order.name)] += self._copy(order, blocks)
            self._told(str(order.name), self._rows[str(order.name)])

    def _copy(self, order: LoadOrder, blocks: Blocks) -> int:
        if not order.columns:
            return self._copy_nothing(order, blocks)
        if order.skipped:
            return self._copy_around(order, blocks)
        columns = SQL(", ").join(map(Identifier, order.columns))
        return self._stream(SQL("COPY {} ({}) FROM STDIN").format(identifier(order.name), columns), blocks)

    def _stream(self, statement: Composed, blocks: Blocks) -> int:
        with self._connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for block in blocks:
                    copy.write(block)
            return cursor.rowcount

    def _copy_nothing(self, order: LoadOrder, blocks: Blocks) -> int:
        """A table without a column that travels: only the number of its rows is known."""
        rows = sum(block.count(b"\n") for block in blocks)
        statement = SQL("INSERT INTO {} SELECT FROM generate_series(1, {})").format(
            identifier(order.name), Literal(rows)
        )
        return self._connection.execute(statement).rowcount

    def _copy_around(self, order: LoadOrder, blocks: Blocks) -> int:
        """Staging lacks some of the dump's columns: the rows go through a temporary table that has them all as text."""
        wanted = [column for column in order.columns if column not in order.skipped]
        table = self._catalog.table(str(order.name))
        aside = Identifier("pg_temp", "understudy_aside")
        declared = SQL(", ").join(SQL("{} text").format(Identifier(column)) for column in order.columns)
        self._connection.execute(SQL("CREATE TEMP TABLE understudy_aside ({}) ON COMMIT DROP").format(declared))
        self._stream(SQL("COPY {} FROM STDIN").format(aside), blocks)
        types = {column.name: column.type for column in (table.columns if table is not None else ())}
        values = SQL(", ").join(SQL("{}::{}").format(Identifier(c), SQL(types[c])) for c in wanted)
        statement = SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}").format(
            identifier(order.name), SQL(", ").join(map(Identifier, wanted)), values, aside
        )
        rows = self._connection.execute(statement).rowcount
        self._connection.execute(SQL("DROP TABLE {}").format(aside))
        return rows

    def _restart_sequences(self) -> None:
        """Past the largest value in use and past where production stood. RESTART is undone by a rollback; setval is not."""
        stood = {str(state.name): state.last for state in self._plan.header.sequences}
        written = {str(order.name) for order in self._plan.tables} | set(self._plan.emptied)
        for sequence in self._catalog.sequences:
            owner = self._catalog.table(str(sequence.table)) if sequence.table else None
            if owner is not None and str(owner.name) not in written:
                continue
            known = [
                value
                for value in (stood.get(str(sequence.name)), self._extreme(owner, sequence.column, sequence.increment))
                if value is not None
            ]
            if not known:
                if owner is not None:
                    self._connection.execute(SQL("ALTER SEQUENCE {} RESTART").format(identifier(sequence.name)))
                continue
            furthest = max(known) if sequence.increment > 0 else min(known)
            self._connection.execute(
                SQL("ALTER SEQUENCE {} RESTART WITH {}").format(
                    identifier(sequence.name), Literal(furthest + sequence.increment)
                )
            )

    def _extreme(self, table: Table | None, column: str | None, increment: int) -> int | None:
        if table is None or column is None or not table.counts(column):
            return None
        function = SQL("max") if increment > 0 else SQL("min")
        question = SQL("SELECT {}({}) FROM {}").format(function, Identifier(column), rows_of(table))
        (value,) = self._connection.execute(question).fetchone() or (None,)
        return int(value) if value is not None else None


def _named(row: dict[str, Any]) -> Name:
    return Name(schema_name=row["schema"], name=row["name"])


def notice_for(plan: LoadPlan) -> str:
    """What the application's banner may say. A row-for-row copy with its ids is pseudonymised, never anonymous."""
    when = f"{plan.header.exported_at:%Y-%m-%d %H:%M} UTC"
    kind = "copy that CONTAINS PERSONAL DATA" if plan.arrives_raw else "pseudonymised copy"
    return f"Staging data: {kind} of {plan.header.source_host} of {when}."

"""The application's audit table on staging: one row for each attempt to load, on a connection of its own, so that the row
survives a rollback. Written only if imports are allowed here: otherwise the database may be production.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier

from tasks.dumps.catalog import identifier
from tasks.dumps.connections import without_values
from tasks.dumps.staging_marker import Marker
from tasks.estate.errors import Misconfigured
from tasks.estate.schema import Name
from tasks.estate.sites import Immutable
from tasks.masking.policy import Audit

# Each fact about a load, with the column names that applications use for it, without case and underscores.
WORDS = {
    "kind": ("kind", "operation", "action", "direction"),
    "status": ("status", "result", "outcome"),
    "file": ("filename", "file"),
    "started": ("startedat", "starttime", "started", "createdat"),
    "finished": ("finishedat", "endtime", "finished", "completedat"),
    "run": ("runid", "run"),
    "user": ("requestedby", "username", "performedby"),
}
OPEN, DONE, FAILED, INTERRUPTED = "running", "succeeded", "failed", "interrupted"
MOMENTS = ("timestamptz", "timestamp")  # types that can be compared with the marker's time
RUN_ID = 36  # characters of a run's id; a shorter column cannot hold it
MADE = (
    'CREATE TABLE {} ("Id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Kind" text NOT NULL, "Status" text NOT NULL,'
    ' "FileName" text, "StartedAt" timestamptz NOT NULL, "FinishedAt" timestamptz, "RunId" text, "RequestedBy" text, {} text)'
)


class _Column(Immutable):
    """A column of the audit table. `needed`: NOT NULL without a default; `longest`: characters."""

    needed: bool
    type: str
    category: str
    longest: int | None = None
    key: bool = False

    def takes(self, word: str) -> bool:
        """Return whether the type fits this fact of `WORDS`: `RequestedBy` may be a number in some applications."""
        if word in ("started", "finished"):
            return self.category == "D"
        if word == "run" and self.type != "uuid":
            return self.category == "S" and (self.longest is None or self.longest >= RUN_ID)
        return self.category == "S" or (word == "run" and self.type == "uuid")


class AuditTable:
    """The audit table of one target, created if the application has none."""

    def __init__(self, connection: psycopg.Connection[Any], audit: Audit, *, make: bool = True) -> None:
        """Raise `Misconfigured` if the table cannot take our rows, or does not exist and `make` is False.

        `connection` is in autocommit.
        """
        schema, _, name = audit.table.rpartition(".")
        self._connection = connection
        self._table = identifier(Name(schema_name=schema or "public", name=name))
        columns = self._columns()
        if not columns and make:
            connection.execute(SQL(MADE).format(self._table, Identifier(audit.error)))
            columns = self._columns()
        self._known = _known(columns, audit)
        self._moments = [word for word in self._known if columns[self._known[word]].type in MOMENTS]
        self._longest = {name: column.longest for name, column in columns.items()}
        self._require_room(columns)
        self._keys = [name for name, column in columns.items() if column.key] or ["ctid"]
        self._row: tuple[Any, ...] = ()

    def _columns(self) -> dict[str, _Column]:
        rows = self._connection.execute(
            "SELECT a.attname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', t.typname, t.typcategory::text,"
            " CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END,"
            " EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey))"
            " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (self._table.as_string(self._connection),),
        )
        parts = ("needed", "type", "category", "longest", "key")
        return {name: _Column(**dict(zip(parts, rest, strict=True))) for name, *rest in rows.fetchall()}

    def _require_room(self, columns: dict[str, _Column]) -> None:
        unknown = sorted(name for name, column in columns.items() if column.needed and name not in self._known.values())
        if unknown:
            raise Misconfigured(
                f"The audit table {self._table.as_string(self._connection)} needs a value for {', '.join(unknown)}, "
                "and a load has none; expected a default, or no NOT NULL."
            )
        if "error" not in self._known:
            raise Misconfigured(
                f"The audit table {self._table.as_string(self._connection)} has no column for the error message; "
                "expected the one that the policy's `audit.error` names."
            )

    def close_interrupted(self, marker: Marker | None = None, why: str = "") -> int:
        """Close the rows of loads that ended before their commit, and return their number. `why` continues the message.

        The load of the marker was committed, so its row is closed as succeeded. If no column has the run, any row that was not
        begun after the marker may be the row of that load, and stays open.
        """
        if marker:
            self.close_found(marker.run_id)
        undecided = marker is not None and "run" not in self._known
        if "status" not in self._known or (undecided and "started" not in self._moments):
            return 0
        which, values = SQL("{} = %s").format(Identifier(self._known["status"])), list[Any]([OPEN])
        if "kind" in self._known:
            which += SQL(" AND lower({}) = 'import'").format(Identifier(self._known["kind"]))
        if marker and undecided:
            which += SQL(" AND {} > %s").format(Identifier(self._known["started"]))
            values.append(marker.loaded_at + timedelta(seconds=1))  # a column may round
        return self._close(INTERRUPTED, f"The load ended before its commit{why}.", which, values)

    def begin(self, *, file: str, run_id: str, requested_by: str) -> None:
        """Insert the row of this attempt, still open."""
        self._insert(status=OPEN, file=file, run=run_id, user=requested_by)

    def refuse(self, *, file: str, run_id: str, requested_by: str, error: str) -> None:
        """Insert a closed row for an attempt that was refused before anything was loaded."""
        now = self._now()
        self._insert(status=FAILED, file=file, run=run_id, user=requested_by, started=now, finished=now, error=error)

    def _now(self) -> datetime:
        """Return the time of the server, with which the marker's is compared."""
        now: datetime = self._connection.execute("SELECT clock_timestamp()").fetchall()[0][0]
        return now

    def _insert(self, **values: Any) -> None:
        given = self._given({"kind": "import", "started": self._now()} | values)
        statement = SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
            self._table,
            SQL(", ").join(map(Identifier, given)),
            SQL(", ").join([SQL("%s")] * len(given)),
            SQL(", ").join(SQL("{}::text").format(Identifier(key)) for key in self._keys),
        )
        try:
            self._row = self._connection.execute(statement, list(given.values())).fetchone() or ()
        except psycopg.IntegrityError as error:
            raise Misconfigured(
                f"The audit table {self._table.as_string(self._connection)} refuses a row of a load: {without_values(error)}."
            ) from None

    def _given(self, values: dict[str, Any]) -> dict[str, Any]:
        """Map columns to values, for the columns that the table has. Cut text to the column's length."""
        found = {self._known[key]: value for key, value in values.items() if key in self._known}
        return {
            name: value[: self._longest[name]] if isinstance(value, str) else value for name, value in found.items()
        }

    def end(self, error: str | None) -> None:
        """Close the row of this attempt: failed with this error message, or succeeded if None."""
        which = SQL(" AND ").join(SQL("{}::text = %s").format(Identifier(key)) for key in self._keys)
        self._close(FAILED if error else DONE, error, which, self._row)

    def close_found(self, run_id: str) -> None:
        """Close the row of a run as succeeded, after its marker proved the commit, also if another end was written into it.

        Rows of refused attempts stay: they are closed since they were written, as their times show.
        """
        if not {"run", "status"} <= self._known.keys():
            return
        run, status = Identifier(self._known["run"]), Identifier(self._known["status"])
        begun = SQL("{} IN (%s, %s)").format(status)
        if {"started", "finished"} <= {*self._moments}:
            times = (Identifier(self._known["finished"]), Identifier(self._known["started"]))
            begun = SQL("({} OR ({} IS DISTINCT FROM {}))").format(begun, *times)
        which = SQL("{}::text = %s AND {} IS DISTINCT FROM %s AND {}").format(run, status, begun)
        self._close(DONE, None, which, [run_id, DONE, OPEN, INTERRUPTED])

    def _close(self, status: str, error: str | None, which: Composable, values: Iterable[Any]) -> int:
        given = self._given({"status": status, "finished": self._now(), "error": error})
        assignments = SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in given)
        statement = SQL("UPDATE {} SET {} WHERE {}").format(self._table, assignments, which)
        return self._connection.execute(statement, [*given.values(), *values]).rowcount


def _known(columns: dict[str, _Column], audit: Audit) -> dict[str, str]:
    """Map each fact of `WORDS` to the first of its columns that the table has with a fitting type."""
    plain = {name.replace("_", "").lower(): name for name in columns}
    found = {
        key: next((plain[word] for word in words if word in plain and columns[plain[word]].takes(key)), "")
        for key, words in WORDS.items()
    }
    if audit.error in columns and columns[audit.error].category == "S":
        found["error"] = audit.error
    return {key: name for key, name in found.items() if name}

"""The application's own audit table on staging: one row an attempt, on a connection of its own, so that it outlives a
rolled-back load. Written only while the gate is open: behind a closed gate the database may be production.
"""

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from tasks.dumps.catalog import identifier
from tasks.estate.errors import Misconfigured
from tasks.estate.tables import Name
from tasks.masking.policy import Audit

# What we know to say, by the words an application may use for it; compared without case and underscores.
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
MADE = (
    'CREATE TABLE {} ("Id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Kind" text NOT NULL, "Status" text NOT NULL,'
    ' "FileName" text, "StartedAt" timestamptz NOT NULL, "FinishedAt" timestamptz, "RunId" text, "RequestedBy" text, {} text)'
)


class AuditTable:
    """The audit table of one target. Made if the application has none; else the columns it has are filled."""

    def __init__(self, connection: psycopg.Connection[Any], audit: Audit) -> None:
        """`connection` is in autocommit. Raises `Misconfigured` where the table cannot take a row of ours."""
        schema, _, name = audit.table.rpartition(".")
        self._connection = connection
        self._table = identifier(Name(schema_name=schema or "public", name=name))
        columns = self._columns()
        if not columns:
            connection.execute(SQL(MADE).format(self._table, Identifier(audit.error)))
            columns = self._columns()
        self._known = _known(columns, audit)
        self._require_room(columns)
        self._row: Any = None

    def _columns(self) -> dict[str, bool]:
        """Column → whether a row needs a value for it."""
        rows = self._connection.execute(
            "SELECT attname, attnotnull AND NOT atthasdef AND attidentity = '' FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            (self._table.as_string(self._connection),),
        )
        return dict(rows.fetchall())

    def _require_room(self, columns: dict[str, bool]) -> None:
        unknown = sorted(name for name, needed in columns.items() if needed and name not in self._known.values())
        if unknown:
            raise Misconfigured(
                f"The audit table {self._table.as_string(self._connection)} needs a value for {', '.join(unknown)}, which we "
                "do not know; expected a default, or no NOT NULL."
            )
        if "error" not in self._known:
            raise Misconfigured(
                f"The audit table {self._table.as_string(self._connection)} has no column for the error message; "
                "expected the one that the policy's `audit.error` names."
            )

    def close_interrupted(self) -> int:
        """Close rows that an earlier attempt left open: its process died. Gives their number."""
        if "status" not in self._known:
            return 0
        changes = {
            "status": INTERRUPTED,
            "finished": datetime.now(UTC),
            "error": "The process ended before the load did.",
        }
        assignments = SQL(", ").join(
            SQL("{} = %s").format(Identifier(self._known[key])) for key in changes if key in self._known
        )
        statement = SQL("UPDATE {} SET {} WHERE {} = %s").format(
            self._table, assignments, Identifier(self._known["status"])
        )
        values = [value for key, value in changes.items() if key in self._known]
        return self._connection.execute(statement, [*values, OPEN]).rowcount

    def begin(self, *, file: str, run_id: str, requested_by: str) -> None:
        """Open the row of this attempt."""
        self._insert(
            {
                "kind": "import",
                "status": OPEN,
                "file": file,
                "started": datetime.now(UTC),
                "run": run_id,
                "user": requested_by,
            }
        )

    def refuse(self, *, file: str, run_id: str, requested_by: str, error: str) -> None:
        """One closed row for an attempt that was refused before anything was loaded."""
        now = datetime.now(UTC)
        self._insert(
            {
                "kind": "import", "status": FAILED, "file": file, "started": now, "finished": now, "run": run_id,
                "user": requested_by, "error": error,
            }
        )  # fmt: skip

    def _insert(self, values: dict[str, Any]) -> None:
        given = {self._known[key]: value for key, value in values.items() if key in self._known}
        statement = SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING ctid::text").format(
            self._table, SQL(", ").join(map(Identifier, given)), SQL(", ").join([SQL("%s")] * len(given))
        )
        self._row = (self._connection.execute(statement, list(given.values())).fetchone() or (None,))[0]

    def end(self, error: str | None) -> None:
        """Close the row of this attempt: succeeded, or failed with the full error message."""
        values = {"status": FAILED if error else DONE, "finished": datetime.now(UTC), "error": error}
        given = {self._known[key]: value for key, value in values.items() if key in self._known}
        statement = SQL("UPDATE {} SET {} WHERE ctid = %s::tid").format(
            self._table, SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in given)
        )
        self._connection.execute(statement, [*given.values(), self._row])

    def close_found(self, run_id: str) -> None:
        """Close the row of a run whose commit was proven later, by its marker."""
        if "run" not in self._known or "status" not in self._known:
            return
        statement = SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(
            self._table, Identifier(self._known["status"]), Identifier(self._known["run"])
        )
        self._connection.execute(statement, [DONE, run_id])


def _known(columns: dict[str, bool], audit: Audit) -> dict[str, str]:
    plain = {name.replace("_", "").lower(): name for name in columns}
    found = {key: plain[word] for key, words in WORDS.items() for word in words if word in plain}
    if audit.error in columns:
        found["error"] = audit.error
    return found

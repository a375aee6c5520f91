"""The audit table of an application: whatever its columns are, a row of ours fits or is refused by name."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tasks.dumps.audit_table import AuditTable
from tasks.dumps.staging_marker import Marker
from tasks.estate.errors import Misconfigured
from tasks.masking.policy import Audit

RUN = "0f9c1b7e-4a55-4f39-9f0e-0d7a3f1c2b3d"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """An empty database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def began(connection: psycopg.Connection[Any], **values: str) -> AuditTable:
    """The table with a row of ours in it."""
    table = AuditTable(connection, Audit())
    table.begin(**{"file": "a-export.json.gz", "run_id": RUN, "requested_by": "Ada Admin"} | values)
    return table


def rows(connection: psycopg.Connection[Any], columns: str) -> list[Any]:
    """Its rows."""
    return connection.execute(f'SELECT {columns} FROM "ImportExportAudit" ORDER BY 1'.encode()).fetchall()  # noqa: S608  # from this file


def test_a_missing_table_is_created(connection: psycopg.Connection[Any]) -> None:
    """It is not created for a refused attempt, because the database is not proven to be staging."""
    with pytest.raises(Misconfigured):
        AuditTable(connection, Audit(), make=False)
    began(connection).end(None)
    assert rows(connection, '"Status", "RunId", "RequestedBy", "ErrorMessage"') == [
        ("succeeded", RUN, "Ada Admin", None)
    ]


def test_a_name_is_not_written_into_a_number(connection: psycopg.Connection[Any]) -> None:
    """`RequestedBy` may be the id of an account; then the next column that takes a name is used, or none."""
    connection.execute(
        'CREATE TABLE "ImportExportAudit" (id serial PRIMARY KEY, "RequestedBy" bigint, username text, "RunId" uuid,'
        ' started_at date, finished text, "ErrorMessage" text)'
    )
    began(connection).end("why")
    assert rows(connection, '"RequestedBy", username, "RunId"::text, started_at IS NULL, finished, "ErrorMessage"') == [
        (None, "Ada Admin", RUN, False, None, "why")
    ]


@pytest.mark.parametrize(
    "key",
    [
        "id serial PRIMARY KEY",
        "id uuid PRIMARY KEY DEFAULT gen_random_uuid()",
        "a serial, b text DEFAULT 'b', PRIMARY KEY (a, b)",
        "id serial",
    ],
)
def test_only_our_own_row_is_closed(connection: psycopg.Connection[Any], key: str) -> None:
    """Found again by its key, of whatever type, and without one by its place; rows of others stay as they are."""
    connection.execute(f'CREATE TABLE "ImportExportAudit" ({key}, status text, "ErrorMessage" text)'.encode())
    connection.execute("""INSERT INTO "ImportExportAudit" (status) VALUES ('running')""")
    table = began(connection)
    if "PRIMARY" in key:
        connection.execute("""UPDATE "ImportExportAudit" SET status = status""")  # every row is elsewhere now
    table.end("it broke")
    assert rows(connection, 'status, "ErrorMessage"') == [("failed", "it broke"), ("running", None)]


def test_text_that_is_too_long_is_cut_and_an_id_is_not(connection: psycopg.Connection[Any]) -> None:
    """A short error column must not keep the row from being closed; a cut run id would be no id."""
    connection.execute(
        'CREATE TABLE "ImportExportAudit" (run_id varchar(20), file varchar(8), status varchar(20), "ErrorMessage" varchar(12))'
    )
    began(connection).end("a long story of what went wrong")
    assert rows(connection, 'run_id, file, status, "ErrorMessage"') == [(None, "a-export", "failed", "a long story")]


def test_interrupted_loads_are_closed_and_running_exports_are_not(connection: psycopg.Connection[Any]) -> None:
    """The application's own export may be running: only imports that nobody closed are called interrupted."""
    connection.execute('CREATE TABLE "ImportExportAudit" (direction text, status text, "ErrorMessage" text)')
    connection.execute(
        """INSERT INTO "ImportExportAudit" VALUES ('export', 'running'), ('Import', 'running'), ('import', 'succeeded')"""
    )
    assert AuditTable(connection, Audit()).close_interrupted() == 1
    assert rows(connection, "direction, status") == [
        ("Import", "interrupted"),
        ("export", "running"),
        ("import", "succeeded"),
    ]


def test_a_run_proven_later_is_closed_by_its_id(connection: psycopg.Connection[Any]) -> None:
    """Its error, written when the answer to the commit was lost, goes."""
    began(connection).end("The answer to the commit was lost.")
    AuditTable(connection, Audit()).close_found(RUN)
    assert rows(connection, '"Status", "ErrorMessage", "FinishedAt" IS NULL') == [("succeeded", None, False)]


def marker(run_id: str, loaded_at: datetime) -> Marker:
    """The marker of this load."""
    return Marker(
        app="a", run_id=run_id, loaded_at=loaded_at, source_host="h", exported_at=loaded_at, dump="d",
        contains_personal_data=False, notice="n",
    )  # fmt: skip


def now(connection: psycopg.Connection[Any]) -> datetime:
    """The server's time."""
    moment: datetime = connection.execute("SELECT clock_timestamp()").fetchall()[0][0]
    return moment


@pytest.mark.parametrize(("committed", "status"), [(RUN, "succeeded"), ("another", "interrupted"), ("", "interrupted")])
def test_an_open_row_is_closed_by_the_run_of_the_marker(
    connection: psycopg.Connection[Any], committed: str, status: str
) -> None:
    """The row of a committed load whose process was killed is closed as succeeded, every other open row as interrupted."""
    began(connection)
    table = AuditTable(connection, Audit())
    found = marker(committed, now(connection)) if committed else None
    table.close_interrupted(found, ": KeyError")
    (before,) = rows(connection, '"Status", "FinishedAt", "ErrorMessage"')
    table.close_interrupted(found)
    assert (before[0], rows(connection, '"Status", "FinishedAt", "ErrorMessage"')) == (status, [before])
    assert before[2] == (None if status == "succeeded" else "The load ended before its commit: KeyError.")


@pytest.mark.parametrize("type_", ["timestamptz", "timestamp", "timestamptz(0)", "date", "time", None])
@pytest.mark.parametrize("run", ["run_id varchar(20),", "run_id integer,", ""])
def test_a_row_of_an_unknown_run_is_not_interrupted_if_a_load_was_committed_since(
    connection: psycopg.Connection[Any], type_: str | None, run: str
) -> None:
    """It may be the row of that load. A row that was begun after the marker, or without one, is interrupted."""
    started = f"started_at {type_}," if type_ else ""
    connection.execute(f'CREATE TABLE "ImportExportAudit" ({run} {started} status text, "ErrorMessage" text)'.encode())
    began(connection)
    table = AuditTable(connection, Audit())
    assert table.close_interrupted(marker(RUN, now(connection))) == 0
    assert rows(connection, 'status, "ErrorMessage"') == [("running", None)]
    decided = type_ is not None and type_.startswith("timestamp")
    assert table.close_interrupted(marker("earlier", now(connection) - timedelta(minutes=1))) == decided
    assert table.close_interrupted() == 1 - decided
    assert rows(connection, "status") == [("interrupted",)]


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_a_refused_attempt_of_a_run_that_loaded_later_stays_failed(
    connection: psycopg.Connection[Any], status: str
) -> None:
    """The row of the load becomes succeeded, whatever end was written into it; the refusal keeps its message."""
    table = AuditTable(connection, Audit())
    table.refuse(file="f", run_id=RUN, requested_by="Ada Admin", error="Held.")
    table = began(connection)
    if status == "failed":
        table.end("The answer to the commit was lost.")
    elif status == "interrupted":
        table.close_interrupted()
    table.close_found(RUN)
    assert rows(connection, '"Status", "ErrorMessage"') == [("failed", "Held."), ("succeeded", None)]


@pytest.mark.parametrize(
    "columns", ["", "started_at date, finished_at date,", "started_at timestamptz, finished_at time,"]
)
def test_a_row_without_comparable_times_is_closed_only_if_it_was_open(
    connection: psycopg.Connection[Any], columns: str
) -> None:
    """A failed row may be that of a refused attempt then."""
    connection.execute(
        f'CREATE TABLE "ImportExportAudit" (run_id text, {columns} status text, "ErrorMessage" text)'.encode()
    )
    table = AuditTable(connection, Audit())
    table.refuse(file="f", run_id=RUN, requested_by="Ada Admin", error="Held.")
    began(connection)
    table.close_found(RUN)
    assert rows(connection, 'status, "ErrorMessage"') == [("failed", "Held."), ("succeeded", None)]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ('"ErrorMessage" text, tenant integer NOT NULL', "needs a value for tenant"),
        ("status text", "no column for the error message"),
        ('"ErrorMessage" integer', "no column for the error message"),
    ],
)
def test_a_table_that_cannot_take_our_row_is_refused(
    connection: psycopg.Connection[Any], columns: str, why: str
) -> None:
    """Before the load, naming what is missing."""
    connection.execute(f'CREATE TABLE "ImportExportAudit" ({columns})'.encode())
    with pytest.raises(Misconfigured, match=why):
        AuditTable(connection, Audit())


def test_a_status_that_the_application_does_not_know_is_refused_by_name(connection: psycopg.Connection[Any]) -> None:
    """Its CHECK has other words: the message names it, and quotes no row."""
    connection.execute(
        """CREATE TABLE "ImportExportAudit" (status text CONSTRAINT words CHECK (status = 'ok'), "ErrorMessage" text)"""
    )
    with pytest.raises(Misconfigured, match=r"refuses a row of a load: SQLSTATE 23514.*constraint words") as refused:
        began(connection)
    assert "Failing row" not in refused.value.message

"""The marker: one row on the target that identifies it as staging data, also for the application's banner.

The load writes it in its own transaction, so that its run id shows whether a load whose answer was lost was committed.
"""

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import WrongTarget
from tasks.estate.sites import Immutable

SCHEMA = "understudy"
TABLE = "understudy.staging_data"


class Marker(Immutable):
    """The content of the marker. Times are UTC."""

    app: str
    run_id: str
    loaded_at: datetime
    source_host: str
    exported_at: datetime
    dump: str
    contains_personal_data: bool
    notice: str


def read_marker(connection: psycopg.Connection[Any]) -> Marker | None:
    """Return the target's marker, or None before its first load."""
    known = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (TABLE,)).fetchone()
    if known != (True,):
        return None
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT app, run_id, loaded_at, source_host, exported_at, dump, contains_personal_data, notice"
            " FROM understudy.staging_data"
        ).fetchone()
    return Marker.model_validate(row) if row is not None else None


def prepare_marker(connection: psycopg.Connection[Any]) -> None:
    """Create the marker's table if it is missing. Raise `WrongTarget` if the role may not."""
    try:
        connection.execute("CREATE SCHEMA IF NOT EXISTS understudy")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS understudy.staging_data (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
            " app text NOT NULL, run_id text NOT NULL, loaded_at timestamptz NOT NULL, source_host text NOT NULL,"
            " exported_at timestamptz NOT NULL, dump text NOT NULL, contains_personal_data boolean NOT NULL,"
            " notice text NOT NULL)"
        )
        connection.execute("GRANT USAGE ON SCHEMA understudy TO PUBLIC")
        connection.execute("GRANT SELECT ON understudy.staging_data TO PUBLIC")  # every login shows the banner
    except psycopg.errors.InsufficientPrivilege as error:
        raise WrongTarget(
            "The loading role may not create the schema understudy for the staging marker; expected CREATE on the database.",
            next_step="On staging: GRANT CREATE ON DATABASE … TO the loading role, or create the schema for it.",
        ) from error


def write_marker(connection: psycopg.Connection[Any], plan: LoadPlan, notice: str) -> None:
    """Mark the target as staging data of this run, in the caller's transaction."""
    connection.execute(
        "INSERT INTO understudy.staging_data AS m (app, run_id, loaded_at, source_host, exported_at, dump,"
        " contains_personal_data, notice) VALUES (%s, %s, now(), %s, %s, %s, %s, %s) ON CONFLICT (one) DO UPDATE SET"
        " app = excluded.app, run_id = excluded.run_id, loaded_at = excluded.loaded_at, source_host = excluded.source_host,"
        " exported_at = excluded.exported_at, dump = excluded.dump,"
        " contains_personal_data = excluded.contains_personal_data, notice = excluded.notice",
        (
            plan.header.app, plan.run_id, plan.header.source_host, plan.header.exported_at,
            plan.dump.rsplit("/", 1)[-1], bool(plan.arrives_raw), notice,
        ),
    )  # fmt: skip

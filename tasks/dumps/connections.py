"""Connections to source and target: settings that fix access, time limits and text output before the first statement."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from tasks.configuration.setting_addresses import database_address, server_and_database
from tasks.dumps.pooler_check import require_own_server
from tasks.estate.errors import Misconfigured, NotExported, NotLoaded, Unreachable

# Text output must not depend on a server's or role's own settings: a dump is read elsewhere. An empty search_path makes
# format_type and friends qualify every name that is not pg_catalog's.
SPELLING = {
    "search_path": "",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmloption": "content",
    "client_encoding": "UTF8",
}
# row_security off: a policy that hides rows from this role raises an error. Otherwise a dump would lack these rows, and a
# load would not delete them.
ALWAYS = {"row_security": "off", "default_transaction_isolation": "read committed"}
READING = ALWAYS | {"default_transaction_read_only": "on"}
WRITING = ALWAYS | {"default_transaction_read_only": "off", "default_transaction_deferrable": "off"}
TIMEOUTS = (
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)  # since 9.6, 14 and 17
CONNECT_WITHIN = 15  # seconds
TABLES_AT_A_TIME = 200  # read in one transaction; with their indexes well below the 6,400 locks of a default server
T = TypeVar("T")


@contextmanager
def connected_to(
    url: str, *, name: str, statement_within: float, lock_within: float = 0, reading: bool = True
) -> Iterator[psycopg.Connection[Any]]:
    """Connect in autocommit mode, and close at the end. `name` appears in pg_stat_activity; times in seconds, 0 = no limit.

    With `reading` the session cannot write. Raise `Unreachable` if the server does not answer, and `Misconfigured` if the
    address or login is wrong or a pooler in transaction mode answers. Unexpected errors of the database become
    `NotExported` (reading) or `NotLoaded`, because psycopg's messages quote row values. No message quotes the address,
    which contains the password.
    """
    variable = "UNDERSTUDY_SOURCE_DATABASE" if reading else "UNDERSTUDY_TARGET_DATABASE"
    limits = {
        "statement_timeout": f"{int(statement_within * 1000)}",
        "lock_timeout": f"{int(lock_within * 1000)}",
        "application_name": name,
    }
    connection = _open(url, variable)
    try:
        pooled = require_own_server(connection, lambda: _open(url, variable), variable)
        try:
            configure(connection, SPELLING | limits | _endless(connection) | (READING if reading else WRITING))
            yield connection
        finally:
            if pooled:
                _leave_clean(connection)
    except psycopg.Error as error:
        kind = Unreachable if is_connection_lost(error) else NotExported if reading else NotLoaded
        raise kind(f"{name}: {without_values(error)}.") from None
    finally:
        connection.close()


def configure(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Apply settings in one round trip, for the current transaction or, outside one, for the session."""
    local = connection.info.transaction_status is not TransactionStatus.IDLE
    connection.execute(
        "SELECT set_config(name, value, %s) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
        (local, list(settings), list(settings.values())),
    )


@contextmanager
def role_search_path(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Use the role's own search_path within the block: generated columns, index expressions, CHECKs, defaults and triggers
    may call functions without a schema. Temporary objects come last, so that none hides a table or function.
    """
    query = "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'"
    (own,) = connection.execute(query).fetchone() or ("",)
    path = ", ".join(part for part in (str(own).strip(), "pg_temp") if part)
    connection.execute("SELECT pg_catalog.set_config('search_path', %s, true)", (path,))
    yield
    connection.execute("SELECT pg_catalog.set_config('search_path', '', true)")


def _endless(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return settings that switch off the server's other timeouts, which a role or database may have set."""
    known = connection.execute("SELECT name FROM pg_catalog.pg_settings WHERE name = ANY(%s)", (list(TIMEOUTS),))
    return {name: "0" for (name,) in known}


def _leave_clean(connection: psycopg.Connection[Any]) -> None:
    """Discard all session state: a pooler in session mode reuses this server connection for other clients."""
    with suppress(psycopg.Error):
        connection.rollback()
        connection.execute("DISCARD ALL")


def is_connection_lost(error: psycopg.Error) -> bool:
    """Return whether the connection is lost, and not only a statement refused or timed out."""
    state = error.sqlstate or "08"
    return isinstance(error, psycopg.OperationalError) and state[:2] in ("08", "57") and state != "57014"


def _open(url: str, variable: str) -> psycopg.Connection[Any]:
    """Open a connection. Messages name the variable, and the host only if it cannot be part of a password."""
    address = database_address(variable, url)
    database = f"The database that {variable} names" + (
        f" ({server_and_database(address)})" if server_and_database(address) else ""
    )
    # Keep-alives detect a lost peer during a long COPY within a minute; the default is two hours.
    options = {
        "connect_timeout": CONNECT_WITHIN,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    wanted: dict[str, Any] = {**options, **conninfo_to_dict(address)}
    try:
        return psycopg.connect(make_conninfo(**wanted), autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        if error.sqlstate is None and any(
            word in str(error) for word in ("authentication", "password", "role", "does not exist")
        ):
            raise Misconfigured(
                f"{database} refuses this login or does not exist; expected an existing database and role."
            ) from None
        raise Unreachable(f"{database} does not answer (SQLSTATE {error.sqlstate or 'none'}).") from None


@contextmanager
def exported_snapshot(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Export a read-only snapshot for other connections, and return its id. It ends with the block."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        yield snapshot
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")


def use_snapshot(connection: psycopg.Connection[Any], snapshot: str) -> None:
    """Start a transaction that reads in this snapshot. Raise `NotExported` if the server does not have it: behind a pooler
    or load balancer each connection may reach another server.
    """
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        connection.execute(f"SET TRANSACTION SNAPSHOT {_literal(connection, snapshot)}".encode())
    except psycopg.errors.Error as error:
        raise NotExported(
            "This connection's server does not have the exported snapshot; expected the same server for all connections.",
            next_step="Point UNDERSTUDY_SOURCE_DATABASE at one server, not at a pooler in transaction mode or a balancer.",
        ) from error


def in_short_transactions(
    connection: psycopg.Connection[Any],
    snapshot: str,
    items: Iterable[T],
    prepare: Callable[[], None],
    *,
    at_a_time: int = TABLES_AT_A_TIME,
) -> Iterator[T]:
    """Yield the items, and start a new transaction in the same snapshot after every `at_a_time` of them.

    `prepare` applies the settings of a transaction again. A transaction locks every table and index that it reads, and a
    server has room for some thousands of locks (max_locks_per_transaction); ten thousand tables would exceed it.
    """
    for number, item in enumerate(items):
        if number and number % at_a_time == 0:
            connection.execute("COMMIT")
            use_snapshot(connection, snapshot)
            prepare()
        yield item


def _literal(connection: psycopg.Connection[Any], value: str) -> str:
    return psycopg.sql.Literal(value).as_string(connection)


def without_values(error: psycopg.Error) -> str:
    """Describe a database error without row values: SQLSTATE, names of objects, and the message with quoted values masked.

    DETAIL and CONTEXT quote row values and are omitted.
    """
    diagnosis = error.diag
    named = {
        "schema": diagnosis.schema_name,
        "table": diagnosis.table_name,
        "column": diagnosis.column_name,
        "type": diagnosis.datatype_name,
        "constraint": diagnosis.constraint_name,
    }
    if error.sqlstate == "P0001":  # RAISE EXCEPTION in a function of the application: its text may contain values
        return f"SQLSTATE P0001: a function of the database raised an exception (its text is not repeated here){_of(named)}"
    return f"SQLSTATE {error.sqlstate or 'none'}: {_masked(diagnosis.message_primary or type(error).__name__, named)}{_of(named)}"


def _of(named: dict[str, str | None]) -> str:
    things = ", ".join(f"{kind} {value}" for kind, value in named.items() if value)
    return f" ({things})" if things else ""


def _masked(message: str, named: dict[str, str | None]) -> str:
    """Replace quoted strings in the message, except names of objects that the error reports.

    A value may contain quotes, so everything from the first unknown quote to the last quote is replaced.
    """
    kept = message
    for name in sorted({value for value in named.values() if value}, key=len, reverse=True):
        kept = kept.replace(f'"{name}"', f"‹{name}›")
    first, last = kept.find('"'), kept.rfind('"')
    if first != -1:
        kept = f'{kept[:first]}"…"{kept[last + 1 :]}' if last > first else f'{kept[:first]}"…"'
    return kept.replace("‹", '"').replace("›", '"')

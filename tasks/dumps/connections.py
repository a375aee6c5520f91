"""Connections to the two databases: what they may do, and how they write values, is settled before the first statement."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from tasks.dumps.pooler_check import require_own_server
from tasks.estate.addresses import database_address, server_and_database
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
# row_security off: a policy that hides rows from this role raises an error. Else a dump would lack them, and a load would
# leave them standing.
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
    """A connection in autocommit, closed at the end. `name` shows in pg_stat_activity; times in seconds, 0 = no limit.

    `reading`: the session cannot write, whatever its role may. Raises `Unreachable` if the server does not answer,
    `Misconfigured` if the address or the login is wrong or a pooler in transaction mode answers; none quotes the address,
    which holds the password. What the database refuses and nobody expected becomes `NotExported` (reading) or `NotLoaded`:
    as psycopg says it, it would carry row values into logs.
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
    """Make these settings in one round trip: until the transaction ends, or outside one for the whole session."""
    local = connection.info.transaction_status is not TransactionStatus.IDLE
    connection.execute(
        "SELECT set_config(name, value, %s) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
        (local, list(settings), list(settings.values())),
    )


@contextmanager
def role_search_path(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Write with the search_path that the database's role has by itself, until the block or the transaction ends: generated
    columns, index expressions, CHECKs, defaults and triggers may call functions without their schema.

    Temporary objects come last, so that none stands in for a table or function. Our own statements name schemas.
    """
    question = "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'"
    (own,) = connection.execute(question).fetchone() or ("",)
    path = ", ".join(part for part in (str(own).strip(), "pg_temp") if part)
    connection.execute("SELECT pg_catalog.set_config('search_path', %s, true)", (path,))
    yield
    connection.execute("SELECT pg_catalog.set_config('search_path', '', true)")


def _endless(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Every time-out that this server knows beside those that we set, switched off: a role or a database may have one."""
    known = connection.execute("SELECT name FROM pg_catalog.pg_settings WHERE name = ANY(%s)", (list(TIMEOUTS),))
    return {name: "0" for (name,) in known}


def _leave_clean(connection: psycopg.Connection[Any]) -> None:
    """A pooler in session mode gives this server connection to somebody else: no key or path of ours may be left on it."""
    with suppress(psycopg.Error):
        connection.rollback()
        connection.execute("DISCARD ALL")


def is_connection_lost(error: psycopg.Error) -> bool:
    """Whether the connection is gone, and not merely a statement refused or out of time."""
    state = error.sqlstate or "08"
    return isinstance(error, psycopg.OperationalError) and state[:2] in ("08", "57") and state != "57014"


def _open(url: str, variable: str) -> psycopg.Connection[Any]:
    """A fresh connection. Messages name the variable, and the host only if it cannot be a part of a password."""
    address = database_address(variable, url)
    database = f"The database that {variable} names" + (
        f" ({server_and_database(address)})" if server_and_database(address) else ""
    )
    # Keep-alives: a peer that vanished during a long COPY is noticed within a minute, not after two hours.
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
                f"{database} refuses this login or does not exist; expected one that it knows."
            ) from None
        raise Unreachable(f"{database} does not answer (SQLSTATE {error.sqlstate or 'none'}).") from None


@contextmanager
def exported_snapshot(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Hold a read-only snapshot that other connections can share; gives its id. It ends with the block."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        yield snapshot
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")


def use_snapshot(connection: psycopg.Connection[Any], snapshot: str) -> None:
    """Read in that snapshot until the transaction ends. Raises `NotExported` where this server does not hold it: behind
    a pooler or a load balancer each connection may meet another server.
    """
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        connection.execute(f"SET TRANSACTION SNAPSHOT {_literal(connection, snapshot)}".encode())
    except psycopg.errors.Error as error:
        raise NotExported(
            "The exported snapshot is not known to this connection's server; expected one server for all connections.",
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
    """Yield the items, and after so many of them end the transaction and read on in the same snapshot.

    `prepare` makes the settings of a transaction again.

    A transaction holds a lock on every table and index that it has read, and a server has room for some thousands of all
    transactions (max_locks_per_transaction): without this, ten thousand tables end as "out of shared memory".
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
    """What a database error says, without what it quotes: SQLSTATE, statement kind, names of things, the message with
    quoted values masked. DETAIL and CONTEXT quote row values and are left out.
    """
    diagnosis = error.diag
    named = {
        "schema": diagnosis.schema_name,
        "table": diagnosis.table_name,
        "column": diagnosis.column_name,
        "type": diagnosis.datatype_name,
        "constraint": diagnosis.constraint_name,
    }
    if error.sqlstate == "P0001":  # RAISE EXCEPTION in the application's own function: any text, perhaps with values
        return f"SQLSTATE P0001: a function of the database raised an exception (its text is not repeated here){_of(named)}"
    return f"SQLSTATE {error.sqlstate or 'none'}: {_masked(diagnosis.message_primary or type(error).__name__, named)}{_of(named)}"


def _of(named: dict[str, str | None]) -> str:
    things = ", ".join(f"{kind} {value}" for kind, value in named.items() if value)
    return f" ({things})" if things else ""


def _masked(message: str, named: dict[str, str | None]) -> str:
    """The message with every quoted string replaced, unless it is the name of a thing the error names itself.

    A value may hold quotes of its own, so everything from the first foreign quote to the last quote goes.
    """
    kept = message
    for name in sorted({value for value in named.values() if value}, key=len, reverse=True):
        kept = kept.replace(f'"{name}"', f"‹{name}›")
    first, last = kept.find('"'), kept.rfind('"')
    if first != -1:
        kept = f'{kept[:first]}"…"{kept[last + 1 :]}' if last > first else f'{kept[:first]}"…"'
    return kept.replace("‹", '"').replace("›", '"')

"""Connections to the two databases: what they may do, and how they write values, is settled before the first statement."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

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
# Time-outs off: those of a role or database are for its application, and would end a snapshot or a load half-way.
ALWAYS = {"row_security": "off", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0"}
SINCE_17 = {"transaction_timeout": "0"}
READING = ALWAYS | {"default_transaction_read_only": "on"}
CONNECT_WITHIN = 15  # seconds


@contextmanager
def connected_to(
    url: str, *, name: str, statement_within: float, lock_within: float = 0, reading: bool = True
) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit, closed at the end. `name` shows in pg_stat_activity; times in seconds, 0 = no limit.

    `reading`: the session cannot write, whatever its role may. Raises `Unreachable` where the server does not answer,
    `Misconfigured` where the URL or the login is wrong; neither quotes the URL, which holds the password. What the
    database refuses and nobody expected becomes `NotExported` (reading) or `NotLoaded`: as psycopg says it, it would
    carry row values into logs.
    """
    limits = {
        "statement_timeout": f"{int(statement_within * 1000)}",
        "lock_timeout": f"{int(lock_within * 1000)}",
        "application_name": name,
    }
    settings = SPELLING | limits | (READING if reading else ALWAYS)
    connection = _open(url)
    try:
        _require_direct(connection)
        if connection.info.server_version >= 170000:
            settings |= SINCE_17
        configure(connection, settings)
        yield connection
    except psycopg.Error as error:
        kind = Unreachable if is_cut_off(error) else NotExported if reading else NotLoaded
        raise kind(f"{name}: {without_values(error)}.") from None
    finally:
        connection.close()


def _require_direct(connection: psycopg.Connection[Any]) -> None:
    """Raise `Misconfigured` if a pooler stands between: what a session sets would reach the application's connections.

    A pooler answers the start of a connection itself, with a process id that is not that of the server's process.
    """
    found = connection.execute("SELECT pg_backend_pid()").fetchone()
    if found != (connection.info.backend_pid,):
        raise Misconfigured(
            "The database is reached through a connection pooler (PgBouncer or the like); expected a direct connection.",
            next_step="Give UNDERSTUDY_SOURCE_DATABASE and UNDERSTUDY_TARGET_DATABASE host and port of the server itself, not"
            " of the pooler, whatever its pool mode.",
        )


def _require_address(url: str) -> None:
    """Raise `Misconfigured`, without any part of the value, if an address can be read in more than one way.

    libpq reads `user:pa/ss@host` as the host `user`: the rest of the password would be shown as a database's name.
    """
    scheme, found, rest = url.partition("://")
    authority, *others = re.split(r"[/?]", rest, maxsplit=1)
    host = authority.rpartition("@")[2]
    ports = re.sub(r"\[[0-9A-Fa-f:.%]*\]", "", host).split(",")
    broken = found and (
        scheme not in ("postgresql", "postgres")
        or re.search(r"[\s#]|%(?![0-9A-Fa-f]{2})", rest)
        or authority.count("@") > 1
        or "@" in "".join(others)
        or not all(re.fullmatch(r"[^:\[\]]*(:\d*)?", each) for each in ports)
    )
    try:
        conninfo_to_dict("" if broken else url)
    except psycopg.ProgrammingError:
        broken = True
    if broken:
        raise Misconfigured(
            "The address of a database cannot be read; expected postgresql://user:password@host:port/database.",
            next_step="Correct UNDERSTUDY_SOURCE_DATABASE or UNDERSTUDY_TARGET_DATABASE. Percent-encode what a password"
            " holds: / as %2F, @ as %40, : as %3A, % as %25, ? as %3F, # as %23, a space as %20.",
        )


def configure(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Make these settings in one round trip: until the transaction ends, or outside one for the whole session."""
    local = connection.info.transaction_status is not TransactionStatus.IDLE
    connection.execute(
        "SELECT set_config(name, value, %s) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
        (local, list(settings), list(settings.values())),
    )


def is_cut_off(error: psycopg.Error) -> bool:
    """Whether the connection is gone, and not merely a statement refused or out of time."""
    state = error.sqlstate or "08"
    return isinstance(error, psycopg.OperationalError) and state[:2] in ("08", "57") and state != "57014"


def _open(url: str) -> psycopg.Connection[Any]:
    _require_address(url)
    given = conninfo_to_dict(url)
    try:
        # Keep-alives: a peer that vanished during a long COPY is noticed within a minute, not after two hours.
        options = {
            "connect_timeout": CONNECT_WITHIN,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        }
        wanted: dict[str, Any] = {**options, **given}
        return psycopg.connect(make_conninfo(**wanted), autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        where = f"{given.get('host', 'localhost')}:{given.get('port', 5432)}/{given.get('dbname', '')}"
        if error.sqlstate is None and any(
            word in str(error) for word in ("authentication", "password", "role", "does not exist")
        ):
            raise Misconfigured(
                f"The database {where} refuses this login or does not exist; expected one that it knows."
            ) from None
        raise Unreachable(f"The database {where} does not answer (SQLSTATE {error.sqlstate or 'none'}).") from None


@contextmanager
def snapshot_of(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Hold a read-only snapshot that other connections can share; gives its id. It ends with the block."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        yield snapshot
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")


def share(connection: psycopg.Connection[Any], snapshot: str) -> None:
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

"""The check that no pooler shares a connection's server, made before anything is set on it.

Behind a pooler in transaction or statement mode each transaction may use another server connection. What a session sets
(search_path, read-only, the masking key) stays there for the next client, and a snapshot cannot be held. A pooler in session
mode is accepted: the server connection belongs to one client until it leaves.
"""

import threading
from collections.abc import Callable
from typing import Any

import psycopg

from tasks.estate.errors import Misconfigured, UnderstudyError

LOOKS = 4  # at each of two connections in turn: a busy pooler alternates its servers
PATIENCE = 5.0  # seconds for a second server connection; a pooler in session mode may have only one
BACKEND = "SELECT pg_catalog.pg_backend_pid()"

Connection = psycopg.Connection[Any]


def require_own_server(connection: Connection, another: Callable[[], Connection], variable: str) -> bool:
    """Return whether there is a pooler. Raise `Misconfigured` if it is not in session mode.

    A server reports its process id when a connection begins; a pooler reports another one. If it differs from the process
    that answers, a second connection shows the mode: in session mode each keeps one server; otherwise both use the same
    one, or one uses two.
    """
    first = _backend(connection)
    if first == connection.info.backend_pid:
        return False
    seen = {first}
    second = _OtherConnection(another)
    try:
        others = second.look()
        for _ in range(LOOKS):
            seen.add(_backend(connection))
            others |= second.look()
    finally:
        second.close()
    if second.refused:
        raise Misconfigured(
            f"{variable} leads to a pooler that refuses a second connection, so that its mode is not known; expected the "
            "server itself, or a pooler in session mode.",
            next_step="Nothing was set or read. Point it at the database server's own port, or allow two connections.",
        )
    if len(seen) > 1 or len(others) > 1 or seen & others:
        raise Misconfigured(
            f"{variable} leads to a pooler in transaction or statement mode: two connections share server connections "
            "there. Expected the server itself, or a pooler in session mode.",
            next_step="Nothing was set or read. Point it at the database server's own port, or at a pool with "
            "pool_mode = session.",
        )
    return True


class _OtherConnection:
    """A second connection. If it waits for a server without end, the pooler is in session mode."""

    def __init__(self, another: Callable[[], Connection]) -> None:
        self._another = another
        self._connection: Connection | None = None
        self._hangs = False
        self.refused = False

    def look(self) -> set[int]:
        """Return the server that it uses now; empty if it gets none in time."""
        found: set[int] = set()
        if self._hangs or self.refused:
            return found

        def ask() -> None:
            try:
                if self._connection is None:
                    self._connection = self._another()
                found.add(_backend(self._connection))
            except (psycopg.Error, UnderstudyError):  # not raised: a thread's traceback would show its text
                self.refused = True

        asking = threading.Thread(target=ask, daemon=True)  # the process does not wait for one that hangs
        asking.start()
        asking.join(PATIENCE)
        self._hangs = asking.is_alive()
        return found

    def close(self) -> None:
        """Return the server to the pooler."""
        if self._connection is not None and not self._hangs:
            self._connection.close()


def _backend(connection: Connection) -> int:
    (pid,) = connection.execute(BACKEND).fetchone() or (0,)
    return int(pid)

"""Poolers: whether the server that answers is this connection's own, asked before anything is set on it.

Behind a pooler in transaction or statement mode each transaction may meet another server connection. Whatever a session sets
(search_path, read-only, the masking key) stays there for whoever comes next, and a snapshot cannot be held. In session mode
the server connection is ours until we leave, which is well.
"""

import threading
from collections.abc import Callable
from typing import Any

import psycopg

from tasks.estate.errors import Misconfigured, UnderstudyError

LOOKS = 4  # at each of two connections in turn: a busy pooler hands its servers round
PATIENCE = 5.0  # seconds for a second server connection; one in session mode may have only one to give
BACKEND = "SELECT pg_catalog.pg_backend_pid()"

Connection = psycopg.Connection[Any]


def require_own_server(connection: Connection, another: Callable[[], Connection], variable: str) -> bool:
    """Return whether a pooler stands between. Raises `Misconfigured` if it is not in session mode.

    A server tells its process when a connection begins; a pooler tells one of its own. If they differ, a second connection
    shows the mode: in session mode each keeps a server of its own; otherwise both meet the same one, or one meets two.
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
            f"{variable} leads to a pooler that refuses a second connection, so its mode cannot be told; expected the server "
            "itself, or a pooler in session mode.",
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
    """A second connection that may have to wait for a server for ever: then it was refused one, and that says session mode."""

    def __init__(self, another: Callable[[], Connection]) -> None:
        self._another = another
        self._connection: Connection | None = None
        self._hangs = False
        self.refused = False

    def look(self) -> set[int]:
        """The server that it meets now; empty if it gets none in time."""
        found: set[int] = set()
        if self._hangs or self.refused:
            return found

        def ask() -> None:
            try:
                if self._connection is None:
                    self._connection = self._another()
                found.add(_backend(self._connection))
            except (psycopg.Error, UnderstudyError):  # its words are no business of a thread's traceback
                self.refused = True

        asking = threading.Thread(target=ask, daemon=True)  # nothing waits for one that hangs
        asking.start()
        asking.join(PATIENCE)
        self._hangs = asking.is_alive()
        return found

    def close(self) -> None:
        """Give the server back."""
        if self._connection is not None and not self._hangs:
            self._connection.close()


def _backend(connection: Connection) -> int:
    (pid,) = connection.execute(BACKEND).fetchone() or (0,)
    return int(pid)

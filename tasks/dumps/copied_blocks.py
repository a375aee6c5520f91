"""Rows that PostgreSQL copies out, as blocks of bytes."""

import select
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.pq import ExecStatus
from psycopg.sql import Composed

LOOK_AGAIN = 1000  # milliseconds: TLS may hold bytes that the socket does not announce
BLOCK = 2**18  # bytes in one block: Python's cost per block is small, and each step finds it in the processor's cache


def copied_blocks(connection: psycopg.Connection[Any], statement: Composed) -> Iterator[bytes]:
    """Yield what a COPY … TO STDOUT returns in blocks of whole rows, of about `BLOCK` bytes.

    Rows are taken from libpq itself: psycopg's own iteration costs as much again for each row (`make bench`).
    """
    # Not a list of rows: thousands of psycopg's memoryviews at once cost the garbage collector 4 times the CPU.
    held = bytearray()
    server = connection.pgconn
    with connection.cursor() as cursor, cursor.copy(statement):
        arriving = select.poll()
        arriving.register(server.socket, select.POLLIN)
        take = server.get_copy_data
        while (taken := take(1))[0] >= 0:  # -1 is the end
            if taken[0] == 0:  # nothing has arrived
                arriving.poll(LOOK_AGAIN)
                server.consume_input()
                continue
            held += taken[1]
            if len(held) >= BLOCK:
                yield bytes(held)
                held.clear()
        _require_success(connection, arriving)
    if held:
        yield bytes(held)


def _require_success(connection: psycopg.Connection[Any], arriving: select.poll) -> None:
    """Read how the statement ended. Raise the server's error, as psycopg would."""
    server, failed = connection.pgconn, None
    while True:
        while server.is_busy():
            arriving.poll(LOOK_AGAIN)
            server.consume_input()
        result = server.get_result()
        if result is None:  # only now is the connection ready for the next statement
            break
        if result.status == ExecStatus.FATAL_ERROR:
            failed = result
    if failed is not None:
        raise psycopg.errors.error_from_result(failed)

"""What PostgreSQL copies out arrives as blocks of whole rows, and its errors as psycopg's."""

from collections.abc import Iterator
from math import ceil
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL

from tasks.dumps.connections import is_connection_lost
from tasks.dumps.copied_blocks import BLOCK, copied_blocks

ROWS = SQL("COPY (SELECT n, repeat('ü', n % 300) FROM generate_series(1, {}) AS n) TO STDOUT")
FAILING = "COPY (SELECT n, repeat('x', 100), 1 / (30000 - n) FROM generate_series(1, 40000) AS n) TO STDOUT"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode."""
    with psycopg.connect(database, autocommit=True) as made:
        yield made


@pytest.mark.parametrize("rows", [0, 1, 30_000])
def test_blocks_are_whole_rows_and_all_of_them(connection: psycopg.Connection[Any], rows: int) -> None:
    """Together they are what psycopg reads, each ends with a row, and all but the last have their size."""
    statement = ROWS.format(rows)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        expected = b"".join(copy)
    blocks = list(copied_blocks(connection, statement))
    assert b"".join(blocks) == expected
    assert all(block.endswith(b"\n") for block in blocks)
    assert all(len(block) >= BLOCK for block in blocks[:-1])
    assert len(blocks) == ceil(len(expected) / BLOCK) == (rows if rows < 2 else 35)


def test_an_error_of_the_server_in_the_middle_is_raised(connection: psycopg.Connection[Any]) -> None:
    """With its SQLSTATE and diagnosis, after the blocks before it; the connection can be used again."""
    blocks = copied_blocks(connection, SQL(FAILING))
    assert next(blocks)
    with pytest.raises(psycopg.errors.DivisionByZero) as raised:
        list(blocks)
    assert raised.value.diag.message_primary == "division by zero"
    assert connection.execute("SELECT 7").fetchone() == (7,)


def test_a_time_limit_is_raised_while_nothing_arrives(connection: psycopg.Connection[Any]) -> None:
    """A statement that returns no row within its limit ends with the server's error."""
    connection.execute("SET statement_timeout = 100")
    with pytest.raises(psycopg.errors.QueryCanceled):
        list(copied_blocks(connection, SQL("COPY (SELECT pg_sleep(60)) TO STDOUT")))


def test_reading_may_stop_early(connection: psycopg.Connection[Any]) -> None:
    """The statement is cancelled, and the connection can be used again."""
    blocks = copied_blocks(connection, ROWS.format(10**6))
    assert next(blocks)
    blocks.close()
    assert connection.execute("SELECT 7").fetchone() == (7,)


def test_a_lost_connection_counts_as_lost(connection: psycopg.Connection[Any], database: str) -> None:
    """The end of the server's process is an error of a lost connection."""
    blocks = copied_blocks(connection, ROWS.format(10**6))
    assert next(blocks)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError) as raised:
        list(blocks)
    assert is_connection_lost(raised.value)

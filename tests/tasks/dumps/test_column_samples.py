"""Samples: a few values of each column that may tell something, and not a whole table for them."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tasks.dumps.catalog import read_catalog
from tasks.dumps.column_samples import Samples, samples_of
from tasks.dumps.connections import connected_to
from tasks.estate.errors import Misconfigured
from tasks.estate.schema import Catalog
from tasks.masking.personal_values import LONGEST

SCHEMA = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE people (
    id int PRIMARY KEY, name text, mostly_null text, long text, photo bytea, active bool, mood mood, document jsonb,
    tags text[], born date, doubled int GENERATED ALWAYS AS (id * 2) STORED
);
INSERT INTO people
    SELECT n, 'name ' || n, CASE WHEN n = 900 THEN 'rare' END, repeat('x', 30000), '\\x00', true, 'glad',
        jsonb_build_object('n', repeat('y', CASE WHEN n % 2 = 0 THEN 30000 ELSE 1 END)), ARRAY['a', NULL], '2001-02-03'
    FROM generate_series(1, 1000) AS n;
CREATE TABLE other (id int, word text);
INSERT INTO other VALUES (1, 'unread');
"""


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A reading connection to a database of people."""
    with psycopg.connect(database) as made:
        made.execute(SCHEMA.encode())
    with connected_to(database, name="test", statement_within=30) as reading:
        yield reading


def taken(connection: psycopg.Connection[Any], size: int, **changes: Any) -> Samples:
    """Samples of the database, with other facts about its tables."""
    catalog = read_catalog(connection)
    tables = tuple(table.model_copy(update=changes) for table in catalog.tables)
    changed: Catalog = catalog.model_copy(update={"tables": tables})
    return samples_of(connection, changed, size)


def test_values_are_text_as_postgresql_prints_it(connection: psycopg.Connection[Any]) -> None:
    """Up to the wanted number of each column, without NULLs, however rare the others are, and cut where they are long."""
    samples = taken(connection, 5)
    assert samples["people", "id"] == ["1", "2", "3", "4", "5"]
    assert samples["people", "mostly_null"] == ["rare"]
    assert [len(value) for value in samples["people", "long"]] == [LONGEST] * 5
    assert samples["people", "tags"] == ["{a,NULL}"] * 5
    assert samples["people", "born"] == ["2001-02-03"] * 5


def test_documents_come_whole_or_not_at_all(connection: psycopg.Connection[Any]) -> None:
    """One that was cut would be no JSON, and taken for text."""
    assert taken(connection, 5)["people", "document"] == ['{"n": "y"}'] * 5


def test_columns_whose_type_is_enough_are_not_read(connection: psycopg.Connection[Any]) -> None:
    """Binary, yes or no, labels and computed columns: their values would add nothing."""
    read = {column for table, column in taken(connection, 5) if table == "people"}
    assert read == {"id", "name", "mostly_null", "long", "document", "tags", "born"}


def test_a_table_can_be_left_alone(connection: psycopg.Connection[Any]) -> None:
    """A table that the policy drops is not looked into."""
    assert {table for table, _ in samples_of(connection, read_catalog(connection), 5, without={"other"})} == {"people"}


@pytest.mark.parametrize("facts", [{"estimated_rows": 10**9}, {"estimated_rows": 0, "bytes": 10**11}])
def test_a_big_table_is_read_in_part_and_the_same_part_each_time(
    connection: psycopg.Connection[Any], facts: dict[str, int]
) -> None:
    """Some pages are enough, also of a table that was never analyzed; two drafts of one database agree."""
    small = taken(connection, 1000)["people", "name"]
    some = taken(connection, 500, estimated_rows=200_000)["people", "name"]
    assert 0 < len(some) < len(small)
    assert some == taken(connection, 500, estimated_rows=200_000)["people", "name"]
    assert len(taken(connection, 1000, **facts)["people", "name"]) < 300


def test_a_table_that_may_not_be_read_is_named(connection: psycopg.Connection[Any], database: str) -> None:
    """The role lacks a privilege: that is a fault of the set-up, reported with what to grant."""
    with psycopg.connect(database) as made:
        made.execute("CREATE ROLE samples_nobody; GRANT SELECT ON other TO samples_nobody")
    connection.execute("SET ROLE samples_nobody")
    with pytest.raises(Misconfigured, match="cannot be sampled"):
        taken(connection, 5)

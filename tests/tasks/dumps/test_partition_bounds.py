"""Bounds of partitions as PostgreSQL prints them, and what they cover."""

from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dumps.catalog import read_catalog
from tasks.dumps.partition_bounds import TargetPartitions, read_bound
from tasks.estate.relations import Resolver


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("FOR VALUES IN ('it''s', NULL, 5, E'a\\\\b')", (((0, "it's"),), ((2, None),), ((0, "5"),), ((0, "a\\b"),))),
        ("FOR VALUES FROM ('x', MINVALUE) TO ('y', MAXVALUE)", (((0, "x"), (-1, None)), ((0, "y"), (1, None)))),
        ("FOR VALUES IN ('a) TO (b', 'c, d')", (((0, "a) TO (b"),), ((0, "c, d"),))),
    ],
)
def test_a_bound_is_read(text: str, points: Any) -> None:
    """Quotes, escapes and the words for ends and NULL."""
    bound = read_bound(text)
    assert bound is not None
    assert bound.points == points


def test_what_is_no_bound_is_not_guessed() -> None:
    """Anything else is not known."""
    assert read_bound("FOR VALUES SOMEHOW") is None


edges = st.lists(st.integers(-9, 9), min_size=2, max_size=6, unique=True).map(sorted)


@settings(max_examples=25, derandomize=True)
@given(
    edges=edges,
    gaps=st.sets(st.integers(0, 4)),
    wanted=st.tuples(st.integers(-9, 8), st.integers(1, 6)),
    usual=st.booleans(),
)
def test_ranges_cover_what_postgresql_takes(
    database: str, edges: list[int], gaps: set[int], wanted: Any, usual: bool
) -> None:
    """The answer agrees with inserting every value of the wanted range."""
    low, high = wanted[0], wanted[0] + wanted[1]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS r; CREATE TABLE r (n int) PARTITION BY RANGE (n)")
        for number, (start, end) in enumerate(pairwise(edges)):
            if number not in gaps:
                connection.execute(
                    f"CREATE TABLE r{number} PARTITION OF r FOR VALUES FROM ({start}) TO ({end})".encode()
                )
        if usual:
            connection.execute("CREATE TABLE rest PARTITION OF r DEFAULT")
        taken = []
        for value in range(low, high):
            try:
                connection.execute("INSERT INTO r VALUES (%s)", (value,))
                taken.append(True)
            except psycopg.errors.CheckViolation:
                taken.append(False)
        catalog = read_catalog(connection)
        resolver, table = Resolver.of(catalog), catalog.table("r")
        root = resolver.find("r")
        assert table is not None
        assert root is not None
        answer = TargetPartitions(connection, table, resolver).accept(
            root, {root.key: f"FOR VALUES FROM ({low}) TO ({high})"}
        )
    assert answer == ("yes" if all(taken) else "maybe" if any(taken) else "no")

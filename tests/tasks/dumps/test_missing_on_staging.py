"""What staging lacks for a dump: a dump of version 0.1 does not state its partitions."""

import psycopg
import pytest

from tasks.dumps.missing_on_staging import partition_faults
from tasks.estate.tables import Kind, Relation
from tests.tasks.dumps.shapes import catalog, dumped, name, table


def part(text: str, above: str, bound: str, kind: Kind = Kind.ORDINARY) -> Relation:
    """A partition with its bound."""
    return Relation(name=name(text), kind=kind, parents=(name(above),), partition=True, bound=bound)


@pytest.mark.parametrize(
    ("below", "doubted"),
    [
        ([], True),
        ([part("p_1", "p", "FOR VALUES IN (1)")], True),
        ([part("p_1", "p", "FOR VALUES IN (1)"), part("p_rest", "p", "DEFAULT")], False),
        ([part("p_rest", "p", "DEFAULT", Kind.PARTITIONED), part("p_rest_1", "p_rest", "FOR VALUES IN (1)")], True),
        ([part("p_rest", "p", "DEFAULT", Kind.PARTITIONED), part("p_rest_all", "p_rest", "DEFAULT")], False),
    ],
    ids=["no partition", "no default", "default", "default without one below", "default with one below"],
)
def test_rows_whose_partitions_are_unknown_need_defaults(database: str, below: list[Relation], doubted: bool) -> None:
    """Without a default partition on every level, some rows of the dump may find no place: a doubt, and no certain fault."""
    there = catalog(
        table("p", ["id integer"], partitioned=True),
        relations=(Relation(name=name("p"), kind=Kind.PARTITIONED), *below),
    )
    with psycopg.connect(database) as connection:
        found = list(partition_faults(connection, [dumped("p", "id")], there))
    assert [certain for _, certain in found] == ([False] if doubted else [])

"""What staging lacks for a dump: tables, columns and partitions, with the statements that create them."""

from collections.abc import Sequence

import psycopg
import pytest

from tasks.dumps.catalog import read_catalog
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.missing_on_staging import dumped_tables, missing_things, partition_faults, require_partitions
from tasks.estate.dumps import Choices, DumpedPart
from tasks.estate.errors import DumpRefused
from tasks.estate.schema import Catalog, Kind, Relation
from tests.tasks.dumps.small_databases import catalog, dumped, facts, header, name, order, policy, table


def part(text: str, above: str, bound: str, kind: Kind = Kind.ORDINARY) -> Relation:
    """A partition with its bound."""
    return Relation(name=name(text), kind=kind, parents=(name(above),), partition=True, bound=bound)


def with_partitions(below: Sequence[Relation]) -> Catalog:
    """A target whose table `p` has these partitions by list."""
    root = Relation(name=name("p"), kind=Kind.PARTITIONED, key="LIST (id)")
    return catalog(table("p", ["id integer"], partitioned=True), relations=(root, *below))


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
    with psycopg.connect(database) as connection:
        found = list(partition_faults(connection, [dumped("p", "id")], with_partitions(below)))
    assert [certain for _, certain in found] == ([False] if doubted else [])


@pytest.mark.parametrize("there", [catalog(table("other")), catalog(table("p", ["id integer"]))])
def test_only_a_partitioned_table_of_the_target_lacks_partitions(database: str, there: Catalog) -> None:
    """A table that the target lacks is reported as such, and an ordinary one takes every row."""
    with psycopg.connect(database) as connection:
        assert list(partition_faults(connection, [dumped("p", "id")], there)) == []


def dumped_part(text: str, above: str, bound: str, key: str = "") -> DumpedPart:
    """A partition with rows in the dump."""
    return DumpedPart(name=name(text), parent=name(above), bound=bound, key=key)


TWO = dumped_part("p_2", "p", "FOR VALUES IN (2)")
LAYERS = (dumped_part("p_2", "p", "FOR VALUES IN (2)", "LIST (v)"), dumped_part("p_2x", "p_2", "DEFAULT"))
BOTH = "CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (v); CREATE TABLE p_2x PARTITION OF p_2 DEFAULT"


@pytest.mark.parametrize(
    ("parts", "below", "certain", "remedy"),
    [
        ([TWO], [part("x", "p", "FOR VALUES IN (2, 3)")], None, ""),
        ([TWO], [part("x", "p", "FOR VALUES IN (3)")], True, "CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2)"),
        ([TWO], [part("p_2", "p", "FOR VALUES IN (3)")], True, "compare the bounds"),
        ([TWO], [Relation(name=name("p_2"), kind=Kind.ORDINARY)], True, "CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2)"),
        (LAYERS, [part("x", "p", "FOR VALUES IN (3)")], True, BOTH),
        ([dumped_part("y", "p", "FOR VALUES IN (2, 3)")], [part("x", "p", "FOR VALUES IN (3)")], False,
         "CREATE TABLE y PARTITION OF p FOR VALUES IN (2, 3)"),
    ],
)  # fmt: skip
def test_rows_without_a_partition_are_refused_with_the_statements_that_create_it(
    database: str, parts: Sequence[DumpedPart], below: list[Relation], certain: bool | None, remedy: str
) -> None:
    """A load without a place for certain rows is refused; if the bounds do not decide it, it is a doubt."""
    held, there = header(dumped("p", "id", key="LIST (id)", parts=tuple(parts))), with_partitions(below)
    with psycopg.connect(database) as connection:
        assert require_partitions(connection, [order("other")], held, there) == ()
        if certain:
            with pytest.raises(DumpRefused) as refused:
                require_partitions(connection, [order("p", "id")], held, there)
            assert [fault["remedy"] for fault in refused.value.facts["faults"]] == [f"on staging: {remedy}"]
            return
        doubts = require_partitions(connection, [order("p", "id")], held, there)
    assert [doubt.remedy for doubt in doubts] == ([] if certain is None else [f"on staging: {remedy}"])


@pytest.mark.parametrize(
    ("allowance", "allowed"),
    [("other", []), ("gone", ["gone"]), ("users", ["users.V"]), ("users.V", ["users.V"])],
)
def test_missing_tables_and_columns_are_listed_with_their_statements(
    database: str, allowance: str, allowed: list[str]
) -> None:
    """The policy allows a missing table or column by name, or all missing columns of a table."""
    held = facts(
        dumped("users", "id", "V"), dumped("gone", "id", parents=(name("s.Up"),)), dumped("p", "id", key="LIST (id)")
    )
    totals = held.trailer.tables[:2]  # no segment fills the third
    held = held.model_copy(update={"trailer": held.trailer.model_copy(update={"tables": totals})})
    mine = policy("users: keep, gone: keep, p: keep, other: keep", f"missing_on_staging: [{allowance}]")
    orders = [order("users", "id", rows=2, skipped=("V",))]
    with psycopg.connect(database) as connection:
        found = list(missing_things(connection, held, orders, ["gone", "p"], mine))
    assert [(each.name, each.what, each.rows, each.statement) for each in found] == [
        ("gone", "inheritance child", 3, 'CREATE TABLE gone (id text) INHERITS (s."Up")'),
        ("p", "table", 0, "CREATE TABLE p (id text) PARTITION BY LIST (id)"),
        ("users.V", "column", 2, 'ALTER TABLE users ADD COLUMN "V" text'),
    ]  # fmt: skip
    assert [each.name for each in found if each.allowed] == allowed


PARTITIONED = """CREATE TABLE kept (at int, v text) PARTITION BY RANGE (at);
CREATE TABLE kept_1 PARTITION OF kept FOR VALUES FROM (0) TO (10); CREATE TABLE kept_3 PARTITION OF kept DEFAULT;
CREATE TABLE kept_2 PARTITION OF kept FOR VALUES FROM (10) TO (20) PARTITION BY LIST (v);
CREATE TABLE kept_2x PARTITION OF kept_2 DEFAULT;
CREATE TABLE hidden (v text) PARTITION BY LIST (v); CREATE TABLE hidden_1 PARTITION OF hidden DEFAULT;
CREATE TABLE below (at int, v text) PARTITION BY RANGE (at);
CREATE TABLE below_1 PARTITION OF below DEFAULT PARTITION BY LIST (v); CREATE TABLE below_1x PARTITION OF below_1 DEFAULT;
CREATE TABLE shown (at int, v text CHECK (v <> '')) PARTITION BY RANGE (at); CREATE TABLE shown_1 PARTITION OF shown DEFAULT;
CREATE TABLE plain (v text NOT NULL);
INSERT INTO kept VALUES (1, 'a'), (11, 'b'); INSERT INTO hidden VALUES ('a'); INSERT INTO below VALUES (1, 'a');
INSERT INTO shown VALUES (1, 'a')"""


def test_the_header_contains_partitions_with_rows_unless_their_key_is_masked(database: str) -> None:
    """Each partition comes after the one that it belongs to. A bound of a masked column may be a person's value."""
    mine = policy(
        "kept: keep, hidden: {v: scrub}, below: {at: keep, v: scrub}, shown: {at: keep, v: scrub}, plain: keep"
    )
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(PARTITIONED)
        there = read_catalog(connection)
        found = dumped_tables(connection, draft_masking(there, mine, Choices()), there)
    assert {str(each.name): (each.key, [str(part.name) for part in each.parts]) for each in found} == {
        "kept": ("RANGE (at)", ["kept_1", "kept_2", "kept_2x"]), "hidden": ("", []), "below": ("", []),
        "shown": ("RANGE (at)", ["shown_1"]), "plain": ("", []),
    }  # fmt: skip
    satisfied = {str(each.name): (len(each.promises or ()), len(each.sampled)) for each in found}
    assert satisfied["plain"] == (2, 0)  # NOT NULL of a kept column, and its type
    assert satisfied["shown"][1] == 1  # the CHECK of a masked column is only tried on a sample

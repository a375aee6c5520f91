"""Which tables of a dump a target can take, by the kinds of its relations."""

import pytest

from tasks.dumps.load_plan import taken_names, unwritable
from tasks.estate.relations import Resolver
from tasks.estate.schema import Kind, Name, Relation
from tests.tasks.dumps.small_databases import name


def part(text: str, above: str, kind: Kind = Kind.ORDINARY, **more: object) -> Relation:
    """A partition."""
    return Relation(**{"name": name(text), "kind": kind, "parents": (name(above),), "partition": True, **more})


def test_rows_on_another_server_and_hidden_rows_keep_a_table_from_being_written() -> None:
    """At any depth, each named with its remedy; other tables do not matter, nor does one that is not there."""
    known = Resolver([
        Relation(name=name("p"), kind=Kind.PARTITIONED), part("p_1", "p", Kind.PARTITIONED), part("p_2", "p", hidden=True),
        part("p_1_far", "p_1", Kind.FOREIGN, server="away"), Relation(name=name("shy"), kind=Kind.ORDINARY, hidden=True),
        Relation(name=name("open"), kind=Kind.ORDINARY),
    ])  # fmt: skip
    far, hidden = unwritable([name("p")], known)
    assert far.remedy.endswith("ALTER TABLE p_1 DETACH PARTITION p_1_far")
    assert hidden.message.startswith("row security hides rows of p_2 from the loading role")
    assert len(list(unwritable([name("shy")], known))) == 1
    assert list(unwritable([name("open"), name("absent")], known)) == []


@pytest.mark.parametrize(
    ("relation", "kind_of_relation"),
    [
        (Relation(name=name("t"), kind=Kind.ORDINARY), ""),
        (Relation(name=name("t"), kind=Kind.PARTITIONED), ""),
        (Relation(name=name("t"), kind=Kind.VIEW), "a view"),
        (Relation(name=name("t"), kind=Kind.FOREIGN, server="away"), "a foreign table on the server away"),
        (part("t", "p"), "a partition of p"),
        (Relation(name=name("t"), kind=Kind.ORDINARY, of_extension=True), "a table that belongs to an extension"),
    ],
)
def test_a_name_that_belongs_to_another_kind_of_relation_is_refused(relation: Relation, kind_of_relation: str) -> None:
    """Only an ordinary or a partitioned table of the application can take the rows; what is not there takes none."""
    found = list(map(str, taken_names([name("t"), Name(schema_name="other", name="t")], Resolver([relation]))))
    assert found == (
        [f"the dump has the table t, which is {kind_of_relation} on staging; rename it there"]
        if kind_of_relation
        else []
    )

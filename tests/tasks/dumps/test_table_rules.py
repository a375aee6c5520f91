"""The table rules of a policy in one database: rules without effect, unknown names and dropped partitions."""

import pytest

from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.table_rules import (
    dropped_partitions,
    existing_names,
    foreign_partition_faults,
    keys_to_dropped_partitions,
    stale_rules,
    without_dropped,
)
from tasks.estate.dumps import Choices
from tasks.estate.errors import PolicyRefused
from tasks.estate.relations import Resolver
from tasks.estate.schema import Catalog, Column, DatabaseIdentity, ForeignKey, Kind, Name, Relation, Table
from tasks.masking.policy import Policy, parse_policy


def name(text: str) -> Name:
    """A name in the schema public."""
    return Name(schema_name="public", name=text)


def part(text: str, above: str, kind: Kind = Kind.ORDINARY, server: str = "") -> Relation:
    """A partition."""
    return Relation(name=name(text), kind=kind, parents=(name(above),), partition=True, server=server)


RELATIONS = (
    Relation(name=name("p"), kind=Kind.PARTITIONED), part("p_a", "p"), part("p_b", "p", Kind.PARTITIONED), part("p_b_1", "p_b"),
    part("p_b_2", "p_b"), Relation(name=name("v"), kind=Kind.VIEW), Relation(name=name("mv"), kind=Kind.MATERIALIZED),
    Relation(name=name("far"), kind=Kind.FOREIGN, server="away"), Relation(name=name("users"), kind=Kind.ORDINARY),
    Relation(name=name("srs"), kind=Kind.ORDINARY, of_extension=True),
)  # fmt: skip
ID = Column(name="id", type="integer", base="int4", category="N")
CATALOG = Catalog(
    identity=DatabaseIdentity(host="h", port=1, database="d", database_oid=1, system_identifier="1", server_version=180000),
    tables=(
        Table(name=name("p"), columns=(ID,), partitioned=True, leaves=(name("p_a"), name("p_b_1"), name("p_b_2"))),
        Table(name=name("users"), columns=(ID,), leaves=(name("users"),)),
    ),
    relations=RELATIONS,
)  # fmt: skip


def policy(more: str, *, p: str = "keep", users: str = "keep") -> Policy:
    """A policy for the two tables, with more rules."""
    tables = ", ".join(filter(None, (f"p: {p}", f"users: {users}", more)))
    return parse_policy(f"app: small\nschema_version: 1\ntables: {{{tables}}}")


@pytest.mark.parametrize("rule", ["keep", "exclude", "{id: keep}", "{id: null}"])
@pytest.mark.parametrize("leaf", ["p_a", "p_b", "p_b_1"])
def test_a_rule_that_a_partition_cannot_have_is_a_fault(leaf: str, rule: str) -> None:
    """The rule of the partitioned table applies to all its partitions: another one would be ignored."""
    with pytest.raises(PolicyRefused, match=f"{leaf} is a partition of p.*would have no effect; expected drop"):
        draft_masking(CATALOG, policy(f"{leaf}: {rule}"), Choices())


@pytest.mark.parametrize(("leaf", "left"), [("p_a", ["p_b_1", "p_b_2"]), ("p_b", ["p_a"]), ("p_b_2", ["p_a", "p_b_1"])])
def test_a_dropped_partition_is_not_exported(leaf: str, left: list[str]) -> None:
    """Neither are the partitions below it; the others are."""
    plan = draft_masking(CATALOG, policy(f"{leaf}: drop"), Choices())
    table = plan.table("p")
    assert table is not None
    assert [str(each) for each in table.table.leaves] == left


@pytest.mark.parametrize("rule", ["keep", "drop", "{id: keep}"])
@pytest.mark.parametrize(("other", "what"), [("v", "a view"), ("mv", "a materialized view"), ("far", "a foreign table on the server"),
                                             ("srs", "a table that belongs to an extension")])  # fmt: skip
def test_what_has_no_rows_of_its_own_can_only_be_excluded(other: str, what: str, rule: str) -> None:
    """Views, foreign tables and an extension's tables are not exported: any other rule has no effect."""
    with pytest.raises(PolicyRefused, match=f"{other} is {what}.*expected exclude"):
        draft_masking(CATALOG, policy(f"{other}: {rule}"), Choices())
    draft_masking(CATALOG, policy(f"{other}: exclude"), Choices())


def test_rules_of_columns_are_called_so_in_a_fault() -> None:
    """A rule of the whole table is quoted, rules of its columns are not."""
    with pytest.raises(PolicyRefused, match="the rule 'rules of columns' would have no effect"):
        draft_masking(CATALOG, policy("v: {id: keep}"), Choices())
    with pytest.raises(PolicyRefused, match="the rule 'keep' would have no effect"):
        draft_masking(CATALOG, policy("v: keep"), Choices())


@pytest.mark.parametrize(("typed", "meant"), [("Users", "users"), ("user", "users"), ("public.users", "users")])
def test_a_mask_for_an_unknown_table_names_the_tables_that_it_may_mean(typed: str, meant: str) -> None:
    """A table with rules of columns must exist."""
    with pytest.raises(PolicyRefused, match=f"has no table {typed}; it has {meant}"):
        draft_masking(CATALOG, policy(f"{typed}: {{id: keep}}"), Choices())


def test_an_unknown_column_names_the_columns_that_it_may_mean() -> None:
    """A column with a rule must exist."""
    with pytest.raises(PolicyRefused, match="users has no column idd; it has id"):
        draft_masking(CATALOG, policy("", users="{id: keep, idd: hash}"), Choices())


def test_a_whole_rule_for_a_table_that_only_staging_can_have_is_noted() -> None:
    """Only the plan of the load knows whether staging has it."""
    rules = policy("scratch: drop, ImportExportAudit: exclude")
    plan = draft_masking(CATALOG, rules, Choices())
    assert [note for note in plan.notes if "staging only" in note] == [
        "line 3: the source has no table scratch; 'drop' can apply to staging only"
    ]
    known = {*existing_names(rules, Resolver.of(CATALOG))}
    assert known == {"p", "users"}
    staging = Resolver([Relation(name=name("scratch"), kind=Kind.ORDINARY)])
    assert not list(stale_rules(rules, known, staging))
    assert [fault.message for fault in stale_rules(rules, known, Resolver([]))] == [
        "line 3: neither the dump's source nor staging has a table scratch"
    ]


def test_parents_with_different_rules_need_a_rule_of_the_child() -> None:
    """A child of two parents with different rules is a fault until it has its own."""
    child = Table(name=name("both"), columns=(ID,), leaves=(name("both"),), parents=(name("users"), name("others")))
    others = Table(name=name("others"), columns=(ID,), leaves=(name("others"),))
    catalog = CATALOG.model_copy(update={"tables": (*CATALOG.tables, others, child)})
    with pytest.raises(
        PolicyRefused, match=r"both inherits from tables with different rules: users \(keep\), others \(exclude\)"
    ):
        draft_masking(catalog, policy("others: exclude"), Choices())
    draft_masking(catalog, policy("others: exclude, both: keep"), Choices())
    draft_masking(catalog, policy("others: keep"), Choices())


def test_foreign_partitions_must_be_excluded_by_name() -> None:
    """A rule of columns does not state that their rows are not exported."""
    root = Table(name=name("p"), columns=(ID,), partitioned=True, foreign_leaves=(name("p_far"), name("unknown")))
    resolver = Resolver([Relation(name=name("p"), kind=Kind.PARTITIONED), part("p_far", "p", Kind.FOREIGN, "away")])
    (fault,) = foreign_partition_faults(root, policy(""), resolver)
    assert fault.message.startswith("p_far is a foreign partition of p on the server away")
    assert len(list(map(str, foreign_partition_faults(root, policy("p_far: {id: keep}"), resolver)))) == 1
    assert list(map(str, foreign_partition_faults(root, policy("p_far: exclude"), resolver))) == []


def test_only_leaves_of_dropped_partitions_are_emptied() -> None:
    """Leaves of a dropped partition are emptied, without foreign ones and without those of a dropped table."""
    resolver = Resolver([*RELATIONS, part("p_b_far", "p_b", Kind.FOREIGN, "away")])
    rules = policy("p_b: drop, nowhere: drop, p_a: keep", users="drop")
    assert list(dropped_partitions(rules, resolver)) == [name("p_b_1"), name("p_b_2")]


def test_a_key_to_a_dropped_partition_is_a_fault() -> None:
    """It is no fault if its table is not exported, or if its columns arrive as NULL."""

    def key(table: str, references: str) -> ForeignKey:
        return ForeignKey(
            name=f"{table}_fk", table=name(table), columns=("id",), references=name(references), referenced_columns=("id",),
            definition="",
        )  # fmt: skip

    catalog = CATALOG.model_copy(update={"foreign_keys": (key("users", "p"), key("p", "users"))})
    gone = {name("p_a"), name("p_b_1")}
    assert list(map(str, keys_to_dropped_partitions(catalog, {"users", "p"}, gone, lambda each: False))) == [
        "users refers to p by users_fk, and the partition p_a, p_b_1 of it is dropped; keep it, or mask with null"
    ]
    assert list(map(str, keys_to_dropped_partitions(catalog, {"p"}, gone, lambda each: False))) == []
    assert list(map(str, keys_to_dropped_partitions(catalog, {"users", "p"}, gone, lambda each: True))) == []
    assert list(map(str, keys_to_dropped_partitions(catalog, {"users", "p"}, set(), lambda each: False))) == []


def test_a_table_without_its_dropped_partitions_is_the_same_otherwise() -> None:
    """The same object is returned if no partition is dropped."""
    root = CATALOG.tables[0]
    assert without_dropped(root, {name("other")}) is root
    assert without_dropped(root, {name("p_a")}).leaves == (name("p_b_1"), name("p_b_2"))


def test_the_audit_table_and_known_names_are_never_stale() -> None:
    """Staging's own tables may be in the policy of a source that lacks them."""
    rules = policy("ImportExportAudit: exclude, known: drop, here: keep")
    resolver = Resolver([Relation(name=name("here"), kind=Kind.ORDINARY)])
    assert [line.split()[-1] for line in stale_rules(rules, {"p", "users", "known"}, resolver)] == []
    assert len(list(stale_rules(rules, {"p", "users"}, resolver))) == 1
    assert existing_names(rules, Resolver(RELATIONS)) == ("p", "users")

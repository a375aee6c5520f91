"""Which tables of staging a load replaces, empties, keeps or leaves alone: partitions, heirs, and tables that only one side has."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.estate.errors import NotLoaded, PolicyRefused
from tasks.masking.policy import parse_policy

Pairs = Callable[..., Any]
READERS = pytest.mark.parametrize("readers", ["stay", "wait"])
KIN = "CREATE TABLE m (id int PRIMARY KEY, v text); CREATE TABLE m_2026 () INHERITS (m); CREATE TABLE m_2026_1 () INHERITS (m_2026)"
NEW = "INSERT INTO m VALUES (1, 'new'); INSERT INTO m_2026 VALUES (2, 'new'); INSERT INTO m_2026_1 VALUES (3, 'new')"
OLD = "INSERT INTO m VALUES (7, 'old'); INSERT INTO m_2026 VALUES (8, 'old'); INSERT INTO m_2026_1 VALUES (9, 'old')"
NOW = "SELECT tableoid::regclass::text, id, v FROM m ORDER BY id"


@READERS
@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ("m: exclude", [("m", 7, "old"), ("m_2026", 8, "old"), ("m_2026_1", 9, "old")]),
        ("m: exclude\nm_2026: keep", [("m_2026", 2, "new"), ("m_2026_1", 3, "new"), ("m", 7, "old")]),
        ("m: keep\nm_2026: exclude", [("m", 1, "new"), ("m_2026", 8, "old"), ("m_2026_1", 9, "old")]),
        ("m: keep\nm_2026_1: exclude", [("m", 1, "new"), ("m_2026", 2, "new"), ("m_2026_1", 9, "old")]),
        ("m: drop", []),
        ("m: drop\nm_2026: exclude", [("m_2026", 8, "old"), ("m_2026_1", 9, "old")]),
        ("m: keep", [("m", 1, "new"), ("m_2026", 2, "new"), ("m_2026_1", 3, "new")]),
    ],
)  # fmt: skip
def test_an_heir_is_treated_as_its_rule_says(pair: Pairs, rules: str, left: list[Any], readers: str) -> None:
    """Its own rule, else that of the table it inherits from; what is excluded is untouched, its children too."""
    made = pair(KIN, rules, NEW, old=OLD)
    made.load(made.export(), readers=readers)
    assert made.ask(NOW) == left


PARTS = """CREATE TABLE p (id int, v text) PARTITION BY LIST (id); CREATE TABLE p_open PARTITION OF p FOR VALUES IN (1, 2);
CREATE TABLE p_secret PARTITION OF p FOR VALUES IN (3, 4)"""


@READERS
def test_a_dropped_partition_is_empty_afterwards(pair: Pairs, readers: str) -> None:
    """Its rows do not travel, and those of staging are deleted."""
    made = pair(
        PARTS,
        "p: keep\np_secret: drop",
        "INSERT INTO p VALUES (1, 'a'), (3, 'secret')",
        old="INSERT INTO p VALUES (4, 'old')",
    )
    made.load(made.export(), readers=readers)
    assert made.ask("SELECT id FROM p") == [(1,)]


def test_a_dump_from_before_the_drop_is_not_loaded(pair: Pairs) -> None:
    """Rows that the policy drops now are not let in because an older dump holds them."""
    made = pair(PARTS, "p: keep", "INSERT INTO p VALUES (1, 'a'), (3, 'secret')", old="INSERT INTO p VALUES (4, 'old')")
    facts = made.export()
    made.policy = parse_policy("app: small\nschema_version: 1\ntables: {p: keep, p_secret: drop}")
    with pytest.raises(NotLoaded, match="p_secret has 1 rows after the load; expected none"):
        made.load(facts)
    assert made.ask("SELECT id FROM p") == [(4,)]


def test_rows_that_would_point_at_a_dropped_partition_are_named(pair: Pairs) -> None:
    """A foreign key to a table of which a part does not travel would break at the load."""
    made = pair(
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
        "CREATE TABLE p2 PARTITION OF p DEFAULT; CREATE TABLE c (p_id int REFERENCES p)",
        "p: keep\np2: drop\nc: keep",
    )  # fmt: skip
    with pytest.raises(PolicyRefused, match="c refers to p by c_p_id_fkey, and the partition p2 of it is dropped"):
        made.export()


@READERS
def test_tables_that_only_staging_has(pair: Pairs, readers: str) -> None:
    """Known to the policy they are emptied, excluded or unknown ones are as they were, also if rows of theirs point at loaded ones."""
    made = pair(
        "CREATE TABLE t (id int PRIMARY KEY)", "t: keep\nknown: drop\nmine: exclude", "INSERT INTO t VALUES (1)",
        old="INSERT INTO t VALUES (1), (2)",
    )  # fmt: skip
    made.change(
        "CREATE TABLE known (id int); CREATE TABLE mine (id int); CREATE TABLE scratch (t_id int REFERENCES t ON DELETE CASCADE);"
        "INSERT INTO known VALUES (1); INSERT INTO mine VALUES (2); INSERT INTO scratch VALUES (1), (2);"
        "CREATE SCHEMA other; CREATE TABLE other.t (id int); INSERT INTO other.t VALUES (3)"
    )
    loaded = made.load(made.export(), readers=readers)
    assert made.ask("SELECT id FROM t") == [(1,)]
    assert made.ask("SELECT id FROM known") == []
    assert made.ask("SELECT id FROM mine") == [(2,)]
    assert made.ask("SELECT t_id FROM scratch ORDER BY 1") == [(1,), (2,)]
    assert made.ask("SELECT id FROM other.t") == [(3,)]
    assert ("emptied tables", "1 counted: no row is left") in loaded.checks


def test_a_rule_for_a_table_that_neither_side_has_is_a_fault(pair: Pairs) -> None:
    """At the export it can still be staging's; at the load both sides are known."""
    made = pair("CREATE TABLE t (id int)", "t: keep\nghost: drop")
    facts = made.export()
    with pytest.raises(PolicyRefused, match="neither the dump's source nor staging has a table ghost"):
        made.load(facts)
    made.change("CREATE TABLE ghost (id int)")
    made.load(facts)

"""Plans of an export: which rule holds for which column, and in which order tables come."""

from tasks.dumps.export_plan import (
    MaskingPlan,
    anonymizer_of,
    audit_tables,
    inherited_rules,
    parents_first,
    rule_for,
    rules_of,
    whole_tables,
)
from tasks.estate.dumps import Anonymizer, Choices
from tests.tasks.dumps.small_databases import catalog, column, key, name, planned, planned_column, policy, table

FAMILY = catalog(
    table("top", ["id integer", "v", "w"]),
    table("other", ["v"]),
    table("child", ["id integer", "v", "w"], parents=(name("top"), name("other"))),
    table("orphan", parents=(name("gone"),)),
)


def test_a_rule_of_a_parent_holds_for_its_children() -> None:
    """The table's own rule comes first, then that of the first parent that has one, at any depth."""
    deep = catalog(*FAMILY.tables, table("grandchild", parents=(name("child"),)))
    grandchild, child = deep.table("grandchild"), deep.table("child")
    assert grandchild is not None
    assert child is not None
    for tables, whole in (("top: drop", "drop"), ("other: exclude", "exclude"), ("top: drop, child: keep", "keep")):
        mine = policy(tables)
        rules = [rule_for(each, deep, mine) for each in (child, grandchild)]
        assert [rule.whole if rule else None for rule in rules] == [whole, whole]
    orphan = deep.table("orphan")
    assert orphan is not None
    assert rule_for(orphan, deep, policy("top: keep")) is None


def test_column_rules_of_parents_are_overridden_by_the_first_parent_and_the_table_itself() -> None:
    """A mask on a parent's column holds for the child's column of the same name."""
    mine = policy("top: {id: keep, v: hash, w: scrub}, other: {v: token, x: hash}, child: {w: email}")
    child = FAMILY.table("child")
    assert child is not None
    rules = inherited_rules(child, FAMILY, mine)
    assert {each: rule.word for each, rule in rules.items()} == {"id": "keep", "v": "hash", "w": "email", "x": "hash"}


def test_every_column_that_travels_has_a_rule() -> None:
    """Tables kept as a whole keep all; dropped and excluded ones, the audit table, unknown ones and generated columns do not."""
    tables = [table(each) for each in ("a", "b", "c", "d", "journal", "unknown")]
    made = catalog(*tables, table("e", ["id integer", column("sum integer", generated=True), "extra"]))
    mine = policy(
        "a: keep, b: drop, c: exclude, d: {id: keep, v: hash}, e: {id: keep}, journal: keep", "audit: {table: journal}"
    )
    rules = {each: {col: rule.word for col, rule in found.items()} for each, found in rules_of(made, mine)}
    assert rules == {
        "a": {"id": "keep", "v": "keep"},
        "d": {"id": "keep", "v": "hash"},
        "e": {"id": "keep", "extra": "keep"},
    }
    assert audit_tables(made, mine) == ["journal"]
    assert audit_tables(catalog(), mine) == []
    assert list(whole_tables(made, mine, "drop")) == ["b"]
    assert list(whole_tables(made, mine, "exclude")) == ["c"]


def test_parents_come_before_their_children() -> None:
    """Also through others; a table that points at itself, an unknown one and a circle do not stop the order."""
    tables = [table(each) for each in "abcd"]
    keys = (key("a", "b"), key("b", "c"), key("c", "c"), key("d", "elsewhere"), key("elsewhere", "d"))
    order = [str(each.name) for each in parents_first(catalog(*tables, foreign_keys=keys))]
    assert sorted(order) == list("abcd")
    assert order.index("c") < order.index("b") < order.index("a")
    circle = parents_first(catalog(*tables, foreign_keys=(key("a", "b"), key("b", "a"), key("c", "a"), key("c", "b"))))
    names = [str(each.name) for each in circle]
    assert sorted(names) == list("abcd")
    assert names.index("c") > max(names.index("a"), names.index("b"))


def test_a_switched_off_anonymizer_lets_its_columns_travel_raw() -> None:
    """Only its own ones; without attachments a binary one of that kind is not read, and a text of that kind is."""
    made = table("t", ["id integer", "mail", "text", "file bytea", "link"])
    rules = "id: keep, mail: email, text: scrub, file: placeholder, link: {maker: url, anonymizer: attachments}"
    plan = planned(made, rules, choices=Choices(opted_out=(Anonymizer.EMAIL,), attachments=False))
    treatment = {each.column.name: (each.masked, each.raw, each.unread) for each in plan.columns}
    assert treatment == {
        "id": (False, False, False), "mail": (False, True, False), "text": (True, False, False),
        "file": (False, False, True), "link": (True, False, False),
    }  # fmt: skip
    assert [(c.rule, c.raw) for c in plan.dumped.columns] == [
        ("keep", False), ("email", True), ("scrub", False), ("unread", False), ("url", False),
    ]  # fmt: skip
    whole = planned(made, rules)
    assert [each.unread for each in whole.columns] == [False] * 5
    assert MaskingPlan(tables=(plan,)).anonymizers == (Anonymizer.BODIES, Anonymizer.ATTACHMENTS)
    assert MaskingPlan(tables=(whole,)).anonymizers == (Anonymizer.EMAIL, Anonymizer.BODIES, Anonymizer.ATTACHMENTS)


def test_a_column_has_a_group_of_its_own_unless_others_share_it() -> None:
    """Its name is that of the column; `by` names a column of the table."""
    assert planned_column("text", "hash").group == "t.v"
    made = planned(table("t"), "id: keep, v: {maker: full_name, by: id}")
    assert made.columns[1].place(made.table).by == made.table.column("id")
    assert made.columns[0].place(made.table).by is None
    assert anonymizer_of(made.columns[0].rule) is None
    assert anonymizer_of(made.columns[1].rule) is Anonymizer.NAMES
    assert anonymizer_of(planned_column("text", "{maker: hash, anonymizer: email}").rule) is Anonymizer.EMAIL


def test_a_plan_finds_its_tables_by_name() -> None:
    """A name that it does not have is None."""
    plan = MaskingPlan(tables=(planned(table("t"), "id: keep, v: hash"),))
    assert plan.table("t") is plan.tables[0]
    assert plan.table("u") is None

"""Verification inside a load's transaction: each finding by itself, and healthy rows."""

from array import array
from collections.abc import Callable
from typing import Any

import bcrypt
import psycopg
import pytest

from tasks.dumps.catalog import read_catalog
from tasks.dumps.leak_search import HashedValues
from tasks.dumps.verify_load import masked_now, plans_for, treated, verify_loaded
from tasks.estate.dumps import Anonymizer, Missing
from tasks.estate.errors import LeakFound, NotLoaded
from tasks.masking.session_settings import PASSWORD
from tests.tasks.dumps.small_databases import catalog, dumped, header, loading, order, policy, table
from tests.tasks.dumps.test_leak_search import MAIL, hashes_of

Verify = Callable[..., dict[str, str]]
T = "CREATE TABLE t (id int PRIMARY KEY, v text);"
ROWS = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL);"
NOTHING = HashedValues(hashes={"t.v": array("q", [1])})


@pytest.fixture
def verify(target: psycopg.Connection[Any]) -> Verify:
    """`verify(ddl, policy, load)`: the checks after `load`, in its transaction. `rows`: those of the trailer."""

    def run(
        ddl: str, tables: str, load: str = "", *, more: str = "", rows: dict[str, int] | None = None,
        written: dict[str, int] | None = None, secrets: HashedValues | None = NOTHING, **plan: Any,
    ) -> dict[str, str]:  # fmt: skip
        target.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {ddl}".encode())
        target.execute("SELECT set_config('search_path', 'public', false)")
        found, rules = read_catalog(target), policy(tables, more)
        held = [each.dumped for each in plans_for(found, rules)]
        rows = {str(each.name): 3 for each in held} | (rows or {})
        orders = [order(each, rows=count) for each, count in rows.items()]
        made = loading(*orders, header=header(*held), **plan)
        # A session of its own: PostgreSQL's counts include an earlier transaction until it has reported them.
        with psycopg.connect(f"{target.info.dsn}") as connection, connection.transaction(force_rollback=True):
            connection.execute((load or "SELECT").encode())
            return dict(verify_loaded(connection, made, found, rules, rows | (written or {}), secrets))

    return run


def test_healthy_rows_are_verified(verify: Verify) -> None:
    """Every check reports what it looked at."""
    assert verify(T, "t: keep", ROWS) == {
        "row counts": "3 rows in 1 tables, as in the dump's trailer",
        "emptied tables": "none",
        "other tables": "no row changed in tables that staging keeps or that the policy does not know",
        "foreign keys and unique keys": "enforced by PostgreSQL for every loaded row",
        "references of the policy": "none declared",
        "sequences": "0 are past the values in use",
        "masked columns": "0 columns compared with the results of their makers",
        "leak search": "1 values of the source searched for in 1 columns: none found",
    }


@pytest.mark.parametrize(
    ("rows", "written"),
    [({"t": 2}, {}), ({"t": 4}, {}), ({}, {"t": 2}), ({"absent": 1}, {})],
)
def test_another_count_of_rows_rolls_back(verify: Verify, rows: dict[str, int], written: dict[str, int]) -> None:
    """The rows of the table and the rows written must both be as many as in the dump."""
    with pytest.raises((NotLoaded, psycopg.errors.UndefinedTable), match=r"as in the dump's trailer|does not exist"):
        verify(T, "t: keep", ROWS, rows=rows, written=written)


def test_rows_of_missing_tables_are_reported(verify: Verify) -> None:
    """The report names tables with rows that staging lacks; a missing column is reported elsewhere."""
    lacks = [Missing(name="gone", what="table", rows=5, statement=""), Missing(name="t.x", what="column", rows=3, statement=""),
             Missing(name="bare", what="table", rows=0, statement="")]  # fmt: skip
    assert verify(T, "t: keep", ROWS, missing=tuple(lacks))["row counts"].endswith(
        "; NOT LOADED, because staging has no such table: gone (5 rows)"
    )


def test_emptied_tables_are_counted(verify: Verify) -> None:
    """A row that is left rolls the load back; a dropped partition counts as a table; a missing table does not count."""
    ddl = f"{T} CREATE TABLE e (id int); CREATE TABLE p (id int) PARTITION BY LIST (id);"
    ddl += "CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);"
    left, lost = ROWS + "INSERT INTO e VALUES (1), (2)", ROWS + "INSERT INTO p VALUES (1)"  # noqa: S608  # the test's own text
    both = {"t": 3, "p": 0}
    assert verify(ddl, "t: keep, p: keep, e: drop", ROWS, rows=both, emptied=("e", "absent"))["emptied tables"] == (
        "1 counted: no row is left"
    )
    assert verify(ddl, "t: keep, p: keep, p_1: drop", ROWS, rows=both)["emptied tables"] == "1 counted: no row is left"
    with pytest.raises(NotLoaded, match="e has 2 rows after the load; expected none"):
        verify(ddl, "t: keep, p: keep, e: drop", left, rows=both, emptied=("e",))
    with pytest.raises(NotLoaded, match="p_1 has 1 rows after the load; expected none"):
        verify(ddl, "t: keep, p: keep, p_1: drop", lost, rows={"t": 3, "p": 1})


OTHERS = """CREATE TABLE other (id int); INSERT INTO other VALUES (1); CREATE TABLE p (id int) PARTITION BY LIST (id);
  CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE MATERIALIZED VIEW mv AS SELECT * FROM other;"""


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("INSERT INTO other VALUES (2), (3)", r"other, which is not among its tables \(2 inserted\)"),
        ("UPDATE other SET id = 5", r"\(1 updated\)"), ("DELETE FROM other", r"\(1 deleted\)"),
        ("INSERT INTO p VALUES (1)", "rows of p_1, which"),
    ],
)  # fmt: skip
def test_a_changed_row_elsewhere_rolls_back(verify: Verify, statement: str, message: str) -> None:
    """PostgreSQL's own counts of the transaction decide, for partitions too."""
    with pytest.raises(NotLoaded, match=message):
        verify(f"{T} {OTHERS}", "t: keep", f"{ROWS} {statement}")


def test_changes_of_the_load_itself_are_allowed(verify: Verify) -> None:
    """Emptied tables, partitions of loaded tables, refreshed views and temporary tables do not fail the check."""
    load = """DELETE FROM other; INSERT INTO p VALUES (1); REFRESH MATERIALIZED VIEW mv;
      CREATE TEMPORARY TABLE scratch AS SELECT 1 AS one;"""
    verify(f"{T} {OTHERS}", "t: keep, p: keep, other: drop", ROWS + load, rows={"t": 3, "p": 1}, emptied=("other",))


def test_references_of_the_policy_are_checked(verify: Verify) -> None:
    """NULL refers to nothing; a missing parent rolls back with the count; a table that staging lacks is ignored."""
    ddl = f"{T} CREATE TABLE child (id int PRIMARY KEY, t_id int); CREATE TABLE spare (id int);"
    tables, more = "t: keep, child: keep", "references: [child.t_id -> t.id, gone.x -> t.id, child.t_id -> gone.x]\n"
    healthy = "INSERT INTO child VALUES (1, 1), (2, 1), (3, NULL);"
    assert verify(ddl, tables, " ".join((ROWS, healthy)), more=more)["references of the policy"] == "1 held"
    with pytest.raises(NotLoaded, match=r"2 rows of child\.t_id find no t\.id"):
        verify(ddl, tables, " ".join((ROWS, "INSERT INTO child VALUES (1, 7), (2, 8), (3, 1)")), more=more)


HASHED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
AGAIN = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()


def rows_of(*values: str | None) -> str:
    """Three rows of `t` with these values in `v`."""
    rows = ", ".join(f"({n}, {'NULL' if v is None else repr(v)})" for n, v in enumerate(values))
    return f"INSERT INTO t VALUES {rows};"  # noqa: S608  # the test's own values


@pytest.mark.parametrize(
    ("rule", "values", "compared"),
    [
        ("password", (HASHED, HASHED, None), 1), ("password", (None, None, None), 1), ("password", (HASHED + "  ", None, None), 1),
        ("email", ("user-1@staging.local", "user-2@staging.local", None), 1),
        ("{maker: email, form: hash}", ("u0123456789abcdef@staging.local", None, None), 1),
        ("{maker: scrub, text: gone}", ("gone", None, None), 1), ("hash", ("anything", None, None), 0), ("keep", ("x", "y", None), 0),
        ("{maker: sql, expression: 'md5({column})'}", ("anything", None, None), 0),
    ],
)  # fmt: skip
def test_masked_values_are_recognised(verify: Verify, rule: str, values: tuple[str | None, ...], compared: int) -> None:
    """Constants and addresses are recognised; values that depend on the key, and expressions, are not compared."""
    checks = verify(T, f"t: {{id: keep, v: {rule}}}", rows_of(*values))
    assert checks["masked columns"] == f"{compared} columns compared with the results of their makers"


@pytest.mark.parametrize(
    ("rule", "values", "message"),
    [
        ("password", (HASHED, AGAIN, None), "are not that of the staging password"),
        ("password", (OTHER, None, None), "staging password"),
        ("password", ("secret", None, None), "staging password"),
        ("email", ("user-1@staging.local", "anna@firma.example", None), r"1 values of t\.v: not an address of this policy"),
        ("email", ("user-1@staging.local.org", "xuser-1@staging.local", None), "2 values"),
        ("{maker: email, form: hash}", ("u0123456789abcde@staging.local", None, None), "1 values"),
        ("scrub", ("Hello Anna", None, None), r"1 values of t\.v differ from the result of their maker 'scrub'"),
        ("blank", ("Anna M.", "Berta", None), "2 values"), ("'null'", ("Anna M.", None, None), "1 values"),
    ],
)  # fmt: skip
def test_clear_values_where_a_mask_should_be_roll_back(
    verify: Verify, rule: str, values: tuple[str | None, ...], message: str
) -> None:
    """The message counts them and names the column, never a value."""
    with pytest.raises(LeakFound, match=message) as leak:
        verify(T, f"t: {{id: keep, v: {rule}}}", rows_of(*values))
    assert not any(value and value in leak.value.message for value in values)


def test_loaded_rows_are_searched_for_leaks(verify: Verify) -> None:
    """A found pair rolls back unless the policy accepts exactly that pair, which the report then names."""
    secrets = hashes_of({"users.email": [MAIL]})
    load = rows_of(f"write to {MAIL}", None, None)
    with pytest.raises(LeakFound, match=r"found on staging: t\.v holds 1 values of users\.email\."):
        verify(T, "t: keep", load, secrets=secrets)
    accept = "accept: [{source: users.email, found: t.v, reason: reviewed}]\n"
    assert verify(T, "t: keep", load, secrets=secrets, more=accept)["leak search"].endswith(
        "none found; accepted by the policy: t.v holds 1 values of users.email"
    )
    other = (
        "accept: [{source: users.email, found: t.w, reason: reviewed}, {source: t.v, found: t.v, reason: reviewed}]\n"
    )
    with pytest.raises(LeakFound):
        verify(T, "t: keep", load, secrets=secrets, more=other)


def test_a_leak_search_that_cannot_run_is_reported_or_refused(verify: Verify) -> None:
    """A raw load skips it, an unproven dump reports why, and a proven one is not loaded without its proof."""
    secrets, load = hashes_of({"users.email": [MAIL]}), rows_of(MAIL, None, None)
    raw = verify(T, "t: keep", load, secrets=secrets, arrives_raw=(Anonymizer.EMAIL,))["leak search"]
    assert raw.startswith("not run: anonymizers were switched off")
    assert (
        verify(T, "t: keep", load, secrets=None, unproven="no key")["leak search"]
        == "NOT RUN: the dump is unproven: no key"
    )
    with pytest.raises(NotLoaded, match="could not be opened here"):
        verify(T, "t: keep", load, secrets=None)
    with pytest.raises(LeakFound):
        verify(T, "t: keep", load, secrets=secrets, unproven="no key")


MINE = policy("t: {id: keep, a: email, b: scrub, c: hash, d: keep}, u: {id: keep, a: email}, w: drop")
SIDE = catalog(table("t", ["id integer", "a", "b", "c", "d"]), table("u", ["id integer", "a"]), table("w"))


def treatments(*tables: Any, **plan: Any) -> dict[str, list[tuple[str, str, bool, bool]]]:
    """Of every loaded column: its rule, whether it counts as masked and whether the dump has it raw."""
    made = loading(order("t"), order("u"), order("w"), order("gone"), header=header(*tables), **plan)
    return {
        str(each.table.name): [(c.column.name, c.rule.word, c.masked, c.raw) for c in each.columns]
        for each in treated(made, SIDE, MINE)
    }


def test_columns_have_the_rules_of_the_header() -> None:
    """Only columns of the dump count; a rule that differs from the policy's has no maker; unread columns keep theirs."""
    found = treatments(dumped("t", "id", "a email", "b hash", "c unread"), dumped("w", "id"))
    assert found == {
        "t": [("id", "keep", False, False), ("a", "email", True, False), ("b", "keep", False, False), ("c", "hash", False, False)],
        "u": [],
    }  # fmt: skip
    made = loading(order("t"), header=header(dumped("t", "c unread", "a email")))
    assert [(c.column.name, c.unread) for each in treated(made, SIDE, MINE) for c in each.columns] == [
        ("a", False),
        ("c", True),
    ]


def test_raw_columns_are_masked_during_the_load() -> None:
    """Columns whose anonymizer is switched off again arrive raw; masked columns are not masked twice."""
    held = (dumped("t", "id", "a email", "b scrub", raw=("a", "b")), dumped("u", "id", "a email"))
    now = (Anonymizer.EMAIL,)
    assert treatments(*held, mask_now=now)["t"] == [
        ("id", "keep", False, False), ("a", "email", True, False), ("b", "scrub", False, True),
    ]  # fmt: skip
    made = loading(order("t"), order("u"), header=header(*held), mask_now=now)
    (only,) = masked_now(made, SIDE, MINE)
    assert [(c.column.name, c.masked) for c in only.columns] == [("id", False), ("a", True), ("b", False)]
    half = loading(order("t"), header=header(dumped("t", "id", "a email", "b scrub", raw=("a",))), mask_now=now)
    assert [(c.column.name, c.masked) for each in masked_now(half, SIDE, MINE) for c in each.columns] == [
        ("id", False), ("a", True), ("b", False),
    ]  # fmt: skip
    assert list(masked_now(made.model_copy(update={"mask_now": ()}), SIDE, MINE)) == []


def test_a_target_may_be_older_or_newer_than_the_policy() -> None:
    """Tables without a rule are ignored, and no fault stops the load."""
    newer = catalog(*SIDE.tables, table("fresh"), table("t2", parents=(SIDE.tables[0].name,)))
    assert [str(each.table.name) for each in plans_for(newer, MINE)] == ["t", "u", "t2"]

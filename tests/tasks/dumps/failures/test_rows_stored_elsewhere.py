"""Tables whose rows are stored elsewhere, or whose statements become others: nothing outside the target is ever changed."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.estate.errors import DumpRefused, NotLoaded, PolicyRefused
from tasks.masking.policy import Policy, parse_policy

Pairs = Callable[..., Any]
ROOT = "CREATE TABLE events (id int, at int) PARTITION BY RANGE (at)"
NEW = "CREATE TABLE events_new PARTITION OF events FOR VALUES FROM (10) TO (20)"
OLD = "CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (0) TO (10)"
FAR = "CREATE FOREIGN TABLE events_old PARTITION OF events FOR VALUES FROM (0) TO (10) SERVER far"
# No row of it can be read or written by anybody: whatever touches it fails, which is what these tests want.
WRAPPER = """CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
GRANT USAGE ON FOREIGN SERVER far TO PUBLIC"""
GONE = "DROP FOREIGN DATA WRAPPER IF EXISTS nowhere CASCADE"


@pytest.fixture
def away(pair: Pairs) -> Any:
    """A function that makes a pair, and a foreign server on one side or both with statements that follow."""
    made: list[Any] = []

    def make(*arguments: str, far: dict[str, str], **options: str) -> Any:
        new = pair(*arguments, **options)
        made.append(new)
        for which, statements in far.items():
            with psycopg.connect(new.url(which), autocommit=True) as connection:
                connection.execute(GONE)
                connection.execute(WRAPPER)
                connection.execute("SET ROLE pair_owner")
                if statements:
                    connection.execute(statements.encode())
                connection.execute("RESET ROLE; GRANT SELECT ON ALL TABLES IN SCHEMA public TO pair_reader")
        return new

    yield make
    for new in made:
        for which in ("source", "target"):
            with psycopg.connect(new.url(which), autocommit=True) as connection:
                connection.execute(GONE)


@pytest.mark.parametrize("readers", ["stay", "wait"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_foreign_partition_of_staging_refuses_the_plan_by_name(away: Pairs, depth: int, readers: str) -> None:
    """At any depth the leaf and the statement that detaches it are named, and staging is as it was."""
    foreign = FAR
    if depth == 2:
        foreign = (
            "CREATE TABLE events_mid PARTITION OF events FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (at);"
            + FAR.replace("OF events", "OF events_mid")
        )
    made = away(
        f"{ROOT}; {NEW}", "events: keep", "INSERT INTO events VALUES (1, 10)", old="INSERT INTO events VALUES (9, 11)",
        far={"target": foreign},
    )  # fmt: skip
    above = "events" if depth == 1 else "events_mid"
    with pytest.raises(DumpRefused, match=f"ALTER TABLE {above} DETACH PARTITION events_old") as refused:
        made.load(made.export(), readers=readers)
    assert f"events_old is a foreign partition of {above} on the server far" in str(refused.value)
    assert made.ask("SELECT id FROM events_new") == [(9,)]


@pytest.mark.parametrize("rule", ["drop", "exclude"])
def test_a_foreign_partition_of_a_table_without_rows_in_the_dump(away: Pairs, rule: str) -> None:
    """To be emptied it is as forbidden as to be loaded; excluded with its table it does no harm."""
    made = away(
        f"{ROOT}; {NEW}; CREATE TABLE t (id int)", f"t: keep\nevents: {rule}", "INSERT INTO t VALUES (1)",
        old="INSERT INTO events VALUES (9, 11)", far={"target": FAR},
    )  # fmt: skip
    facts = made.export()
    if rule == "exclude":
        made.load(facts)
        assert made.ask("SELECT id FROM events_new") == [(9,)]
        assert made.ask("SELECT id FROM t") == [(1,)]
    else:
        with pytest.raises(DumpRefused, match="events_old"):
            made.load(facts)


def test_foreign_inheritance_children_are_neither_read_nor_written(away: Pairs) -> None:
    """A table with a foreign child is exported and loaded by itself alone."""
    child = "CREATE FOREIGN TABLE m_far () INHERITS (m) SERVER far"
    made = away(
        "CREATE TABLE m (id int)", "m: keep\nm_far: exclude", "INSERT INTO m VALUES (1)", old="INSERT INTO m VALUES (9)",
        far={"source": child, "target": child},
    )  # fmt: skip
    made.load(made.export())
    assert made.ask("SELECT id FROM ONLY m") == [(1,)]


def test_a_foreign_partition_of_the_source_must_be_agreed_to(away: Pairs) -> None:
    """Its rows do not travel, so that the policy must exclude it; then the other partitions travel without a look at it."""
    made = away(
        f"{ROOT}; {NEW}", "events: keep", "INSERT INTO events VALUES (1, 10)", far={"source": FAR, "target": OLD}
    )
    with pytest.raises(PolicyRefused, match="add `events_old: exclude`"):
        made.export()
    for rule in ("keep", "drop", "{id: keep}"):
        made.policy = policy_with(rule)
        with pytest.raises(PolicyRefused, match=r"events_old is a foreign partition of events.*expected exclude"):
            made.export()
    made.policy = policy_with("exclude")
    made.load(made.export())
    assert made.ask("SELECT id FROM events") == [(1,)]


def policy_with(rule: str) -> Policy:
    """A policy with that rule for the foreign partition."""
    return parse_policy(f"app: small\nschema_version: 1\ntables: {{events: keep, events_old: {rule}}}")


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ("CREATE TABLE people (id int); CREATE VIEW users AS SELECT id FROM people", "a view"),
        ("CREATE MATERIALIZED VIEW users AS SELECT 1 AS id", "a materialized view"),
        ("CREATE TABLE all_users (id int) PARTITION BY LIST (id); CREATE TABLE users PARTITION OF all_users DEFAULT",
         "a partition of all_users"),
        ("CREATE FOREIGN TABLE users (id int) SERVER far", "a foreign table on the server far"),
    ],
)  # fmt: skip
def test_a_name_that_belongs_to_another_kind_of_relation_on_staging_is_refused(
    away: Pairs, there: str, found: str
) -> None:
    """A table of the dump is not skipped in silence if its name is taken, and never written through a view."""
    made = away("CREATE TABLE users (id int)", "users: keep", "INSERT INTO users VALUES (1)", far={"target": ""})
    facts = made.export()
    made.change(f"DROP TABLE users; {there}")
    with pytest.raises(DumpRefused, match=rf"the dump has the table users, which is {found} on staging"):
        made.load(facts)


RULES = {
    "nothing": "CREATE RULE k AS ON DELETE TO t DO INSTEAD NOTHING",
    "elsewhere": "CREATE RULE k AS ON DELETE TO t DO INSTEAD DELETE FROM other",
    "also": "CREATE RULE k AS ON DELETE TO t DO ALSO INSERT INTO other VALUES (2)",
    "always": "CREATE RULE k AS ON DELETE TO t DO INSTEAD NOTHING; ALTER TABLE t ENABLE ALWAYS RULE k",
    "off": "CREATE RULE k AS ON DELETE TO t DO INSTEAD NOTHING; ALTER TABLE t DISABLE RULE k",
    "insert": "CREATE RULE k AS ON INSERT TO t DO INSTEAD NOTHING",
}


@pytest.mark.parametrize("treatment", ["drop", "keep"])
@pytest.mark.parametrize("rule", RULES)
def test_rules_neither_keep_rows_nor_reach_other_tables(pair: Pairs, rule: str, treatment: str) -> None:
    """Old rows go, new ones come, the other table is as it was, and the rule is there afterwards with its state."""
    made = pair(
        "CREATE TABLE t (id int); CREATE TABLE other (id int)", f"t: {treatment}\nother: exclude", "INSERT INTO t VALUES (1)",
        old="INSERT INTO t VALUES (9); INSERT INTO other VALUES (5)",
    )  # fmt: skip
    made.change(RULES[rule])
    state = "SELECT ev_enabled FROM pg_rewrite WHERE rulename = 'k'"
    before = made.ask(state)
    made.load(made.export())
    assert made.ask("SELECT id FROM t") == ([(1,)] if treatment == "keep" else [])
    assert made.ask("SELECT id FROM other") == [(5,)]
    assert made.ask(state) == before


def test_row_security_that_hides_rows_is_named_at_the_plan(pair: Pairs) -> None:
    """Forced on the owner, hidden rows could not be deleted: refused with the remedy. Not forced, it does no harm."""
    made = pair("CREATE TABLE t (id int)", "t: drop", old="INSERT INTO t VALUES (1), (2)")
    facts = made.export()
    made.change(
        "CREATE POLICY p ON t USING (id = 1); ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    )
    with pytest.raises(DumpRefused, match=r"row security hides rows of t .* NO FORCE ROW LEVEL SECURITY"):
        made.load(facts)
    assert made.ask("SELECT count(*) FROM t") == [(2,)]
    made.change("ALTER TABLE t NO FORCE ROW LEVEL SECURITY")
    made.load(facts)
    assert made.ask("SELECT count(*) FROM t") == [(0,)]


def test_triggers_do_not_keep_rows(pair: Pairs) -> None:
    """A row trigger that returns NULL keeps no row of an emptied table, also one that fires always."""
    made = pair(
        "CREATE TABLE t (id int)", "t: drop", old="INSERT INTO t VALUES (1)",
        after="""CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER stay BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION stay(); ALTER TABLE t ENABLE ALWAYS TRIGGER stay""",
    )  # fmt: skip
    made.load(made.export())
    assert made.ask("SELECT count(*) FROM t") == [(0,)]


def test_what_the_load_changes_is_counted(pair: Pairs) -> None:
    """Code of the database that changes a table outside the plan, here in a default, undoes the load."""
    made = pair(
        """CREATE TABLE log (id int); CREATE FUNCTION noted() RETURNS int LANGUAGE plpgsql AS
        'BEGIN INSERT INTO public.log VALUES (1); RETURN 1; END'; CREATE TABLE t (id int)""",
        "t: keep\nlog: exclude", "INSERT INTO t VALUES (1)",
    )  # fmt: skip
    facts = made.export()
    made.change("ALTER TABLE t ADD n int DEFAULT noted()")
    before = made.contents()
    with pytest.raises(NotLoaded, match=r"changed rows of log, .* \(1 inserted\)"):
        made.load(facts)
    assert made.contents() == before

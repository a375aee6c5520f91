"""A load is planned on a real target: every refusal comes before a plan exists, and the plan names what waits."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.dumps.load_plan import draft_load, kept_tables
from tasks.dumps.staging_marker import prepare_marker, write_marker
from tasks.estate.dumps import Anonymizer, LoadPlan
from tasks.estate.errors import DumpRefused, DumpTooNew, WrongHost, WrongTarget
from tests.tasks.dumps.small_databases import catalog, dumped, facts, loading, name, policy

Draft = Callable[..., LoadPlan]
SCHEMA = """CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a, v text);
  CREATE TABLE other (id int PRIMARY KEY);"""
TABLES = "a: {id: keep, v: email}, b: {id: keep, a_id: keep, v: scrub}, other: exclude"
DUMP = (dumped("a", "id", "v email"), dumped("b", "id", "a_id", "v scrub"))


@pytest.fixture
def draft(target: psycopg.Connection[Any]) -> Draft:
    """`draft(*tables of the dump)`: the plan for a target with `SCHEMA` and `more`; `header` changes the dump's."""

    def make(
        *tables: Any, more: str = "", rules: str = TABLES, typed: str = "staging.example", real: str = "staging.example",
        readers: str = "stay", opted_out: tuple[Anonymizer, ...] = (), unproven: str = "", **header: Any,
    ) -> LoadPlan:  # fmt: skip
        target.execute(
            f"DROP SCHEMA IF EXISTS understudy CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; {SCHEMA} {more}".encode()
        )
        dump = facts(*(tables or DUMP), **header).model_copy(update={"unproven": unproven})
        return draft_load(
            target, dump, policy(rules), typed=typed, real=real, readers=readers, opted_out=opted_out,
            requested_by="Dora", run_id="run-1", events=lambda: iter(()),
        )  # fmt: skip

    return make


def test_a_plan_describes_what_happens_to_the_target(draft: Draft) -> None:
    """Tables, kept ones, the first load, the proof and who asked."""
    plan = draft(unproven="no key")
    assert [str(each.name) for each in plan.tables] == ["a", "b"]
    assert (plan.kept, plan.emptied, plan.untouched, plan.skipped) == (("other",), (), (), ())
    assert (plan.first_load, plan.unproven, plan.requested_by, plan.run_id) == (True, "no key", "Dora", "run-1")
    assert (plan.readers, plan.readers_wait, plan.doubts) == ("stay", (), ())
    assert len(plan.catalog) >= 16


def test_a_target_with_a_marker_is_no_first_load(draft: Draft, target: psycopg.Connection[Any]) -> None:
    """Its own application's marker proves that it is staging, another one's refuses."""
    draft()
    for app, refused in (("school", False), ("shop", True)):
        more = "CREATE SCHEMA understudy"
        target.execute("DROP SCHEMA IF EXISTS understudy CASCADE")
        prepare_marker(target)
        made = loading()
        write_marker(target, made.model_copy(update={"header": made.header.model_copy(update={"app": app})}), "notice")
        dump = facts(*DUMP)
        given: dict[str, Any] = {
            "typed": "staging.example", "real": "staging.example", "readers": "stay", "opted_out": (),
            "requested_by": "", "run_id": more, "events": lambda: iter(()),
        }  # fmt: skip
        if refused:
            with pytest.raises(WrongTarget, match="marked as staging of 'shop'"):
                draft_load(target, dump, policy(TABLES), **given)
        else:
            assert not draft_load(target, dump, policy(TABLES), **given).first_load


def test_the_name_that_counts_is_that_of_the_settings(draft: Draft, target: psycopg.Connection[Any]) -> None:
    """Or of the connection, if the settings have none."""
    with pytest.raises(WrongHost):
        draft(typed="other.example")
    host = target.info.host
    assert draft(typed=host, real="").hostname == host
    with pytest.raises(WrongHost):
        draft(typed=host, real="staging.example")


def test_the_source_another_version_and_other_rules_are_refused(draft: Draft, target: psycopg.Connection[Any]) -> None:
    """Each before a plan exists, and the source itself before the hostname is compared."""
    (system,) = target.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or ("",)
    with pytest.raises(WrongTarget):
        draft(source_system=system, source_database="test_load_plan_drafted", typed="wrong")
    with pytest.raises(DumpTooNew):
        draft(schema_version=9)
    with pytest.raises(DumpRefused, match=r"a\.v as 'scrub'; the policy specifies 'email'"):
        draft(dumped("a", "id", "v scrub"))
    with pytest.raises(DumpRefused, match="the dump has the table gone, which is a view on staging"):
        draft(*DUMP, dumped("gone", "id"), more="CREATE VIEW gone AS SELECT 1 AS id", rules=f"{TABLES}, gone: keep")


def test_raw_columns_are_masked_unless_they_are_left_off_again(draft: Draft) -> None:
    """Each anonymizer for itself."""
    held = (dumped("a", "id", "v email", raw=("v",)), dumped("b", "id", "a_id", "v scrub", raw=("v",)))
    plan = draft(*held)
    assert (plan.mask_now, plan.arrives_raw) == ((Anonymizer.EMAIL, Anonymizer.BODIES), ())
    plan = draft(*held, opted_out=(Anonymizer.EMAIL,))
    assert (plan.mask_now, plan.arrives_raw) == ((Anonymizer.BODIES,), (Anonymizer.EMAIL,))


def test_a_dump_without_rows_of_a_known_table_empties_it(draft: Draft) -> None:
    """What the policy does not know is untouched, and a table that staging lacks is missing."""
    plan = draft(
        dumped("a", "id", "v email"),
        dumped("gone", "id"),
        more="CREATE TABLE stranger (id int)",
        rules=f"{TABLES}, gone: keep",
    )
    assert (plan.emptied, plan.untouched) == (("b",), ("stranger",))
    assert [(each.name, each.what) for each in plan.missing] == [("gone", "table")]


NOT_VALID = "ALTER TABLE {} ADD CONSTRAINT c CHECK (id > 0) NOT VALID;"


@pytest.mark.parametrize(
    ("more", "readers", "waiting"),
    [
        ("", "wait", ("a", "b")),
        (NOT_VALID.format("a"), "stay", ("a",)),
        (NOT_VALID.format("other"), "stay", ()),
        ("CREATE RULE r AS ON INSERT TO b DO ALSO NOTHING;", "stay", ("b",)),
        ("CREATE RULE r AS ON INSERT TO other DO ALSO NOTHING;", "stay", ()),
        ("ALTER TABLE other ADD a_id int REFERENCES a;", "stay", ("a", "other")),
    ],
)
def test_readers_wait_where_tables_are_altered(draft: Draft, more: str, readers: str, waiting: tuple[str, ...]) -> None:
    """With a lifted key, a NOT VALID constraint or a rule; of other tables nobody waits."""
    assert draft(more=more, readers=readers).readers_wait == waiting


def test_an_event_trigger_is_a_doubt_of_the_plan(draft: Draft, target: psycopg.Connection[Any]) -> None:
    """It runs the application's code inside the load."""
    try:
        plan = draft(
            more="CREATE FUNCTION look() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
            " CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION look();"
        )
        (doubt,) = (each for each in plan.doubts if each.kind == "event-trigger")
        assert doubt.message.startswith("the event trigger watch (ddl_command_end) runs")
        assert any("not tried: an event trigger" in each.message for each in plan.doubts)
    finally:
        target.execute("DROP EVENT TRIGGER IF EXISTS watch")


def test_a_role_without_rights_is_refused_at_the_plan(draft: Draft, target: psycopg.Connection[Any]) -> None:
    """Every right that is missing is named."""
    target.execute("DROP ROLE IF EXISTS bare; CREATE ROLE bare")
    try:
        with pytest.raises(DumpRefused, match="bare may not SELECT, INSERT, DELETE on a"):
            draft(more="GRANT USAGE ON SCHEMA public TO bare; SET ROLE bare;")
    finally:
        target.execute("RESET ROLE; DROP OWNED BY bare; DROP ROLE bare")


def test_a_materialized_view_stays_as_it_is_only_if_the_policy_says_so() -> None:
    """Of three, the one that is excluded; one that the policy drops or does not know is made again."""
    seen = catalog(materialized_views=tuple(name(each) for each in ("totals", "other", "unknown")))
    assert list(kept_tables(seen, policy("totals: exclude, other: drop"))) == ["totals"]

"""The privileges of a load: each missing one is named with the statement that grants it, and no other."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.dumps import load_privileges
from tasks.dumps.load_privileges import event_trigger_doubts, missing_privileges, populated_views, require_privileges
from tasks.estate.errors import DumpRefused
from tasks.estate.planning_faults import Fault
from tasks.estate.schema import ForeignKey, Name, Sequence
from tests.tasks.dumps.small_databases import catalog, key, loading, name, order, table

CONNECTION: Any = None
ROLE = {"role": "loader", "temporary": True, "may_create": True, "database": "app"}
Answers = Callable[..., None]


def row(text: str, **more: Any) -> dict[str, Any]:
    """The catalogue's row about a relation that the role owns."""
    fields = {
        "schema": "public", "name": text, "root_schema": "public", "root": text, "kind": "r", "owned": True, "owner": "boss",
        "reachable": True, "lacking": [], "published": "", "populated": False, "maintained": False, "oid": hash(text),
    }  # fmt: skip
    return fields | more


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """A function that sets the rows of the catalogue."""

    def answer(*relations: dict[str, Any], role: dict[str, Any] = ROLE, **others: list[dict[str, Any]]) -> None:
        rows = {
            "role": [role], "rights": list(relations), "triggers": [], "rules": [], "view_dependencies": [], "event_triggers": [],
        } | others  # fmt: skip
        monkeypatch.setattr(load_privileges, "query_catalog", lambda connection, query: rows[query])

    return answer


def missing(
    *, readers: str = "stay", lifted: tuple[ForeignKey, ...] = (), altered: tuple[Name, ...] = (),
    emptied: tuple[str, ...] = (), **more: Any,
) -> list[str]:  # fmt: skip
    """The missing privileges of a load of `t`."""
    plan = loading(order("t"), readers=readers, emptied=emptied)
    return list(map(str, missing_privileges(CONNECTION, catalog(table("t"), **more), plan, list(lifted), set(altered))))


def test_the_owner_of_everything_lacks_nothing(answers: Answers) -> None:
    """Tables that the load does not write need no privilege."""
    answers(row("t"), row("other", owned=False, reachable=False, lacking=["SELECT"]), row("v", kind="m"))
    assert missing(materialized_views=(name("v"),)) == []
    require_privileges(iter([]))


@pytest.mark.parametrize(
    ("field", "statement"),
    [
        ("temporary", "GRANT TEMPORARY ON DATABASE app TO loader"),
        ("may_create", "GRANT CREATE ON DATABASE app TO loader"),
    ],
)
def test_privileges_on_the_database_are_named(answers: Answers, field: str, statement: str) -> None:
    """Temporary tables and the schema of the marker."""
    answers(row("t"), role=ROLE | {field: False})
    (fault,) = missing()
    assert statement in fault
    with pytest.raises(DumpRefused, match="The load cannot be done"):
        require_privileges(iter([Fault("right", fault)]))


def test_a_fault_is_reported_once() -> None:
    """The same privilege may be missing for two reasons."""
    with pytest.raises(DumpRefused) as refused:
        require_privileges(Fault("right", each) for each in ("one", "two", "one"))
    assert "done: one; two." in refused.value.message


@pytest.mark.parametrize(
    ("readers", "lacking", "statement"),
    [
        ("stay", ["SELECT", "INSERT"], "GRANT SELECT, INSERT ON t"), ("stay", ["DELETE"], "GRANT DELETE ON t"),
        ("wait", ["TRUNCATE"], "GRANT TRUNCATE ON t"), ("stay", ["TRUNCATE"], ""), ("wait", ["DELETE"], ""),
    ],
)  # fmt: skip
def test_privileges_on_a_written_table_depend_on_the_readers(
    answers: Answers, readers: str, lacking: list[str], statement: str
) -> None:
    """Loaded and emptied tables need DELETE if readers stay and TRUNCATE if they wait; a partitioned table at its root."""
    answers(row("t", lacking=lacking, owned=False))
    faults = missing(readers=readers)
    assert [statement in fault for fault in faults] == [True] * bool(statement)
    answers(
        row("t"), row("e", kind="p", lacking=lacking, owned=False), row("e_1", root="e", lacking=lacking, owned=False)
    )
    assert len(missing(readers=readers, emptied=("e",))) == bool(statement)
    answers(row("t"), row("v", kind="v", lacking=lacking))
    assert missing(readers=readers, emptied=("v",)) == []


def test_a_leaf_of_the_same_name_in_another_schema_is_no_root(answers: Answers) -> None:
    """Privileges are needed on the table that statements name."""
    answers(row("t", kind="p"), row("t", schema="parts", root="t", lacking=["SELECT"], owned=False))
    assert missing() == []


def test_a_schema_without_usage_is_named_alone(answers: Answers) -> None:
    """Further privileges in that schema are not reported yet."""
    answers(row("t", reachable=False, lacking=["SELECT"], published="p", owned=False))
    (fault,) = missing(altered=(name("t"),))
    assert "GRANT USAGE ON SCHEMA public TO loader" in fault


def test_what_is_altered_must_be_owned(answers: Answers) -> None:
    """Tables with triggers, rules, NOT VALID constraints or lifted keys; a key's other table is named by its kind."""
    stranger = row("t", owned=False)
    for more, given in (
        ({"triggers": [{"schema": "public", "name": "t"}]}, {}), ({"rules": [{"schema": "public", "name": "t"}]}, {}),
        ({}, {"altered": (name("t"),)}), ({}, {"lifted": (key("t", "a"),)}),
    ):  # fmt: skip
        answers(stranger, **more)
        faults = missing(**given)
        assert faults == ["the table t belongs to boss and must be altered; on staging: GRANT boss TO loader"]
        answers(row("t"), **more)
        assert missing(**given) == []
    answers(stranger)
    assert missing() == []
    answers(row("t"), row("kept", owned=False), row("else", owned=False))
    assert missing(lifted=(key("kept", "t"),)) == [
        "the table kept belongs to boss and must be altered; on staging: GRANT boss TO loader"
    ]


def test_a_published_table_without_identity_is_named_if_rows_are_deleted(answers: Answers) -> None:
    """TRUNCATE needs none."""
    answers(row("t", published="feed"))
    (fault,) = missing()
    assert "publication feed" in fault
    assert missing(readers="wait") == []


@pytest.mark.parametrize(("owned", "used_by", "faults"), [(False, "t", 1), (True, "t", 0), (False, "other", 0)])
def test_a_sequence_of_a_written_table_must_be_owned(answers: Answers, owned: bool, used_by: str, faults: int) -> None:
    """Others are not restarted; a sequence that the catalogue does not list is ignored."""
    drawn = Sequence(name=name("s"), table=name(used_by), column="id", uses=((name(used_by), "id"),))
    unlisted = drawn.model_copy(update={"name": name("unlisted")})
    answers(row("t"), row("s", kind="S", owned=owned))
    found = missing(sequences=(drawn, unlisted))
    assert [each.startswith("the sequence s belongs to boss") for each in found] == [True] * faults


@pytest.mark.parametrize(
    ("more", "faults"),
    [
        ({"populated": True}, 1),
        ({}, 0),
        ({"populated": True, "owned": True}, 0),
        ({"populated": True, "maintained": True}, 0),
    ],
)
def test_a_view_with_data_must_be_refreshable(answers: Answers, more: dict[str, Any], faults: int) -> None:
    """By its owner or with MAINTAIN."""
    answers(row("t"), row("v", kind="m", **{"owned": False, **more}))
    found = missing(materialized_views=(name("v"),))
    assert [each.startswith("the materialized view v belongs to boss") for each in found] == [True] * faults


@pytest.mark.parametrize(
    ("view", "source", "faults"), [(True, False, 1), (True, True, 0), (False, False, 0), (False, True, 0)]
)
def test_a_view_over_a_view_without_data_cannot_be_refreshed(
    answers: Answers, view: bool, source: bool, faults: int
) -> None:
    """It is no fault if the view has no data either; tables that a view reads do not matter."""
    upper, lower, base = row("upper", kind="m", populated=view), row("lower", kind="m", populated=source), row("t")
    edges = [{"view": upper["oid"], "source": lower["oid"]}, {"view": upper["oid"], "source": base["oid"]},
             {"view": base["oid"], "source": lower["oid"]}]  # fmt: skip
    answers(upper, lower, base, view_dependencies=edges)
    found = missing(materialized_views=(name("lower"), name("upper")))
    assert [each.startswith("the materialized view upper reads lower") for each in found] == [True] * faults
    views = populated_views(CONNECTION, catalog(materialized_views=(name("lower"), name("upper"))), loading())
    assert views == [name(each) for each, held in (("lower", source), ("upper", view)) if held]


def test_an_event_trigger_is_a_doubt(answers: Answers) -> None:
    """Each is named with its function."""
    answers(event_triggers=[{"name": "e", "event": "ddl_command_end", "function": "f()"}])
    (doubt,) = event_trigger_doubts(CONNECTION)
    assert doubt.message == "the event trigger e (ddl_command_end) runs f(), which may refuse the load's statements"
    assert doubt.names == {"e"}

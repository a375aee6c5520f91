"""The target of a load: what it must be, what of it is written, and which foreign keys cannot stay."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.dumps import load_plan
from tasks.dumps.load_plan import (
    IMPORT_VARIABLE,
    Match,
    foreign_keys_to_lift,
    kept_tables,
    require_host,
    require_import_enabled,
    require_masked,
    require_staging,
    require_version,
    require_writable,
    structure_fingerprint,
    to_mask_now,
)
from tasks.dumps.staging_marker import Marker
from tasks.estate.dumps import Anonymizer, DumpedTable
from tasks.estate.errors import DumpRefused, DumpTooNew, GateClosed, PolicyRefused, WrongHost, WrongTarget
from tasks.estate.schema import Catalog, Kind, Relation, Sequence, Stray
from tests.tasks.dumps.small_databases import (
    IDENTITY,
    catalog,
    column,
    dumped,
    facts,
    header,
    key,
    loading,
    name,
    order,
    policy,
    table,
)

USERS, NOTES = table("users"), table("notes")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MARKER = Marker(
    app="school",
    run_id="r",
    loaded_at=NOW,
    source_host="h",
    exported_at=NOW,
    dump="d",
    contains_personal_data=False,
    notice="n",
)


@pytest.mark.parametrize("value", [None, "", "True", "1", "yes", " true"])
def test_an_import_is_allowed_by_one_value_only(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Nothing but `true` allows it."""
    monkeypatch.setenv(IMPORT_VARIABLE, "true")
    require_import_enabled()
    monkeypatch.setenv(IMPORT_VARIABLE, value) if value is not None else monkeypatch.delenv(IMPORT_VARIABLE)
    with pytest.raises(GateClosed):
        require_import_enabled()


def test_the_hostname_must_be_typed_whole() -> None:
    """Case and spaces around it do not matter, everything else does, and nothing is not a name."""
    require_host(" Staging.Example ", "staging.example")
    for typed, real in (("staging", "staging.example"), ("", "staging.example"), ("", ""), (" ", " ")):
        with pytest.raises(WrongHost):
            require_host(typed, real)


def test_the_target_is_not_the_source_no_standby_and_of_this_application() -> None:
    """The same database of the same server, a standby and another application's marker are refused; nothing else is."""
    dump = header()
    for healthy, marker in (
        (IDENTITY, None),
        (IDENTITY, MARKER),
        (IDENTITY.model_copy(update={"system_identifier": "41", "database": "other"}), MARKER),
    ):
        require_staging(healthy, dump, marker)
    for wrong, marker, message in (
        (IDENTITY.model_copy(update={"system_identifier": "41"}), MARKER, "from which the dump was exported"),
        (IDENTITY.model_copy(update={"standby": True}), MARKER, "is a standby"),
        (IDENTITY, MARKER.model_copy(update={"app": "shop"}), "marked as staging of 'shop'"),
    ):
        with pytest.raises(WrongTarget, match=message):
            require_staging(wrong, dump, marker)


def test_a_dump_of_another_application_or_a_newer_version_is_refused() -> None:
    """The application's own version and older ones are loaded."""
    mine = policy("users: keep")
    for version in (2, 3):
        require_version(header(schema_version=version), mine)
    with pytest.raises(DumpTooNew, match="version 4"):
        require_version(header(schema_version=4), mine)
    with pytest.raises(DumpRefused, match="application 'shop'"):
        require_version(header(app="shop"), mine)


FAR = Relation(name=name("far"), kind=Kind.FOREIGN, server="away")
PART = Relation(name=name("p_1"), kind=Kind.ORDINARY, parents=(name("p"),), partition=True, bound="DEFAULT")
VIEW = Relation(name=name("v"), kind=Kind.VIEW)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (catalog(USERS, identity=IDENTITY.model_copy(update={"host": "elsewhere"})), True),
        (catalog(USERS, strays=(Stray(where="w", kind="comment", what="e-mail"),)), True),
        (catalog(USERS, sequences=(Sequence(name=name("s"), table=None, column=None),)), True),
        (catalog(USERS.model_copy(update={"bytes": 9, "estimated_rows": 9})), True),
        (catalog(USERS, relations=[VIEW]), True),
        (catalog(USERS, table("understudy.staging_data")), True),
        (catalog(USERS, table("ImportExportAudit")), True),
        (catalog(USERS, NOTES), False),
        (catalog(USERS, relations=[FAR]), False),
        (catalog(USERS, relations=[PART]), False),
        (catalog(table("users", ["id integer"])), False),
        (catalog(USERS, foreign_keys=(key("users", "users"),)), False),
    ],
)  # fmt: skip
def test_the_fingerprint_of_a_structure_covers_what_a_load_depends_on(changed: Catalog, same: bool) -> None:
    """Sizes, names of servers, texts and our own tables are no structure; tables, parts, columns and keys are."""
    mine = policy("users: keep")
    assert (structure_fingerprint(changed, mine) == structure_fingerprint(catalog(USERS), mine)) is same


MINE = policy("users: keep, gone: keep, old: {id: keep, v: hash}, quiet: drop, own: exclude", "audit: {table: journal}")
STAGING = catalog(
    table("users", ["id integer", column("computed", generated=True)]),
    *(table(each) for each in ("old", "quiet", "own", "journal", "understudy.staging_data", "stranger")),
)


def test_a_dump_and_a_target_are_laid_side_by_side() -> None:
    """Each table of either is loaded, skipped with its reason, emptied, kept or untouched, and columns are skipped by name."""
    made = Match(
        facts(dumped("users", "id", "v", "computed"), dumped("gone", "id"), dumped("own", "id")), STAGING, MINE
    )
    assert [(str(o.name), o.columns, o.skipped, o.rows) for o in made.tables] == [
        ("users", ("id", "v", "computed"), ("v", "computed"), 3)
    ]
    assert made.skipped == [
        ("gone", "staging has no such table"), ("own", "staging keeps its own"),
        ("users.v", "staging has no such column"), ("users.computed", "staging has no such column"),
    ]  # fmt: skip
    assert made.absent == ["gone"]
    assert (made.emptied, made.untouched) == (("old", "quiet"), ("stranger",))
    assert made.kept == ("journal", "own", "understudy.staging_data")
    assert set(kept_tables(STAGING, MINE)) == {*made.kept}


def test_a_table_that_the_trailer_does_not_count_has_no_rows() -> None:
    """A header may name a table that no segment fills."""
    dump = facts(dumped("users", "id"))
    dump = dump.model_copy(update={"trailer": dump.trailer.model_copy(update={"tables": ()})})
    assert [each.rows for each in Match(dump, STAGING, MINE).tables] == [0]


NEEDED = {"not_null": True}


@pytest.mark.parametrize(
    ("more", "rows", "refused"),
    [
        (NEEDED, 1, True), (NEEDED, 0, False), ({}, 1, False), (NEEDED | {"default": "0"}, 1, False),
        (NEEDED | {"identity": True}, 1, False), (NEEDED | {"generated": True}, 1, False),
    ],
)  # fmt: skip
def test_a_column_that_staging_needs_and_the_dump_lacks_is_refused(more: Any, rows: int, refused: bool) -> None:
    """Only if there are rows, and if nothing else fills the column."""
    target = catalog(table("users", ["id integer", column("need integer", **more)]))
    dump = facts(dumped("users", "id"), rows=rows)
    if refused:
        with pytest.raises(DumpRefused, match=r"no column users\.need"):
            Match(dump, target, MINE)
    else:
        assert [str(each.name) for each in Match(dump, target, MINE).tables] == ["users"]
    assert Match(facts(dumped("users", "id", "need"), rows=rows), target, MINE).tables


def reach(dump: Any, target: Catalog, mine: Any) -> None:
    """Match and require that everything can be reached."""
    require_writable(Match(dump, target, mine), dump.header, target, mine)


def test_a_load_writes_only_what_is_stored_in_the_target() -> None:
    """A foreign leaf below a loaded or an emptied table and a view with a name of the dump are named; excluded ones are not."""
    root = Relation(name=name("p"), kind=Kind.PARTITIONED)
    leaf = Relation(name=name("p_1"), kind=Kind.FOREIGN, parents=(name("p"),), partition=True, server="away")
    parted = table("p", partitioned=True, leaves=(), foreign_leaves=(name("p_1"),))
    target = catalog(parted, USERS, relations=[root, leaf, VIEW])
    for dump in (facts(dumped("p", "id")), facts(dumped("users", "id"))):  # loaded, emptied
        with pytest.raises(DumpRefused, match="p_1 is a foreign partition of p on the server away"):
            reach(dump, target, policy("p: keep, users: keep"))
    reach(facts(dumped("users", "id")), target, policy("p: exclude, users: keep"))
    plain = catalog(USERS, relations=[VIEW])
    with pytest.raises(DumpRefused, match="the dump has the table v, which is a view on staging"):
        reach(facts(dumped("users", "id"), dumped("v", "id")), plain, policy("users: keep, v: keep"))
    reach(facts(dumped("users", "id"), dumped("v", "id")), plain, policy("users: keep, v: exclude"))
    reach(facts(dumped("users", "id"), dumped("absent", "id")), plain, policy("users: keep, absent: keep"))


def test_a_rule_that_neither_side_has_is_a_fault_of_the_policy() -> None:
    """What the dump's source had, what the dump holds and what staging has is known; a dump of 0.1 does not list them."""
    mine = policy("users: keep, notes: keep, far: keep")
    target = catalog(USERS)
    reach(facts(dumped("notes", "id"), reached=("far",)), target, mine)
    reach(facts(dumped("notes", "id")), target, mine)
    with pytest.raises(PolicyRefused, match="neither the dump's source nor staging has a table far"):
        reach(facts(dumped("notes", "id"), reached=()), target, mine)


def test_what_travelled_raw_is_masked_on_its_way_in() -> None:
    """Only anonymizers with a raw column, and only columns that have one."""
    dump = header(dumped("t", "id", "a email", "b scrub", "c hash", raw=("a", "c")))
    assert to_mask_now(dump) == (Anonymizer.EMAIL,)
    assert to_mask_now(header(dumped("t", "a email", "b scrub"))) == ()


@pytest.mark.parametrize(
    ("rules", "held", "message"),
    [
        ("t: {id: keep, v: hash}", dumped("t", "id", "v hash"), ""),
        ("t: {id: keep, v: hash}", dumped("t", "id", "v unread"), ""),
        ("t: {id: keep, v: keep}", dumped("t", "id", "v scrub"), ""),
        ("t: keep", dumped("t", "id", "v"), ""),
        ("t: exclude", dumped("t", "id", "v"), ""),
        ("t: {id: keep}", dumped("t", "id", "only_in_the_dump"), ""),
        ("t: keep, u: {id: keep}", dumped("u", "id", "v"), ""),  # staging has no table u
        ("t: {id: keep, v: hash}", dumped("t", "id", "v"), r"t\.v as 'keep'; the policy specifies 'hash'"),
        ("t: {id: keep, v: hash}", dumped("t", "id", "v scrub"), r"t\.v as 'scrub'; the policy specifies 'hash'"),
        ("t: {id: keep}", dumped("t", "id", "v"), r"t\.v, which the policy does not name"),
        ("t: drop", dumped("t", "id"), "rows of t, which the policy drops or does not name"),
        ("u: keep", dumped("t", "id"), "rows of t, which the policy drops or does not name"),
    ],
)
def test_what_is_loaded_was_treated_as_the_policy_says_now(rules: str, held: DumpedTable, message: str) -> None:
    """Every column of the dump that staging takes has the rule that the policy has for it."""
    target, mine = catalog(table("t"), table("other")), policy(rules + ", other: keep")
    dump = header(dumped("other", "id"), held)
    if not message:
        require_masked(dump, target, mine)
        return
    with pytest.raises(DumpRefused, match=message) as refused:
        require_masked(dump, target, mine)
    assert "Export again under the present policy" in refused.value.next_step


def lifted(monkeypatch: pytest.MonkeyPatch, keys: Any, plan: Any, slow: tuple[tuple[str, int], ...] = ()) -> list[str]:
    """The names of the keys that are dropped and made again; `slow` keys have no index on a table of so many bytes."""
    rows = [{"schema": "public", "table": text.split("_")[0], "name": text, "bytes": size} for text, size in slow]
    monkeypatch.setattr(load_plan, "query_catalog", lambda connection, query: rows)
    tables = [table(each) for each in ("a", "b", "c", "kept")]
    connection: Any = None
    return [each.name for each in foreign_keys_to_lift(connection, catalog(*tables, foreign_keys=tuple(keys)), plan)]


BOTH = (order("a"), order("b"))  # parents first
LARGE = 2**20


def test_a_foreign_key_that_holds_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """With readers that stay: rows of parents come first, and a small table without an index does not matter."""
    keys = (key("b", "a"), key("a", "a"), key("b", "kept"), key("kept", "kept"), key("c", "kept"))
    assert lifted(monkeypatch, keys, loading(*BOTH)) == []
    assert lifted(monkeypatch, keys, loading(*BOTH), (("b_a", LARGE), ("b_kept", LARGE + 1))) == []
    assert lifted(monkeypatch, keys, loading(order("b"), emptied=("a",))) == []


def test_a_foreign_key_that_cannot_hold_meanwhile_is_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a table that staging keeps, in a circle, against the order of loading, without an index, or NOT VALID."""
    assert lifted(monkeypatch, [key("kept", "a")], loading(*BOTH)) == ["kept_a"]
    assert lifted(monkeypatch, [key("kept", "c")], loading(*BOTH, emptied=("c",))) == ["kept_c"]
    assert len(lifted(monkeypatch, [key("b", "a"), key("a", "b")], loading(emptied=("a", "b")))) == 1
    assert lifted(monkeypatch, [key("a", "b")], loading(*BOTH)) == ["a_b"]
    assert lifted(monkeypatch, [key("b", "a")], loading(*BOTH), (("b_a", LARGE + 1),)) == ["b_a"]
    assert lifted(monkeypatch, [key("b", "a", validated=False)], loading(*BOTH)) == ["b_a"]


def test_with_readers_that_wait_every_key_of_a_written_table_is_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other tables are not."""
    keys = (key("b", "a"), key("b", "kept"), key("kept", "kept"))
    assert lifted(monkeypatch, keys, loading(*BOTH, readers="wait")) == ["b_a", "b_kept"]


def test_a_foreign_key_without_its_triggers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be given back as it was: with readers that wait the plan is refused, unless the load does not touch it."""
    off = key("b", "a", watched=False, validated=False)
    assert lifted(monkeypatch, [off, key("kept", "a")], loading(*BOTH)) == ["kept_a"]
    with pytest.raises(DumpRefused, match="triggers of the foreign key b_a on b are disabled"):
        lifted(monkeypatch, [off], loading(*BOTH, readers="wait"))
    assert lifted(monkeypatch, [key("kept", "kept", watched=False)], loading(*BOTH, readers="wait")) == []

"""One load in one transaction: what is switched off comes back, what fails leaves nothing, and only the planned dump arrives."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tasks.dumps.catalog import read_catalog
from tasks.dumps.dump_reader import Segment
from tasks.dumps.load import ALONE, Load, banner_text, require_no_other_load, require_stored_here
from tasks.dumps.load_plan import foreign_keys_to_lift
from tasks.dumps.staging_marker import prepare_marker, read_marker
from tasks.dumps.verify_load import plans_for
from tasks.estate.dumps import Anonymizer, Loaded, Trailer
from tasks.estate.errors import DestinationBusy, NotLoaded, OutcomeUnknown
from tests.tasks.dumps.small_databases import header, loading, name, order, policy, table

Run = Callable[..., Loaded]
SCHEMA = """CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a);
  INSERT INTO a VALUES (90, 'old'), (91, 'old'); INSERT INTO b VALUES (90, 90);"""
ROWS = {"a": [b"1\tx\n2\t\\N\n", b"3\tz\n"], "b": [b"7\t1\n"]}
COUNTS = {"a": 3, "b": 1}


@pytest.fixture(scope="module")
def target(target: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The module's own database, with a marker's schema."""
    prepare_marker(target)
    return target


@pytest.fixture
def run(target: psycopg.Connection[Any]) -> Run:
    """`run(rows)`: load these segments, by table, into `SCHEMA` and `more`. `orders`, `plan`: what was planned."""

    def load(
        rows: dict[str, list[bytes]] | None = None, *, more: str = "", counts: dict[str, int] | None = None, digest: str = "d",
        orders: Any = None, last: Callable[[psycopg.Connection[Any]], None] = lambda connection: None,
        on_table_loaded: Callable[[str, int], None] = lambda table, rows: None, **plan: Any,
    ) -> Loaded:  # fmt: skip
        target.execute(
            f"TRUNCATE understudy.staging_data; DROP SCHEMA public CASCADE; CREATE SCHEMA public; {SCHEMA} {more}".encode()
        )
        rows, counts = ROWS if rows is None else rows, COUNTS if counts is None else counts
        found = read_catalog(target)
        rules = policy(", ".join(f"{each.name}: keep" for each in found.tables))
        held = [each.dumped for each in plans_for(found, rules) if str(each.table.name) in rows]
        columns = {str(each.name): [column.name for column in each.columns] for each in held}
        wanted = orders or [order(each, *columns[each], rows=count) for each, count in counts.items()]
        made = loading(*wanted, header=header(*held), digest="d", unproven="a test", **plan)
        with psycopg.connect(target.info.dsn, autocommit=True) as connection:

            def events() -> Iterator[Any]:
                for each, blocks in rows.items():
                    for number, block in enumerate(blocks):
                        yield Segment(table=name(each), number=number, blocks=iter([block]))
                last(connection)
                yield Trailer(tables=(), rows=0, digest=digest)

            lifted = foreign_keys_to_lift(connection, found, made)
            return Load(connection, made, found, rules, lifted, on_table_loaded=on_table_loaded).run(events())

    return load


def ask(target: psycopg.Connection[Any], query: str) -> list[Any]:
    """The rows of a query."""
    return target.execute(query.encode()).fetchall()


@pytest.mark.parametrize("readers", ["stay", "wait"])
def test_old_rows_go_and_new_ones_come(run: Run, target: psycopg.Connection[Any], readers: str) -> None:
    """Segments of a table add up, emptied tables are empty, `on_table_loaded` is called as they grow, and the marker is set."""
    reported: list[tuple[str, int]] = []
    loaded = run(
        more="CREATE TABLE e (id int); INSERT INTO e VALUES (1);", readers=readers, emptied=("e",),
        on_table_loaded=lambda each, count: reported.append((each, count)),
    )  # fmt: skip
    assert loaded.rows == (("a", 3), ("b", 1))
    assert reported == [("a", 2), ("a", 3), ("b", 1)]
    assert ask(target, "SELECT * FROM a ORDER BY id") == [(1, "x"), (2, None), (3, "z")]
    assert (ask(target, "SELECT * FROM b"), ask(target, "SELECT * FROM e")) == ([(7, 1)], [])
    marker = read_marker(target)
    assert marker is not None
    assert (marker.run_id, marker.contains_personal_data) == ("tonight", False)
    assert loaded.took_seconds >= 0


def test_a_table_that_is_not_wanted_is_read_over(run: Run, target: psycopg.Connection[Any]) -> None:
    """The dump holds it; staging keeps its own rows."""
    run({"a": [b"1\tx\n"], "b": [b"5\t1\n"]}, counts={"a": 1}, more="DELETE FROM b;")
    assert (ask(target, "SELECT id FROM a"), ask(target, "SELECT * FROM b")) == ([(1,)], [])


def test_columns_that_staging_lacks_are_left_out(run: Run, target: psycopg.Connection[Any]) -> None:
    """Whatever their place is; a table of which no column is left gets its number of rows."""
    rows = {"a": [b"1\tgone\tx\n2\tgone\t\\N\n"]}
    run(rows, orders=[order("a", "id", "absent", "v", rows=2, skipped=("absent",))], more="DROP TABLE b;")
    assert ask(target, "SELECT * FROM a ORDER BY id") == [(1, "x"), (2, None)]
    run(
        {"bare": [b"1\n2\n", b"3\n"]},
        orders=[order("bare", "absent", rows=3, skipped=("absent",))],
        more="CREATE TABLE bare ();",
    )
    assert ask(target, "SELECT count(*) FROM bare") == [(3,)]


def unchanged(target: psycopg.Connection[Any]) -> bool:
    """Whether staging has its old rows and no marker."""
    return (ask(target, "SELECT id FROM a ORDER BY id"), read_marker(target)) == ([(90,), (91,)], None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"digest": "e"}, "is not the one that was planned"),
        ({"counts": {"a": 4, "b": 1}}, "expected 4, as in the dump's trailer"),
        ({"rows": {"a": [b"x\ty\n"]}, "counts": {"a": 1}}, "rolled back"),
        ({"rows": {"a": [b"1\tx\n"], "b": [b"7\t5\n"]}, "counts": {"a": 1, "b": 1}}, "rolled back: .*b_a_id_fkey"),
        ({"emptied": ("gone",)}, "Staging has no table gone any more"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("readers", ["stay", "wait"])
def test_what_fails_leaves_staging_as_it_was(
    run: Run, target: psycopg.Connection[Any], given: dict[str, Any], message: str, readers: str
) -> None:
    """Another dump, other rows, rows that do not fit, a broken key, a table that is gone."""
    with pytest.raises(NotLoaded, match=message):
        run(readers=readers, **given)
    assert unchanged(target)


def test_whatever_stops_a_load_rolls_it_back(run: Run, target: psycopg.Connection[Any]) -> None:
    """Also what is no error of ours; the connection can be used, or is closed."""

    def stop(connection: psycopg.Connection[Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(last=stop)
    assert unchanged(target)
    with pytest.raises(NotLoaded, match="rolled back"):
        run(last=lambda connection: connection.close())
    assert unchanged(target)


def test_two_sessions_never_hold_the_lock_of_loads(target: psycopg.Connection[Any]) -> None:
    """It ends with the session of the other."""
    with psycopg.connect(target.info.dsn, autocommit=True) as second:
        with psycopg.connect(target.info.dsn) as first:
            require_no_other_load(first)
            with pytest.raises(DestinationBusy):
                require_no_other_load(second)
        require_no_other_load(second)
    assert ALONE == 0x756E64657273  # workers of another version must meet the same lock


def test_the_lock_outlives_transactions_and_ends_with_its_session(target: psycopg.Connection[Any]) -> None:
    """A second session waits a moment for it, because the server may still be ending the session of a process that is gone."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(target.info.dsn, autocommit=True) as first, ThreadPoolExecutor(1) as pool:
        require_no_other_load(first)
        require_no_other_load(first)  # its own lock is no obstacle
        for end in ("COMMIT", "ROLLBACK"):
            first.execute("BEGIN")
            first.execute(end.encode())
        with psycopg.connect(target.info.dsn, autocommit=True) as second:
            taken = pool.submit(require_no_other_load, second)
            while ask(target, waiting) == [(0,)] and not taken.done():
                pass
            assert not taken.done()
            first.close()
            taken.result(30)
            assert ask(second, "SHOW lock_timeout") == [("0",)]  # its own setting is back


GUARDED = """CREATE TABLE log (t text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO public.log VALUES (TG_NAME); RETURN NEW; END'; CREATE TABLE kept (id int);"""
TRIGGERS = "".join(
    f"CREATE TRIGGER {kind} AFTER INSERT ON {on} FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE {on} {state} TRIGGER {kind};"
    for kind, on, state in (
        ("plain", "a", "ENABLE"), ("always", "a", "ENABLE ALWAYS"), ("replica", "a", "ENABLE REPLICA"), ("off", "a", "DISABLE"),
        ("elsewhere", "kept", "ENABLE ALWAYS"),
    )
)  # fmt: skip


def test_triggers_are_off_and_as_they_were_afterwards(run: Run, target: psycopg.Connection[Any]) -> None:
    """In every state that they can have, and those of other tables are not touched."""
    before = "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    run(more=GUARDED + TRIGGERS)
    assert ask(target, before) == [("always", "A"), ("elsewhere", "A"), ("off", "D"), ("plain", "O"), ("replica", "R")]
    assert ask(target, "SELECT * FROM log") == []


def test_triggers_that_compute_columns_of_the_plan_stay_on(run: Run, target: psycopg.Connection[Any]) -> None:
    """Those, and no others of their name on other tables."""
    code = """CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := ''X''; RETURN NEW; END';
      CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
      CREATE TRIGGER computes BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION shout();
      CREATE TRIGGER computes BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION fail();"""
    run(more=code, firing=((name("a"), "computes"),))
    assert ask(target, "SELECT DISTINCT v FROM a") == [("X",)]


def test_rules_are_off_and_as_they_were_afterwards(run: Run, target: psycopg.Connection[Any]) -> None:
    """A rule that keeps rows from being deleted or inserted does not."""
    rules = """CREATE RULE stay AS ON DELETE TO b DO INSTEAD NOTHING; CREATE RULE never AS ON INSERT TO b DO INSTEAD NOTHING;
      CREATE RULE other AS ON INSERT TO kept DO INSTEAD NOTHING; ALTER TABLE b ENABLE ALWAYS RULE never;"""
    run(more=GUARDED + rules)
    assert ask(target, "SELECT * FROM b") == [(7, 1)]
    states = "SELECT rulename, ev_enabled FROM pg_rewrite WHERE rulename IN ('stay', 'never', 'other') ORDER BY 1"
    assert ask(target, states) == [("never", "A"), ("other", "O"), ("stay", "O")]


KEYS = """SELECT conname, convalidated, pg_get_constraintdef(oid), obj_description(oid) FROM pg_constraint
  WHERE contype = 'f' ORDER BY 1"""


@pytest.mark.parametrize("readers", ["stay", "wait"])
def test_foreign_keys_come_back_as_they_were(run: Run, target: psycopg.Connection[Any], readers: str) -> None:
    """With their comments and states; a key of a table that staging keeps holds from now on only."""
    more = """CREATE TABLE kept (id int, a_id int REFERENCES a); INSERT INTO kept VALUES (1, 90);
      COMMENT ON CONSTRAINT kept_a_id_fkey ON kept IS 'why'; COMMENT ON CONSTRAINT b_a_id_fkey ON b IS 'because';
      ALTER TABLE b ADD CONSTRAINT loose FOREIGN KEY (id) REFERENCES a NOT VALID;"""
    run(more=more, readers=readers, kept=("kept",))
    references = "REFERENCES a(id)"
    assert ask(target, KEYS) == [
        ("b_a_id_fkey", True, f"FOREIGN KEY (a_id) {references}", "because"),
        ("kept_a_id_fkey", False, f"FOREIGN KEY (a_id) {references} NOT VALID", "why"),
        ("loose", False, f"FOREIGN KEY (id) {references} NOT VALID", None),
    ]
    assert ask(target, "SELECT * FROM kept") == [(1, 90)]


def test_an_untouched_tables_key_is_forgiven_too(run: Run, target: psycopg.Connection[Any]) -> None:
    """Its rows may point at rows that are gone."""
    run(
        more="CREATE TABLE strange (id int, a_id int REFERENCES a); INSERT INTO strange VALUES (1, 90);",
        untouched=("strange",),
    )
    assert [row[:2] for row in ask(target, KEYS)] == [("b_a_id_fkey", True), ("strange_a_id_fkey", False)]


def test_rows_of_a_table_that_points_at_itself_find_each_other(run: Run, target: psycopg.Connection[Any]) -> None:
    """Its segments are one statement, so that a later row may be the parent of an earlier one."""
    more = "CREATE TABLE tree (id int PRIMARY KEY, above int REFERENCES tree);"
    run({"tree": [b"1\t3\n2\t1\n", b"3\t\\N\n"]}, counts={"tree": 3}, more=more)
    assert ask(target, "SELECT count(*) FROM tree") == [(3,)]
    deferred = (
        "CREATE TABLE late (id int PRIMARY KEY, a_id int REFERENCES a DEFERRABLE INITIALLY DEFERRED); TRUNCATE b;"
    )
    with pytest.raises(NotLoaded, match="late_a_id_fkey"):
        run({"a": [b"1\tx\n"], "late": [b"1\t99\n"]}, counts={"a": 1, "late": 1}, more=deferred)


def test_views_statistics_and_sequences_follow_the_new_rows(run: Run, target: psycopg.Connection[Any]) -> None:
    """A view with data is computed again, one without data stays so, and the planner knows how many rows there are."""
    more = """CREATE MATERIALIZED VIEW seen AS SELECT count(*) AS n FROM a; CREATE MATERIALIZED VIEW unseen AS SELECT 1 / 0 AS n
      WITH NO DATA; CREATE SEQUENCE own OWNED BY b.id; ALTER TABLE b ALTER id SET DEFAULT nextval('own');"""
    run(more=more)
    assert ask(target, "SELECT n FROM seen") == [(3,)]
    assert ask(target, "SELECT relispopulated FROM pg_class WHERE relname = 'unseen'") == [(False,)]
    assert ask(target, "SELECT reltuples::int FROM pg_class WHERE relname = 'a'") == [(3,)]
    assert ask(target, "SELECT nextval('own') > 7") == [(True,)]


def test_the_applications_functions_are_found_while_rows_are_written(run: Run, target: psycopg.Connection[Any]) -> None:
    """By the target's own search_path, and a temporary table never takes the place of one."""
    more = """CREATE FUNCTION short(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT left($1, 1)';
      CREATE FUNCTION tag(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN short($1); END';
      CREATE TABLE g (id int, v text, w text GENERATED ALWAYS AS (tag(v)) STORED); CREATE INDEX ON g (tag(v));"""
    run({"g": [b"1\txyz\n"]}, counts={"g": 1}, more=more)
    assert ask(target, "SELECT w FROM g") == [("x",)]


def test_an_answer_to_the_commit_that_is_lost_is_an_outcome(
    run: Run, target: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether it was committed: also if the process is stopped meanwhile, or an error did not come from the server."""
    executed = psycopg.Connection.execute

    def losing(error: BaseException) -> Any:
        def execute(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
            if query == "COMMIT":
                raise error
            return executed(self, query, *arguments, **options)

        return execute

    for error, expected in (
        (psycopg.OperationalError("gone"), OutcomeUnknown), (KeyboardInterrupt(), OutcomeUnknown),
        (psycopg.errors.UniqueViolation("a pooler's"), OutcomeUnknown), (psycopg.InterfaceError("closed"), OutcomeUnknown),
        (psycopg.errors.StatementCompletionUnknown("40003"), OutcomeUnknown), (psycopg.DataError("x"), OutcomeUnknown),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Connection, "execute", losing(error))
            with pytest.raises(expected, match=r"commit"):
                run()


LATE = """CREATE TABLE late (a_id int REFERENCES a DEFERRABLE INITIALLY DEFERRED);
  CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION USING ERRCODE = TG_ARGV[0], MESSAGE = 'no'; END$$;"""
RAISES = """CREATE TABLE odd (id int); CREATE CONSTRAINT TRIGGER odd AFTER INSERT ON odd
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail('{}');"""


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("23503", NotLoaded), ("23514", NotLoaded), ("40001", NotLoaded), ("40P01", NotLoaded),
        ("40003", OutcomeUnknown), ("08006", OutcomeUnknown), ("P0001", OutcomeUnknown), ("57014", OutcomeUnknown),
        ("42501", OutcomeUnknown),
    ],
)  # fmt: skip
def test_only_a_refusal_of_the_commit_by_the_server_is_a_rollback(
    run: Run, target: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, state: str, expected: type[Exception]
) -> None:
    """A constraint or a conflict between transactions; every other SQLSTATE leaves the outcome to the marker."""
    executed = psycopg.Connection.execute
    broken = "INSERT INTO late VALUES (-1)" if state == "23503" else "INSERT INTO odd VALUES (1)"

    def execute(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        if query == "COMMIT":
            executed(self, "SET CONSTRAINTS ALL DEFERRED")
            executed(self, broken.replace("INTO ", "INTO public.").encode())
        return executed(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    with pytest.raises(expected, match=f"commit.*SQLSTATE {state}"):
        run(more=LATE + RAISES.format(state))
    assert unchanged(target)


def test_a_table_with_rows_on_another_server_is_not_emptied() -> None:
    """The plan refuses it first; this is the last look."""
    require_stored_here([table("a")])
    with pytest.raises(NotLoaded, match="p has the foreign partition p_far"):
        require_stored_here([table("a"), table("p", foreign_leaves=(name("p_far"),))])


def test_the_notice_calls_raw_data_by_its_name() -> None:
    """A copy with row ids is pseudonymised, never anonymous."""
    assert banner_text(loading()).startswith("Staging data: pseudonymised copy of prod.example of 2026-01-01 00:00 UTC")
    assert "CONTAINS PERSONAL DATA" in banner_text(loading(arrives_raw=(Anonymizer.EMAIL,)))

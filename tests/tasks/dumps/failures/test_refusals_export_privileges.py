"""An export reads what travels and no more; every right that it lacks is named at once, before anything is read."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.dumps.catalog import read_catalog
from tasks.dumps.connections import connected_to
from tasks.dumps.draft_masking import draft_masking
from tasks.dumps.export_privileges import require_readable
from tasks.estate.dumps import Choices
from tasks.estate.errors import NotExported

Pairs = Callable[..., Any]
SEQUENCE = "SELECT nextval('{}')"
CLOSED = "REVOKE ALL ON SCHEMA closed FROM pair_reader"
ELSEWHERE = "CREATE SCHEMA closed; CREATE TABLE t (id bigserial PRIMARY KEY, v text);"
ROWS = "INSERT INTO t (v) VALUES ('a'), ('b')"
UNNEEDED = {
    "of an excluded table": ("CREATE TABLE closed.x (id serial)", "closed.x: exclude"),
    "of a dropped table": ("CREATE TABLE closed.x (id int GENERATED ALWAYS AS IDENTITY)", "closed.x: drop"),
    "of an excluded partition": (
        "CREATE TABLE closed.x (id int) PARTITION BY LIST (id); CREATE TABLE closed.y PARTITION OF closed.x DEFAULT;"
        "CREATE SEQUENCE closed.s OWNED BY closed.y.id",
        "closed.x: exclude",
    ),
    "by a default of an excluded table": (
        "CREATE SEQUENCE closed.s; CREATE TABLE x (id text DEFAULT 'A-' || nextval('closed.s'))", "x: exclude",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNNEEDED)
def test_a_sequence_of_what_does_not_travel_is_not_read(pair: Pairs, case: str) -> None:
    """Its schema may be closed to the exporting role; the sequence of what travels arrives."""
    more, rule = UNNEEDED[case]
    made = pair(ELSEWHERE + more, f"t: keep\n{rule}", ROWS)
    made.change(CLOSED, "source")
    made.load(made.export())
    assert [str(state.name) for state in made.sequences] == ["t_id_seq"]
    assert made.notes == ()
    assert made.ask(SEQUENCE.format("t_id_seq")) == [(3,)]


def test_a_sequence_of_no_column_in_a_closed_schema_is_named_in_a_note(pair: Pairs) -> None:
    """The export continues, and the note names the privilege that is missing. In an open schema it is read without a note."""
    made = pair(ELSEWHERE + 'CREATE SEQUENCE closed."S 1"; CREATE SEQUENCE lone', "t: keep", ROWS)
    made.ask("SELECT nextval('lone')", "source")
    made.change(CLOSED, "source")
    made.load(made.export())
    (note,) = made.notes
    assert "closed.S 1 belongs to no column" in note
    assert 'GRANT USAGE ON SCHEMA closed TO pair_reader; GRANT SELECT ON SEQUENCE closed."S 1" TO pair_reader' in note
    assert {str(state.name): state.last for state in made.sequences} == {"lone": 1, "t_id_seq": 2}


def test_a_sequence_that_an_excluded_and_a_travelling_table_share_is_needed(pair: Pairs) -> None:
    """The advice opens the schema before it opens the sequence, and it is sufficient."""
    shared = "CREATE TABLE closed.x (id serial); CREATE TABLE y (id int DEFAULT nextval('closed.x_id_seq'));"
    made = pair(ELSEWHERE + shared, "t: keep\nclosed.x: exclude\ny: keep", ROWS + "; INSERT INTO y DEFAULT VALUES")
    made.change(CLOSED, "source")
    made.change("REVOKE SELECT ON SEQUENCE closed.x_id_seq FROM pair_reader", "source")
    advice = "GRANT USAGE ON SCHEMA closed TO pair_reader; GRANT SELECT ON SEQUENCE closed.x_id_seq TO pair_reader"
    with pytest.raises(NotExported, match=advice):
        made.export()
    made.change(advice, "source")
    made.load(made.export())
    assert made.ask(SEQUENCE.format("closed.x_id_seq")) == [(2,)]


def test_every_missing_right_is_named_at_once(pair: Pairs) -> None:
    """Schemas, tables, single columns, partitions, types and sequences: each statement once, and together they suffice."""
    made = pair(
        ELSEWHERE + "CREATE TYPE closed.mood AS ENUM ('a', 'b'); CREATE SCHEMA types; CREATE DOMAIN types.word AS text;"
        "CREATE TABLE closed.x (id int, w types.word); CREATE TABLE \"Q\" (id int, \"B c\" text);"
        "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT",
        "t: keep\nclosed.x: {id: keep, w: scrub}\nQ: keep\np: keep",
        ROWS,
    )  # fmt: skip
    made.change(CLOSED, "source")
    made.change(
        "REVOKE ALL ON SCHEMA types FROM pair_reader; REVOKE ALL ON SEQUENCE t_id_seq FROM pair_reader", "source"
    )
    made.change(
        'REVOKE ALL ON t, "Q", p1, closed.x FROM pair_reader; GRANT SELECT (id) ON "Q" TO pair_reader', "source"
    )
    with pytest.raises(NotExported) as refused:
        made.export()
    statements = [
        "GRANT USAGE ON SCHEMA closed TO pair_reader",
        "GRANT USAGE ON SCHEMA types TO pair_reader",
        "GRANT SELECT ON closed.x TO pair_reader",
        'GRANT SELECT ON public."Q" TO pair_reader',
        "GRANT SELECT ON public.p1 TO pair_reader",
        "GRANT SELECT ON public.t TO pair_reader",
        "GRANT SELECT ON SEQUENCE public.t_id_seq TO pair_reader",
    ]
    assert [refused.value.message.count(each) for each in statements] == [1] * len(statements)
    assert "(it lacks B c)" in refused.value.message
    made.change("; ".join(statements), "source")
    made.load(made.export())


def test_rights_on_single_columns_suffice(pair: Pairs) -> None:
    """A role with SELECT on each column but not on the table reads it."""
    made = pair(
        "CREATE TABLE t (id int PRIMARY KEY, v text)", "t: {id: keep, v: scrub}", "INSERT INTO t VALUES (1, 'a')"
    )
    made.change("REVOKE ALL ON t FROM pair_reader; GRANT SELECT (id, v) ON t TO pair_reader", "source")
    made.load(made.export())
    assert made.ask("SELECT count(*) FROM t") == [(1,)]


@pytest.mark.parametrize("policies", ["", "CREATE POLICY p ON t USING (true)"])
def test_row_security_is_named_with_what_lifts_it(pair: Pairs, policies: str) -> None:
    """An export never leaves out rows in silence; a policy that shows all of them does not help, because it may change."""
    made = pair(ELSEWHERE + "ALTER TABLE t ENABLE ROW LEVEL SECURITY;" + policies, "t: keep", ROWS)
    with pytest.raises(NotExported, match=r"ALTER ROLE pair_reader BYPASSRLS \(row security of t hides rows from it\)"):
        made.export()
    with psycopg.connect(made.url("source")) as connection:
        connection.execute("ALTER ROLE pair_reader BYPASSRLS")
    try:
        assert made.load(made.export()).rows == (("t", 2),)
    finally:
        with psycopg.connect(made.url("source")) as connection:
            connection.execute("ALTER ROLE pair_reader NOBYPASSRLS")


def test_what_a_standby_cannot_read_is_left_or_named(pair: Pairs, policy: Callable[..., Any]) -> None:
    """Unlogged tables that do not travel stop nothing there, and one that travels is named; the primary reads both."""
    made = pair("CREATE UNLOGGED TABLE u (id serial); CREATE TABLE t (id bigserial PRIMARY KEY)", "t: keep\nu: exclude")
    with connected_to(made.url("source", "pair_reader"), name="standby", statement_within=60) as connection:
        primary = read_catalog(connection)
        standby = primary.model_copy(update={"identity": primary.identity.model_copy(update={"standby": True})})
        states, notes = require_readable(
            connection, standby, draft_masking(standby, made.policy, Choices()), snapshot=""
        )
        assert ([str(state.name) for state in states], notes) == (["t_id_seq"], ())
        travels = draft_masking(primary, policy("t: keep\nu: keep"), Choices())
        assert len(require_readable(connection, primary, travels, snapshot="")[0]) == 2
        with pytest.raises(NotExported, match="u is unlogged and cannot be read on a standby"):
            require_readable(connection, standby, travels, snapshot="")

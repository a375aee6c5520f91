"""SQL through WP-CLI: literals, names, slices, and answers that cannot be read."""

import re
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from deployments.sandbox.host.host import Host
from tasks.estate.errors import CommandRefused, Unreachable
from tasks.neutralisation.statements import Database, identifier, literal
from tasks.wpcli.connection import Answer
from tests.tasks.neutralisation.conftest import Direct

TEXTS = strategies.text(strategies.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_a_literal_contains_nothing_that_sql_could_interpret(value: str) -> None:
    """Whatever the text is, its literal has hexadecimal digits only, and is the text."""
    made = literal(value)
    assert re.fullmatch(r"''|_utf8mb4 X'[0-9a-f]+'", made)
    database: Any = Database(Direct(Host(), "schulprod"), "wp_")  # type: ignore[arg-type]  # a double
    (row,) = database.rows(f"SELECT {literal(value)} = {literal(value)}, CHAR_LENGTH({literal(value)})")
    assert row == ["1", str(len(value))]


def test_half_of_a_character_is_refused() -> None:
    """A text that has no UTF-8 form is not sent, and not shown."""
    with pytest.raises(CommandRefused, match="half of a character"):
        literal("\ud800")


@pytest.mark.parametrize("name", ["", "a b", "x`; DROP TABLE y", "ä", "a" * 65])
def test_a_strange_name_is_refused(name: str) -> None:
    """No name from a catalogue ends the backticks."""
    with pytest.raises(CommandRefused):
        identifier(name)


def test_tables_are_found_by_their_suffix(connection: Any, estate: Host) -> None:
    """Tables of the sites of a network belong to the suffix, tables that only end in it do not."""
    database = Database(connection, "wp_")
    assert database.named("users") == ("wp_users",)
    assert database.named("meta") == ()
    database._tables = dict.fromkeys(("wp_options", "wp_2_options", "wp_my_options", "wpx_options"), ())
    assert database.named("options") == ("wp_options", "wp_2_options")


def test_slices_cover_all_rows_once(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is in exactly one slice, also with sparse keys, and there are not too many slices."""
    monkeypatch.setattr("tasks.neutralisation.statements.SLICE", 2)
    monkeypatch.setattr("tasks.neutralisation.statements.SLICES", 7)
    database = Database(connection, "wp_")
    parts = [*database.slices("wp_usermeta")]
    assert 2 <= len(parts) <= 7
    query = "SELECT COUNT(*) FROM wp_usermeta WHERE {}"
    counted = sum(database.number(query.format(part)) for part in parts)
    assert counted == database.number("SELECT COUNT(*) FROM wp_usermeta")


def test_an_empty_table_has_no_slice(connection: Any) -> None:
    """There is nothing to do, and no command is sent for it."""
    database = Database(connection, "wp_")
    database.change("DELETE FROM wp_newsletter WHERE 1 = 1")
    assert [*database.slices("wp_newsletter")] == []


def test_changed_rows_are_counted(connection: Any) -> None:
    """A statement returns how many rows it changed."""
    database = Database(connection, "wp_")
    assert database.change("UPDATE wp_newsletter SET name = 'x' WHERE name <> 'x'") == 3
    assert database.change("UPDATE wp_newsletter SET name = 'x' WHERE name <> 'x'") == 0


@pytest.mark.parametrize("printed", ["", "many", "1\t2", "1\n2\n", "Success: Query succeeded. Rows affected: 3"])
def test_an_answer_that_is_not_a_number_is_not_zero(printed: str) -> None:
    """What cannot be read is temporary and is never taken for "nothing left"."""

    class Printing:
        def run(self, *_: object, **__: object) -> Answer:
            return Answer(0, printed, "")

    with pytest.raises(Unreachable, match="not one number"):
        Database(Printing(), "wp_").number("SELECT 1")  # type: ignore[arg-type]  # a double

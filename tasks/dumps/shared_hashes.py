"""Hashes that several columns of a row need, such as the parts of a person's name: computed once for each row."""

from collections import Counter
from collections.abc import Iterator

from psycopg.sql import SQL, Composable, Composed, Identifier

from tasks.estate.schema import Table
from tasks.masking.makers.maker import text_of
from tasks.masking.session_settings import Hashed

SHARED = "understudy_shared"


def select_hashed_once(columns: Composed, table: Table, source: Composable) -> Composed:
    """Return a SELECT of these columns from a source that has the columns of the table.

    A hash of a column of the row that occurs more than once moves to a LATERAL sub-select. Without its OFFSET 0,
    PostgreSQL would copy it back to each place. A hash of a part of a value (an element of an array) stays where it is.
    """
    found = list(_hashes(columns))
    of_rows = {_text(text_of(column, Identifier(column.name))) for column in table.columns} if len(found) > 1 else set()
    counted = Counter(_text(each) for each in found if _text(each.message) in of_rows)
    names = {text: f"understudy_hash_{number}" for number, text in enumerate(t for t, n in counted.items() if n > 1)}
    if not names:
        return SQL("SELECT {} FROM {}").format(columns, source)
    hashes = {_text(each): each for each in found}
    once = SQL(", ").join(SQL("{} AS {}").format(hashes[text], Identifier(name)) for text, name in names.items())
    return SQL("SELECT {} FROM {}, LATERAL (SELECT {} OFFSET 0) AS {}").format(
        _replaced(columns, names), source, once, Identifier(SHARED)
    )


def _hashes(part: Composable) -> Iterator[Hashed]:
    if isinstance(part, Hashed):
        yield part
    elif isinstance(part, Composed):
        for inner in part:
            yield from _hashes(inner)


def _replaced(part: Composable, names: dict[str, str]) -> Composable:
    if isinstance(part, Hashed):
        name = names.get(_text(part))
        return part if name is None else Identifier(SHARED, name)
    return Composed([_replaced(inner, names) for inner in part]) if isinstance(part, Composed) else part


def _text(part: Composable) -> str:
    return part.as_string(None)

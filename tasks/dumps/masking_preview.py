"""The preview of masking: a few rows before and after.

Unless originals are requested, the server returns only their length and whether a mask left them in. JSON documents are the
exception: they are read and compared member by member here, so that a member that no path covers is not shown.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from tasks.dumps.connections import without_values
from tasks.dumps.export_plan import ColumnPlan, MaskingPlan, TablePlan
from tasks.dumps.leak_search import LeakSearch, Lookup, collect_hashes, sum_overlaps
from tasks.dumps.masking_sql import masked, masked_columns, set_mask_settings
from tasks.dumps.row_sources import sample_of
from tasks.estate.dumps import Overlap
from tasks.estate.errors import PolicyRefused, Unreachable
from tasks.estate.schema import DatabaseIdentity
from tasks.estate.sites import Immutable
from tasks.masking.makers.documents import Document
from tasks.masking.session_settings import Session

HIDDEN = "•••••"
LONGEST = 2000  # characters of a value that are fetched; the report shows fewer
LEAK_LENGTH = 4  # characters from which an original inside its own replacement is not a coincidence
A_NAME = re.compile(r"[a-z_][A-Za-z0-9_-]{0,39}")  # a key that a programmer named, and not data


class Change(Immutable):
    """One value before and after. `size` in characters, or in bytes of binary content; None: it is NULL. `original` is None
    unless it was requested; `kept`: the replacement contains the original or a planted value, and is not in `made`.
    """

    size: int | None
    original: str | None = None
    made: str | None = None
    kept: bool = False


class ColumnPreview(Immutable):
    """One masked column with a change for each row."""

    name: str
    type: str
    binary: bool
    rule: str
    changes: tuple[Change, ...]


class TablePreview(Immutable):
    """One table: its masked columns, and the names of those that are kept."""

    name: str
    columns: tuple[ColumnPreview, ...]
    kept: tuple[str, ...]


class Preview(Immutable):
    """What masking would do to this database under this policy. `originals`: the preview contains them in clear."""

    policy: str  # fingerprint
    source: DatabaseIdentity
    tables: tuple[TablePreview, ...]
    dropped: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    originals: bool = False
    overlaps: tuple[Overlap, ...] = ()  # what the leak search found in masked rows, accepted or not
    leaks: tuple[Overlap, ...] = ()  # those that the policy does not accept: an export would be refused


def overlaps_in_sample(connection: psycopg.Connection[Any], plan: MaskingPlan, session: Session) -> tuple[Overlap, ...]:
    """Run the leak search as an export does, over a sample of the masked rows of each table.

    Raise `Unreachable` if the connection is lost, `PolicyRefused` if a mask fails on a row.
    """
    lookup = Lookup(collect_hashes([connection], plan, session))
    statements = [
        SQL("COPY (SELECT {} FROM {} AS s) TO STDOUT").format(masked_columns(table, session), sample_of(table))
        for table in plan.tables
    ]
    set_mask_settings(connection, session)
    return sum_overlaps(
        overlap
        for table, statement in zip(plan.tables, statements, strict=True)
        for overlap in _overlaps_of(connection, table, statement, lookup)
    )


def _overlaps_of(
    connection: psycopg.Connection[Any], table: TablePlan, statement: Composed, lookup: Lookup
) -> tuple[Overlap, ...]:
    search = LeakSearch(lookup, table, whole=True)
    with _refusing(table), connection.cursor() as cursor, cursor.copy(statement) as copy:
        search.search_block(b"".join(bytes(row) for row in copy))
    return search.found


@contextmanager
def _refusing(plan: TablePlan) -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unreachable(f"The preview of {plan.table.name} was cut off ({without_values(error)}).") from None
    except psycopg.Error as error:
        raise PolicyRefused(f"{plan.table.name} cannot be masked: {without_values(error)}.") from None


def preview_tables(
    connection: psycopg.Connection[Any],
    plan: MaskingPlan,
    session: Session,
    *,
    rows: int,
    originals: bool,
    canaries: Sequence[str] = (),
) -> tuple[TablePreview, ...]:
    """Mask up to `rows` rows of every table, first those in which most columns have a value.

    Raise `PolicyRefused` if a mask fails on a row, `Unreachable` if the connection is lost.
    """
    statements = {str(t.table.name): _statement(t, session, rows, originals) for t in plan.tables if _masked(t)}
    set_mask_settings(connection, session)  # after the statements: building them collects keys and pools
    found = []
    for table in plan.tables:
        changed = _masked(table)
        answers: list[tuple[Any, ...]] = []
        if changed:
            with _refusing(table):
                answers = connection.execute(statements[str(table.table.name)]).fetchall()
        found.append(
            TablePreview(
                name=str(table.table.name),
                columns=tuple(
                    _column(each, [row[4 * at : 4 * at + 4] for row in answers], originals, canaries)
                    for at, each in enumerate(changed)
                ),
                kept=tuple(each.column.name for each in table.columns if not each.masked),
            )
        )
    return tuple(found)


def _masked(plan: TablePlan) -> list[ColumnPlan]:
    return [each for each in plan.columns if each.masked]


def _statement(plan: TablePlan, session: Session, rows: int, originals: bool) -> Composed:
    """Select four values for each masked column: size, whether the original is kept, the replacement, the original."""
    changed = _masked(plan)
    filled = SQL("num_nonnulls({})").format(SQL(", ").join(Identifier(each.column.name) for each in changed))
    chosen = SQL("(SELECT * FROM {} AS s ORDER BY {} DESC LIMIT {}) AS s").format(
        sample_of(plan), filled, Literal(rows)
    )
    pairs = [
        SQL("({})::text AS {}, ({})::text AS {}").format(
            masked(plan, each, session), _made(at), Identifier(each.column.name), _was(at)
        )
        for at, each in enumerate(changed)
    ]
    answers = [_answers(at, each, originals) for at, each in enumerate(changed)]
    return SQL("SELECT {} FROM (SELECT {} FROM {}) AS p").format(SQL(", ").join(answers), SQL(", ").join(pairs), chosen)


def _made(at: int) -> Identifier:
    return Identifier(f"understudy_made_{at}")


def _was(at: int) -> Identifier:
    return Identifier(f"understudy_was_{at}")


def _answers(at: int, each: ColumnPlan, originals: bool) -> Composable:
    made, was = _made(at), _was(at)
    kept = SQL(
        "coalesce({was} NOT IN ('', '{{}}', '[]') AND ({made} = {was} OR (char_length({was}) >= {leak_length} "
        "AND strpos({made}, {was}) > 0)), false)"
    ).format(made=made, was=was, leak_length=Literal(LEAK_LENGTH))
    if _is_binary(each):
        return SQL("octet_length({}::bytea), {}, octet_length({}::bytea)::text, NULL::text").format(was, kept, made)
    if _is_document(each):
        return SQL("char_length({}), false, {}, {}").format(was, made, was)
    cut = Literal(LONGEST)
    before: Composable = SQL("left({}, {})").format(was, cut) if originals else SQL("NULL::text")
    return SQL("char_length({}), {}, left({}, {}), {}").format(was, kept, made, cut, before)


def _is_binary(each: ColumnPlan) -> bool:
    return each.column.base == "bytea" and not each.column.array


def _is_document(each: ColumnPlan) -> bool:
    return isinstance(each.rule.maker, Document)


def _column(each: ColumnPlan, answers: list[Any], originals: bool, canaries: Sequence[str]) -> ColumnPreview:
    return ColumnPreview(
        name=each.column.name,
        type=each.column.type,
        binary=_is_binary(each),
        rule=each.rule.word,
        changes=tuple(_change(each, *answer, originals=originals, canaries=canaries) for answer in answers),
    )


def _change(
    each: ColumnPlan,
    size: int | None,
    kept: bool,
    made: str | None,
    original: str | None,
    *,
    originals: bool,
    canaries: Sequence[str],
) -> Change:
    if _is_document(each) and not originals:
        made = _without_kept(made, original)
    kept = kept or any(canary in (made or "") for canary in canaries)
    return Change(
        size=size, original=original if originals else None, made=None if kept and not originals else made, kept=kept
    )


def _without_kept(made: str | None, original: str | None) -> str | None:
    """Return a masked document in which values equal to the original are hidden, and so are keys that are data."""
    if made is None or original is None:
        return made
    return json.dumps(_compared(json.loads(made), json.loads(original)), ensure_ascii=False)


def _compared(made: Any, was: Any) -> Any:
    if isinstance(made, dict):
        old = was if isinstance(was, dict) else {}
        return {key if A_NAME.fullmatch(key) else HIDDEN: _compared(value, old.get(key)) for key, value in made.items()}
    if isinstance(made, list):
        old_items = was if isinstance(was, list) else []
        return [_compared(v, old_items[at] if at < len(old_items) else None) for at, v in enumerate(made)]
    if made in (None, "") or isinstance(made, bool):
        return made
    held = isinstance(made, str) and isinstance(was, str) and len(was) >= LEAK_LENGTH and was in made
    return HIDDEN if held or made == was else made

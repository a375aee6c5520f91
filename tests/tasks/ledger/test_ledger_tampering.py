"""Changes of the past are found even if somebody removes the database's guards; some are found only with an anchor."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tasks.estate.errors import Misconfigured
from tasks.ledger import rows as stored_rows
from tasks.ledger.ledger import Entry, Ledger, verify_export
from tests.raw_facts import raw_fact

Row = dict[str, Any]
Tampering = Callable[[list[Row]], list[Row]]

COLUMNS = ("seq", "at", "run_id", "kind", "destination_id", "plan", "detail", "once", "previous", "hash")
GUARDS = {
    "sqlite": [f"DROP TRIGGER IF EXISTS {name}" for name in ("facts_no_update", "facts_no_delete", "facts_no_replace")],
    "postgresql": ["DROP TRIGGER IF EXISTS facts_guard ON facts"],
}
RECORDED = {"run", "asked", "d", "p"}
TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\0:"), max_size=12).filter(lambda t: t not in RECORDED)


def hashed(row: Row) -> Row:
    """Return the row with its right hash, computed independently of the ledger's code."""
    canonical = json.dumps(
        [row[name] for name in COLUMNS[:-1]], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return {**row, "hash": hashlib.sha256(canonical.encode()).hexdigest()}


def rebuilt(rows: list[Row]) -> list[Row]:
    """Return the rows as a whole chain with new numbers and hashes, as a careful forger would."""
    chain: list[Row] = []
    for number, row in enumerate(rows, start=1):
        chain.append(hashed({**row, "seq": number, "previous": chain[-1]["hash"] if chain else "0" * 64}))
    return chain


def record(book: Ledger, count: int) -> list[Row]:
    """Record this many facts and return their rows."""
    book.record_together("run", [Entry(raw_fact("asked", {"n": n}), "d", "p", f"once:{n}") for n in range(count)])
    return [json.loads(line) for line in book.export()]


def overwrite(book: Ledger, rows: list[Row]) -> None:
    """Remove the guards and replace all rows by these."""
    with book._engine.begin() as connection:
        for statement in (*GUARDS[connection.dialect.name], "DELETE FROM facts"):
            connection.execute(text(statement))
        names = ", ".join(f":{name}" for name in COLUMNS)
        for row in rows:
            connection.execute(
                text(f"INSERT INTO facts VALUES ({names})"),  # noqa: S608  # the names are those above
                {**row, "detail": json.dumps(row["detail"])},
            )


def lines(rows: list[Row]) -> list[str]:
    """Return the rows as the lines of an export."""
    return [json.dumps(row) for row in rows]


def replaced(rows: list[Row], at: int, row: Row) -> list[Row]:
    """Return the rows with another one at this index."""
    return [*rows[:at], row, *rows[at + 1 :]]


@st.composite
def edits(draw: st.DrawFn, count: int) -> Tampering:
    """Draw an edit of any column of any row; its hash is kept, or computed again if another row follows."""
    at, column = draw(st.integers(0, count - 1)), draw(st.sampled_from(COLUMNS))
    values: dict[str, st.SearchStrategy[Any]] = {
        "seq": st.integers(-(2**31), 2**31 - 1).filter(lambda seq: not 1 <= seq <= count),
        "detail": st.dictionaries(TEXTS, TEXTS | st.integers() | st.none() | st.booleans()).filter(
            lambda d: "n" not in d
        ),
        "once": TEXTS | st.none(),
        "previous": st.integers(0, 16**64 - 1).map(lambda n: f"{n:064x}"),
        "hash": st.integers(0, 16**64 - 1).map(lambda n: f"{n:064x}"),
    }
    value = draw(values.get(column, TEXTS))
    anew = column != "hash" and at < count - 1 and draw(st.booleans())
    return lambda rows: replaced(rows, at, (hashed if anew else dict)({**rows[at], column: value}))


@st.composite
def tamperings(draw: st.DrawFn) -> tuple[int, Tampering]:
    """Draw a number of facts, and one change of the past that leaves the newest fact in place."""
    count = draw(st.integers(2, 8))
    one, other = sorted(draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2, unique=True)))

    def swap(rows: list[Row]) -> list[Row]:
        swapped = replaced(replaced(rows, one, rows[other]), other, rows[one])
        return [{**row, "seq": number} for number, row in enumerate(swapped, start=1)]

    def forge(rows: list[Row]) -> list[Row]:
        forged = hashed({**rows[one], "kind": "approved", "once": None})
        return [{**row, "seq": number} for number, row in enumerate([*rows[:one], forged, *rows[one:]], start=1)]

    return count, draw(
        edits(count)
        | st.just(swap)
        | st.just(forge)
        | st.just(lambda rows: [row for row in rows if row is not rows[one]])  # `one` is never the last
    )


@given(tamperings())
@settings(max_examples=40)  # each example makes a database file
def test_a_changed_past_is_found(drawn: tuple[int, Tampering]) -> None:
    """Edits, deletions, swaps, forged rows and rows with new hashes are found in the database and in an export."""
    count, tamper = drawn
    with tempfile.TemporaryDirectory() as folder:
        book = Ledger(f"sqlite:///{folder}/ledger.db")
        rows = record(book, count)
        anchor = str(book.head())
        assert book.verify(anchor) == verify_export(lines(rows), anchor) == []
        overwrite(book, tamper(rows))
        assert 1 <= len(book.verify()) <= 2  # the first break, and how many more
        assert verify_export(lines(tamper(rows)))
        book._engine.dispose()


@given(st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=15)  # each example makes a database file
def test_a_cut_tail_is_found_with_an_anchor_only(kept: int, lost: int) -> None:
    """The rest of a cut chain is a whole chain, so only an anchor can show the cut."""
    with tempfile.TemporaryDirectory() as folder:
        book = Ledger(f"sqlite:///{folder}/ledger.db")
        rows = record(book, kept + lost)
        anchor = str(book.head())
        overwrite(book, rows[:kept])
        assert book.verify() == verify_export(lines(rows[:kept])) == []
        found = f"the ledger was cut or rebuilt: it ends at fact {kept}, and the anchor names fact {kept + lost}"
        assert book.verify(anchor) == verify_export(lines(rows[:kept]), anchor) == [found]
        book._engine.dispose()


def test_a_rebuilt_chain_is_found_with_an_anchor_only(book: Ledger) -> None:
    """A chain that was rebuilt from an edited fact has other hashes than an anchor after that fact.

    An anchor that is older than the edited fact does not show it.
    """
    rows = record(book, 5)
    before, after = (f"{row['seq']}:{row['hash']}" for row in (rows[1], rows[4]))
    overwrite(book, rebuilt(replaced(rows, 2, {**rows[2], "run_id": "mallory"})))
    assert book.verify() == book.verify(before) == []
    assert book.verify(after) == ["the ledger was cut or rebuilt: its fact 5 is not the one that the anchor names"]


def test_an_old_anchor_stays_valid(book: Ledger) -> None:
    """An anchor is valid after more facts are recorded, with or without blanks around it."""
    record(book, 2)
    anchor = str(book.head())
    book.record(raw_fact("asked"), run_id="later")
    assert book.verify(f" {anchor}\n") == verify_export(book.export(), anchor) == []


MALLORY: list[tuple[Tampering, list[str]]] = [
    (lambda rows: replaced(rows, 1, {**rows[1], "kind": "approved"}), ["fact 2 was changed"]),
    (lambda rows: replaced(rows, 1, {**rows[1], "at": rows[1]["at"].replace("T", " ")}), ["fact 2 was changed"]),
    (
        lambda rows: replaced(rows, 1, hashed({**rows[1], "kind": "approved"})),
        ["fact 3 does not follow fact 2 as that is now"],
    ),
    (lambda rows: [*rows[:2], *rows[3:]], ["fact 3 is missing"]),
    (lambda rows: rows[2:], ["facts 1 to 2 are missing"]),
    (
        lambda rows: replaced(rows, 5, {**rows[5], "seq": 9}),
        ["fact 6 is missing", "1 more after that does not fit either"],
    ),
    (
        lambda rows: [{**row, "run_id": "mallory"} for row in rows],
        ["fact 1 was changed", "6 more after that do not fit either"],
    ),
]


def test_each_break_has_its_sentence(book: Ledger) -> None:
    """The first break is described, and the others are counted."""
    rows = record(book, 7)
    for tamper, found in MALLORY:
        overwrite(book, tamper(rows))
        assert book.verify() == found


def test_a_detail_that_is_not_json_is_a_changed_fact(tmp_path: Path) -> None:
    """Malformed JSON and a repeated key are reported as a changed fact, with its number."""
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    record(book, 3)
    with book._engine.begin() as connection:
        connection.execute(text("DROP TRIGGER facts_no_update"))
        connection.execute(text("UPDATE facts SET detail = '{' WHERE seq = 2"))
        connection.execute(text("""UPDATE facts SET detail = '{"n": 9, "n": 2}' WHERE seq = 3"""))
    assert book.verify() == ["fact 2 was changed", "1 more after that does not fit either"]
    assert verify_export(book.export()) == book.verify()


@pytest.mark.parametrize("wrong", ["", "{", "[]", "{}", '{"seq": 1}', "null", "7" * 5000])
def test_a_line_that_is_not_a_fact_is_a_break(wrong: str, tmp_path: Path) -> None:
    """An export contains facts only; empty lines are ignored."""
    rows = lines(record(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), 3))
    assert verify_export([*rows, "\n"]) == []
    expected = ["what comes after fact 2 is not a fact"] if wrong else []
    assert verify_export([*rows[:2], wrong, rows[2]]) == expected
    more = rows[2].replace('{"seq"', '{"note": "approved by all", "seq"')
    assert verify_export([*rows[:2], more]) == ["what comes after fact 2 is not a fact"]
    assert verify_export([*rows[:2], rows[2], rows[2]]) == ["fact 3 comes after fact 3"]


@pytest.mark.parametrize("wrong", ["", "7", "7:abc", "0:" + "0" * 64, "-1:" + "0" * 64, "7:" + "g" * 64, "x" * 500])
def test_a_malformed_anchor_is_misconfigured(wrong: str) -> None:
    """If a malformed anchor were ignored, a cut ledger would pass."""
    with pytest.raises(Misconfigured, match="is no anchor; expected the number of a fact"):
        verify_export([], wrong)


def test_an_empty_ledger_does_not_satisfy_an_anchor(book: Ledger) -> None:
    """A ledger whose facts were all deleted is found; an empty one without an anchor is valid."""
    assert book.verify() == []
    assert book.verify("1:" + "a" * 64) == [
        "the ledger was cut or rebuilt: it ends at fact 0, and the anchor names fact 1"
    ]


def test_reading_everything_does_not_block_writers(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is read in pages, with facts that are recorded meanwhile; page boundaries are verified."""
    monkeypatch.setattr(stored_rows, "PAGE", 2)
    rows = record(book, 4)
    reading = book.export()
    read = [next(reading)]
    book.record(raw_fact("asked"), run_id="meanwhile")
    read += reading
    assert [json.loads(line)["run_id"] for line in read] == ["run"] * 4 + ["meanwhile"]
    assert book.verify(str(book.head())) == verify_export(read) == []
    overwrite(book, rows[:2] + rows[3:])
    assert book.verify() == ["fact 3 is missing"]

"""Units of an export: ranges that cover every page once, and blocks in which no planted value comes out."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.sandbox.postgres import Postgres
from tasks.dumps import extract
from tasks.dumps.connections import connected_to, exported_snapshot
from tasks.dumps.export_plan import MaskingPlan, Unit
from tasks.dumps.extract import PAGE, Batch, Source, batches_of, copy_statement, part_file_stem, units_of
from tasks.estate.errors import LeakFound
from tasks.masking.keyring import Keyring
from tasks.masking.session_settings import Session
from tests.tasks.dumps.small_databases import name, planned, table

CONNECTION: Any = None
PLAN = planned(table("t"), "id: keep, v: hash")


def units(monkeypatch: Any, plan: MaskingPlan, sizes: dict[str, tuple[int, int]], range_bytes: int) -> list[Unit]:
    """The units of tables whose leaves have these sizes: of their pages, and with everything."""
    named = {name(each): size for each, size in sizes.items()}
    monkeypatch.setattr(extract, "_sizes", lambda connection, plan: named)
    return units_of(CONNECTION, plan, range_bytes=range_bytes)


@given(pages=st.integers(0, 40), more=st.integers(0, 5 * PAGE), ranges=st.integers(1, 9))
def test_ranges_cover_every_page_once(pages: int, more: int, ranges: int) -> None:
    """The first starts at the beginning, each at the end of the one before, and the last is open: rows may still come."""
    with pytest.MonkeyPatch.context() as patch:
        whole = pages * PAGE + more
        found = units(patch, MaskingPlan(tables=(PLAN,)), {"t": (pages * PAGE, whole)}, max(1, whole // ranges))
    assert [unit.number for unit in found] == list(range(len(found)))
    assert found[0].first_page == 0
    assert found[-1].last_page is None
    for one, two in pairwise(found):
        assert one.last_page == two.first_page
        assert one.first_page < two.first_page
    assert len(found) <= max(1, pages)
    assert all(unit.bytes == whole // len(found) for unit in found)


def test_a_table_is_cut_by_its_size_with_everything_that_belongs_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves one after the other, numbered through; an empty one is a unit too."""
    parted = PLAN.model_copy(update={"table": table("p", partitioned=True, leaves=(name("p_1"), name("p_2")))})
    plan = MaskingPlan(tables=(parted, PLAN))
    found = units(monkeypatch, plan, {"p_1": (4 * PAGE, 6 * PAGE), "p_2": (0, 0), "t": (PAGE, 100 * PAGE)}, 2 * PAGE)
    assert [(str(u.leaf), u.number, u.first_page, u.last_page, u.bytes) for u in found] == [
        ("p_1", 0, 0, 1, 2 * PAGE), ("p_1", 1, 1, 2, 2 * PAGE), ("p_1", 2, 2, None, 2 * PAGE), ("p_2", 3, 0, None, 0),
        ("t", 0, 0, None, 100 * PAGE),
    ]  # fmt: skip
    assert [str(u.table) for u in found] == ["p", "p", "p", "p", "t"]


def test_small_units_share_a_connection_until_it_is_full() -> None:
    """A unit that fits exactly is included. A batch is named by its first table and the number of other units."""
    plan = MaskingPlan(tables=(PLAN,))
    made = [Unit(table=name("t"), leaf=name("t"), number=n, bytes=0) for n in range(5)]
    costs = extract.UNIT_COSTS
    assert [len(batch.units) for batch in batches_of(plan, made, batch_bytes=2 * costs)] == [2, 2, 1]
    assert [len(batch.units) for batch in batches_of(plan, made, batch_bytes=2 * costs - 1)] == [1] * 5
    assert [str(batch) for batch in batches_of(plan, made, batch_bytes=4 * costs)] == ["t and 3 more", "t 4"]
    assert str(Batch(units=((PLAN, made[0]), (PLAN, made[1])))) == "t and 1 more"


@pytest.mark.parametrize(
    ("first", "last", "condition"),
    [
        (0, None, ""), (0, 5, "ctid >= '(0,0)'::tid AND ctid < '(5,0)'::tid"), (3, None, "ctid >= '(3,0)'::tid"),
        (3, 5, "ctid >= '(3,0)'::tid AND ctid < '(5,0)'::tid"),
    ],
)  # fmt: skip
def test_a_unit_reads_its_pages_alone(first: int, last: int | None, condition: str) -> None:
    """A whole table needs no condition."""
    unit = Unit(table=name("t"), leaf=name("t_1"), number=0, first_page=first, last_page=last)
    text = copy_statement(PLAN, unit, Session(Keyring(bytes(range(32)), run="r"))).as_string(None)
    assert re.sub(r"\s+", " ", text).endswith(
        f'FROM ONLY "public"."t_1"{" WHERE " + condition if condition else ""}) TO STDOUT'
    )


@pytest.mark.parametrize(
    ("block", "column"),
    [
        (b"1\tplanted\n", "v"),
        (b"1\tx\n2\typlantedy\n", "v"),
        (b"planted\tx\n", "id"),
        (b"1\tx\nplanted\tx\n", "id"),
        (b"1\tx\n", ""),
    ],
)
def test_a_planted_value_is_named_by_its_column(block: bytes, column: str) -> None:
    """In any row of a block, and never by the value itself."""
    if not column:
        extract._require_clean(block, (b"other", b"planted"), PLAN)
        return
    with pytest.raises(LeakFound, match=rf"is in the output of t\.{column};") as found:
        extract._require_clean(block, (b"other", b"planted"), PLAN)
    assert "planted canary" in found.value.message
    assert "yplanted" not in found.value.message


def test_two_tables_never_share_a_file() -> None:
    """Whatever letters they have, and however long they are."""
    names = ["a b", "a_b", "A_b", "ä_b", "x" * 63, "x" * 62 + "y", "s.a_b"]
    keys = [part_file_stem(name(each)) for each in names]
    assert len({*keys}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_]{1,40}-[0-9a-f]{8}", each) for each in keys)
    assert part_file_stem(name("users")).startswith("users-")


def test_units_are_read_in_the_snapshot_of_the_export(postgres: Postgres, tmp_path: Path) -> None:
    """A row that is written after the snapshot was taken is in none of them."""
    url = postgres.create("test_extract_snapshot")
    with psycopg.connect(url, autocommit=True) as production:
        production.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'before')")
        with connected_to(url, name="snapshot", statement_within=60) as holding, exported_snapshot(holding) as held:
            production.execute("INSERT INTO t VALUES (2, 'after')")
            unit = Unit(table=name("t"), leaf=name("t"), number=0, bytes=0)
            part = extract.extract(
                url,
                Source(snapshot=held, statement_within=60),
                planned(table("t"), "id: keep, v: keep"),
                unit,
                Session(Keyring(b"0123456789abcdef" * 2, run="r"), "de_AT"),
                folder=tmp_path,
                compression="none",
            )
    assert part.rows == 1

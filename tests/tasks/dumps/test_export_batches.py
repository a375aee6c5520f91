"""Batches: what an export does once for many tables, and not once for each."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.cli import dump as command
from tasks import exports
from tasks.configuration.settings import forget_settings
from tasks.dumps.export_plan import MaskingPlan, TablePlan, Unit
from tasks.dumps.extract import BATCH_BYTES, UNIT_COSTS, batches_of
from tasks.estate.dumps import Choices
from tasks.estate.schema import Catalog, DatabaseIdentity, Name, Table
from tasks.runtime.current_run import outside_prefect

RUN = "11111111-1111-4111-8111-111111111111"


def plan_of(count: int) -> MaskingPlan:
    """A plan of so many tables without columns."""
    tables = [Table(name=Name(schema_name="public", name=f"t{n}"), columns=()) for n in range(count)]
    return MaskingPlan(tables=tuple(TablePlan(table=table, columns=()) for table in tables))


def units_with(sizes: list[int]) -> tuple[MaskingPlan, list[Unit]]:
    """A plan whose tables have one unit each, of these sizes."""
    plan = plan_of(len(sizes))
    names = [table.table.name for table in plan.tables]
    return plan, [Unit(table=n, leaf=n, number=0, bytes=size) for n, size in zip(names, sizes, strict=True)]


@given(st.lists(st.integers(0, 3 * BATCH_BYTES), max_size=60))
def test_every_unit_is_in_one_batch_and_no_batch_is_too_big(sizes: list[int]) -> None:
    """Nothing is lost or done twice; only a unit that is too big by itself makes a batch too big."""
    plan, units = units_with(sizes)
    batches = batches_of(plan, units)
    placed = [unit for batch in batches for _, unit in batch.units]
    assert sorted(map(str, (u.table for u in placed))) == sorted(map(str, (u.table for u in units)))
    assert all(str(table.table.name) == str(unit.table) for batch in batches for table, unit in batch.units)
    for batch in batches:
        size = sum(unit.bytes + UNIT_COSTS for _, unit in batch.units)
        assert size <= BATCH_BYTES or len(batch.units) == 1


def test_ten_thousand_empty_tables_are_some_dozen_batches() -> None:
    """A connection and a task for each would take hours."""
    plan, units = units_with([0] * 10_000)
    assert len(batches_of(plan, units)) <= 50


def test_large_units_come_first() -> None:
    """The last to start is small, so that all workers end at about the same time."""
    plan, units = units_with([1, BATCH_BYTES, 2 * BATCH_BYTES, 5])
    assert [unit.bytes for batch in batches_of(plan, units) for _, unit in batch.units] == [
        2 * BATCH_BYTES, BATCH_BYTES, 5, 1,
    ]  # fmt: skip


def test_a_changed_copy_of_a_catalogue_finds_its_own_tables() -> None:
    """The index by name belongs to one tuple of tables: a copy with others does not answer from the original's."""
    tables = tuple(table.table for table in plan_of(3).tables)
    identity = DatabaseIdentity(
        host="h", port=1, database="d", database_oid=1, system_identifier="1", server_version=180000
    )
    catalog = Catalog(identity=identity, tables=tables)
    assert catalog.table("t1") is tables[1]
    fewer = catalog.model_copy(update={"tables": tables[:1]})
    assert (fewer.table("t1"), fewer.table("t0"), catalog.table("t1")) == (None, tables[0], tables[1])
    assert catalog == Catalog(identity=identity, tables=tables)  # the index is no part of the value
    assert "_by_name" not in catalog.model_dump()


@pytest.fixture
def work(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Counter[str]]:
    """Export so many empty tables, and count policies parsed and connections opened."""
    counted: Counter[str] = Counter()

    def counting(what: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def count(*given: Any, **more: Any) -> Any:
            counted[what] += 1
            return original(*given, **more)

        return count

    monkeypatch.setattr(exports, "load_policy", counting("policies", exports.load_policy))
    monkeypatch.setattr(psycopg, "connect", counting("connections", psycopg.connect))
    settings = {
        "SOURCE_DATABASE": database, "MASKING_KEY": "0123456789abcdef" * 4, "POLICIES": str(tmp_path),
        "DUMP_FOLDER": str(tmp_path / "out"), "DUMP_WORK": str(tmp_path / "work"),
        "LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"UNDERSTUDY_{name}", value)
    forget_settings()

    def export(count: int) -> Counter[str]:
        with psycopg.connect(database) as connection:
            for n in range(count):
                connection.execute(f"CREATE TABLE IF NOT EXISTS t{n} (id int PRIMARY KEY, email text)".encode())
        rules = "".join(f"  t{n}: {{id: keep, email: email}}\n" for n in range(count))
        (tmp_path / "many.yaml").write_text(f"app: many\nschema_version: 1\ntables:\n{rules}")
        counted.clear()
        with outside_prefect(RUN, lambda *_: None), exports.snapshot("many") as held:
            plan = exports.plan_export.fn("many", Choices(), held)
            exports.collect_secrets.fn(plan, held)
            parts = command._extract(plan, held, RUN)
        assert [str(part.table) for part in parts] == [str(unit.table) for unit in plan.units]
        assert len(parts) == count
        return +counted

    return export


def test_work_does_not_grow_with_the_number_of_tables(work: Callable[[int], Counter[str]]) -> None:
    """The policy is parsed and the server connected to as often for 120 tables as for 10."""
    few, many = work(10), work(120)
    assert few == many

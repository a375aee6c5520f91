"""Steps above the approval gate: their results are in the ledger, so that any worker can continue."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from deployments.sandbox.host.host import Host
from tasks.estate.plans import Backup
from tasks.runtime.resources import open_ledger
from tasks.runtime.step_results import kept_in_ledger

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)


@pytest.fixture
def run(worker: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of the run that the test belongs to."""
    id_ = str(uuid4())
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", id_)
    return id_


class Counted:
    """A step that counts how often it was really run."""

    def __init__(self) -> None:
        self.calls: list[str] = []

        @kept_in_ledger
        def step(name: str, *, why: str = "") -> Backup:
            self.calls.append(name)
            return Backup(id=f"b{len(self.calls)}", install_id=name, install_name=name, requested_at=NOW)

        self.step = step


def test_a_step_runs_once_for_the_same_arguments(run: str) -> None:
    """The same arguments, passed in another way, return the first result; other arguments have their own."""
    counted = Counted()
    first = counted.step("d", why="x")
    assert counted.step(name="d", why="x") == first
    assert counted.step("d", why="y") != first
    assert counted.step("e", why="x") != first
    assert counted.calls == ["d", "d", "e"]


def test_another_worker_gets_the_answer(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with another memory and disk reads the result from the ledger."""
    first = Counted().step("d")
    monkeypatch.setattr("tasks.runtime.resources._ledgers", {})
    other = Counted()
    assert other.step("d") == first
    assert other.calls == []


def test_another_run_decides_anew(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result of one run is not used by another."""
    counted = Counted()
    counted.step("d")
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(uuid4()))
    counted.step("d")
    assert counted.calls == ["d", "d"]


def test_a_step_that_failed_is_tried_again(run: str) -> None:
    """Nothing is kept of a step that raised."""
    left = [1]

    @kept_in_ledger
    def step() -> str:
        if left.pop() if left else 0:
            raise ValueError("not yet")
        return "done"

    with pytest.raises(ValueError, match="not yet"):
        step()
    assert step() == "done"


def test_outside_a_run_nothing_is_kept(worker: Host) -> None:
    """In a terminal every call is a new one."""
    counted = Counted()
    counted.step("d")
    counted.step("d")
    assert counted.calls == ["d", "d"]
    assert open_ledger().facts(kind="step") == []

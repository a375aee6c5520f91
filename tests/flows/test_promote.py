"""Promote: files only, approved, once; and its undo."""

import contextlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

from deployments.sandbox.host.host import Host
from flows.promote import promote
from tasks.ledger.ledger import Ledger
from tests.people import backups_of

PAIR = {"source": "schulstage", "destination": "schulprod"}


def test_a_promotion_copies_files_only_and_leaves_the_database(start: Callable[..., Any], worker: Host) -> None:
    """By default the newer posts of production survive, and the new files arrive."""
    worker.publish("schulstage", "files")
    before = worker.snapshot()["installs"]["schulprod"]
    run = start(promote, **PAIR).approve("schulprod")
    after = worker.snapshot()["installs"]
    assert run.state == "Verified", run.message
    assert after["schulprod"]["files_version"] == after["schulstage"]["files_version"] != before["files_version"]
    assert after["schulprod"]["totals"] == before["totals"]


def test_a_promotion_onto_staging_is_refused(start: Callable[..., Any], worker: Host) -> None:
    """Promote refuses every destination that is not production."""
    assert start(promote, source="schuldev", destination="schulstage").state == "WrongDestination"
    assert worker.copies_received() == 0


def test_a_change_between_request_and_answer_makes_the_plan_stale(start: Callable[..., Any], worker: Host) -> None:
    """New files on staging after the plan was shown are not what the lead approved."""
    worker.publish("schulstage", "files")
    run = start(promote, **PAIR)
    worker.publish("schulstage", "files")
    run.approve("schulprod")
    assert (run.state, worker.copies_received()) == ("Stale", 0)
    assert "source.asset_versions" in run.message


def test_two_promotions_of_one_pair_send_one_copy(start: Callable[..., Any], worker: Host, ledger: Ledger) -> None:
    """A newer request replaces the older one permanently: one copy, and both runs have their outcome."""
    worker.publish("schulstage", "files")
    first, second = start(promote, **PAIR), start(promote, **PAIR)
    assert first.state == "Superseded"
    assert second.id in first.message
    second.approve("schulprod")
    assert second.state == "Verified", second.message
    first.restart().go()
    assert (first.state, worker.copies_received()) == ("Superseded", 1)


class Killed(BaseException):
    """The end of a worker process, as nothing in the process can catch it."""


def killed(*_: Any) -> None:
    """Die here."""
    raise Killed


def test_any_worker_goes_on_where_another_was_killed(
    start: Callable[..., Any], worker: Host, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that planned loses its disk, the one that read the answer dies before the call: a third continues.

    There is one backup, one plan, one request and one copy.
    """
    worker.publish("schulstage", "files")
    run = start(promote, **PAIR)
    shutil.rmtree(PREFECT_LOCAL_STORAGE_PATH.value(), ignore_errors=True)
    monkeypatch.setattr("tasks.runtime.resources._ledgers", {})
    with monkeypatch.context() as dying, contextlib.suppress(Killed):
        dying.setattr("tasks.locks.locked", killed)
        run.approve("schulprod")
    assert [fact.kind for fact in ledger.facts(run_id=run.id, kinds=("approved", "sending"))] == ["approved"]
    shutil.rmtree(PREFECT_LOCAL_STORAGE_PATH.value(), ignore_errors=True)
    monkeypatch.setattr("tasks.runtime.resources._ledgers", {})
    run.restart().go()
    assert (run.state, worker.copies_received(), backups_of(ledger, run)) == ("Verified", 1, 1)
    assert [fact.kind for fact in ledger.facts(run_id=run.id, kinds=("planned", "asked"))] == ["planned", "asked"]

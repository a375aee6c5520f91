"""Promote: files only, approved, once; and its undo."""

import contextlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

from deployments.sandbox.host.host import Host
from flows.promote import promote
from tasks.configuration.settings import forget_settings, load_settings
from tasks.ledger.facts import Pictured
from tasks.ledger.ledger import Ledger
from tasks.ledger.picture_files import read_picture
from tasks.websites.chromium import NAMES
from tests.people import backups_of

PAIR = {"source": "schulstage", "destination": "schulprod"}


def test_a_promotion_copies_files_only_and_leaves_the_database(start: Callable[..., Any], worker: Host) -> None:
    """By default the newer posts of production survive, and the new files arrive."""
    worker.publish("schulstage", "files")
    before = worker.snapshot()["installs"]["schulprod"]
    run = start(promote, **PAIR).approve()
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
    run.approve()
    assert (run.state, worker.copies_received()) == ("Stale", 0)
    assert "source.asset_versions" in run.message


def test_two_promotions_of_one_pair_send_one_copy(start: Callable[..., Any], worker: Host, ledger: Ledger) -> None:
    """A newer request replaces the older one permanently: one copy, and both runs have their outcome."""
    worker.publish("schulstage", "files")
    first, second = start(promote, **PAIR), start(promote, **PAIR)
    assert first.state == "Superseded"
    assert second.id in first.message
    second.approve()
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
        run.approve()
    assert [fact.kind for fact in ledger.facts(run_id=run.id, kinds=("approved", "sending"))] == ["approved"]
    shutil.rmtree(PREFECT_LOCAL_STORAGE_PATH.value(), ignore_errors=True)
    monkeypatch.setattr("tasks.runtime.resources._ledgers", {})
    run.restart().go()
    assert (run.state, worker.copies_received(), backups_of(ledger, run)) == ("Verified", 1, 1)
    assert [fact.kind for fact in ledger.facts(run_id=run.id, kinds=("planned", "asked"))] == ["planned", "asked"]


@pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium on this machine")
def test_pictures_are_taken_before_anybody_is_asked(
    start: Callable[..., Any], worker: Host, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides in two widths, once a plan; the run is approved as without them."""
    monkeypatch.setenv("UNDERSTUDY_BROWSER", "auto")
    forget_settings()
    worker.publish("schulstage", "files")
    run = start(promote, **PAIR).approve()
    assert run.state == "Verified", run.message
    (fact,) = ledger.facts(run_id=run.id, kind="pictured")
    pictured = fact.as_(Pictured)
    assert ([pair.width for pair in pictured.pairs], pictured.why) == ([1280, 390], "")
    folder = load_settings().pictures
    assert all(read_picture(folder, each) for pair in pictured.pairs for each in (pair.source, pair.destination))


def test_a_plan_needs_no_pictures(
    start: Callable[..., Any], worker: Host, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails while they are taken becomes a reason in the ledger, without text of the site."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("<b>of the site</b>")

    monkeypatch.setattr("tasks.pictures.find_browser", lambda _: "chromium")
    monkeypatch.setattr("tasks.pictures.draw_pairs", fails)
    worker.publish("schulstage", "files")
    run = start(promote, **PAIR).approve()
    assert run.state == "Verified", run.message
    (fact,) = ledger.facts(run_id=run.id, kind="pictured")
    assert fact.detail == {"pairs": [], "why": "an unexpected fault (RuntimeError)."}

"""Refresh: what a good run does, and every way in which it refuses."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from flows.refresh import refresh
from tasks.ledger.ledger import Ledger

PAIR = {"source": "schulprod", "destination": "schulstage"}


def test_an_approved_refresh_ends_verified(start: Callable[..., Any], worker: Host, ledger: Ledger) -> None:
    """A refresh asks, copies once, proves the arrival, purges, verifies, and records every step."""
    run = start(refresh, **PAIR)
    assert run.state == "Suspended"
    assert worker.copies_received() == 0
    run.approve()
    assert (run.state, worker.copies_received()) == ("Verified", 1), run.message
    assert "Nothing inside of schulstage is neutralised" in run.message  # this worker has no WP-CLI access
    kinds = [fact.kind for fact in ledger.facts(run_id=run.id)]
    assert [k for k in kinds if k in ("planned", "asked", "approved", "consumed", "sending", "sent", "settled", "outcome")] == [
        "planned", "asked", "approved", "consumed", "sending", "sent", "settled", "outcome",
    ]  # fmt: skip


def test_the_backup_is_made_once_although_the_body_runs_twice(start: Callable[..., Any], worker: Host) -> None:
    """After the answer the body runs again from the top, and the persisted backup step does not."""
    start(refresh, **PAIR).approve()
    asked = [row for row in worker.journal() if row["method"] == "POST" and row["path"].endswith("/backups")]
    assert len(asked) == 1


def test_a_standing_approval_lets_the_nightly_pair_pass(
    start: Callable[..., Any], worker: Host, ledger: Ledger
) -> None:
    """A pair in the reviewed file is refreshed without a person; the ledger names who signed the entry."""
    run = start(refresh, **PAIR, approval="standing")
    assert run.state == "Verified", run.message
    (approved,) = ledger.facts(run_id=run.id, kind="approved")
    assert approved.detail["kind"] == "standing"


def test_a_pair_without_standing_approval_is_refused(start: Callable[..., Any], worker: Host) -> None:
    """Another pair under `standing` is refused with the reason, after the backup and before any copy."""
    run = start(refresh, source="schulprod", destination="schuldev", approval="standing")
    assert run.state == "NotApproved"
    assert "No standing approval covers schulprod → schuldev" in run.message
    assert worker.copies_received() == 0


def test_a_rejected_refresh_copies_nothing(start: Callable[..., Any], worker: Host) -> None:
    """A lead's rejection ends the run as Rejected with the reason."""
    run = start(refresh, **PAIR)
    run.say("reject", reason="not today")
    run.go()
    assert (run.state, worker.copies_received()) == ("Rejected", 0)
    assert "not today" in run.message


def test_an_incomplete_answer_leaves_the_request_open(start: Callable[..., Any], worker: Host) -> None:
    """An approval without a proof is refused by the form, and the run still waits."""
    run = start(refresh, **PAIR)
    assert run.say(proof="") == "REJECT"
    assert run.answer() == "REJECT"
    assert (run.state, worker.copies_received()) == ("Suspended", 0)


def test_production_is_never_a_destination(start: Callable[..., Any], worker: Host) -> None:
    """A refresh onto production is refused before the first backup."""
    run = start(refresh, source="schulstage", destination="schulprod")
    assert run.state == "WrongDestination"
    assert not any(row["path"].endswith("/backups") and row["method"] == "POST" for row in worker.journal())


def test_a_retry_after_the_end_looks_again_and_never_sends(start: Callable[..., Any], worker: Host) -> None:
    """Running a finished run's body again re-verifies from the ledger's receipt; no second copy leaves."""
    run = start(refresh, **PAIR).approve()
    run.restart().go()
    assert worker.copies_received() == 1


def test_a_missed_night_is_not_made_up_for(
    start: Callable[..., Any], worker: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was down for days does not run every missed refresh under the standing approval."""
    due = datetime(2026, 1, 1, 3, tzinfo=UTC)
    monkeypatch.setattr("tasks.approvals.flow_run.get_scheduled_start_time", lambda: due)
    run = start(refresh, **PAIR, approval="standing")
    assert (run.state, worker.copies_received()) == ("NotApproved", 0)
    assert "does not cover missed runs" in run.message

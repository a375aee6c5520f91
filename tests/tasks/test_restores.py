"""Restores: what a run recorded is found, put back once, under the same guards as a copy, and started at most once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Failed

from flows.restore import restore
from tasks import restores
from tasks.capi.client import Client
from tasks.configuration.settings import load_settings
from tasks.estate.errors import Frozen, NotApproved, NotFound, OnHold, PlanIsStale
from tasks.estate.polling import utc_now
from tasks.estate.sites import Direction
from tasks.ledger.ledger import Ledger
from tasks.restores import (
    resolve_destination,
    resolve_recorded,
    send_restore,
    start_allowed_restore,
    state_before,
)
from tasks.safeguards.holds import place
from tasks.signoff.answers import where
from tests.raw_facts import raw_fact
from tests.tasks.conftest import Scene, approve, freeze
from tests.tasks.safeguards.ledger_histories import STAGE, Story, content, plan

Make = Callable[..., Scene]


def test_the_newest_backup_that_the_run_recorded_goes_back(ledger: Ledger) -> None:
    """It is the plan's own, or the newer one after a late answer."""
    story = Story(ledger)
    run = story.call(content())
    found = resolve_recorded.fn(run)
    assert (found.run_id, found.backup.id) == (run, f"backup-{run}")
    for name in ("first", "second"):
        newer = found.backup.model_copy(update={"id": name})
        ledger.record(raw_fact("backup-renewed", newer.model_dump(mode="json")), run_id=run)
    assert resolve_recorded.fn(run).backup.id == "second"


def test_the_last_plan_of_the_run_is_what_it_sent(ledger: Ledger) -> None:
    """An earlier draft of the same run is not used."""
    story = Story(ledger)
    draft = plan(run="run-1", destination=STAGE).model_copy(update={"requested_by": "draft"})
    ledger.record(raw_fact("planned", draft.model_dump(mode="json")), **where(draft))
    run = story.call(content())
    assert resolve_recorded.fn(run).requested_by == ""


def test_a_run_that_sent_nothing_leaves_nothing_to_put_back(ledger: Ledger) -> None:
    """That holds for an unknown run, a run that only planned, and one that journaled a call without a plan."""
    made = plan(run="planned")
    ledger.record(raw_fact("planned", made.model_dump(mode="json")), **where(made))
    story = Story(ledger)
    run = story.call(content())
    (sending,) = ledger.facts(run_id=run, kind="sending")
    ledger.record(raw_fact("sending", sending.detail), run_id="bare", destination_id=STAGE.id, plan="p")
    for each in ("unknown", "planned", "bare"):
        with pytest.raises(NotFound, match="no copy sent"):
            resolve_recorded.fn(each)
    for each in ("unknown", "planned"):
        with pytest.raises(NotFound, match="no copy sent"):
            state_before(each)


def test_the_state_before_is_the_destination_s_at_the_call(ledger: Ledger) -> None:
    """It is the state that a restore should bring back."""
    run = Story(ledger).call(content(posts=77))
    assert state_before(run).install.name == "stage"


def test_the_destination_is_looked_up_again(scene: Make) -> None:
    """The install as it is now is both sides of the restore."""
    made = scene()
    made.host.relabel("schulstage", environment="development")
    pair = resolve_destination.fn(made.plan)
    assert pair.direction is Direction.BACK
    assert (pair.source, pair.destination.environment.value) == (pair.destination, "development")


def test_an_approved_restore_is_sent_once(scene: Make) -> None:
    """A second attempt of the run sends nothing."""
    made = scene("restore")
    receipt = made.send(send_restore)
    assert (receipt.answer, made.host.restores_received()) == ("accepted", 1)
    assert made.kinds()[-3:] == ["consumed", "sending", "sent"]
    assert (made.send(send_restore).recalled, made.sent()) == (True, 1)


@pytest.mark.parametrize("named", [True, False])
def test_the_call_names_the_recorded_backup(scene: Make, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """It is sent to no other install; the client refuses a plan without a backup."""
    calls: list[Any] = []
    monkeypatch.setattr(Client, "send_restore", lambda self, *ids, **how: calls.append((ids, how)))
    made = scene("restore", **({} if named else {"restore_backup_id": None}))
    made.send(send_restore)
    backup = made.backup.id if named else ""
    assert calls == [((made.plan.pair.destination.id, backup), {"database": True, "emails": [load_settings().notify]})]


def test_the_guards_of_a_copy_stand_before_a_restore(scene: Make) -> None:
    """A hold, another call and a forged approval stop it; a freeze does not, because it must not prevent an undo."""
    made = scene("restore")
    forged = made.plan.model_copy(update={"run_id": "forged"})
    with pytest.raises(NotApproved):
        made.send(send_restore, plan=forged, approval=made.approval)
    later = utc_now() + timedelta(hours=1)
    place(made.ledger, destination="schulstage", until=later, by="Ann", reason="a demo", now=utc_now(), run_id="h")
    with pytest.raises(OnHold):
        made.send(send_restore)
    made.ledger.record(raw_fact("sending"), run_id="other", destination_id=made.plan.destination_id, plan="p")
    with pytest.raises(PlanIsStale, match="was sent after this plan was made"):
        made.send(send_restore)
    assert made.sent() == 0


def test_a_freeze_does_not_stop_the_way_back(scene: Make) -> None:
    """It stops a copy."""
    made, copy = scene("restore"), scene(run="copy")
    freeze()
    assert made.send(send_restore).answer == "accepted"
    with pytest.raises(Frozen):
        approve(copy.plan.model_copy(update={"run_id": "new"}))


FAILED: Any = Failed(name="VerifyFailed")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The deployments that were started."""
    orders: list[Any] = []
    monkeypatch.setattr(restores, "start_restore", orders.append)
    return orders


def permitted(made: Scene, seconds: int = 900) -> Any:
    """Its approval, with or without the permission to undo it."""
    return made.approval.model_copy(update={"restore_within": seconds})


def test_a_failed_verification_starts_one_restore(scene: Make, started: list[Any]) -> None:
    """In a run of its own, which does not wait for it; a retry of the promotion starts none."""
    made = scene()
    for _ in range(2):
        assert start_allowed_restore(made.plan, permitted(made), FAILED) is FAILED
    (parameters,) = started
    assert parameters == {
        "promotion": "tonight", "approval": "pre-authorised", "database": True, "requested_by": "the promotion's approval",
    }  # fmt: skip
    assert (
        restore.validate_parameters(parameters)["approval"] == "pre-authorised"
    )  # the flow takes them; its form is not asked
    assert made.kinds().count("restore-started") == 1
    (fact,) = made.ledger.facts(kind="restore-started")
    assert fact.once == "restore-started:tonight"


@pytest.mark.parametrize(
    ("ended", "seconds"), [(Completed(name="Verified"), 900), (Failed(name="OutcomeUnknown"), 900), (FAILED, 0)]
)
def test_nothing_else_starts_a_restore(scene: Make, started: list[Any], ended: Any, seconds: int) -> None:
    """Another end, or an approval without the permission, starts nothing."""
    made = scene()
    assert start_allowed_restore(made.plan, permitted(made, seconds), ended) is ended
    assert (started, made.ledger.facts(kind="restore-started")) == ([], [])


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), ObjectNotFound(http_exc=Exception("x")), ValueError("x")])
def test_a_restore_that_cannot_be_started_is_an_alert(
    scene: Make, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The promotion's own end stays readable, and a notice names what to do."""

    def fail(parameters: Any) -> None:
        raise error

    notices: list[Any] = []
    monkeypatch.setattr(restores, "start_restore", fail)
    monkeypatch.setattr(restores, "send_notice", lambda *what, **how: notices.append((what, how)))
    monkeypatch.setattr(restores, "get_run_logger", __import__("logging").getLogger)
    made = scene()
    assert start_allowed_restore(made.plan, permitted(made), FAILED) is FAILED
    (((kind, subject, lines), how),) = notices
    assert (kind, how["run_id"]) == ("alert", "tonight")
    assert "schulstage could not be started" in subject
    assert "Start `restore` with run tonight manually" in lines[0]

"""Locks: both installs of a plan, for one run at a time, and taken over only from a run that is over and settled."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from tasks import locks
from tasks.estate.errors import DestinationBusy, Rejected
from tasks.estate.plans import Plan
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Fact, Ledger
from tasks.runtime.current_run import outside_prefect
from tasks.signoff.answers import recorded_answer, where
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import DEV, PROD, STAGE, load_plan, plan

IDS = (PROD.id, STAGE.id)


@dataclass
class World:
    """What Prefect and the host report: which runs are over, and whether their copies are proven to have arrived."""

    ledger: Ledger
    over: set[str] = field(default_factory=set)
    arrived: bool = False
    looked_at: list[Fact] = field(default_factory=list)

    def holders(self, *installs: str) -> list[str | None]:
        """Who holds the installs."""
        return [self.ledger.lock_holder(each) for each in installs or IDS]

    def hold(self, install: str, run: str = "other") -> None:
        """Another run holds this install."""
        self.ledger.take_lock(
            install, run, is_over=lambda _: False, settles=lambda _: False, horizon=timedelta(0), now=utc_now()
        )

    def send(self, destination: str = STAGE.id, run: str = "other") -> None:
        """Another run sent a copy whose end nobody knows."""
        self.hold(destination, run)
        self.ledger.record(raw_fact("sending"), run_id=run, destination_id=destination, plan="p")


@pytest.fixture
def world(worker: Host, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> World:
    """A ledger without locks."""
    made = World(ledger)

    def has_arrived(of: Ledger, sending: Fact, **how: Any) -> bool:
        assert how["connect"]
        made.looked_at.append(sending)
        return made.arrived

    monkeypatch.setattr(locks, "is_over", lambda run: run in made.over)
    monkeypatch.setattr(locks, "has_arrived", has_arrived)
    return made


def fail() -> None:
    """End a block with an error."""
    raise ZeroDivisionError


def send_and_fail(world: World) -> None:
    """Journal a call of this run, and end with an error."""
    world.ledger.record(raw_fact("sending"), run_id="tonight", destination_id=STAGE.id, plan="p")
    fail()


def test_both_installs_are_held_and_let_go(world: World) -> None:
    """The source too: it must not be overwritten while it is copied. Neither stays locked, also after an error."""
    with locks.locked(plan()):
        assert world.holders() == ["tonight", "tonight"]
    assert world.holders() == [None, None]
    with pytest.raises(ZeroDivisionError), locks.locked(plan()):
        fail()
    assert world.holders() == [None, None]


def test_a_run_that_holds_them_already_keeps_them(world: World) -> None:
    """A retry of the same run continues."""
    for each in IDS:
        world.hold(each, "tonight")
    with locks.locked(plan()):
        assert world.holders() == ["tonight", "tonight"]


@pytest.mark.parametrize("taken", IDS)
def test_an_install_that_another_run_holds_is_busy(world: World, taken: str) -> None:
    """The run that has the lock is named, the block does not run, and the other install is not locked."""
    world.hold(taken)
    with (
        pytest.raises(DestinationBusy, match=f"{taken.lower()} is held by run other, which is not over"),
        locks.locked(plan()),
    ):
        pytest.fail("the block must not run")
    assert sorted(world.holders(), key=str) == sorted([None, "other"], key=str)


def test_the_lock_of_a_run_that_is_over_is_taken(world: World) -> None:
    """It made no call, so that nothing can still be under way."""
    world.hold(STAGE.id)
    world.over = {"other"}
    with locks.locked(plan()):
        assert world.holders() == ["tonight", "tonight"]
    assert world.looked_at == []


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("destination", IDS)
def test_the_lock_of_an_ended_run_is_taken_only_after_reconciling(
    world: World, destination: str, arrived: bool
) -> None:
    """Its copy may still be under way at the host, until the remote side proves that it arrived."""
    world.send(destination)
    world.over, world.arrived = {"other"}, arrived
    if arrived:
        with locks.locked(plan()):
            assert world.holders() == ["tonight", "tonight"]
    else:
        with pytest.raises(DestinationBusy, match="not proven to have ended"), locks.locked(plan()):
            pytest.fail("the block must not run")
    assert [(fact.run_id, fact.kind) for fact in world.looked_at] == [("other", "sending")]


def test_a_call_beyond_the_horizon_holds_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host cannot still work on it, whatever the remote side shows."""
    world.send()
    world.over = {"other"}
    later = utc_now() + timedelta(days=30)
    monkeypatch.setattr(locks, "utc_now", lambda: later)
    with locks.locked(plan()):
        assert world.holders() == ["tonight", "tonight"]
    assert world.looked_at == []


def test_a_run_whose_own_call_is_not_settled_keeps_its_locks(world: World) -> None:
    """After an exception or a suspension after the call, no other run may overwrite either install."""
    with pytest.raises(ZeroDivisionError), locks.locked(plan()):
        send_and_fail(world)
    assert world.holders() == ["tonight", "tonight"]


def test_a_target_is_held_and_let_go(world: World) -> None:
    """It is locked while it is loaded, and released if the load fails."""
    load = load_plan()
    with locks.locked_target(load):
        assert world.holders(load.destination_id) == ["tonight"]
    with pytest.raises(ZeroDivisionError), locks.locked_target(load):
        fail()
    assert world.holders(load.destination_id) == [None]


def test_a_target_is_taken_from_a_run_that_is_over_and_from_no_other(world: World) -> None:
    """A load that still runs holds a lock in the database as well: no evidence is looked for."""
    load = load_plan()
    world.send(load.destination_id)
    with pytest.raises(DestinationBusy, match="which is not over"), locks.locked_target(load):
        pytest.fail("the block must not run")
    world.over = {"other"}
    with locks.locked_target(load):
        assert world.holders(load.destination_id) == ["tonight"]
    assert world.looked_at == []


def asked(ledger: Ledger, made: Plan) -> None:
    """People were asked about this plan."""
    now = utc_now()
    requested = {
        "at": now.isoformat(), "answer_by": (now + timedelta(hours=2)).isoformat(), "verb": made.verb, "code": made.code,
        "people": 1, "source_id": made.pair.source.id, "destination": made.destination_name, "requested_by": "Ben",
    }  # fmt: skip
    ledger.record(raw_fact("asked", requested), **where(made))


@pytest.mark.parametrize("taken", IDS)
def test_nobody_is_asked_for_what_is_busy(world: World, taken: str) -> None:
    """The test before the backup is that of the call; an open approval request of this run is closed."""
    mine, theirs = plan(), plan(run="unlike", destination=DEV)
    for each in (mine, theirs):
        asked(world.ledger, each)
    with outside_prefect("tonight", lambda *_: None):
        locks.require_free(PROD, STAGE)
        assert recorded_answer(world.ledger, mine) is None
        world.hold(taken)
        with pytest.raises(DestinationBusy, match=f"{taken.lower()} is held by run other"):
            locks.require_free(PROD, STAGE)
    with pytest.raises(Rejected, match="is held by run other"):
        recorded_answer(world.ledger, mine)
    assert recorded_answer(world.ledger, theirs) is None
    assert world.holders(*({*IDS} - {taken})) == [None]


@pytest.mark.parametrize("arrived", [True, False])
def test_what_could_be_taken_over_is_free(world: World, arrived: bool) -> None:
    """It passes exactly if the lock could be taken at the call."""
    world.send()
    world.over, world.arrived = {"other"}, arrived
    if arrived:
        locks.require_free(PROD, STAGE)
        return
    with pytest.raises(DestinationBusy, match="not proven"):
        locks.require_free(PROD, STAGE)


def test_a_run_s_own_locks_do_not_stand_in_its_way(world: World) -> None:
    """A run may check again while it has the locks."""
    with outside_prefect("tonight", lambda *_: None), locks.locked(plan()):
        locks.require_free(PROD, STAGE)

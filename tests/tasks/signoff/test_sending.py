"""The protocol of destructive calls: at most one effect, and the right outcome after a crash at any moment, for both kinds."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.estate.errors import (
    ApprovalExpired,
    ApprovalUsed,
    DestinationBusy,
    HostRefused,
    LedgerBroken,
    LedgerUnavailable,
    Misconfigured,
    NotApproved,
    NotLoaded,
    OutcomeUnknown,
    PlanIsStale,
    Refused,
    UnderstudyError,
    Unreachable,
)
from tasks.estate.plans import Approval, Baseline, Plan
from tasks.ledger.facts import Consumed, Sending, SendRefused
from tasks.ledger.ledger import Ledger
from tasks.signoff.answers import record_approval
from tasks.signoff.sending import Call, install_call, send_once
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import PROD, STAGE, content, load_plan, plan, survey

NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
BASELINE = Baseline(
    backup_ids=(), server_time=NOW, source=survey(PROD, content()), destination=survey(STAGE, content())
)
SENDING = ["consumed", "sending"]


class Killed(BaseException):
    """The process ends here: no handler acts."""


class Signal(BaseException):
    """The process is stopped; its handlers still act."""


@dataclass
class Scene:
    """One approved call, at whose moments (keys of `strikes`) something happens once."""

    ledger: Ledger
    kind: str
    strikes: dict[str, BaseException] = field(default_factory=dict)
    effects: int = 0
    killed: bool = False
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.plan = plan() if self.kind == "install" else load_plan()
        self.approval = record_approval(
            self.ledger, self.plan, kind="person", approver="Ann", reason="x", answered_at=NOW,
            execute_within=timedelta(minutes=5),
        )  # fmt: skip
        self.take_lock("tonight")

    def take_lock(self, run: str) -> None:
        """Lock the destination for this run."""
        self.ledger.take_lock(
            self.plan.destination_id, run, is_over=lambda _: True, settles=lambda _: True, horizon=timedelta(1), now=NOW
        )

    def strike(self, moment: str) -> None:
        """Let happen what happens at this moment."""
        if moment in self.strikes:
            error = self.strikes.pop(moment)
            self.killed = isinstance(error, Killed)
            raise error

    def attempt(self) -> str:
        """Try to make the call in a new process, and return how that ended."""
        self.killed = False
        try:
            return self.send()
        except BaseException as error:  # Killed too
            return type(error).__name__

    def send(self, approval: Approval | None = None) -> str:
        """Make the call."""
        permit = lambda: self.strike("permit")  # noqa: E731  # the shortest callable
        call: Call[Any] = self.install() if self.kind == "install" else self.load()
        result = send_once(self.ledger, approval or self.approval, call, permit=permit, clock=lambda: self.now)
        return str(getattr(result, "answer", result))

    def install(self) -> Call[Any]:
        """Return a copy."""
        assert isinstance(self.plan, Plan)
        return install_call(self.ledger, self.plan, recheck=lambda: self.check(BASELINE), request=self.act)

    def load(self) -> Call[Any]:
        """Return a load, which finds out by its effect how it ended."""
        return Call(self.plan, lambda: self.check(Sending(dump="d")), self.act, self.find_out, (Refused,), (NotLoaded,))

    def check(self, result: Any) -> Any:
        """Return this result of the check."""
        self.strike("check")
        return result

    def act(self) -> str:
        """Have the effect."""
        self.strike("before effect")
        self.effects += 1
        self.strike("after effect")
        return "loaded"

    def find_out(self) -> str:
        """Look for the effect."""
        if self.killed:
            raise Killed
        self.strike("find out")
        if not self.effects:
            raise NotLoaded("There is no marker.")
        return "found"

    def journal(self) -> list[str]:
        """Return the kinds of this run's facts after the approval."""
        return [fact.kind for fact in self.ledger.facts(run_id="tonight")][1:]


class DyingLedger(Ledger):
    """A ledger at whose moments something happens."""

    scene: Scene | None = None

    def consume(self, *given: Any, **named: Any) -> None:
        """Use up the approval, and strike."""
        super().consume(*given, **named)
        if self.scene:
            self.scene.strike("consumed")

    def record(self, fact: Any, **where: Any) -> Any:
        """Strike, and record `Sent` or how the call failed."""
        if self.scene and getattr(fact, "KIND", "") in ("sent", "send-refused", "send-unanswered"):
            self.scene.strike("record")
        return super().record(fact, **where)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Scene]:
    """A function that prepares a call of this kind."""

    def make(kind: str, **strikes: BaseException) -> Scene:
        ledger = DyingLedger(f"sqlite:///{tmp_path}/ledger.db")
        ledger.scene = Scene(ledger, kind, {moment.replace("_", " "): error for moment, error in strikes.items()})
        return ledger.scene

    return make


KINDS = ("install", "load")
GOOD = {"install": "accepted", "load": "loaded"}
AGAIN = {"install": "accepted", "load": "found"}  # a retry after an answer
NONE = {"install": "unknown", "load": "NotLoaded"}  # a retry of a call without effect or answer
DONE = {"install": "unknown", "load": "found"}  # a retry of a call with an effect, and without an answer
Outcomes = dict[str, str]
RAISED: Outcomes = {}  # of both kinds: the error itself
# what happens: at which moment, the error, outcome of the attempt and of its retry, effects
CRASHES: dict[str, tuple[str, BaseException, Outcomes, Outcomes, int]] = {
    "stale": ("check", PlanIsStale("x"), RAISED, GOOD, 1),
    "killed at the check": ("check", Killed(), RAISED, GOOD, 1),
    "killed before consume": ("permit", Killed(), RAISED, GOOD, 1),
    "signal before consume": ("permit", Signal(), RAISED, GOOD, 1),
    "killed before act": ("consumed", Killed(), RAISED, NONE, 0),
    "signal before act": ("consumed", Signal(), RAISED, NONE, 0),
    "killed during act": ("before effect", Killed(), RAISED, NONE, 0),
    "signal during act": ("before effect", Signal(), RAISED, NONE, 0),
    "bug during act": ("before effect", ZeroDivisionError(), RAISED, NONE, 0),
    "refused": (
        "before effect", HostRefused("400"), RAISED, {"install": "ApprovalUsed", "load": "NotLoaded"}, 0,
    ),
    "answer lost, no effect": ("before effect", OutcomeUnknown("x"), NONE, NONE, 0),
    "answer lost, effect": ("after effect", OutcomeUnknown("x"), DONE, DONE, 1),
    "killed after the effect": ("after effect", Killed(), RAISED, DONE, 1),
    "signal after the effect": ("after effect", Signal(), RAISED, DONE, 1),
    "bug after the effect": ("after effect", ZeroDivisionError(), RAISED, DONE, 1),
    "killed before record": ("record", Killed(), RAISED, DONE, 1),
    "signal before record": ("record", Signal(), RAISED, DONE, 1),
    "ledger gone before record": ("record", LedgerUnavailable("x"), RAISED, DONE, 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", CRASHES)
def test_a_crash_at_each_moment_ends_in_the_right_outcome(make: Callable[..., Scene], kind: str, what: str) -> None:
    """The call has at most one effect, a retry reports what is known, and an effect is never recorded as a refusal."""
    moment, error, first, second, effects = CRASHES[what]
    scene = make(kind, **{moment.replace(" ", "_"): error})
    assert scene.attempt() == first.get(kind, type(error).__name__)
    assert [scene.attempt(), scene.effects] == [second[kind], effects]
    journal = scene.journal()
    assert scene.attempt() == (AGAIN if second is GOOD else second)[kind]
    assert (scene.journal(), scene.effects) == (journal, effects)
    assert journal[:2] == SENDING
    assert journal.count("sending") == 1
    refused = not effects and (kind == "load" or what == "refused")
    assert journal.count("send-refused") == refused
    assert ("sent" in journal) == (second is GOOD)
    assert ("send-unanswered" in journal) == ("answer lost" in what)
    keys = [fact.once for fact in scene.ledger.facts(kinds=("sent", "send-refused"))]
    assert keys == ["answered:tonight"] * len(keys)


@pytest.mark.parametrize("stopped", [Signal(), ZeroDivisionError()])
def test_a_load_that_is_stopped_is_found_out_at_once(make: Callable[..., Scene], stopped: BaseException) -> None:
    """While the process can still act, a rollback is recorded; an effect never is one."""
    scene = make("load", before_effect=stopped)
    scene.attempt()
    assert scene.journal() == [*SENDING, "send-refused"]


def test_an_effect_with_a_signal_is_not_recorded_as_a_refusal(make: Callable[..., Scene]) -> None:
    """The attempt finds the effect, and the signal still stops the process."""
    scene = make("load", after_effect=Signal())
    assert (scene.attempt(), scene.journal()) == ("Signal", SENDING)


@pytest.mark.parametrize("second", [OutcomeUnknown("no connection"), ZeroDivisionError(), LedgerUnavailable("x")])
def test_an_end_that_cannot_be_found_out_stays_unknown(make: Callable[..., Scene], second: Exception) -> None:
    """The first error is raised, nothing is recorded, and the next attempt finds out."""
    scene = make("load", before_effect=Signal(), find_out=second)
    assert (scene.attempt(), scene.journal()) == ("Signal", SENDING)
    assert (scene.attempt(), scene.effects) == ("NotLoaded", 0)
    scene.strikes["find out"] = second
    assert scene.attempt() == type(second).__name__


@pytest.mark.parametrize("kind", KINDS)
def test_no_connection_is_a_refusal_of_an_install_only(make: Callable[..., Scene], kind: str) -> None:
    """Only errors that a call names as such prove that nothing changed."""
    scene = make(kind, before_effect=Unreachable("x"))
    assert scene.attempt() == "Unreachable"
    assert scene.journal() == [*SENDING, "send-refused"]  # by the error itself, or by the search for the effect


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("another id", NotApproved),
        ("too late", ApprovalExpired),
        ("no lock", DestinationBusy),
        ("used before", ApprovalUsed),
    ],
)
def test_nothing_leaves_without_a_valid_unused_approval_and_the_lock(
    make: Callable[..., Scene], kind: str, what: str, error: type[UnderstudyError]
) -> None:
    """The ledger refuses the approval: the call is neither journaled nor made."""
    scene, approval = make(kind), None
    if what == "another id":
        approval = scene.approval.model_copy(update={"id": "invented"})
    elif what == "too late":
        scene.now = scene.approval.execute_by + timedelta(seconds=1)
    elif what == "no lock":
        scene.ledger.release_lock(scene.plan.destination_id, "tonight")
    else:
        scene.ledger.record(Consumed(), run_id="other", once=f"consumed:{scene.approval.id}")
    with pytest.raises(error):
        scene.send(approval)
    assert (scene.effects, scene.journal()) == (0, [])


@pytest.mark.parametrize("why", [{"why": "400"}, {}])
def test_a_refusal_that_version_0_1_recorded_without_a_key_is_read(make: Callable[..., Scene], why: Any) -> None:
    """Nothing is sent again."""
    scene = make("install", consumed=Killed())
    scene.attempt()
    scene.ledger.record(raw_fact("send-refused", why), run_id="tonight")
    assert (scene.attempt(), scene.effects) == ("ApprovalUsed", 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [None, HostRefused("400")])
def test_an_answer_that_another_process_recorded_first_does_not_replace_what_this_one_saw(
    make: Callable[..., Scene], kind: str, error: HostRefused | None
) -> None:
    """A result stays a result and a refusal keeps its own error; neither is recorded a second time."""
    scene = make(kind)
    act = scene.act

    def overtaken() -> str:
        scene.ledger.record(SendRefused(why="by another process"), run_id="tonight", once="answered:tonight")
        if error:
            raise error
        return act()

    scene.act = overtaken  # type: ignore[method-assign]  # the act of this scene only
    assert scene.attempt() == ("HostRefused" if error else GOOD[kind])
    assert scene.journal() == [*SENDING, "send-refused"]


@pytest.mark.parametrize("where", ["act", "find out"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_ledger_proves_nothing_about_a_call(make: Callable[..., Scene], kind: str, where: str) -> None:
    """An entry that cannot be read is raised, in the attempt and in each retry, and is never recorded as a refusal."""
    scene = make(kind)
    if kind == "load":
        scene.strikes["before effect" if where == "act" else "find out"] = LedgerBroken("x")
        scene.strikes |= {} if where == "act" else {"before effect": OutcomeUnknown("x")}
    elif where == "act":
        install = scene.install
        scene.install = lambda: replace(install(), check=Sending)  # type: ignore[method-assign]  # the install of this scene only
    else:
        scene.ledger.consume(
            scene.approval, destination_id=scene.plan.destination_id, intent=Sending(dump="no baseline"), now=NOW
        )
    assert (scene.attempt(), scene.effects) == ("LedgerBroken", 0)
    assert "send-refused" not in scene.journal()
    if kind == "install":
        assert (scene.attempt(), scene.journal()) == ("LedgerBroken", SENDING)
        assert scene.ledger.unsettled("tonight")


def test_an_install_records_nothing_while_it_finds_out(make: Callable[..., Scene]) -> None:
    """Version 0.1 recorded a refusal without a key: a retry reads it and adds none."""
    scene = make("install", consumed=Killed())
    scene.attempt()
    scene.ledger.record(raw_fact("send-refused"), run_id="tonight")
    before = scene.journal()
    assert (scene.attempt(), scene.journal()) == ("ApprovalUsed", before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ended", ["answered", "killed", "refused"])
def test_a_run_that_made_its_call_for_another_plan_does_not_report_this_one(
    make: Callable[..., Scene], kind: str, ended: str
) -> None:
    """A retry with other parameters and a new approval: it names both plans, and neither acts nor records."""
    strikes = {"answered": {}, "killed": {"after_effect": Killed()}, "refused": {"before_effect": HostRefused("400")}}
    scene = make(kind, **strikes[ended])
    scene.attempt()
    first, before, effects = scene.plan, scene.journal(), scene.effects
    again = scene.approval
    scene.plan = first.model_copy(update={"requested_by": "somebody else"})
    scene.approval = record_approval(
        scene.ledger, scene.plan, kind="person", approver="Ann", reason="x", answered_at=NOW,
        execute_within=timedelta(minutes=5),
    )  # fmt: skip
    approved = scene.journal()
    with pytest.raises(OutcomeUnknown, match=f"plan {first.code}; plan {scene.plan.code}"):
        scene.send()
    assert (scene.journal(), scene.effects) == (approved, effects)
    scene.plan, scene.approval = first, again  # with its own plan the run still finds out
    same = {"answered": AGAIN, "killed": DONE, "refused": {"install": "ApprovalUsed", "load": "NotLoaded"}}
    assert (scene.attempt(), scene.effects) == (same[ended][kind], effects)
    assert [fact for fact in scene.journal() if fact != "approved"] == before


def test_a_call_that_version_0_1_journaled_without_a_plan_is_found_out(make: Callable[..., Scene]) -> None:
    """Nothing is compared then."""
    scene = make("load")
    scene.ledger.record(raw_fact("sending"), run_id="tonight", once="sending:tonight")
    scene.effects = 1
    assert (scene.attempt(), scene.effects) == ("found", 1)


def test_options_that_the_client_refuses_before_it_sends_are_a_refusal(make: Callable[..., Scene]) -> None:
    """Nothing was sent, so that the install is free again."""
    scene = make("install", before_effect=Misconfigured("x"))
    assert (scene.attempt(), scene.journal()) == ("Misconfigured", [*SENDING, "send-refused"])
    assert scene.ledger.unsettled("tonight") is None

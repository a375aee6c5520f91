"""Loads: if any guard between an approval and the load fails, the target and the approval stay as they were."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.postgres import Postgres
from tasks import loads
from tasks.configuration.settings import forget_settings, load_settings
from tasks.dumps import load as load_module
from tasks.dumps.load import Load
from tasks.dumps.staging_marker import read_marker
from tasks.estate.dumps import Choices, Loaded, LoadPlan
from tasks.estate.errors import (
    ApprovalExpired,
    DestinationBusy,
    Frozen,
    GateClosed,
    LeakFound,
    LedgerBroken,
    LedgerUnavailable,
    Misconfigured,
    NotApproved,
    NotLoaded,
    OnHold,
    OutcomeUnknown,
    PlanIsStale,
    UnderstudyError,
    Unreachable,
    WrongHost,
)
from tasks.estate.plans import Approval
from tasks.estate.polling import utc_now
from tasks.ledger.facts import Sending, SendRefused
from tasks.ledger.ledger import Ledger
from tasks.locks import locked_target
from tasks.runtime.current_run import outside_prefect
from tasks.runtime.load_target import AUDITED, audit_refusals
from tasks.safeguards.holds import place
from tasks.signoff.answers import record_approval
from tests.raw_facts import raw_fact
from tests.tasks.conftest import approve, freeze, tamper
from tests.tasks.dumps.failures.conftest import HOST, KEY, Pair, fill, policy_of, prepare

POLICY = "app: small\nschema_version: 1\ntables:\n  t: {id: keep, v: scrub}\n"
SCHEMA = "CREATE TABLE t (id bigint PRIMARY KEY, v text)"
SENDING = ["consumed", "sending"]
NEW, OLD = [(1,), (2,), (3,)], [(7,)]
INTERRUPTED = ("interrupted", "The load ended before its commit.")
STATUS = 'SELECT "Status", "ErrorMessage" FROM "ImportExportAudit" ORDER BY 1, 2'


@dataclass
class Scene:
    """A dump, the target that it is for, and the approved plan of its load."""

    pair: Pair
    ledger: Ledger
    dump: str
    plan: LoadPlan
    approval: Approval

    def load(self, *, hold: bool = True, **instead: Any) -> Loaded:
        """Run the step as its flow does."""
        given = {"plan": self.plan, "approved": self.approval, "policy": "small"} | instead
        with outside_prefect("run-2", self.on_progress):
            if not hold:
                return Loaded.model_validate(loads.load_once.fn(**given))
            with locked_target(given["plan"]):
                return Loaded.model_validate(loads.load_once.fn(**given))

    def on_progress(self, *reported: Any) -> None:
        """What a terminal would show of the progress."""
        self.shown = [*getattr(self, "shown", []), reported]

    def rows(self) -> list[Any]:
        """The ids that the target holds."""
        return self.pair.ask("SELECT id FROM t ORDER BY 1")

    def statuses(self) -> list[Any]:
        """The rows of the application's audit table."""
        return (
            self.pair.ask(STATUS) if self.pair.ask("SELECT to_regclass('\"ImportExportAudit\"')") != [(None,)] else []
        )

    def kinds(self) -> list[str]:
        """Return the kinds of this run's facts, in order."""
        return [fact.kind for fact in self.ledger.facts(run_id="run-2")]


@pytest.fixture
def small(postgres: Postgres, worker: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Two small databases, and a worker that may load from one into the other."""
    prepare(postgres)
    made = fill(
        Pair(postgres, tmp_path, policy_of("t: {id: keep, v: scrub}")),
        SCHEMA,
        rows="INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')",
        old="INSERT INTO t VALUES (7, 'old')",
    )
    (tmp_path / "small.yaml").write_text(POLICY)
    values = {
        "TARGET_DATABASE": made.url("target", "pair_owner"), "TARGET_HOSTNAME": HOST, "POLICIES": str(tmp_path),
        "MASKING_KEY": KEY.decode(), "DUMP_FOLDER": str(tmp_path),
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"UNDERSTUDY_{name}", value)
    monkeypatch.setenv("APP_ALLOW_PROD_IMPORT", "true")
    monkeypatch.setattr("tasks.locks.is_over", lambda run: False)
    forget_settings()
    return made


def planned(dump: str, run: str = "run-2", **choices: Any) -> LoadPlan:
    """The plan of a load, as the flow draws it."""
    with outside_prefect(run, lambda *_: None):
        facts = loads.check_dump.fn(dump, "small")
        return loads.plan_load.fn(facts, "small", HOST, Choices(), requested_by="Dora", **choices)


@pytest.fixture
def scene(small: Pair, ledger: Ledger) -> Scene:
    """The first load of a target, approved."""
    dump = small.export().url
    plan = planned(dump)
    return Scene(small, ledger, dump, plan, approve(plan))


def test_an_approved_load_is_done_once(scene: Scene) -> None:
    """The approval is used up and the intent journaled before; afterwards rows, marker, audit row and ledger agree."""
    done = scene.load()
    assert (dict(done.rows), done.found_again, scene.rows()) == ({"t": 3}, False, NEW)
    assert scene.kinds() == ["planned-load", "asked", "answered", "approved", "consumed", "sending", "sent", "settled"]
    assert scene.statuses() == [("succeeded", None)]
    (settled,) = scene.ledger.facts(run_id="run-2", kind="settled")
    (sent,) = scene.ledger.facts(run_id="run-2", kind="sent")
    assert (settled.detail, sent.once) == ({"how": "committed"}, "answered:run-2")
    assert [reported[1] for reported in scene.shown][-1] == 3  # type: ignore[attr-defined]  # set by `on_progress`


def test_a_second_attempt_finds_the_load_and_does_not_load(scene: Scene) -> None:
    """Its marker proves it; what was changed since stays."""
    scene.load()
    scene.pair.change("INSERT INTO t VALUES (9, 'since')")
    again = scene.load()
    assert (again.found_again, again.took_seconds, scene.rows()) == (True, 0, [*NEW, (9,)])
    assert scene.kinds()[-1] == "settled"


def other_database(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """The settings name another database."""
    patch.setenv("UNDERSTUDY_TARGET_DATABASE", scene.pair.server.url("pair_source", user="pair_owner"))
    forget_settings()


def mark(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Somebody else's load marked the target."""
    scene.pair.change(
        "CREATE SCHEMA understudy; CREATE TABLE understudy.staging_data (one boolean PRIMARY KEY DEFAULT true, app text, run_id"
        " text, loaded_at timestamptz, source_host text, exported_at timestamptz, dump text, contains_personal_data boolean,"
        " notice text); INSERT INTO understudy.staging_data VALUES (true, 'small', 'x', now(), 'h', now(), 'd', false, 'n')"
    )


def hold(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Somebody holds the target."""
    now = utc_now()
    later = now + timedelta(hours=1)
    place(scene.ledger, destination=HOST, until=later, by="Ann", reason="a demo", now=now, run_id="h")


def journaled(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Another load of the same target was journaled."""
    scene.ledger.record(raw_fact("sending"), run_id="other", destination_id=scene.plan.destination_id, plan="p")


def leaked(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """A load of this dump found personal data in it."""
    scene.ledger.record(raw_fact("leaked", {"dump": "d", "digest": scene.plan.digest}), run_id="other")


Change = Callable[[Scene, pytest.MonkeyPatch], Any]
CHANGES: dict[str, tuple[Change, type[Exception], str]] = {
    "another column": (lambda s, _: s.pair.change("ALTER TABLE t ADD w text"), PlanIsStale, "changed: structure"),
    "another database": (other_database, PlanIsStale, "changed: database"),
    "another load": (journaled, PlanIsStale, "changed: number of loads"),
    "a marker": (mark, PlanIsStale, "changed: marker"),
    "other code": (lambda _, p: p.setattr(loads, "code_version", lambda: "x"), PlanIsStale, "changed: version of the code"),
    "a leak": (leaked, PlanIsStale, "changed: proof of the dump"),
    "a freeze": (lambda *_: freeze(), Frozen, "year's end"),
    "a hold": (hold, OnHold, "a demo"),
    "other rules": (
        lambda *_: load_settings().risk_file.write_text("newer_destination: always\n"), PlanIsStale, "risk rules changed",
    ),
    "an edited ledger": (lambda *_: tamper(), LedgerBroken, "does not verify"),
    "a closed gate": (lambda _, p: p.delenv("APP_ALLOW_PROD_IMPORT"), GateClosed, "not enabled"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_after_the_approval_stops_the_load(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Each failed guard alone stops the load: the target is as it was, nothing is used up, journaled or audited."""
    change, error, reported = CHANGES[what]
    change(scene, monkeypatch)
    with pytest.raises(error, match=reported):
        scene.load()
    assert (scene.rows(), scene.statuses()) == (OLD, [])
    assert not {"consumed", "sending"} & {*scene.kinds()}


def test_a_forged_approval_loads_nothing(scene: Scene) -> None:
    """An approval that was written into the ledger, is of another run, or only in this process, is refused."""
    forged = scene.plan.model_copy(update={"run_id": "forged"})
    now = utc_now()
    planted = record_approval(
        scene.ledger, forged, kind="person", approver="Demo Lead", reason="x", answered_at=now,
        execute_within=timedelta(minutes=5),
    )  # fmt: skip
    for plan, approval in (
        (forged, planted), (forged, scene.approval), (scene.plan, scene.approval.model_copy(update={"id": "x"})),
    ):  # fmt: skip
        with pytest.raises(NotApproved):
            scene.load(plan=plan, approved=approval)
    assert (scene.rows(), scene.ledger.facts(kind="consumed")) == (OLD, [])


def test_an_approval_is_used_in_time_and_under_the_lock(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second after its end, or without the target's lock, nothing is loaded."""
    with pytest.raises(DestinationBusy, match="does not hold"):
        scene.load(hold=False)
    late = scene.approval.execute_by + timedelta(seconds=1)
    monkeypatch.setattr(loads, "utc_now", lambda: late)
    with pytest.raises(ApprovalExpired):
        scene.load()
    assert scene.rows() == OLD


@contextmanager
def loading(scene: Scene) -> Iterator[None]:
    """Another load of the target is running in the database."""
    with psycopg.connect(scene.pair.url("target")) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (0x756E64657273,))
        yield


def test_two_loads_never_run_together(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """That holds whoever runs the other load, and also during the search for a lost one."""
    monkeypatch.setattr(load_module, "PATIENCE", "100ms")
    with loading(scene), pytest.raises(DestinationBusy, match="is running"):
        scene.load()
    assert "consumed" not in scene.kinds()
    scene.load()
    with loading(scene), pytest.raises(OutcomeUnknown, match="is not known now"):
        scene.load()


def test_a_retry_during_the_load_cannot_find_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process used the approval up and has not begun its transaction: nothing is recorded, and it ends as loaded."""
    monkeypatch.setattr(load_module, "PATIENCE", "100ms")
    used_up, go = Event(), Event()
    run = Load.run

    def waits(self: Load, events: Any) -> Loaded:
        used_up.set()
        assert go.wait(60)
        return run(self, events)

    monkeypatch.setattr(Load, "run", waits)
    with ThreadPoolExecutor(1) as first:
        loading = first.submit(scene.load)
        try:
            assert used_up.wait(60)
            with pytest.raises(OutcomeUnknown, match="Another load of this target is running"):
                scene.load()
            assert scene.kinds()[4:] == SENDING
        finally:
            go.set()
        assert not loading.result(60).found_again
    assert (scene.rows(), scene.statuses()) == (NEW, [("succeeded", None)])
    assert scene.kinds()[4:] == [*SENDING, "sent", "settled"]


def test_a_load_that_lost_its_session_before_it_began_cannot_commit(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is gone with the session, and the load never connects again: a retry may record the rollback."""
    run = Load.run

    def cut(self: Load, events: Any) -> Loaded:
        scene.pair.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'understudy load'"
        )
        return run(self, events)

    monkeypatch.setattr(Load, "run", cut)
    with pytest.raises(UnderstudyError):
        scene.load()
    assert (scene.rows(), scene.kinds()[4:]) == (OLD, ROLLED)
    assert _attempt(scene) == NOTHING


def test_a_refusal_that_another_process_recorded_does_not_undo_a_load(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was recorded while this one committed: the load is reported, settled and audited, also by a retry."""
    with monkeypatch.context() as patch:
        after_commit(patch, lambda: record_refusal(scene))
        assert _attempt(scene) == LOADED
    assert (scene.rows(), scene.statuses()) == (NEW, [("succeeded", None)])
    assert scene.kinds()[4:] == [*ROLLED, "settled"]
    assert (_attempt(scene), scene.kinds()[4:]) == (LOST, [*ROLLED, "settled"])


def record_refusal(scene: Scene) -> None:
    """Record as another process of the run that the load was rolled back."""
    scene.ledger.record(
        SendRefused(why="x"), run_id="run-2", destination_id=scene.plan.destination_id, plan=scene.plan.fingerprint,
        once="answered:run-2",
    )  # fmt: skip


def standby(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """The address leads to a standby of the target's server."""
    real = loads.identify
    patch.setattr(loads, "identify", lambda connection: real(connection).model_copy(update={"standby": True}))


def copied(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """The database was replaced by another one with its name."""
    real = loads.identify
    patch.setattr(loads, "identify", lambda connection: real(connection).model_copy(update={"database_oid": 1}))


def other_server(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """The address leads to another server, with a database of this name and OID."""
    real = loads.identify
    patch.setattr(loads, "identify", lambda connection: real(connection).model_copy(update={"system_identifier": "1"}))


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("elsewhere", [other_database, standby, copied, other_server])
def test_another_database_proves_nothing_about_a_load(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, elsewhere: Change, committed: bool
) -> None:
    """The outcome is unknown, nothing is recorded, and the other database is not touched; at the target a retry finds out."""
    with monkeypatch.context() as patch:
        (after_commit if committed else in_act)(patch, lambda: kill(scene, patch))
        assert _attempt(scene) == "Killed"
    before, rows = scene.kinds(), scene.statuses()
    with monkeypatch.context() as patch:
        elsewhere(scene, patch)
        with pytest.raises(OutcomeUnknown, match=r"is not known now: pair_(source|target) on .*; expected"):
            scene.load()
    forget_settings()
    assert (scene.kinds(), scene.statuses()) == (before, rows)
    assert scene.pair.ask("SELECT to_regclass('\"ImportExportAudit\"')", "source") == [(None,)]
    assert _attempt(scene) == (LOST if committed else NOTHING)


def test_a_run_that_loaded_another_plan_does_not_report_this_one(scene: Scene) -> None:
    """A retry with other choices and a new approval: its outcome is unknown, staging and journal stay."""
    scene.load()
    second = planned(scene.dump, readers="wait")
    approval, before = approve(second), scene.kinds()
    with pytest.raises(OutcomeUnknown, match=f"plan {scene.plan.code}; plan {second.code}"):
        scene.load(plan=second, approved=approval)
    assert (scene.kinds()[: len(before)], scene.statuses()) == (before, [("succeeded", None)])
    assert scene.kinds().count("sending") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotLoaded("a row was refused"), ("failed", "a row was refused")),
        (LeakFound("values of the source"), ("failed", "values of the source")),
        (ZeroDivisionError("a value"), ("interrupted", "The load ended before its commit: ZeroDivisionError.")),
        (KeyboardInterrupt(), ("interrupted", "The load ended before its commit: KeyboardInterrupt.")),
    ],
)
def test_a_load_that_fails_is_audited_and_closed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: tuple[str, str]
) -> None:
    """The audit row is closed, the call is settled as refused, and the approval stays used up."""

    def run(self: Load, events: Any) -> Loaded:
        raise error

    monkeypatch.setattr(Load, "run", run)
    with pytest.raises(type(error)) as raised:
        scene.load()
    assert scene.statuses() == [status]
    assert scene.kinds()[-2:] == ["sending", "send-refused"] or isinstance(error, LeakFound)
    assert scene.ledger.facts(run_id="run-2")[-1].once == "answered:run-2"
    if isinstance(raised.value, UnderstudyError):
        assert raised.value.facts[AUDITED] is True
        leak = isinstance(raised.value, LeakFound)
        assert ("counts as unproven" in raised.value.next_step) is leak
    with pytest.raises(NotLoaded, match="ended before its commit"):
        scene.load()
    assert (scene.rows(), scene.kinds().count("send-refused")) == (OLD, 1)


def test_a_lost_answer_is_looked_up_by_the_marker(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed: found again, with its audit row closed. Rolled back: not loaded."""
    real = Load.run

    def lost(self: Load, events: Any) -> Loaded:
        real(self, events)
        raise OutcomeUnknown("the answer was lost")

    monkeypatch.setattr(Load, "run", lost)
    assert scene.load().found_again
    assert (scene.rows(), scene.statuses()) == (NEW, [("succeeded", None)])
    assert [fact.detail for fact in scene.ledger.facts(kind="settled")] == [{"how": "marker found: committed"}]


def test_a_lost_load_that_was_rolled_back_is_not_loaded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """No marker of this run: the call is settled, and the attempt has its row in the audit table."""

    def lost(self: Load, events: Any) -> Loaded:
        raise OutcomeUnknown("the answer was lost")

    monkeypatch.setattr(Load, "run", lost)
    with pytest.raises(NotLoaded, match="ended before its commit") as raised:
        scene.load()
    assert (raised.value.facts["audited"], scene.rows()) == (True, OLD)
    assert scene.statuses() == [("interrupted", "The load ended before its commit: the answer was lost.")]
    assert scene.ledger.unsettled("run-2") is None


class Killed(BaseException):
    """The process ends here: no handler acts."""


def kill(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Make every later connection of this process fail."""

    def connect(settings: Any, name: str) -> Any:
        raise Killed

    patch.setattr(loads, "connect_target", connect)
    raise Killed


def stop(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Send this process a signal."""
    raise KeyboardInterrupt


def fail(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Show a bug."""
    raise ZeroDivisionError


def lose(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Lose the answer."""
    raise OutcomeUnknown("the answer was lost")


def lose_ledger(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    """Lose the database of the ledger."""
    raise LedgerUnavailable("gone")


def before_consume(patch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """Strike at the last check before the approval is used up."""
    patch.setattr(loads, "require_permission", lambda plan, approval: strike())


def _around(patch: pytest.MonkeyPatch, owner: Any, name: str, strike: Callable[[], None], *, after: bool) -> None:
    real = getattr(owner, name)

    def struck(*given: Any, **named: Any) -> Any:
        if after:
            real(*given, **named)
        strike()

    patch.setattr(owner, name, struck)


def before_act(patch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """Strike when the approval is used up and nothing else has happened."""
    _around(patch, loads.AuditTable, "begin", strike, after=False)


def in_act(patch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """Strike when all rows are written, before the commit."""
    _around(patch, load_module, "verify_loaded", strike, after=True)


def after_commit(patch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """Strike between the commit and the end of the load."""
    _around(patch, Load, "_commit", strike, after=True)


def before_record(patch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """Strike when the load has ended and its answer is not recorded."""
    real = Ledger.record

    def record(self: Ledger, fact: Any, **where: Any) -> Any:
        if getattr(fact, "KIND", "") == "sent":
            strike()
        return real(self, fact, **where)

    patch.setattr(Ledger, "record", record)


def before_row(patch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """Strike when all is recorded and the row in the audit table is open."""
    _around(patch, loads.AuditTable, "end", strike, after=False)


Moment = Callable[[pytest.MonkeyPatch, Callable[[], None]], None]
Strike = Callable[[Scene, pytest.MonkeyPatch], None]
LOADED, LOST, NOTHING = "loaded", "loaded, found again", "NotLoaded"
ROLLED = [*SENDING, "send-refused"]
CRASHES: dict[str, tuple[Moment, Strike, str, list[str], str]] = {
    "killed before consume": (before_consume, kill, "Killed", [], LOADED),
    "signal before consume": (before_consume, stop, "KeyboardInterrupt", [], LOADED),
    "killed before act": (before_act, kill, "Killed", SENDING, NOTHING),
    "signal before act": (before_act, stop, "KeyboardInterrupt", ROLLED, NOTHING),
    "killed during act": (in_act, kill, "Killed", SENDING, NOTHING),
    "signal during act": (in_act, stop, "KeyboardInterrupt", ROLLED, NOTHING),
    "bug during act": (in_act, fail, "ZeroDivisionError", ROLLED, NOTHING),
    "lost answer, rolled back": (in_act, lose, NOTHING, [*SENDING, "send-unanswered", "send-refused"], NOTHING),
    "lost answer, committed": (after_commit, lose, LOST, [*SENDING, "send-unanswered", "settled"], LOST),
    "killed after commit": (after_commit, kill, "Killed", SENDING, LOST),
    "signal after commit": (after_commit, stop, "KeyboardInterrupt", [*SENDING, "settled"], LOST),
    "bug after commit": (after_commit, fail, "ZeroDivisionError", [*SENDING, "settled"], LOST),
    "killed before record": (before_record, kill, "Killed", SENDING, LOST),
    "signal before record": (before_record, stop, "KeyboardInterrupt", SENDING, LOST),
    "ledger gone before record": (before_record, lose_ledger, "LedgerUnavailable", SENDING, LOST),
    "killed before the audit row": (before_row, kill, "Killed", [*SENDING, "sent", "settled"], LOST),
    "signal before the audit row": (before_row, stop, "KeyboardInterrupt", [*SENDING, "sent", "settled"], LOST),
}  # fmt: skip


@pytest.mark.parametrize("what", CRASHES)
def test_a_crash_at_each_moment_ends_in_the_outcome_that_the_marker_proves(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Journal, target and audit row agree after a retry, which never loads again."""
    moment, strike, first, journal, second = CRASHES[what]
    with monkeypatch.context() as patch:
        moment(patch, lambda: strike(scene, patch))
        assert _attempt(scene) == first
    assert scene.kinds()[4:] == journal
    assert _attempt(scene) == second
    assert scene.rows() == (OLD if second == NOTHING else NEW)
    expected = [] if moment is before_act else ["interrupted"] if second == NOTHING else ["succeeded"]
    assert [status for status, _ in scene.statuses()] == expected
    kinds = scene.kinds()
    assert (kinds.count("sending"), kinds.count("send-refused")) == (1, int(second == NOTHING))
    assert scene.ledger.unsettled("run-2") is None


def _attempt(scene: Scene) -> str:
    """Run the step, and return how it ended."""
    try:
        return LOST if scene.load().found_again else LOADED
    except BaseException as error:  # Killed too
        return type(error).__name__


def test_the_next_load_closes_the_row_of_a_committed_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process was killed after its commit and nobody retried: its row is closed as succeeded, by its marker."""
    with monkeypatch.context() as patch:
        before_row(patch, lambda: kill(scene, patch))
        assert _attempt(scene) == "Killed"
    assert scene.statuses() == [("running", None)]
    scene.plan = planned(scene.dump, run="run-3")
    scene.approval = approve(scene.plan)
    assert _attempt(scene) == LOADED
    assert scene.statuses() == [("succeeded", None)] * 2


def test_a_refusal_that_version_0_1_recorded_wrongly_is_found_out(scene: Scene) -> None:
    """It recorded a signal after the commit as rolled back, without a key: the marker decides all the same."""
    scene.load()
    scene.pair.change('UPDATE "ImportExportAudit" SET "Status" = \'failed\', "ErrorMessage" = \'stopped\'')
    scene.ledger.record(raw_fact("send-refused", {"why": "rolled back"}), run_id="run-2")
    assert _attempt(scene) == LOST
    assert scene.statuses() == [("succeeded", None)]


def test_a_target_that_refuses_the_search_proves_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database error while the marker is read is no proof of a rollback, and nothing is recorded."""
    scene.load()
    before = scene.kinds()
    for error in (psycopg.errors.QueryCanceled("slow"), Misconfigured("another password"), NotLoaded("no")):

        def refuse(*given: Any, error: Exception = error) -> Any:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(loads, "read_marker", refuse)
            assert _attempt(scene) == "OutcomeUnknown"
    assert scene.kinds() == before


def test_a_killed_load_s_row_is_closed_when_it_is_looked_for(scene: Scene) -> None:
    """The process died after it opened its row: the next attempt closes it as interrupted."""
    with locked_target(scene.plan):
        scene.ledger.consume(
            scene.approval, destination_id=scene.plan.destination_id, intent=Sending(dump="d"), now=utc_now()
        )
    scene.pair.change(
        'CREATE TABLE "ImportExportAudit" ("Id" serial PRIMARY KEY, "Type" text, "Status" text, "ErrorMessage" text)'
    )
    scene.pair.change('INSERT INTO "ImportExportAudit" ("Type", "Status") VALUES (\'import\', \'running\')')
    with pytest.raises(NotLoaded):
        scene.load()
    assert scene.statuses()[0][0] != "running"


NONE, CALL, REFUSED = [], ["sending"], ["sending", "send-refused"]  # what other runs recorded


@pytest.mark.parametrize(
    ("before", "after", "marked_by", "outcome"),
    [
        (NONE, NONE, "", NOTHING),
        (CALL, NONE, "", NOTHING),
        (CALL, NONE, "earlier", NOTHING),
        (NONE, REFUSED, "", NOTHING),
        (NONE, REFUSED, "earlier", NOTHING),
        (NONE, CALL, "", "OutcomeUnknown"),
        (NONE, CALL, "later", "OutcomeUnknown"),
        (NONE, REFUSED, "later", "OutcomeUnknown"),  # version 0.1 could record a commit as a refusal
        (NONE, NONE, "of another ledger", "OutcomeUnknown"),
    ],
)
def test_only_a_load_that_came_later_hides_whether_this_one_was_committed(
    scene: Scene, before: list[str], after: list[str], marked_by: str, outcome: str
) -> None:
    """It replaced the marker: not known. Earlier calls, and later ones that were rolled back, leave the proof as it is."""
    place = scene.plan.destination_id
    for kind in before:
        scene.ledger.record(raw_fact(kind), run_id="earlier", destination_id=place, plan="p")
    with locked_target(scene.plan):
        scene.ledger.consume(scene.approval, destination_id=place, intent=Sending(dump="d"), now=utc_now())
    for kind in after:
        scene.ledger.record(raw_fact(kind), run_id="later", destination_id=place, plan="p")
    if marked_by:
        mark(scene, pytest.MonkeyPatch())
        age = "1 hour" if marked_by == "earlier" else "0"
        scene.pair.change(
            f"UPDATE understudy.staging_data SET run_id = '{marked_by}', loaded_at = clock_timestamp() - interval '{age}'"  # noqa: S608  # from this table
        )
    kinds = scene.kinds()
    assert _attempt(scene) == outcome
    assert scene.kinds() == (kinds if outcome == "OutcomeUnknown" else [*kinds, "send-refused"])


def test_the_loads_of_others_are_counted_when_the_marker_is_read(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that was journaled and committed while this one was looked for is seen."""
    with monkeypatch.context() as patch:
        in_act(patch, lambda: kill(scene, patch))
        assert _attempt(scene) == "Killed"
    real = read_marker

    def late(connection: Any) -> Any:
        journaled(scene, monkeypatch)
        return real(connection)

    monkeypatch.setattr(loads, "read_marker", late)
    assert _attempt(scene) == "OutcomeUnknown"
    assert scene.statuses() == [("running", None)]  # not known to be interrupted


def test_a_later_load_s_rollback_does_not_hide_this_one_s(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """This run was killed before its commit, the next load was rolled back: this one is still known not to be loaded."""
    with monkeypatch.context() as patch:
        in_act(patch, lambda: kill(scene, patch))
        assert _attempt(scene) == "Killed"
    first, approval = scene.plan, scene.approval
    monkeypatch.setattr("tasks.locks.is_over", lambda run: True)
    scene.plan = planned(scene.dump, run="run-3")
    scene.approval = approve(scene.plan)
    with monkeypatch.context() as patch:
        in_act(patch, lambda: stop(scene, patch))
        assert _attempt(scene) == "KeyboardInterrupt"
    scene.plan, scene.approval = first, approval
    assert (_attempt(scene), scene.rows()) == (NOTHING, OLD)
    assert [status for status, _ in scene.statuses()] == ["interrupted"] * 2


def audited(scene: Scene, body: Callable[[], Any], error: type[BaseException]) -> None:
    """Run this in the block of the flow that audits refusals, and expect the error."""
    with (
        pytest.raises(error),
        outside_prefect("run-2", lambda *_: None),
        audit_refusals(scene.dump, "small", requested_by="Dora"),
    ):
        body()


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises the error."""

    def body(*given: Any, **named: Any) -> Any:
        raise error

    return body


@pytest.mark.parametrize("moment", [after_commit, before_record, before_row])
@pytest.mark.parametrize("error", [LedgerUnavailable("gone"), OutcomeUnknown("lost"), Unreachable("x")])
def test_an_error_after_the_commit_is_no_refusal(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, moment: Moment, error: UnderstudyError
) -> None:
    """It adds no failed row, in the attempt and in later ones: the row of the load ends as succeeded."""
    with monkeypatch.context() as patch:
        moment(patch, raising(error))
        audited(scene, lambda: scene.load() and raising(error)(), type(error))
    audited(scene, raising(error), type(error))
    _attempt(scene)
    assert scene.statuses() == [("succeeded", None)]


def test_an_error_is_not_audited_as_failed_if_the_ledger_cannot_be_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run may have loaded before: unknown is not failed."""
    scene.load()
    monkeypatch.setattr("tasks.runtime.load_target.open_ledger", raising(LedgerUnavailable("gone")))
    audited(scene, raising(LedgerUnavailable("gone")), LedgerUnavailable)
    assert scene.statuses() == [("succeeded", None)]


def test_a_refusal_before_and_after_a_rollback_is_audited(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was changed then: each refused attempt has its row, and a load that follows does not change these."""
    scene.load()  # creates the table
    scene.pair.change('DELETE FROM "ImportExportAudit"')
    other = planned(scene.dump, run="run-3")
    with (
        outside_prefect("run-3", lambda *_: None),
        pytest.raises(OnHold),
        audit_refusals(scene.dump, "small", requested_by="Dora"),
    ):
        raise OnHold("a demo")
    assert scene.statuses() == [("failed", "a demo")]
    scene.plan, scene.approval = other, approve(other)
    assert _attempt(scene) == LOADED
    assert _attempt(scene) == LOST
    assert scene.statuses() == [("failed", "a demo"), ("succeeded", None)]


def test_a_committed_load_is_not_called_interrupted_by_a_table_without_runs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process was killed after the commit, and no column names its run: the next load leaves its row open."""
    scene.pair.change(
        'CREATE TABLE "ImportExportAudit" ("Id" serial PRIMARY KEY, "Status" text, "StartedAt" timestamptz, "ErrorMessage" text)'
    )
    scene.plan = planned(scene.dump)
    scene.approval = approve(scene.plan)
    with monkeypatch.context() as patch:
        before_row(patch, lambda: kill(scene, patch))
        assert _attempt(scene) == "Killed"
    scene.plan = planned(scene.dump, run="run-3")
    scene.approval = approve(scene.plan)
    assert _attempt(scene) == LOADED
    assert scene.statuses() == [("running", None), ("succeeded", None)]


def test_what_the_search_suppresses_is_logged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stopped load whose end is not known, and a row that cannot be closed: by message or type, without values."""
    with monkeypatch.context() as patch:
        in_act(patch, lambda: stop(scene, patch))
        patch.setattr(loads, "read_marker", _works_once(Unreachable("no connection")))
        assert _attempt(scene) == "KeyboardInterrupt"
    assert "run-2" in caplog.text
    assert "is not known now: no connection" in caplog.text
    monkeypatch.setattr(loads.AuditTable, "close_interrupted", raising(psycopg.DataError("secret value")))
    assert _attempt(scene) == NOTHING
    assert "could not be closed: DataError" in caplog.text
    assert "secret value" not in caplog.text


def _works_once(error: Exception) -> Callable[..., Any]:
    """Return a `read_marker` that works once, and then raises."""
    calls: list[int] = []

    def read(connection: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            raise error
        return read_marker(connection)

    return read


def test_a_target_that_cannot_be_asked_leaves_the_outcome_unknown(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is retried later; it never loads again."""
    scene.load()
    monkeypatch.setattr(loads, "read_marker", _unreachable)
    with pytest.raises(OutcomeUnknown, match="is not known now") as raised:
        scene.load()
    assert "never loads again" in raised.value.next_step


def _unreachable(*given: Any) -> Loaded:
    raise Unreachable("no connection")


def test_a_lost_audit_connection_does_not_lose_the_row(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The load is committed: its row is closed over another connection."""
    real = loads.AuditTable.end

    def end(self: Any, error: str | None) -> None:
        if error is None:
            raise psycopg.OperationalError("gone")
        real(self, error)

    monkeypatch.setattr(loads.AuditTable, "end", end)
    scene.load()
    assert (scene.rows(), scene.statuses()) == (NEW, [("succeeded", None)])


def test_a_row_that_cannot_be_closed_after_the_commit_is_logged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The load is committed and ends well; the log names the run whose row stays open, and why."""
    monkeypatch.setattr(loads.AuditTable, "end", raising(psycopg.OperationalError("secret value")))
    monkeypatch.setattr(loads, "read_marker", _works_once(Unreachable("no connection")))
    scene.load()
    assert (scene.rows(), scene.statuses()) == (NEW, [("running", None)])
    assert "The audit row of run run-2 could not be closed" in caplog.text
    assert "secret value" not in caplog.text


def test_a_plan_is_recorded_with_its_risk_and_what_stands_against_it(scene: Scene) -> None:
    """A second load without a marker is as the first; a hold makes it yellow and is named."""
    assert (scene.plan.generation, scene.plan.first_load, scene.plan.overrides) == (0, True, ())
    assert scene.plan.risk.grade == "yellow"
    scene.load()
    second = planned(scene.dump)
    assert (second.generation, second.first_load, second.risk.grade) == (1, False, "green")
    hold(scene, pytest.MonkeyPatch())
    third = planned(scene.dump)
    assert (third.risk.grade, [mark.split(":")[0] for mark in third.overrides]) == ("yellow", ["hold"])
    (kept, *_) = scene.ledger.facts(kind="planned-load")
    assert (kept.detail["code"], kept.detail["requested_by"]) == (scene.plan.code, "Dora")


def test_a_dump_that_leaked_is_planned_as_unproven(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """That holds although its proof is valid."""
    assert scene.plan.unproven == ""
    leaked(scene, monkeypatch)
    assert planned(scene.dump).unproven == "its load by run other found personal data of the source in it"


def test_nothing_is_planned_with_a_closed_gate(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is not opened either."""
    loads.require_import_allowed()
    monkeypatch.delenv("APP_ALLOW_PROD_IMPORT")
    with pytest.raises(GateClosed):
        loads.require_import_allowed()
    with pytest.raises(GateClosed):
        planned(scene.dump)


def test_the_newest_dump_is_checked_if_none_is_named(small: Pair, tmp_path: Path) -> None:
    """`latest` looks into the folder; a named dump is that one."""
    export = small.export()
    named = tmp_path / "small-export-2026-01-01T000000Z.json.gz"
    with pytest.raises(UnderstudyError):
        loads.check_dump.fn("latest", "small")
    assert loads.check_dump.fn(export.url, "small").url == export.url
    assert not named.exists()


@pytest.mark.parametrize("loaded", [False, True])
def test_the_target_is_met_by_its_name(scene: Scene, monkeypatch: pytest.MonkeyPatch, loaded: bool) -> None:
    """A wrong name is refused; without a marker nothing is written to a target that may be something else."""
    if loaded:
        scene.load()
    loads.require_target(HOST, "small")
    with pytest.raises(WrongHost) as raised:
        loads.require_target("other.example", "small")
    assert raised.value.facts[AUDITED] is not loaded
    monkeypatch.setenv("UNDERSTUDY_TARGET_HOSTNAME", "")
    forget_settings()
    with pytest.raises(WrongHost):
        loads.require_target(HOST, "small")
    with psycopg.connect(scene.pair.url("target")) as connection:
        assert (read_marker(connection) is not None) is loaded

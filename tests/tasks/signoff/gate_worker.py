"""A worker for test_gate_machine.py: runs the body of a flow with the real gate, ledger and sending.

Each call is checked when it is made, and the model decides how each pass must end.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tasks.estate.errors import BackupAborted, HostRefused, OutcomeUnknown, PlanIsStale, UnderstudyError, Unreachable
from tasks.estate.plans import Approval, Baseline
from tasks.ledger.ledger import Fact
from tasks.safeguards.holds import require_no_hold
from tasks.signoff.answers import Answer, recorded_answer
from tasks.signoff.gate import Settling, Waiting
from tasks.signoff.sending import install_call, send_once
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import PROD, STAGE, content, survey
from tests.tasks.signoff.approval_desk import NOW, Desk
from tests.tasks.signoff.gate_model import GateModel, ModelRun, TrueAnswer

HORIZON, WITHIN = timedelta(hours=6), timedelta(hours=8)
CALLS = (
    "arrives", "is silent", "answer lost", "answer lost, arrives", "refused", "unreachable", "dies before",
    "dies between", "dies during", "dies after",
)  # fmt: skip
ARRIVING = ("arrives", "answer lost, arrives", "dies during", "dies after")
BEFORE = Baseline(backup_ids=(), server_time=NOW, source=survey(PROD, content()), destination=survey(STAGE, content()))


class Death(BaseException):
    """The worker's process ends: nothing is caught and no lock is released."""


@dataclass
class Worker:
    """Runs passes at a gate. `runs` are all runs, oldest first."""

    desk: Desk
    model: GateModel
    runs: list[ModelRun] = field(default_factory=list)

    def run(self, run: ModelRun, call: str) -> str:
        """Run one pass of the body, and record its outcome unless it dies or waits."""
        try:
            ended = self._body(run, call)
        except Death:
            return "Crashed"
        except UnderstudyError as error:
            ended = error.outcome
        if ended != "Suspended":
            self.desk.ledger.record(raw_fact("outcome", {"outcome": ended}), run_id=run.plan.run_id)
        return ended

    def _body(self, run: ModelRun, call: str) -> str:
        if run.plan.backup.completed_at is None:
            run.expected = BackupAborted.outcome
            raise BackupAborted("There is no backup.")
        approval = self._ask(run)
        if approval is None:
            run.expected = "Suspended"
            return "Suspended"
        run.expected = self._expect(run, call)
        try:
            self._lock(run)
            self._send(run, approval, call)
            if not run.arrived:
                raise OutcomeUnknown("It did not arrive.")
            self.desk.ledger.record(raw_fact("settled", {"how": "evidence: confirmed"}), run_id=run.plan.run_id)
        except UnderstudyError:
            self._unlock(run)
            raise
        self._unlock(run)
        return "Verified"

    def _lock(self, run: ModelRun) -> None:
        for install in sorted(run.installs):
            self.desk.ledger.take_lock(
                install,
                run.plan.run_id,
                is_over=lambda run: self._of(run).over,
                settles=self._settles,
                horizon=HORIZON,
                now=self.desk.now,
            )

    def _settles(self, sending: Fact) -> bool:
        return self._of(sending.run_id).arrived

    def _of(self, run_id: str) -> ModelRun:
        return next(run for run in self.runs if run.plan.run_id == run_id)

    def _unlock(self, run: ModelRun) -> None:
        for install in run.installs:
            self.desk.ledger.release_lock(install, run.plan.run_id)

    def _ask(self, run: ModelRun) -> Approval | None:
        """Return the approval, or None if an answer is missing. The gate must agree with the model."""
        desk, drafted = self.desk, run.plan
        run.expected = run.end  # an ended request ends again in the same way
        found: Approval | Waiting | None = recorded_answer(desk.ledger, drafted)
        if found is None:
            found = self._request(run)
        while isinstance(found, Waiting):
            if found.settling:
                found = self._settle(run, found.settling)
                continue
            answer = run.inbox.get(found.index)
            if answer is None and desk.now < found.answer_by:
                return None
            if answer is None:
                run.end = run.expected = "Expired"
                found = desk.gate.expire(drafted)
                continue
            must = run.expected = self.model.evaluate(run, answer[0], desk.now)
            found = desk.gate.evaluate(drafted, _typed(run, *answer), now=desk.now)
            assert must == ("waiting" if isinstance(found, Waiting) else "approved"), run
            if isinstance(found, Waiting):
                assert found.attempts_left == run.attempts
                assert {s.name for s in found.yes} == {*run.yes} - self.model.suspended
        assert run.end == "approved", run
        return found

    def _settle(self, run: ModelRun, settling: Settling) -> Approval | Waiting:
        """Settle an approval with a code for production, which is void if the code was moved."""
        desk = self.desk
        assert settling.at == settling.signer.answered_at + timedelta(minutes=1)
        desk.now = max(desk.now, settling.at)
        moved = "It was typed elsewhere." if settling.signer.answered_at.second % 3 == 1 else ""
        must = run.expected = self.model.settle(run, bool(moved))
        found = desk.gate.settle(run.plan, moved=moved, now=desk.now)
        assert must == ("waiting" if isinstance(found, Waiting) else "approved"), run
        return found

    def _request(self, run: ModelRun) -> Waiting:
        """Request an approval, which ends every older request about the same destination, once."""
        desk, older = self.desk, []
        if run.asked_at is None:
            run.expected = "Frozen" if self.model.closed(run.plan) else ""
            if not run.expected:
                older = [c for c in self.runs if c.open and c.plan.destination_id == run.plan.destination_id]
        waiting, superseded = desk.gate.ask(run.plan, source_id="S", within=WITHIN, now=desk.now)
        assert not run.expected, run
        assert [request.run_id for request in superseded] == [c.plan.run_id for c in older]
        for ended in older:
            ended.end, ended.over = "Superseded", True
        if run.asked_at is None:
            run.asked_at, run.answer_by = desk.now, desk.now + WITHIN
        return waiting

    def _stale(self, run: ModelRun) -> bool:
        """Return whether another call for one of its installs was journaled since the plan was drafted."""
        touched = [c for c in self.runs if c.journaled_at and c.plan.destination_id in run.installs]
        return len(touched) != run.plan.generation

    def _expect(self, run: ModelRun, call: str) -> str:
        """Return how an approved run must end, unless another run holds its installs."""
        arrived = run.arrived or (not run.journaled_at and call in ARRIVING)
        seen = "Crashed" if call == "dies after" else "Verified" if arrived else "OutcomeUnknown"
        if run.journaled_at:
            return "ApprovalUsed" if run.refused else seen
        assert run.execute_by
        reasons = {
            "Stale": self._stale(run),
            "Frozen": self.model.closed(run.plan),
            "OnHold": self.model.held(run.plan, self.desk.now),
            "Crashed": call == "dies before",
            "Expired": self.desk.now > run.execute_by,
        }
        ends = {"refused": "HostRefused", "unreachable": "Unreachable", "dies between": "Crashed"}
        ends["dies during"] = "Crashed"
        return next((end for end, applies in reasons.items() if applies), ends.get(call, seen))

    def _send(self, run: ModelRun, approval: Approval, call: str) -> None:
        ledger, drafted, desk = self.desk.ledger, run.plan, self.desk

        def recheck() -> Baseline:
            if ledger.generation(*run.installs) != drafted.generation:
                raise PlanIsStale("There was another call.")
            return BEFORE

        def permit() -> None:
            desk.require_open(drafted, desk.now)
            require_no_hold(ledger, drafted.destination_name, desk.now, overrides=drafted.overrides)
            if call == "dies before":
                raise Death

        made = install_call(ledger, drafted, recheck=recheck, request=lambda: self._call(run, call))
        send_once(ledger, approval, made, permit=permit, clock=lambda: desk.now)
        if call == "dies after":
            raise Death

    def _call(self, run: ModelRun, call: str) -> None:
        """Receive the call as the host, and answer or not."""
        self._require_permitted(run)
        run.journaled_at = self.desk.now
        if call == "dies between":
            raise Death
        run.refused = call in ("refused", "unreachable")
        run.calls += call != "unreachable"
        run.arrived = call in ARRIVING
        if call == "refused":
            raise HostRefused("400")
        if call == "unreachable":
            raise Unreachable("no connection")
        if call == "dies during":
            raise Death
        if call.startswith("answer lost"):
            raise OutcomeUnknown("no answer")

    def _require_permitted(self, run: ModelRun) -> None:
        """Require of the model everything that must be true when a call is made."""
        drafted, now = run.plan, self.desk.now
        assert drafted.backup.completed_at
        assert run.end == "approved"
        assert run.execute_by
        assert now <= run.execute_by
        assert len(run.yes) >= drafted.risk.people
        assert sum(run.yes.values()) >= drafted.risk.signatures
        assert not self.model.closed(drafted)
        assert not self.model.held(drafted, now)
        assert not run.journaled_at, "a run may journal one call"
        assert not self._stale(run)
        assert {self.desk.ledger.lock_holder(install) for install in run.installs} == {drafted.run_id}
        for other in self.runs:
            running = other.journaled_at and not other.refused and not other.arrived
            if running and other.installs & run.installs:
                assert now - (other.journaled_at or NOW) > HORIZON, "another copy may still be running"


def _typed(run: ModelRun, answer: TrueAnswer, name: str, wrong: str) -> Answer:
    """Return the answer as Prefect stores it."""
    typed: dict[str, Any] = {
        "plan": "0000-0000" if wrong == "plan" else run.plan.code,
        "destination": "elsewhere" if wrong == "destination" else run.plan.destination_name,
        "reason": "ok" if wrong == "reason" else "release day",
    }
    return Answer(decision=answer.decision, approver=name, proof=answer.typed, given_at=answer.given_at, **typed)

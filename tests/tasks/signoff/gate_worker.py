"""A worker for test_gate_machine.py: runs a flow's body from its top with the real gate, ledger and sending.

It checks at the moment of each call that the call may leave, and foresees by the model's rules how each pass must end.
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
from tasks.signoff.sending import send_once
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.stories import PROD, STAGE, content, survey
from tests.tasks.signoff.desk import NOW, Desk
from tests.tasks.signoff.gate_rules import Course, Rules, Said

HORIZON, WITHIN = timedelta(hours=6), timedelta(hours=8)
CALLS = (
    "arrives", "is silent", "answer lost", "answer lost, arrives", "refused", "unreachable", "dies before",
    "dies between", "dies during", "dies after",
)  # fmt: skip
ARRIVING = ("arrives", "answer lost, arrives", "dies during", "dies after")
BEFORE = Baseline(backup_ids=(), server_time=NOW, source=survey(PROD, content()), destination=survey(STAGE, content()))


class Death(BaseException):
    """The worker's process ends here: nothing is caught, nothing is let go."""


@dataclass
class Worker:
    """Runs passes at a desk. `courses` are all runs, the oldest first."""

    desk: Desk
    rules: Rules
    courses: list[Course] = field(default_factory=list)

    def run(self, course: Course, call: str) -> str:
        """One pass of the body; ends in one way, which is recorded, unless it dies or waits."""
        try:
            ended = self._body(course, call)
        except Death:
            return "Crashed"
        except UnderstudyError as error:
            ended = error.outcome
        if ended != "Suspended":
            self.desk.ledger.record(raw_fact("outcome", {"outcome": ended}), run_id=course.plan.run_id)
        return ended

    def _body(self, course: Course, call: str) -> str:
        if course.plan.backup.completed_at is None:
            course.foreseen = BackupAborted.outcome
            raise BackupAborted("There is no backup.")
        approval = self._ask(course)
        if approval is None:
            course.foreseen = "Suspended"
            return "Suspended"
        course.foreseen = self._foresee(course, call)
        try:
            self._hold(course)
            self._send(course, approval, call)
            if not course.arrived:
                raise OutcomeUnknown("It is not seen to arrive.")
            self.desk.ledger.record(raw_fact("settled", {"how": "evidence: confirmed"}), run_id=course.plan.run_id)
        except UnderstudyError:
            self._let_go(course)
            raise
        self._let_go(course)
        return "Verified"

    def _hold(self, course: Course) -> None:
        for install in sorted(course.installs):
            self.desk.ledger.take_lock(
                install,
                course.plan.run_id,
                is_over=lambda run: self._of(run).over,
                settles=self._settles,
                horizon=HORIZON,
                now=self.desk.now,
            )

    def _settles(self, sending: Fact) -> bool:
        return self._of(sending.run_id).arrived

    def _of(self, run: str) -> Course:
        return next(course for course in self.courses if course.plan.run_id == run)

    def _let_go(self, course: Course) -> None:
        for install in course.installs:
            self.desk.ledger.release_lock(install, course.plan.run_id)

    def _ask(self, course: Course) -> Approval | None:
        """The approval, or None where an answer is missing; what the gate says is what the rules say."""
        desk, drafted = self.desk, course.plan
        course.foreseen = course.end  # an ended question gives its end again
        found: Approval | Waiting | None = recorded_answer(desk.ledger, drafted)
        if found is None:
            found = self._put(course)
        while isinstance(found, Waiting):
            if found.settling:
                found = self._settle(course, found.settling)
                continue
            answer = course.inbox.get(found.index)
            if answer is None and desk.now < found.answer_by:
                return None
            if answer is None:
                course.end = course.foreseen = "Expired"
                found = desk.gate.expire(drafted)
                continue
            must = course.foreseen = self.rules.judge(course, answer[0], desk.now)
            found = desk.gate.evaluate(drafted, _typed(course, *answer), now=desk.now)
            assert must == ("waiting" if isinstance(found, Waiting) else "approved"), course
            if isinstance(found, Waiting):
                assert found.attempts_left == course.attempts
                assert {s.name for s in found.yes} == {*course.yes} - self.rules.suspended
        assert course.end == "approved", course
        return found

    def _settle(self, course: Course, settling: Settling) -> Approval | Waiting:
        """A code's yes for production counts a minute later, unless something shows that the code was moved."""
        desk = self.desk
        assert settling.at == settling.signer.answered_at + timedelta(minutes=1)
        desk.now = max(desk.now, settling.at)
        moved = "It was typed elsewhere." if settling.signer.answered_at.second % 3 == 1 else ""
        must = course.foreseen = self.rules.settle(course, bool(moved))
        found = desk.gate.settle(course.plan, moved=moved, now=desk.now)
        assert must == ("waiting" if isinstance(found, Waiting) else "approved"), course
        return found

    def _put(self, course: Course) -> Waiting:
        """Put the plan to people. It takes the place of every older question about the same destination, once."""
        desk, older = self.desk, []
        if course.asked_at is None:
            course.foreseen = "Frozen" if self.rules.closed(course.plan) else ""
            if not course.foreseen:
                older = [c for c in self.courses if c.open and c.plan.destination_id == course.plan.destination_id]
        waiting, gave_way = desk.gate.ask(course.plan, source_id="S", within=WITHIN, now=desk.now)
        assert not course.foreseen, course
        assert [question.run_id for question in gave_way] == [c.plan.run_id for c in older]
        for gone in older:
            gone.end, gone.over = "Superseded", True
        if course.asked_at is None:
            course.asked_at, course.answer_by = desk.now, desk.now + WITHIN
        return waiting

    def _stale(self, course: Course) -> bool:
        """Whether another call was journaled for one of its installs since the plan was drafted."""
        touched = [c for c in self.courses if c.journaled_at and c.plan.destination_id in course.installs]
        return len(touched) != course.plan.generation

    def _foresee(self, course: Course, call: str) -> str:
        """How an approved run must end, unless somebody else holds its installs."""
        arrived = course.arrived or (not course.journaled_at and call in ARRIVING)
        seen = "Crashed" if call == "dies after" else "Verified" if arrived else "OutcomeUnknown"
        if course.journaled_at:
            return "ApprovalUsed" if course.refused else seen
        assert course.execute_by
        reasons = {
            "Stale": self._stale(course),
            "Frozen": self.rules.closed(course.plan),
            "OnHold": self.rules.held(course.plan, self.desk.now),
            "Crashed": call == "dies before",
            "Expired": self.desk.now > course.execute_by,
        }
        ends = {"refused": "HostRefused", "unreachable": "Unreachable", "dies between": "Crashed"}
        ends["dies during"] = "Crashed"
        return next((end for end, is_so in reasons.items() if is_so), ends.get(call, seen))

    def _send(self, course: Course, approval: Approval, call: str) -> None:
        ledger, drafted, desk = self.desk.ledger, course.plan, self.desk

        def recheck() -> Baseline:
            if ledger.generation(*course.installs) != drafted.generation:
                raise PlanIsStale("There was another call.")
            return BEFORE

        def last_look() -> None:
            desk.require_open(drafted, desk.now)
            require_no_hold(ledger, drafted.destination_name, desk.now, overrides=drafted.overrides)
            if call == "dies before":
                raise Death

        send_once(
            ledger,
            drafted,
            approval,
            recheck=recheck,
            last_look=last_look,
            call=lambda: self._call(course, call),
            clock=lambda: desk.now,
        )
        if call == "dies after":
            raise Death

    def _call(self, course: Course, call: str) -> None:
        """The host: takes the call, if it ever gets here, and answers or not."""
        self._require_leave(course)
        course.journaled_at = self.desk.now
        if call == "dies between":
            raise Death
        course.refused = call in ("refused", "unreachable")
        course.calls += call != "unreachable"
        course.arrived = call in ARRIVING
        if call == "refused":
            raise HostRefused("400")
        if call == "unreachable":
            raise Unreachable("no connection")
        if call == "dies during":
            raise Death
        if call.startswith("answer lost"):
            raise OutcomeUnknown("no answer")

    def _require_leave(self, course: Course) -> None:
        """All that must be true of a call that leaves, by the rules' own memory."""
        drafted, now = course.plan, self.desk.now
        assert drafted.backup.completed_at
        assert course.end == "approved"
        assert course.execute_by
        assert now <= course.execute_by
        assert len(course.yes) >= drafted.risk.people
        assert sum(course.yes.values()) >= drafted.risk.signatures
        assert not self.rules.closed(drafted)
        assert not self.rules.held(drafted, now)
        assert not course.journaled_at, "a run may journal one call"
        assert not self._stale(course)
        assert {self.desk.ledger.lock_holder(install) for install in course.installs} == {drafted.run_id}
        for other in self.courses:
            running = other.journaled_at and not other.refused and not other.arrived
            if running and other.installs & course.installs:
                assert now - (other.journaled_at or NOW) > HORIZON, "another copy may still be running"


def _typed(course: Course, said: Said, name: str, form: str) -> Answer:
    """The answer as it stands in Prefect."""
    typed: dict[str, Any] = {
        "plan": "0000-0000" if form == "plan" else course.plan.code,
        "destination": "elsewhere" if form == "destination" else course.plan.destination_name,
        "reason": "ok" if form == "reason" else "release day",
    }
    return Answer(decision=said.decision, approver=name, proof=said.typed, given_at=said.given_at, **typed)

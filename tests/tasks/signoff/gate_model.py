"""A model of the approval gate, with which test_gate_machine.py compares the gate.

It uses no code of tasks/signoff/gate.py, and has its own record of each answer, such as who really signed what.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pyotp import TOTP

from tasks.estate.plans import Plan
from tests.tasks.signoff.approval_desk import SECRETS

HALF_AN_HOUR, HOUR = timedelta(minutes=30), timedelta(hours=1)


@dataclass(frozen=True)
class TrueAnswer:
    """One answer. `lead` is the lead whom it names ("" for a stranger), `signed` what the typed signature covers."""

    lead: str
    decision: str
    typed: str
    given_at: datetime
    signed: tuple[str, str, str, datetime] | None = None  # by whom, decision, fingerprint, until
    form_is_correct: bool = True


@dataclass
class ModelRun:
    """One run with its plan. `inbox` has, by index, the answer, the typed name and the incorrect field of the form, if any."""

    plan: Plan
    asked_at: datetime | None = None
    answer_by: datetime | None = None
    end: str = ""  # of its request
    yes: dict[str, bool] = field(default_factory=dict)  # who approved; whether by signature
    attempts: int = 5
    execute_by: datetime | None = None
    watched: "TrueAnswer | None" = None  # an approval with a code for production, in its minute
    inbox: dict[int, tuple[TrueAnswer, str, str]] = field(default_factory=dict)
    over: bool = False  # in Prefect
    journaled_at: datetime | None = None
    refused: bool = False  # by the host, which did not accept the call
    arrived: bool = False
    calls: int = 0
    expected: str = ""  # how this pass must end

    @property
    def open(self) -> bool:
        """Whether its request is open."""
        return self.asked_at is not None and not self.end

    @property
    def installs(self) -> set[str]:
        """The installs that its call uses."""
        return {self.plan.pair.source.id, self.plan.pair.destination.id}


@dataclass
class GateModel:
    """The model, with what it remembers of all requests."""

    suspended: set[str] = field(default_factory=set)
    used: set[tuple[str, int]] = field(default_factory=set)  # codes, as lead and time step
    wrong: list[tuple[str, datetime]] = field(default_factory=list)  # refused proofs, as name and time
    frozen: str = ""
    holds: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # by mark: destination and end

    def closed(self, plan: Plan) -> bool:
        """Return whether a freeze window is active that the plan does not override."""
        return bool(self.frozen) and plan.verb != "restore" and f"freeze:{self.frozen}" not in plan.overrides

    def held(self, plan: Plan, now: datetime) -> bool:
        """Return whether the destination has a hold that the plan does not override."""
        return any(
            place == plan.destination_name and now < until and mark not in plan.overrides
            for mark, (place, until) in self.holds.items()
        )

    def evaluate(self, run: ModelRun, answer: TrueAnswer, now: datetime) -> str:
        """Return the state of the request after this answer: approved, waiting, or the outcome that ended it."""
        assert run.asked_at
        assert run.answer_by
        if run.end:
            return run.end
        step = self._step(answer, now)
        genuine = self._genuine(run, answer, step)
        fresh = step is None or (answer.lead, step) not in self.used
        if genuine and step is not None:
            self.used.add((answer.lead, step))
        if answer.decision != "approve":
            run.end = "Rejected"
        elif answer.given_at > run.answer_by:
            run.end = "Expired"
        elif self.closed(run.plan):
            run.end = "Frozen"
        elif not genuine or not fresh:
            if answer.lead and answer.lead not in self.suspended:
                self.wrong.append((answer.lead, now))
            self.use_attempt(run)
        elif not answer.form_is_correct:
            self.use_attempt(run)
        elif self._is_acceptable(run, answer):
            if answer.signed is None and run.plan.destination_environment == "production":
                run.watched = answer
            else:
                self._count(run, answer)
        return run.end or "waiting"

    def settle(self, run: ModelRun, moved: bool) -> str:
        """Return the state of the request after a code's minute; `moved`: the code was used elsewhere."""
        answer, run.watched = run.watched, None
        assert answer
        if self.closed(run.plan):
            run.end = "Frozen"
        elif not moved and answer.lead not in self.suspended:
            self._count(run, answer)
        return run.end or "waiting"

    def use_attempt(self, run: ModelRun) -> None:
        """Use one attempt; the last one rejects the plan."""
        run.attempts -= 1
        if not run.attempts:
            run.end = "Rejected"

    def _step(self, answer: TrueAnswer, now: datetime) -> int | None:
        """Return the time step whose code of the named lead was typed, or None, also after too many wrong proofs."""
        recent = sum(lead == answer.lead and now - at < HOUR for lead, at in self.wrong)
        if answer.lead not in SECRETS or recent >= 10:
            return None
        around = [int(answer.given_at.timestamp()) // 30 + step for step in (-1, 0, 1)]
        return next((step for step in around if TOTP(SECRETS[answer.lead]).at(step * 30) == answer.typed), None)

    def _genuine(self, run: ModelRun, answer: TrueAnswer, step: int | None) -> bool:
        truth = (answer.lead, answer.decision, run.plan.fingerprint, run.answer_by)
        return answer.lead not in ("", *self.suspended) and (step is not None or answer.signed == truth)

    def _is_acceptable(self, run: ModelRun, answer: TrueAnswer) -> bool:
        """Return whether this person's proven approval counts for this plan now."""
        risk, asked_at = run.plan.risk, run.asked_at
        counted = {name: signed for name, signed in run.yes.items() if name not in self.suspended}
        assert asked_at
        if answer.lead in run.yes or answer.given_at < asked_at + timedelta(seconds=risk.cool_down):
            return False
        if answer.lead == run.plan.requested_by and not risk.requester_may_approve:
            return False
        ways = [*counted.values(), answer.signed is not None]
        still_to_come = risk.people - len(ways)
        return sum(ways) + still_to_come >= risk.signatures

    def _count(self, run: ModelRun, answer: TrueAnswer) -> None:
        run.yes[answer.lead] = answer.signed is not None
        if len([name for name in run.yes if name not in self.suspended]) == run.plan.risk.people:
            run.end, run.execute_by = "approved", answer.given_at + HALF_AN_HOUR

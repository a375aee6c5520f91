"""What the gate owes us, told a second time and in another way: the model that test_gate_machine.py holds it to.

It knows the truth about each answer (who really signed what), and no line of tasks/signoff/gate.py.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pyotp import TOTP

from tasks.estate.plans import Plan
from tests.tasks.signoff.desk import SECRETS

HALF_AN_HOUR, HOUR = timedelta(minutes=30), timedelta(hours=1)


@dataclass(frozen=True)
class Said:
    """One answer as it truly was. `lead` is who is named ("" = a stranger), `signed` what the typed signature is over."""

    lead: str
    decision: str
    typed: str
    given_at: datetime
    signed: tuple[str, str, str, datetime] | None = None  # by whom, decision, fingerprint, until
    form_is_right: bool = True


@dataclass
class Course:
    """One run with its plan, and all that happened to it. `inbox`: truth, typed name and what is right in the form."""

    plan: Plan
    asked_at: datetime | None = None
    answer_by: datetime | None = None
    end: str = ""  # of its question
    yes: dict[str, bool] = field(default_factory=dict)  # who said it; whether by signature
    attempts: int = 5
    execute_by: datetime | None = None
    watched: "Said | None" = None  # a code's yes for production, in its minute
    inbox: dict[int, tuple[Said, str, str]] = field(default_factory=dict)
    over: bool = False  # as Prefect sees it
    journaled_at: datetime | None = None
    refused: bool = False  # by the host: the call was not taken
    arrived: bool = False
    calls: int = 0
    foreseen: str = ""  # how this pass must end

    @property
    def open(self) -> bool:
        """Whether people are asked and nothing has ended it."""
        return self.asked_at is not None and not self.end

    @property
    def installs(self) -> set[str]:
        """What its call touches."""
        return {self.plan.pair.source.id, self.plan.pair.destination.id}


@dataclass
class Rules:
    """The memory that goes beyond one question."""

    suspended: set[str] = field(default_factory=set)
    used: set[tuple[str, int]] = field(default_factory=set)  # codes: of whom, and which half-minute's
    wrong: list[tuple[str, datetime]] = field(default_factory=list)  # refused proofs: in whose name, and when
    frozen: str = ""
    holds: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # mark: what is held, until when

    def closed(self, plan: Plan) -> bool:
        """Whether a freeze holds that the plan does not name."""
        return bool(self.frozen) and plan.verb != "restore" and f"freeze:{self.frozen}" not in plan.overrides

    def held(self, plan: Plan, now: datetime) -> bool:
        """Whether somebody holds the destination without the plan saying so."""
        return any(
            place == plan.destination_name and now < until and mark not in plan.overrides
            for mark, (place, until) in self.holds.items()
        )

    def judge(self, course: Course, said: Said, now: datetime) -> str:
        """How the question must stand after this answer: approved, waiting, or the outcome that ended it."""
        assert course.asked_at
        assert course.answer_by
        if course.end:
            return course.end
        step = self._step(said, now)
        genuine = self._genuine(course, said, step)
        fresh = step is None or (said.lead, step) not in self.used
        if genuine and step is not None:
            self.used.add((said.lead, step))
        if said.decision != "approve":
            course.end = "Rejected"
        elif said.given_at > course.answer_by:
            course.end = "Expired"
        elif self.closed(course.plan):
            course.end = "Frozen"
        elif not genuine or not fresh:
            if said.lead and said.lead not in self.suspended:
                self.wrong.append((said.lead, now))
            self.cost(course)
        elif not said.form_is_right:
            self.cost(course)
        elif self._may(course, said):
            if said.signed is None and course.plan.destination_environment == "production":
                course.watched = said
            else:
                self._count(course, said)
        return course.end or "waiting"

    def settle(self, course: Course, moved: bool) -> str:
        """How the question must stand when a code's minute is over; `moved`: something pointed to another use of the code."""
        said, course.watched = course.watched, None
        assert said
        if self.closed(course.plan):
            course.end = "Frozen"
        elif not moved and said.lead not in self.suspended:
            self._count(course, said)
        return course.end or "waiting"

    def cost(self, course: Course) -> None:
        """One attempt less."""
        course.attempts -= 1
        if not course.attempts:
            course.end = "Rejected"

    def _step(self, said: Said, now: datetime) -> int | None:
        """The half-minute of which the typed digits are the named lead's code, if it still counts."""
        recent = sum(lead == said.lead and now - at < HOUR for lead, at in self.wrong)
        if said.lead not in SECRETS or recent >= 10:
            return None
        around = [int(said.given_at.timestamp()) // 30 + beside for beside in (-1, 0, 1)]
        return next((step for step in around if TOTP(SECRETS[said.lead]).at(step * 30) == said.typed), None)

    def _genuine(self, course: Course, said: Said, step: int | None) -> bool:
        truth = (said.lead, said.decision, course.plan.fingerprint, course.answer_by)
        return said.lead not in ("", *self.suspended) and (step is not None or said.signed == truth)

    def _may(self, course: Course, said: Said) -> bool:
        """Whether this person's proven yes counts for this plan, now."""
        risk, asked_at = course.plan.risk, course.asked_at
        counted = {name: signed for name, signed in course.yes.items() if name not in self.suspended}
        assert asked_at
        if said.lead in course.yes or said.given_at < asked_at + timedelta(seconds=risk.cool_down):
            return False
        if said.lead == course.plan.requested_by and not risk.requester_may_approve:
            return False
        ways = [*counted.values(), said.signed is not None]
        still_to_come = risk.people - len(ways)
        return sum(ways) + still_to_come >= risk.signatures

    def _count(self, course: Course, said: Said) -> None:
        course.yes[said.lead] = said.signed is not None
        if len([name for name in course.yes if name not in self.suspended]) == course.plan.risk.people:
            course.end, course.execute_by = "approved", said.given_at + HALF_AN_HOUR

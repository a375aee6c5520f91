"""Any order of requests, answers, freezes, holds, deaths and retries: nothing leaves that was not approved, and nothing twice."""

import os
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tasks.estate.plans import Backup
from tasks.estate.risks import Grade, Risk
from tasks.signoff import holds
from tasks.signoff.proofs import sign, statement
from tasks.signoff.questions import ENDS, open_questions
from tests.tasks.signoff.desk import ANNA, BEN, CARA, KEYS, NOW, SECRETS, Desk
from tests.tasks.signoff.gate_rules import Course, Rules, Said
from tests.tasks.signoff.gate_worker import CALLS, Worker
from tests.tasks.signoff.stories import DEV, PROD, STAGE, plan

TRIPS = [("refresh", PROD, STAGE), ("refresh", PROD, DEV), ("promote", STAGE, PROD), ("restore", PROD, PROD)]
SIGNING = [(ANNA, True), (BEN, True), (ANNA, False), (BEN, False), (CARA, True)]
NAMES = {ANNA: ANNA, BEN: BEN, CARA: CARA, "anna  LEAD": ANNA, "Mallory": ""}
PROOFS = (
    "signature", "code", "old code", "code of another", "replayed", "other plan", "a no", "other deadline", "nothing",
)  # fmt: skip
RISKS = st.builds(
    lambda people, signatures, **more: Risk(
        grade=Grade.RED, reasons=(), people=people, signatures=min(people, signatures), **more
    ),
    people=st.sampled_from([1, 2]),
    signatures=st.sampled_from([0, 0, 1, 2]),
    cool_down=st.sampled_from([0, 0, 1800]),
    requester_may_approve=st.booleans(),
)
WHICH = st.integers(0, 5)  # runs, counted from the newest: 0 is what examples shrink to


class GateMachine(RuleBasedStateMachine):
    """Real gate, ledger, holds and sending against `Rules`; Prefect, the host and the clock are simulated."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.desk = Desk.opened(self.patch)
        self.worker = Worker(self.desk, Rules())
        self.ledger, self.rules, self.courses = self.desk.ledger, self.worker.rules, self.worker.courses
        self.codes: list[str] = ["000000"]
        self.freezes = 0

    def teardown(self) -> None:
        """The past is whole, whatever happened."""
        assert self.ledger.verify() == []
        self.patch.undo()
        self.ledger._engine.dispose()

    # What people do.

    @rule(trip=st.sampled_from(TRIPS), risk=RISKS, requester=st.sampled_from(["Dora", ANNA]), whole=st.integers(0, 9))
    def request(self, trip: Any, risk: Risk, requester: str, whole: int) -> None:
        """A run backs up, drafts its plan, and stops at its question."""
        verb, source, destination = trip
        backup = Backup(
            id="b", install_id=destination.id, install_name=destination.name, requested_at=NOW,
            completed_at=NOW if whole else None,
        )  # fmt: skip
        against = [holds.active_holds(self.ledger, destination.name, self.desk.now), self.rules.frozen]
        overrides = (
            *(hold.mark for hold in against[0]),
            *([f"freeze:{against[1]}"] if whole % 2 and against[1] else ()),
        )
        drafted = plan(
            verb, source, destination, run=f"run-{len(self.courses)}", risk=risk, requested_by=requester, backup=backup,
            overrides=overrides, generation=self.ledger.generation(source.id, destination.id),
        )  # fmt: skip
        self.courses.append(Course(drafted))
        self.go(0, "arrives", dead=True)

    @precondition(lambda self: self.courses)
    @rule(
        which=WHICH,
        name=st.sampled_from(sorted(NAMES)),
        proof=st.sampled_from(PROOFS),
        decision=st.sampled_from(["approve"] * 7 + ["reject"]),
        form=st.sampled_from(["right"] * 5 + ["plan", "destination", "reason"]),
        now=st.booleans(),
    )
    def answer(self, which: int, name: str, proof: str, decision: str, form: str, now: bool) -> None:
        """Somebody answers; the run goes on at once, or when a worker finds the time."""
        course = self._course(which)
        if course.open:
            self._put(course, name, self._prove(course, NAMES[name], proof), decision, form)
            if now:
                self.go(which, "arrives", dead=True)

    @precondition(lambda self: self.courses)
    @rule(which=WHICH, order=st.permutations(SIGNING), call=st.sampled_from(CALLS), dead=st.booleans())
    def agree(self, which: int, order: list[tuple[str, bool]], call: str, dead: bool) -> None:
        """Leads say yes, one after the other, until nobody is asked any more."""
        course = self._course(which)
        for name, signs in order:
            if course.open:
                self._put(course, name, self._prove(course, name, "signature" if signs else "code"), "approve", "right")
                self.go(which, call, dead)

    @precondition(lambda self: self.courses)
    @rule(which=WHICH, call=st.sampled_from(CALLS), dead=st.booleans())
    def go(self, which: int, call: str, dead: bool) -> None:
        """A worker runs the body from its top: the first time, after an answer, or as a retry."""
        course = self._course(which)
        course.foreseen, before = "", len(self.ledger.facts(kind="outcome"))
        ended = self.worker.run(course, call)
        event(f"ended {ended}")
        if ended == "DestinationBusy":
            assert any(self.ledger.lock_holder(i) not in (None, course.plan.run_id) for i in course.installs)
        else:
            assert ended == course.foreseen, (ended, course)
        course.over = dead if ended == "Crashed" else ended != "Suspended"
        assert len(self.ledger.facts(kind="outcome")) - before == (ended not in ("Crashed", "Suspended"))

    @rule(seconds=st.sampled_from([1, 29, 31, 300, 1799, 1801, 3601, 21601, 28800]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.desk.later(seconds=seconds)

    @rule()
    def freeze(self) -> None:
        """The calendar closes, or opens again; each closed time has its own name."""
        self.freezes += 1
        self.desk.frozen = self.rules.frozen = "" if self.rules.frozen else f"freeze-{self.freezes}"

    @rule(place=st.sampled_from(["prod", "stage", "dev"]), minutes=st.sampled_from([10, 600]))
    def hold(self, place: str, minutes: int) -> None:
        """Somebody wants a place kept as it is."""
        until = self.desk.now + timedelta(minutes=minutes)
        said: dict[str, Any] = {"by": "Eve", "reason": "my work", "now": self.desk.now, "run_id": "hold"}
        self.rules.holds[holds.place(self.ledger, destination=place, until=until, **said).mark] = (place, until)

    @precondition(lambda self: any(until > self.desk.now for _, until in self.rules.holds.values()))
    @rule()
    def end_hold(self) -> None:
        """Somebody lets it go."""
        mark = next(mark for mark, (_, until) in self.rules.holds.items() if until > self.desk.now)
        holds.end(self.ledger, int(mark.removeprefix("hold:")), by="Eve", now=self.desk.now, run_id="hold")
        del self.rules.holds[mark]

    @rule(lead=st.sampled_from([ANNA, BEN]))
    def suspend(self, lead: str) -> None:
        """A lead loses the leave to answer, or gets it back."""
        self.rules.suspended ^= {lead}
        self.desk.suspended = {*self.rules.suspended}

    @precondition(lambda self: any(c.calls and not c.refused for c in self.courses))
    @rule()
    def arrive(self) -> None:
        """What left and was not refused has arrived by now, all of it."""
        for course in self.courses:
            course.arrived |= bool(course.calls) and not course.refused

    def _course(self, which: int) -> Course:
        return self.courses[-1 - which % len(self.courses)]

    def _put(self, course: Course, name: str, proof: tuple[str, Any], decision: str, form: str) -> None:
        """Prefect keeps the first answer to each question."""
        typed, signed = proof
        said = Said(NAMES.get(name, name), decision, typed, self.desk.now, signed, form == "right")
        course.inbox.setdefault(self.desk.gate.waiting(course.plan).index, (said, name, form))

    def _prove(self, course: Course, lead: str, proof: str) -> tuple[str, Any]:
        """What is typed as proof, and, of a signature, what it is over."""
        lead, other = lead or ANNA, BEN if lead == ANNA else ANNA
        if proof == "replayed":
            return self.codes[-1], None
        if "code" in proof and (owner := other if proof == "code of another" else lead) in SECRETS:
            self.codes.append(self.desk.code(owner, steps=-3 if proof == "old code" else 0))
            return self.codes[-1], None
        until = course.answer_by or NOW
        signed = (
            lead,
            "reject" if proof == "a no" else "approve",
            self.courses[0].plan.fingerprint if proof == "other plan" else course.plan.fingerprint,
            until + timedelta(hours=1) if proof == "other deadline" else until,
        )
        return ("nothing", None) if proof == "nothing" else (sign(KEYS[lead][0], statement(*signed[1:])), signed)

    @invariant()
    def every_question_ends_once(self) -> None:
        """Each question has at most one end, the one that the rules foresee, and is open in the ledger if it is for them."""
        ended: dict[str, list[str]] = {}
        for fact in self.ledger.facts(kinds=ENDS):
            ended.setdefault(fact.run_id, []).append(fact.kind)
        for course in self.courses:
            assert ended.get(course.plan.run_id, []) == [course.end.lower()] * bool(course.end), course
        assert {q.run_id for q in open_questions(self.ledger)} == {c.plan.run_id for c in self.courses if c.open}

    @invariant()
    def nothing_leaves_twice(self) -> None:
        """One run makes one call at most, and no approval is used twice."""
        assert all(course.calls <= 1 for course in self.courses)
        used = [fact.detail["approval"] for fact in self.ledger.facts(kind="consumed")]
        assert len(used) == len({*used})

    @invariant()
    def the_past_is_whole(self) -> None:
        """The chain of the ledger verifies."""
        assert self.ledger.verify() == []


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(
    max_examples=int(os.environ.get("UNDERSTUDY_EXAMPLES", "60")), stateful_step_count=40, deadline=None
)

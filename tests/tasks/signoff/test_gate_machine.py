"""Any order of requests, answers, freezes, holds, deaths and retries: nothing leaves that was not approved, and nothing twice."""

import os
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import currently_in_test_context, event, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tasks.estate.plans import Backup
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Environment
from tasks.ledger.approval_requests import ENDS, open_requests
from tasks.safeguards import holds
from tasks.signoff.proofs import sign, statement
from tests.tasks.safeguards.stories import DEV, PROD, STAGE, install, plan
from tests.tasks.signoff.desk import ANNA, BEN, CARA, KEYS, NOW, SECRETS, Desk
from tests.tasks.signoff.gate_rules import Course, Rules, Said
from tests.tasks.signoff.gate_worker import CALLS, Worker

SHOP, SHOP_STAGE = install("shop", Environment.PRODUCTION), install("shopstage")  # a site of its own
TRIPS = [
    ("refresh", PROD, STAGE), ("promote", STAGE, PROD), ("restore", PROD, PROD), ("refresh", SHOP, SHOP_STAGE),
    ("promote", SHOP_STAGE, SHOP), ("refresh", PROD, DEV),
]  # fmt: skip
SIGNING = [(ANNA, False), (ANNA, True), (BEN, False), (CARA, True), (BEN, True)]
NAMES = {ANNA: ANNA, BEN: BEN, CARA: CARA, "anna  LEAD": ANNA, "Mallory": ""}
PROOFS = (
    "signature",
    "code",
    "old code",
    "code of another",
    "replayed",
    "other plan",
    "a no",
    "other deadline",
    "nothing",
)  # fmt: skip

STEPS = 40
EXAMPLES = int(os.environ.get("UNDERSTUDY_EXAMPLES", "16"))  # walks, and half as many examples of Hypothesis
CHANCE = st.randoms(use_true_random=True)  # each from a seed that Hypothesis draws


def tell(text: str, counted: str = "went on") -> None:
    """What is shown of an example that fails, and counted of all of them."""
    if currently_in_test_context():
        note(text)
        event(counted)


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
        self.seen = self.passes = self.outcomes = 0  # facts, and passes that came to an end, here and in the ledger
        self.ended: dict[str, str] = {}
        self.consumed: set[str] = set()

    def teardown(self) -> None:
        """The ledger knows the same open questions as the rules."""
        assert {q.run_id for q in open_requests(self.ledger)} == {c.plan.run_id for c in self.courses if c.open}
        self.patch.undo()
        self.ledger._engine.dispose()

    @initialize(chance=CHANCE)
    def request(self, chance: Random) -> None:
        """A run backs up, drafts its plan with all that stands against it, and stops at its question."""
        (verb, source, destination), people = chance.choice(TRIPS), chance.choice([1, 2])
        risk = Risk(
            grade=Grade.RED, reasons=(), people=people, signatures=chance.choice([0, 0, 1, people]),
            cool_down=chance.choice([0, 0, 1800]), requester_may_approve=chance.choice([True, False]),
        )  # fmt: skip
        backup = Backup(
            id="b", install_id=destination.id, install_name=destination.name, requested_at=NOW,
            completed_at=chance.choice([NOW] * 19 + [None]),
        )  # fmt: skip
        against = [hold.mark for hold in holds.active_holds(self.ledger, destination.name, self.desk.now)]
        if self.rules.frozen and chance.random() < 0.7:  # somebody gives a reason to break the glass
            against.append(f"freeze:{self.rules.frozen}")
        drafted = plan(
            verb, source, destination, run=f"run-{len(self.courses)}", risk=risk, requested_by=chance.choice(["Dora", ANNA]),
            backup=backup, overrides=tuple(against), generation=self.ledger.generation(source.id, destination.id),
        )  # fmt: skip
        self.courses.append(Course(drafted))
        self._go(self.courses[-1], chance)

    @rule(chance=CHANCE)
    def happen(self, chance: Random) -> None:
        """One thing happens. Drawn evenly by a seed: Hypothesis repeats itself too much to get past a gate in 40 steps."""
        things = {self.request: 3, self.answer: 5, self.agree: 6, self.go: 3, self.wait: 2, self.elsewhere: 2}
        thing = chance.choices([*things], weights=[*things.values()])[0]
        tell(f"{thing.__name__} at {self.desk.now:%d. %H:%M:%S}")
        thing(chance)

    def answer(self, chance: Random) -> None:
        """Somebody answers, rightly or not; the run goes on at once, or when a worker finds the time."""
        course = self._course(chance, asking=True)
        if course.open:
            name, form = chance.choice([*NAMES]), chance.choice(["right"] * 5 + ["plan", "destination", "reason"])
            decision = chance.choice(["approve"] * 7 + ["reject"])
            self._put(course, name, self._prove(course, NAMES[name], chance.choice(PROOFS)), decision, form)
            if chance.random() < 0.7:
                self._go(course, chance)

    def agree(self, chance: Random) -> None:
        """Leads look at it long enough and say yes, one after the other, until nobody is asked any more."""
        course = self._course(chance, asking=True)
        if course.open and course.asked_at:
            self.desk.now = max(self.desk.now, course.asked_at + timedelta(seconds=course.plan.risk.cool_down))
            if chance.random() < 0.3:
                self.elsewhere(chance, course.plan.destination_name)
        for name, signs in chance.sample(SIGNING, len(SIGNING)):
            if course.open:
                self._put(course, name, self._prove(course, name, "signature" if signs else "code"), "approve", "right")
                self._go(course, chance)

    def go(self, chance: Random) -> None:
        """A worker runs some body from its top: after an answer, or as a retry, perhaps of what was approved and not sent."""
        unsent = [course for course in self.courses if course.end == "approved" and not course.journaled_at]
        if unsent and chance.random() < 0.5:
            self.wait(chance)
        self._go(chance.choice(unsent or [self._course(chance)]), chance)

    def _go(self, course: Course, chance: Random) -> None:
        course.foreseen, call = "", chance.choice([*CALLS, *["arrives"] * 10])
        ended = self.worker.run(course, call)
        tell(f"{course.plan.run_id} ended {ended}, with a call that {call}", ended)
        if ended == "DestinationBusy":
            assert any(self.ledger.lock_holder(i) not in (None, course.plan.run_id) for i in course.installs)
        else:
            assert ended == course.foreseen, (ended, course)
        course.over = chance.choice([True, False]) if ended == "Crashed" else ended != "Suspended"
        self.passes += ended not in ("Crashed", "Suspended")

    def wait(self, chance: Random) -> None:
        """Time passes."""
        self.desk.later(seconds=chance.choice([1, 29, 31, 300, 1801, 1801, 3601, 21601, 28801]))

    def elsewhere(self, chance: Random, place: str = "") -> None:
        """The calendar closes or opens; a place is held or let go; a lead loses or regains the leave; copies arrive."""
        now, rules = self.desk.now, self.rules
        what = chance.choice(["freeze", "hold", "let go", "suspend", "arrive"])
        held = [mark for mark, (_, until) in rules.holds.items() if now < until]
        if what == "freeze":
            self.freezes += 1
            self.desk.frozen = rules.frozen = "" if rules.frozen else f"freeze-{self.freezes}"
        elif what == "hold":
            place, until = (
                place or chance.choice(["prod", "stage", "shop"]),
                now + timedelta(minutes=chance.choice([10, 600])),
            )
            said: dict[str, Any] = {"by": "Eve", "reason": "my work", "now": now, "run_id": "hold"}
            rules.holds[holds.place(self.ledger, destination=place, until=until, **said).mark] = (place, until)
        elif what == "let go" and held:
            holds.end(self.ledger, int(held[0].removeprefix("hold:")), by="Eve", now=now, run_id="hold")
            del rules.holds[held[0]]
        elif what == "suspend":
            rules.suspended ^= {chance.choice([ANNA, BEN])}
            self.desk.suspended = frozenset(rules.suspended)
        elif what == "arrive":
            for course in self.courses:
                course.arrived |= bool(course.calls) and not course.refused

    def _course(self, chance: Random, *, asking: bool = False) -> Course:
        """Some run, more often a new one; of those that wait for an answer, where there are any and one is wanted."""
        some = [course for course in self.courses if course.open or not asking] or self.courses
        return some[-1 - min(int(chance.expovariate(0.7)), len(some) - 1)]

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
    def the_past_is_as_the_rules_say(self) -> None:
        """Each question has the one end that the rules foresee; no run calls twice, no approval is used twice; all is whole."""
        new = self.ledger.facts(after=self.seen)
        assert not new or self.ledger.verify() == []
        for fact in new:
            self.seen = fact.seq
            if fact.kind in ENDS:
                assert self.ended.setdefault(fact.run_id, fact.kind) == fact.kind, fact
            if fact.kind == "consumed":
                assert fact.detail["approval"] not in self.consumed
                self.consumed.add(fact.detail["approval"])
            self.outcomes += fact.kind == "outcome"
        assert self.ended == {course.plan.run_id: course.end.lower() for course in self.courses if course.end}
        assert all(course.calls <= 1 for course in self.courses)
        assert self.outcomes == self.passes


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=EXAMPLES // 2, stateful_step_count=STEPS)


def test_long_walks() -> None:
    """The same by seeds alone: they reach more than as many examples of Hypothesis, which resemble each other, but do not shrink."""
    for seed in range(EXAMPLES):
        chance, machine = Random(seed), GateMachine()
        try:
            for step in (machine.request, *[machine.happen] * STEPS):
                step(chance)
                machine.the_past_is_as_the_rules_say()
        except AssertionError as wrong:
            wrong.add_note(f"by the walk of seed {seed}")
            raise
        finally:
            machine.teardown()

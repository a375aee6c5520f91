"""In any order of requests, answers, freezes, holds, crashes and retries, no call is made without approval, or twice."""

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
from tests.tasks.safeguards.ledger_histories import DEV, PROD, STAGE, install, plan
from tests.tasks.signoff.approval_desk import ANNA, BEN, CARA, KEYS, NOW, SECRETS, Desk
from tests.tasks.signoff.gate_model import GateModel, ModelRun, TrueAnswer
from tests.tasks.signoff.gate_worker import CALLS, Worker

SHOP, SHOP_STAGE = install("shop", Environment.PRODUCTION), install("shopstage")  # another site
TRIPS = [
    ("refresh", PROD, STAGE), ("promote", STAGE, PROD), ("restore", PROD, PROD), ("refresh", SHOP, SHOP_STAGE),
    ("promote", SHOP_STAGE, SHOP), ("refresh", PROD, DEV),
]  # fmt: skip
SIGNING = [(ANNA, False), (ANNA, True), (BEN, False), (CARA, True), (BEN, True)]
NAMES = {ANNA: ANNA, BEN: BEN, CARA: CARA, "anna  LEAD": ANNA, "Mallory": ""}
PROOFS = (
    "signature", "code", "old code", "code of another", "replayed", "other plan", "rejection", "other deadline", "nothing",
)  # fmt: skip
STEPS = 40
EXAMPLES = int(os.environ.get("UNDERSTUDY_EXAMPLES", "16"))  # random walks, and half as many examples of Hypothesis
CHANCE = st.randoms(use_true_random=True)  # each with a seed that Hypothesis draws


def report(text: str, counted: str = "continued") -> None:
    """Add a note to an example that fails, and count an event of all examples."""
    if currently_in_test_context():
        note(text)
        event(counted)


class GateMachine(RuleBasedStateMachine):
    """Compares the real gate, ledger, holds and sending with the model. Prefect, the host and the clock are simulated."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.desk = Desk.create(self.patch)
        self.worker = Worker(self.desk, GateModel())
        self.ledger, self.model, self.runs = self.desk.ledger, self.worker.model, self.worker.runs
        self.codes: list[str] = ["000000"]
        self.freezes = 0
        self.seen = self.passes = self.outcomes = 0  # facts; passes that ended, here and in the ledger
        self.ended: dict[str, str] = {}
        self.consumed: set[str] = set()

    def teardown(self) -> None:
        """The ledger and the model have the same open requests."""
        assert {q.run_id for q in open_requests(self.ledger)} == {c.plan.run_id for c in self.runs if c.open}
        self.patch.undo()
        self.ledger._engine.dispose()

    @initialize(chance=CHANCE)
    def request(self, chance: Random) -> None:
        """A run makes a backup, drafts its plan with overrides, and requests an approval."""
        (verb, source, destination), people = chance.choice(TRIPS), chance.choice([1, 2])
        risk = Risk(
            grade=Grade.RED, reasons=(), people=people, signatures=chance.choice([0, 0, 1, people]),
            cool_down=chance.choice([0, 0, 1800]), requester_may_approve=chance.choice([True, False]),
        )  # fmt: skip
        backup = Backup(
            id="b", install_id=destination.id, install_name=destination.name, requested_at=NOW,
            completed_at=chance.choice([NOW] * 19 + [None]),
        )  # fmt: skip
        overrides = [hold.mark for hold in holds.active_holds(self.ledger, destination.name, self.desk.now)]
        if self.model.frozen and chance.random() < 0.7:  # somebody breaks the glass
            overrides.append(f"freeze:{self.model.frozen}")
        drafted = plan(
            verb, source, destination, run=f"run-{len(self.runs)}", risk=risk, requested_by=chance.choice(["Dora", ANNA]),
            backup=backup, overrides=tuple(overrides), generation=self.ledger.generation(source.id, destination.id),
        )  # fmt: skip
        self.runs.append(ModelRun(drafted))
        self._go(self.runs[-1], chance)

    @rule(chance=CHANCE)
    def step(self, chance: Random) -> None:
        """Do one random step. A seed draws it evenly, because Hypothesis repeats itself too often to pass a gate in 40 steps."""
        actions = {
            self.request: 3,
            self.answer: 5,
            self.agree: 6,
            self.go: 3,
            self.wait: 2,
            self.change_surroundings: 2,
        }
        action = chance.choices([*actions], weights=[*actions.values()])[0]
        report(f"{action.__name__} at {self.desk.now:%d. %H:%M:%S}")
        action(chance)

    def answer(self, chance: Random) -> None:
        """Somebody answers, correctly or not, and the run continues at once or later."""
        run = self._pick_run(chance, asking=True)
        if run.open:
            name, form = chance.choice([*NAMES]), chance.choice(["right"] * 5 + ["plan", "destination", "reason"])
            decision = chance.choice(["approve"] * 7 + ["reject"])
            self._put(run, name, self._prove(run, NAMES[name], chance.choice(PROOFS)), decision, form)
            if chance.random() < 0.7:
                self._go(run, chance)

    def agree(self, chance: Random) -> None:
        """Leads approve after the cool-down, one after the other, until the request ends."""
        run = self._pick_run(chance, asking=True)
        if run.open and run.asked_at:
            self.desk.now = max(self.desk.now, run.asked_at + timedelta(seconds=run.plan.risk.cool_down))
            if chance.random() < 0.3:
                self.change_surroundings(chance, run.plan.destination_name)
        for name, signs in chance.sample(SIGNING, len(SIGNING)):
            if run.open:
                self._put(run, name, self._prove(run, name, "signature" if signs else "code"), "approve", "right")
                self._go(run, chance)

    def go(self, chance: Random) -> None:
        """A worker runs a body again, after an answer or as a retry, more often one that is approved and not sent."""
        unsent = [run for run in self.runs if run.end == "approved" and not run.journaled_at]
        if unsent and chance.random() < 0.5:
            self.wait(chance)
        self._go(chance.choice(unsent or [self._pick_run(chance)]), chance)

    def _go(self, run: ModelRun, chance: Random) -> None:
        run.expected, call = "", chance.choice([*CALLS, *["arrives"] * 10])
        ended = self.worker.run(run, call)
        report(f"{run.plan.run_id} ended {ended}, with a call that {call}", ended)
        if ended == "DestinationBusy":
            assert any(self.ledger.lock_holder(i) not in (None, run.plan.run_id) for i in run.installs)
        else:
            assert ended == run.expected, (ended, run)
        run.over = chance.choice([True, False]) if ended == "Crashed" else ended != "Suspended"
        self.passes += ended not in ("Crashed", "Suspended")

    def wait(self, chance: Random) -> None:
        """Time passes."""
        self.desk.wait(seconds=chance.choice([1, 29, 31, 300, 1801, 1801, 3601, 21601, 28801]))

    def change_surroundings(self, chance: Random, place: str = "") -> None:
        """A freeze begins or ends, a hold is placed or ended, a lead is suspended or restored, or copies arrive."""
        now, model = self.desk.now, self.model
        what = chance.choice(["freeze", "hold", "end hold", "suspend", "arrive"])
        held = [mark for mark, (_, until) in model.holds.items() if now < until]
        if what == "freeze":
            self.freezes += 1
            self.desk.frozen = model.frozen = "" if model.frozen else f"freeze-{self.freezes}"
        elif what == "hold":
            place = place or chance.choice(["prod", "stage", "shop"])
            until = now + timedelta(minutes=chance.choice([10, 600]))
            fields: dict[str, Any] = {"by": "Eve", "reason": "my work", "now": now, "run_id": "hold"}
            model.holds[holds.place(self.ledger, destination=place, until=until, **fields).mark] = (place, until)
        elif what == "end hold" and held:
            holds.end(self.ledger, int(held[0].removeprefix("hold:")), by="Eve", now=now, run_id="hold")
            del model.holds[held[0]]
        elif what == "suspend":
            model.suspended ^= {chance.choice([ANNA, BEN])}
            self.desk.suspended = frozenset(model.suspended)
        elif what == "arrive":
            for run in self.runs:
                run.arrived |= bool(run.calls) and not run.refused

    def _pick_run(self, chance: Random, *, asking: bool = False) -> ModelRun:
        """Return a random run, more often a new one. If `asking`, one whose request is open, if there is any."""
        some = [run for run in self.runs if run.open or not asking] or self.runs
        return some[-1 - min(int(chance.expovariate(0.7)), len(some) - 1)]

    def _put(self, run: ModelRun, name: str, proof: tuple[str, Any], decision: str, form: str) -> None:
        """Store the answer; Prefect keeps the first one to each form."""
        typed, signed = proof
        answer = TrueAnswer(NAMES.get(name, name), decision, typed, self.desk.now, signed, form == "right")
        run.inbox.setdefault(self.desk.gate.waiting(run.plan).index, (answer, name, form))

    def _prove(self, run: ModelRun, lead: str, proof: str) -> tuple[str, Any]:
        """Return what is typed as proof, and what a signature covers."""
        lead, other = lead or ANNA, BEN if lead == ANNA else ANNA
        if proof == "replayed":
            return self.codes[-1], None
        if "code" in proof and (owner := other if proof == "code of another" else lead) in SECRETS:
            self.codes.append(self.desk.code(owner, steps=-3 if proof == "old code" else 0))
            return self.codes[-1], None
        until = run.answer_by or NOW
        signed = (
            lead,
            "reject" if proof == "rejection" else "approve",
            self.runs[0].plan.fingerprint if proof == "other plan" else run.plan.fingerprint,
            until + timedelta(hours=1) if proof == "other deadline" else until,
        )
        return ("nothing", None) if proof == "nothing" else (sign(KEYS[lead][0], statement(*signed[1:])), signed)

    @invariant()
    def the_ledger_agrees_with_the_model(self) -> None:
        """Each request has the one end of the model, no run calls twice, no approval is used twice, and the chain is complete."""
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
        assert self.ended == {run.plan.run_id: run.end.lower() for run in self.runs if run.end}
        assert all(run.calls <= 1 for run in self.runs)
        assert self.outcomes == self.passes


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=EXAMPLES // 2, stateful_step_count=STEPS)


def test_random_walks() -> None:
    """The same without Hypothesis: random walks resemble each other less and reach more states, but are not shrunk."""
    for seed in range(EXAMPLES):
        chance, machine = Random(seed), GateMachine()
        try:
            for step in (machine.request, *[machine.step] * STEPS):
                step(chance)
                machine.the_ledger_agrees_with_the_model()
        except AssertionError as wrong:
            wrong.add_note(f"by the walk of seed {seed}")
            raise
        finally:
            machine.teardown()

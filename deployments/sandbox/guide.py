"""Lead one run after the other from its start to its report, and put its questions to a person or answer them."""

import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.prefect_server import Form
from deployments.sandbox.leads import LEAD
from deployments.sandbox.narrator import Narrator
from deployments.sandbox.runs import Runs
from deployments.sandbox.stack import PROJECT, Stack

PATIENCE = 600.0  # seconds without an end or a question, on a very slow machine; usually 40
WAIT_FOR_PERSON = 24 * 3600.0  # seconds; the question itself expires earlier
REJECTED = "Rejected"


class Guide:
    """Runs of a running stack, told as they go."""

    def __init__(self, stack: Stack, runs: Runs, narrator: Narrator, *, unattended: bool) -> None:
        """`unattended`: answer as the demo lead, through the same API that the UI uses."""
        self.stack = stack
        self.narrator = narrator
        self._runs = runs
        self._unattended = unattended
        self._told_code = ""

    def proof(self) -> str:
        """The demo lead's next one-time code; waits for it where the present one was given before."""
        return self.stack.leads.fresh_code()

    def lead_alone(self, deployment: str, *, until: str) -> bool:
        """Start a deployment as its schedule would; it must ask nobody. True if it ended with the outcome `until`."""
        run = self._runs.start_by_schedule(deployment)
        self.narrator.say(f"The schedule of {deployment} starts a run: {self._link(run)}")
        ended = self.narrator.follow(self._runs, run, patience=PATIENCE)
        if isinstance(ended, Form):
            self.narrator.say("The run asks a person, although deployments/standing.yaml should cover it.")
            return False
        return self._conclude(run, ended) == until

    def lead(
        self, deployment: str, *, answer: Callable[[Form], dict[str, str]], example: str, **parameters: Any
    ) -> str:
        """Start a deployment that asks; gives the name of its outcome.

        `answer` is what the demo lead says to a question, `example` what a person may say to the first one.
        """
        run = self._start(deployment, parameters)
        outcome = self.narrator.follow(self._runs, run, patience=PATIENCE)
        while isinstance(outcome, Form):
            self._present(run, outcome, example)
            if self._unattended:
                self._answer(run, answer(outcome))
            patience = PATIENCE if self._unattended else WAIT_FOR_PERSON
            meanwhile = None if self._unattended else self._tell_code
            outcome = self.narrator.follow(self._runs, run, patience=patience, answered=outcome, meanwhile=meanwhile)
        return self._conclude(run, outcome)

    def accepts(self, outcome: str, wanted: str) -> bool:
        """Whether a run ended well: as wanted or, with a person at the form, rejected as told."""
        return outcome == wanted or (not self._unattended and outcome == REJECTED)

    def _start(self, deployment: str, parameters: dict[str, Any]) -> UUID:
        run = self._runs.start(deployment, parameters)
        self.narrator.say(f"Started {deployment}: {self._link(run)}")
        return run

    def _present(self, run: UUID, question: Form, example: str) -> None:
        """Show the question as the form shows it, and where to answer."""
        self.narrator.heading("The run waits for an answer")
        self.narrator.quote(question.text)
        if self._unattended:
            return
        show = self.narrator.say
        show(f"Open {self._link(run)} and press Resume. The form asks for:")
        for name, field in question.fields.items():
            choices = " or ".join(map(str, field.get("enum", [])))
            show(f"  · {field.get('title', name)}{f': {choices}' if choices else ''}")
        show(f"For example: {example}. Nothing is overwritten before.")
        show(f"Or answer from another terminal, in {PROJECT}, by SSH signature instead of digits:")
        program = f"PREFECT_API_URL={self.stack.api_url} {sys.executable} -m deployments.cli approve"
        show(f"  {program} {run} --name '{LEAD}' --key {self.stack.leads.key_file()}")
        show(f"You are {LEAD}. A phone would show you the six digits; here they are printed, each time they change.")

    def _answer(self, run: UUID, fields: dict[str, str]) -> None:
        """Answer as the demo lead, and say what, but for the digits."""
        said = ", ".join(f"{name}: {value}" for name, value in fields.items() if name != "proof")
        self.narrator.say(f"{LEAD} answers, through the API, with six digits as proof. {said}")
        self._runs.answer(run, fields)

    def _tell_code(self) -> None:
        """The demo lead's code, whenever there is a new one: a person needs half a minute to type."""
        code, left = self.stack.leads.code()
        if code != self._told_code:
            self._told_code = code
            self.narrator.say(f"{LEAD}'s six digits now: {code[:3]} {code[3:]} (others in {left:.0f} s)")

    def _conclude(self, run: UUID, ended: FlowRun) -> str:
        """Show the report; gives the name of the outcome."""
        report = self._runs.report(run)
        self.narrator.heading("Its report")
        self.narrator.quote(report or f"None. The end of {self.stack.programs['worker'].log}:")
        if not report:
            self.narrator.quote(self.stack.programs["worker"].last_words())
        return str(ended.state.name if ended.state else "")

    def _link(self, run: UUID) -> str:
        return f"{self.stack.ui_url}/runs/flow-run/{run}"

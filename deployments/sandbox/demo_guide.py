"""Starts the runs of the demo, answers their approval requests or shows how, and prints their reports."""

import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.prefect_server import Form
from deployments.sandbox.leads import LEAD
from deployments.sandbox.run_progress import Narrator
from deployments.sandbox.runs import Runs
from deployments.sandbox.stack import PROJECT, Stack

PATIENCE = 600.0  # seconds until a run ends or asks, on a very slow machine; usually 40
WAIT_FOR_PERSON = 24 * 3600.0  # seconds; the approval request expires earlier
REJECTED = "Rejected"


class Guide:
    """Runs on a running stack, printed as they progress."""

    def __init__(self, stack: Stack, runs: Runs, narrator: Narrator, *, unattended: bool) -> None:
        """`unattended`: answer as the demo lead, through the same API that the UI uses."""
        self.stack = stack
        self.narrator = narrator
        self._runs = runs
        self._unattended = unattended
        self._shown_code = ""

    def proof(self) -> str:
        """Return a one-time code of the demo lead; wait for the next one if the present one was used."""
        return self.stack.leads.fresh_code()

    def lead_alone(self, deployment: str, *, until: str) -> bool:
        """Start a deployment by its schedule, without an approval request. Return whether its outcome is `until`."""
        run = self._runs.start_by_schedule(deployment)
        self.narrator.say(f"The schedule of {deployment} starts a run: {self._link(run)}")
        ended = self.narrator.follow(self._runs, run, patience=PATIENCE)
        if isinstance(ended, Form):
            self.narrator.say("The run asks for an approval, although deployments/standing.yaml should cover it.")
            return False
        return self._report(run, ended) == until

    def lead(
        self, deployment: str, *, answer: Callable[[Form], dict[str, str]], example: str, **parameters: Any
    ) -> str:
        """Start a deployment that asks for an approval, and return its outcome.

        `answer` returns the demo lead's answer to a form, `example` is an answer to the first form.
        """
        run = self._start(deployment, parameters)
        outcome = self.narrator.follow(self._runs, run, patience=PATIENCE)
        while isinstance(outcome, Form):
            self._present(run, outcome, example)
            if self._unattended:
                self._answer(run, answer(outcome))
            patience = PATIENCE if self._unattended else WAIT_FOR_PERSON
            meanwhile = None if self._unattended else self._show_code
            outcome = self.narrator.follow(self._runs, run, patience=patience, answered=outcome, meanwhile=meanwhile)
        return self._report(run, outcome)

    def accepts(self, outcome: str, wanted: str) -> bool:
        """Return whether the outcome is as wanted or, with a person at the form, a rejection."""
        return outcome == wanted or (not self._unattended and outcome == REJECTED)

    def _start(self, deployment: str, parameters: dict[str, Any]) -> UUID:
        run = self._runs.start(deployment, parameters)
        self.narrator.say(f"Started {deployment}: {self._link(run)}")
        return run

    def _present(self, run: UUID, form: Form, example: str) -> None:
        """Print the text of the form, and how to answer."""
        self.narrator.heading("The run waits for an answer")
        self.narrator.quote(form.text)
        if self._unattended:
            return
        show = self.narrator.say
        show(f"Open {self._link(run)} and press Resume. The form asks for:")
        for name, field in form.fields.items():
            choices = " or ".join(map(str, field.get("enum", [])))
            show(f"  · {field.get('title', name)}{f': {choices}' if choices else ''}")
        show(f"For example: {example}. Nothing is overwritten before you approve.")
        show(f"Or answer with an SSH signature, in another terminal, in {PROJECT}:")
        program = f"PREFECT_API_URL={self.stack.api_url} {sys.executable} -m deployments.cli approve"
        show(f"  {program} {run} --name '{LEAD}' --key {self.stack.leads.key_file()}")
        show(f"You are {LEAD}. The six digits, which a phone would show, are printed here whenever they change.")

    def _answer(self, run: UUID, fields: dict[str, str]) -> None:
        """Answer as the demo lead, and print the answer without the digits."""
        shown = ", ".join(f"{name}: {value}" for name, value in fields.items() if name != "proof")
        self.narrator.say(f"{LEAD} answers through the API, with six digits as proof. {shown}")
        self._runs.answer(run, fields)

    def _show_code(self) -> None:
        """Print the demo lead's code whenever it changes."""
        code, left = self.stack.leads.code()
        if code != self._shown_code:
            self._shown_code = code
            self.narrator.say(f"{LEAD}'s six digits now: {code[:3]} {code[3:]} (valid for {left:.0f} s)")

    def _report(self, run: UUID, ended: FlowRun) -> str:
        """Print the report and return the outcome."""
        report = self._runs.report(run)
        self.narrator.heading("Report of the run")
        self.narrator.quote(report or f"There is no report. The end of {self.stack.programs['worker'].log}:")
        if not report:
            self.narrator.quote(self.stack.programs["worker"].last_words())
        return str(ended.state.name if ended.state else "")

    def _link(self, run: UUID) -> str:
        return f"{self.stack.ui_url}/runs/flow-run/{run}"

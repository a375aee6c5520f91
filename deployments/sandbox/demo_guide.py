"""Starts the runs of the demo, answers their approval requests or shows where, and prints their reports."""

import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.prefect_server import Form
from deployments.sandbox.desk_visitor import answer_at_desk
from deployments.sandbox.leads import LEAD, LEAD_EMAIL
from deployments.sandbox.run_progress import Narrator
from deployments.sandbox.runs import Runs
from deployments.sandbox.stack import PROJECT, Stack
from deployments.sandbox.typed_lines import TypedLines
from tasks.estate.errors import UnderstudyError

PATIENCE = 600.0  # seconds until a run ends or asks, on a very slow machine; usually 40
WAIT_FOR_PERSON = 24 * 3600.0  # seconds; the approval request expires earlier
REJECTED = "Rejected"


class Guide:
    """Runs on a running stack, printed as they progress."""

    def __init__(self, stack: Stack, runs: Runs, narrator: Narrator, *, unattended: bool) -> None:
        """`unattended`: answer as the demo lead, at the desk or through the API that Prefect's UI uses."""
        self.stack = stack
        self.narrator = narrator
        self._runs = runs
        self._unattended = unattended
        self._shown_code = ""
        self._typed = TypedLines()

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
        self,
        deployment: str,
        *,
        reason: str,
        at_desk: bool,
        arrival: Callable[[], dict[str, str]] | None = None,
        **parameters: Any,
    ) -> str:
        """Start a deployment that asks for an approval, and return its outcome.

        Unattended, the demo lead approves with this `reason`, at the desk or else in Prefect's form, and answers a request about
        the arrival with what `arrival` returns.
        """
        run = self._start(deployment, parameters)
        outcome = self.narrator.follow(self._runs, run, patience=PATIENCE)
        while isinstance(outcome, Form):
            self.narrator.heading("The run waits for an answer")
            if self._unattended or not outcome.approval:
                self.narrator.quote(outcome.text)
            if not self._unattended:
                self._present(run, outcome)
            elif outcome.approval:
                self._approve(run, outcome, reason, at_desk=at_desk)
            elif arrival is not None:
                self._answer(run, arrival())
            patience = PATIENCE if self._unattended else WAIT_FOR_PERSON
            meanwhile = None if self._unattended else self._attend
            outcome = self.narrator.follow(self._runs, run, patience=patience, answered=outcome, meanwhile=meanwhile)
        return self._report(run, outcome)

    def accepts(self, outcome: str, wanted: str) -> bool:
        """Return whether the outcome is as wanted or, with a person at the form, a rejection."""
        return outcome == wanted or (not self._unattended and outcome == REJECTED)

    def _start(self, deployment: str, parameters: dict[str, Any]) -> UUID:
        run = self._runs.start(deployment, parameters)
        self.narrator.say(f"Started {deployment}: {self._link(run)}")
        return run

    def _present(self, run: UUID, form: Form) -> None:
        """Print where and how to answer."""
        show = self.narrator.say
        if not form.approval:
            show(f"Answer in Prefect, as {LEAD}: {self.stack.ui_url}/runs/flow-run/{run} (press Resume)")
            show("The six digits, which a phone would show, are printed here whenever they change.")
            return
        show(f"Decide at the desk: {self._link(run)}/decide")
        show("  · Reject: a reason and one button. Nothing is overwritten.")
        show(
            f"  · Approve with a code: name {LEAD}, and the six digits that are printed here, as a phone would show them."
        )
        show(
            f"  · Approve with a passkey: make one on the desk's page Passkeys ({LEAD}, {LEAD_EMAIL}), paste the line that"
        )
        show("    it shows into this terminal, in place of the lead who would review it, and press Enter.")
        show(f"  · Without a browser, in {PROJECT}:")
        program = f"PREFECT_API_URL={self.stack.api_url} {sys.executable} -m deployments.cli approve"
        show(f"    {program} {run} --name '{LEAD}' --key {self.stack.leads.key_file()}")

    def _approve(self, run: UUID, form: Form, reason: str, *, at_desk: bool) -> None:
        """Approve as the demo lead, and print how, without the digits."""
        if not at_desk:
            self._answer(run, {"decision": form.approval, "reason": reason, "approver": LEAD, "proof": self.proof()})
            return
        self.narrator.say(f"{LEAD} approves at the desk, with six digits as proof. reason: {reason}")
        answer_at_desk(
            self.stack.desk_url, run, {"decision": "approve", "reason": reason, "name": LEAD, "code": self.proof()}
        )

    def _answer(self, run: UUID, fields: dict[str, str]) -> None:
        """Answer as the demo lead in Prefect's form, and print the answer without the digits."""
        shown = ", ".join(f"{name}: {value}" for name, value in fields.items() if name != "proof")
        self.narrator.say(f"{LEAD} answers through the API, with six digits as proof. {shown}")
        self._runs.answer(run, fields)

    def _attend(self) -> None:
        """Print the demo lead's code whenever it changes, and add a passkey whose line was typed here."""
        code, left = self.stack.leads.code()
        if code != self._shown_code:
            self._shown_code = code
            self.narrator.say(f"{LEAD}'s six digits now: {code[:3]} {code[3:]} (valid for {left:.0f} s)")
        if line := self._typed.next():
            try:
                self.stack.leads.add_passkey(line)
                self.narrator.say(
                    f"{LEAD}'s passkey is in the leads file. Open the request again, and approve with it."
                )
            except UnderstudyError as error:
                self.narrator.say(f"{error.message} {error.next_step}")

    def _report(self, run: UUID, ended: FlowRun) -> str:
        """Print the report and return the outcome."""
        report = self._runs.report(run)
        self.narrator.heading("Report of the run")
        self.narrator.quote(report or f"There is no report. The end of {self.stack.programs['worker'].log}:")
        if not report:
            self.narrator.quote(self.stack.programs["worker"].last_words())
        return str(ended.state.name if ended.state else "")

    def _link(self, run: UUID) -> str:
        """Return the page of a run at the desk: its steps as they run, and its outcome."""
        return f"{self.stack.desk_url}/runs/{run}"

"""The demo: a nightly refresh, then a promotion that waits for a person, on the sandbox."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.schemas.objects import FlowRun

from deployments.sandbox.narration import Narrator
from deployments.sandbox.runs import Question, Runs
from deployments.sandbox.stack import Stack

STAGING, PRODUCTION = "schulstage", "schulprod"
LEAD = "Demo Lead"
PATIENCE = 600.0  # seconds without an end or a question, on a very slow machine; usually 40
WAIT_FOR_PERSON = 24 * 3600.0  # seconds; the question itself expires earlier
VERIFIED, REJECTED = "Verified", "Rejected"


class Demo:
    """One performance on a running stack."""

    def __init__(self, stack: Stack, runs: Runs, narrator: Narrator, *, unattended: bool) -> None:
        """`unattended`: answer as the demo lead, through the same API that the UI uses."""
        self._stack = stack
        self._runs = runs
        self._narrator = narrator
        self._unattended = unattended

    def play(self) -> bool:
        """Refresh, then promote. True if both ended well: verified, or, with a person at the form, rejected as told."""
        good = self._refresh() and self._promote()
        self._narrator.heading("What became of it")
        self._show_estate()
        verdict = "done: every run ended well" if good else "FAILED"
        self._narrator.say(f"Demo {verdict}, after {self._narrator.elapsed:.0f} s.")
        return good

    def _refresh(self) -> bool:
        self._narrator.heading("1. The nightly refresh: staging becomes what production is")
        self._publish(PRODUCTION, "post", "An editor published a post on")
        run = self._runs.start("refresh/nightly-refresh")
        self._narrator.say(f"Started refresh/nightly-refresh: {self._link(run)}")
        ended = self._narrator.follow(self._runs, run, patience=PATIENCE)
        return self._conclude(run, ended, accepted={VERIFIED})

    def _promote(self) -> bool:
        self._narrator.heading("2. A promotion: newer files on staging go to production, if a person says yes")
        self._publish(STAGING, "files", "A developer published newer files on")
        run = self._runs.start("promote/promote", source=STAGING, destination=PRODUCTION, requested_by="the demo")
        self._narrator.say(f"Started promote/promote: {self._link(run)}")
        outcome = self._narrator.follow(self._runs, run, patience=PATIENCE)
        while isinstance(outcome, Question):
            self._present(run, outcome)
            if self._unattended:
                self._runs.answer(run, self._answer_to(outcome))
            patience = PATIENCE if self._unattended else WAIT_FOR_PERSON
            outcome = self._narrator.follow(self._runs, run, patience=patience, answered=outcome)
        accepted = {VERIFIED} if self._unattended else {VERIFIED, REJECTED}
        return self._conclude(run, outcome, accepted=accepted)

    def _present(self, run: UUID, question: Question) -> None:
        """Show the question as the form shows it, and where to answer."""
        self._narrator.heading("The run waits for an answer")
        self._narrator.quote(question.text)
        if self._unattended:
            self._narrator.say(f"{LEAD} answers, through the API.")
            return
        show = self._narrator.say
        show(f"Open {self._link(run)} and press Resume. The form asks for:")
        for name, field in question.fields.items():
            choices = " or ".join(map(str, field.get("enum", [])))
            show(f"  · {field.get('title', name)}{f': {choices}' if choices else ''}")
        show(f"For example: approve, your name, {PRODUCTION}, a reason. Nothing is overwritten before.")

    def _answer_to(self, question: Question) -> dict[str, str]:
        """What the demo lead answers: yes to the plan; and about the host's e-mail, what the emulated host knows."""
        if "decision" in question.fields:
            return {"decision": "approve", "approver": LEAD, "destination": PRODUCTION, "reason": "demo of a release"}
        versions = {name: site["files_version"] for name, site in self._estate().items()}
        landed = versions[STAGING] == versions[PRODUCTION]
        words = f"sandbox: files {versions[PRODUCTION]} on {PRODUCTION}, {versions[STAGING]} on {STAGING}"
        return {"email": "completed" if landed else "failed", "approver": LEAD, "words": words}

    def _conclude(self, run: UUID, ended: FlowRun | Question, *, accepted: set[str]) -> bool:
        """Show the report. True if the run ended with an accepted outcome."""
        if isinstance(ended, Question):
            self._narrator.say("The run asks a person, although deployments/standing.yaml should cover it.")
            return False
        report = self._runs.report(run)
        self._narrator.heading("Its report")
        self._narrator.quote(report or f"None. The end of {self._stack.programs['worker'].log}:")
        if not report:
            self._narrator.quote(self._stack.programs["worker"].last_words())
        state = ended.state
        return state is not None and state.name in accepted and (state.is_completed() or state.name == REJECTED)

    def _publish(self, install: str, kind: str, what: str) -> None:
        """Make the two sides differ, or there is nothing to see, and nothing that could prove an arrival."""
        self._admin("POST", "/_sandbox/publish", json={"install": install, "kind": kind})
        self._narrator.say(f"{what} {install}.")
        self._show_estate()

    def _link(self, run: UUID) -> str:
        return f"{self._stack.ui_url}/runs/flow-run/{run}"

    def _admin(self, method: str, path: str, **request: Any) -> Any:
        """The emulator's own back door, which the real host does not have."""
        with httpx.Client(base_url=self._stack.emulator_url, trust_env=False, timeout=10) as client:
            return client.request(method, path, **request).raise_for_status().json()

    def _estate(self) -> dict[str, dict[str, Any]]:
        """The installs of the emulated host by name."""
        installs: dict[str, dict[str, Any]] = self._admin("GET", "/_sandbox/estate")["installs"]
        return installs

    def _show_estate(self) -> None:
        installs = self._estate()
        for name in (PRODUCTION, STAGING):
            site = installs[name]
            newest = datetime.fromtimestamp(site["newest"], UTC)
            facts = (
                f"files {site['files_version']}, {site['totals']['posts']} posts, newest {newest:%Y-%m-%d %H:%M:%S} UTC"
            )
            self._narrator.say(f"  {name:<10} ({site['environment']}): {facts}")


def perform(stack: Stack, narrator: Narrator, *, unattended: bool) -> bool:
    """Deploy and play. True if all ended well."""
    stack.deploy()
    narrator.say("Deployed prefect.yaml: nightly-refresh, refresh, provision, promote, restore, diagnose")
    with Runs(stack.api_url) as runs:
        return Demo(stack, runs, narrator, unattended=unattended).play()

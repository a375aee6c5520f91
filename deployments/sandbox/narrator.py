"""Tell in the terminal, line by line, what happens to a run while it happens."""

import re
import time
from collections.abc import Callable
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.prefect_server import Form
from deployments.sandbox.runs import Runs

LOOK_EVERY = 0.5  # seconds
SILENT = 30.0  # seconds without a line, after which it is said for what the run waits
STEP_OF_PROGRESS = 20.0  # percent; smaller changes of a bar are not worth a line
NUMBER = re.compile(r"-[0-9a-f]{3}$")  # what Prefect adds to the name of a step to tell repetitions apart
ESCAPED = re.compile(r"\\([\\`*_\[\]<>#|!~])")


class TookTooLong(Exception):
    """A run neither ended nor asked within the demo's patience."""


class Narrator:
    """Prints lines with the time since it was made."""

    def __init__(self, show: Callable[[str], None] = print) -> None:
        """`show` gets every finished line."""
        self._show = show
        self._began = time.monotonic()
        self._told: set[str] = set()
        self._last = self._began  # when the last line was shown, monotonic

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """One line with the time."""
        self._last = time.monotonic()
        self._show(f"[{self.elapsed:5.0f} s] {text}")

    def heading(self, text: str) -> None:
        """A line that begins a chapter."""
        self._show("")
        self._show(f"── {text} " + "─" * max(3, 96 - len(text)))

    def quote(self, markdown: str) -> None:
        """A Markdown text, indented; escapes, which only a renderer needs, are taken out."""
        for line in _unescaped(markdown).rstrip().splitlines():
            self._show(f"    {line}".rstrip())

    def follow(
        self,
        runs: Runs,
        run: UUID,
        *,
        patience: float,
        answered: Form | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> FlowRun | Form:
        """Tell what the run does until it ends (gives the run) or asks (gives the question, if not the `answered` one).

        `meanwhile` is called between two looks while the answered question is open.

        Raises `TookTooLong` after `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            now = runs.run(run)
            self._tell(runs, now)
            if now.state is not None and now.state.is_final():
                self._tell(runs, now)
                return now
            question = runs.form(now)
            if question is not None and (answered is None or question.key != answered.key):
                return question
            if question is not None and meanwhile is not None:
                meanwhile()
            if question is None and time.monotonic() - self._last >= SILENT:
                self.say(f"  … {runs.obstacle(now)}")
            time.sleep(LOOK_EVERY)
        waits = runs.obstacle(runs.run(run))
        raise TookTooLong(f"Run {run} neither ended nor asked within {patience:.0f} s. {waits}")

    def _tell(self, runs: Runs, run: FlowRun) -> None:
        """Say what is new: the run's state, its steps, its progress."""
        for step in runs.steps(run.id):
            if step.state is not None and step.state.is_final() and step.state.name != "Cached":
                self._once(f"{step.id}{step.state.name}", f"  {_mark(step.state.name)} {NUMBER.sub('', step.name)}")
        for bar in runs.progress(run.id):
            percent = float(str(bar.data or 0))
            reached = int(percent // STEP_OF_PROGRESS)
            self._once(f"{bar.id}{reached}", f"  … {percent:3.0f} % {_unescaped(bar.description or '')}")
        if run.state is not None:
            message = f" ({run.state.message})" if run.state.is_final() and run.state.message else ""
            who = run.name if run.start_time else "the run"  # its name until it starts is two words by chance
            self._once(str(run.state.id), f"{who}: {run.state.name}{message}")

    def _once(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self.say(text)


def _unescaped(markdown: str) -> str:
    return ESCAPED.sub(r"\1", markdown)


def _mark(state: str | None) -> str:
    return "✓" if state == "Completed" else f"✗ ({state})"

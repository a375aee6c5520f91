"""Prints the progress of a run in the terminal."""

import time
from collections.abc import Callable
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.prefect_server import Form
from deployments.run_progress import Progress, unescaped
from deployments.sandbox.runs import Runs

LOOK_EVERY = 1.0  # second; each look is four requests to the server
SILENT = 30.0  # seconds without a line, after which the narrator prints what the run waits for


class TookTooLong(Exception):
    """A run neither ended nor asked for an approval in time."""


class Narrator:
    """Prints lines with the time since it was made."""

    def __init__(self, show: Callable[[str], None] = print) -> None:
        """`show` is called with every line."""
        self._show = show
        self._began = time.monotonic()
        self._printed: set[str] = set()
        self._progress: dict[UUID, Progress] = {}
        self._last = self._began  # when the last line was shown, monotonic

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Print one line with the elapsed time."""
        self._last = time.monotonic()
        self._show(f"[{self.elapsed:5.0f} s] {text}")

    def heading(self, text: str) -> None:
        """Print a heading."""
        self._show("")
        self._show(f"── {text} " + "─" * max(3, 96 - len(text)))

    def quote(self, markdown: str) -> None:
        """Print a Markdown text, indented and without escapes."""
        for line in unescaped(markdown).rstrip().splitlines():
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
        """Print the progress of a run until it ends (return the run) or shows another form than `answered` (return the form).

        `meanwhile` is called repeatedly while the answered form is open. Raise `TookTooLong` after `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            now = runs.run(run)
            self._show_progress(runs, now)
            if now.state is not None and now.state.is_final():
                self._show_progress(runs, now)
                return now
            form = runs.form(now)
            if form is not None and (answered is None or form.key != answered.key):
                return form
            if form is not None and meanwhile is not None:
                meanwhile()
            if form is None and time.monotonic() - self._last >= SILENT:
                self.say(f"  … {runs.obstacle(now)}")
            time.sleep(LOOK_EVERY)
        waits = runs.obstacle(runs.run(run))
        raise TookTooLong(f"Run {run} neither ended nor asked for an approval within {patience:.0f} s. {waits}")

    def _show_progress(self, runs: Runs, run: FlowRun) -> None:
        """Print what is new: the state of the run, its steps and its progress."""
        for line in self._progress.setdefault(run.id, Progress()).news(runs, run.id):
            self.say(f"  {line}")
        if run.state is not None:
            message = f" ({run.state.message})" if run.state.is_final() and run.state.message else ""
            who = run.name if run.start_time else "the run"  # until it starts, its name is random
            self._once(str(run.state.id), f"{who}: {run.state.name}{message}")

    def _once(self, key: str, text: str) -> None:
        if key not in self._printed:
            self._printed.add(key)
            self.say(text)

"""What is new about a run: the steps that ended and the bars that moved, as lines for the commands and for the demo."""

import re
from collections import Counter
from typing import Protocol
from uuid import UUID

from prefect.client.schemas.objects import Artifact, TaskRun

SUFFIX = re.compile(r"-[0-9a-f]{3}$")  # what Prefect adds to the name of a step
ESCAPED = re.compile(r"\\([\\`*_\[\]<>#|!~])")
STEP_OF_PROGRESS = 20.0  # percent; smaller changes of a bar are not reported
OF_A_KIND = 12  # steps of one kind that are reported; an export has hundreds, and a bar for all of them
FAILED_MARK = "✗"


class Steps(Protocol):
    """What is read from Prefect's server."""

    def steps(self, run: UUID) -> list[TaskRun]:
        """Return the steps of a run, oldest first."""

    def progress(self, run: UUID) -> list[Artifact]:
        """Return the bars of a run, oldest first."""


class Progress:
    """Reports each ended step and each move of a bar once.

    A run that was answered starts again from its beginning, so a step that ended before and ends again is not new.
    """

    def __init__(self) -> None:
        self._reported: set[tuple[str, ...]] = set()
        self._ended: Counter[str] = Counter()

    def news(self, server: Steps, run: UUID) -> list[str]:
        """Return a line for everything that is new since the last call."""
        return [*self._steps(server.steps(run)), *self._bars(server.progress(run))]

    def _steps(self, steps: list[TaskRun]) -> list[str]:
        lines = []
        for step in steps:
            if step.state is None or not step.state.is_final() or step.state.name == "Cached":
                continue
            name, how = step_name(step), str(step.state.name)
            if self._is_new("task", name, how):
                self._ended[step.task_key] += 1
                failed = how != "Completed"
                if failed or self._ended[step.task_key] <= OF_A_KIND:
                    lines.append(f"{FAILED_MARK} ({how}) {name}" if failed else f"✓ {name}")
        return lines

    def _bars(self, bars: list[Artifact]) -> list[str]:
        lines = []
        for bar in bars:
            percent = float(str(bar.data or 0))
            if self._is_new("bar", str(bar.id), str(percent // STEP_OF_PROGRESS)):
                lines.append(f"… {percent:3.0f} % {unescaped(bar.description or '')}")
        return lines

    def _is_new(self, *what: str) -> bool:
        new = what not in self._reported
        self._reported.add(what)
        return new


def step_name(step: TaskRun) -> str:
    """Return the name of a step without Prefect's suffix."""
    return SUFFIX.sub("", step.name)


def unescaped(markdown: str) -> str:
    """Return inert Markdown as it reads."""
    return ESCAPED.sub(r"\1", markdown)

"""A run while people watch it: its steps, the bars of those that move, and what it waits for if nothing happens."""

from dataclasses import dataclass
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State

from deployments.prefect_server import Server
from deployments.run_progress import step_name, unescaped


@dataclass(frozen=True)
class Progress:
    """A run, its steps in words, oldest first, the bars that move, and what it waits for: "" if it runs, asks or has ended."""

    run: FlowRun
    steps: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    obstacle: str = ""

    @property
    def state(self) -> State | None:
        """Its state in Prefect."""
        return self.run.state


def progress_of(server: Server, run: UUID) -> Progress:
    """Return what a run does now. Raises `NotFound` if Prefect does not have it."""
    found = server.run(run)
    steps: dict[str, str] = {}
    for each in server.steps(run):  # a run that was answered starts again: its steps are shown once, as they ended last
        if each.state_name != "Cached" or step_name(each) not in steps:
            steps[step_name(each)] = (each.state_name or "").lower()
    state = found.state
    if state is None or state.is_final() or state.is_paused():
        return Progress(found, _words(steps))
    if not state.is_running():
        return Progress(found, _words(steps), obstacle=str(server.obstacle(found)))
    bars = [(float(str(bar.data or 0)), unescaped(bar.description or "")) for bar in server.progress(run)]
    return Progress(found, _words(steps), tuple(f"{percent:.0f} %: {text}" for percent, text in bars if percent < 100))


def _words(steps: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}: {state}" for name, state in steps.items())

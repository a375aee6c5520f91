"""Follow a run until it asks or ends: report its steps and what it waits for, and stop after a limit."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from deployments.blocked_runs import Obstacle
from deployments.cli.output import INTERRUPTED, STILL_OPEN, Alert, Caution, Good, NoResult, Result, print_aside
from deployments.prefect_server import Form, Server, form_keys, link
from deployments.run_progress import FAILED_MARK, Progress


@dataclass(frozen=True)
class Limits:
    """How long to follow a run, in seconds. Clock and sleep are arguments for tests."""

    poll_every: float = 1.0
    early: float = 5.0  # before it is reported that nothing can pick the run up
    silent: float = 30.0  # without a change of state, before the obstacle is reported, and between two checks of it
    stuck: float = 600.0  # of the same obstacle that does not pass by itself
    longest: float = 86400.0  # in total: longer than any export, backup and copy together
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


LIMITS = Limits()


def follow(
    server: Server, deployment: str, parameters: Mapping[str, object], limits: Limits = LIMITS
) -> tuple[FlowRun, Form | None]:
    """Start a deployment and wait until its run asks or ends. Return the run, with its form if it asks.

    Reports states, steps and progress, and after `limits.silent` seconds without a change what the run waits for. Raise
    `NoResult` at Ctrl-C and at the limits; the run continues then.
    """
    return watch(server, start_run(server, deployment, parameters), limits=limits)


def start_run(server: Server, deployment: str, parameters: Mapping[str, object]) -> UUID:
    """Start a deployment, say so, and return the id of its run."""
    try:
        run = server.start(deployment, parameters)
    except KeyboardInterrupt:
        what = f"Interrupted while {deployment} was being started; whether its run exists is not known."
        raise NoResult(what, "Check `understudy waiting`, or the runs in Prefect's UI.", INTERRUPTED) from None
    print_aside(f"Started {deployment}: {link(run)}")
    return run


def watch(
    server: Server,
    run: UUID,
    *,
    answered: str = "",
    limits: Limits = LIMITS,
    enough: Callable[[FlowRun], bool] = lambda _: False,
) -> tuple[FlowRun, Form | None]:
    """Wait until a run asks or ends, as `follow` does. The form with the key `answered` is answered, or left to others.

    `enough` is called with each state of the run while it neither asks nor ends; the wait ends when it returns True.
    """
    watcher = Watcher(server, run, limits)
    if answered:  # the steps before the answer are no news
        watcher.ignore_past_steps()
    return watcher.wait(answered, enough)


class Watcher:
    """Follows one run: what was reported, and since when nothing has changed."""

    def __init__(self, server: Server, run: UUID, limits: Limits) -> None:
        """`limits` count from each call of `wait`."""
        self._server, self._run, self._limits = server, run, limits
        self._began = self._changed = self._checked = limits.clock()
        self._shown = ""  # name of the state that was reported last
        self._obstacle: Obstacle | None = None
        self._met = self._began  # when this obstacle was first met
        self._out_of_sight = False  # whether the last request to the server failed
        self._looked = False  # whether an obstacle was looked for
        self._progress = Progress()

    def wait(
        self, answered: str = "", enough: Callable[[FlowRun], bool] = lambda _: False
    ) -> tuple[FlowRun, Form | None]:
        """Wait as `watch` does. What an earlier call has reported is not repeated."""
        self._began = self._changed = self._checked = self._limits.clock()
        self._looked, self._obstacle = False, None
        with (
            interruptible(self._run),
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        ):  # Prefect's retries take longer
            while True:
                found = self._poll(answered, enough)
                if found is not None:
                    return found
                self._limits.sleep(self._limits.poll_every)

    def ignore_past_steps(self) -> None:
        """Do not report the steps that have ended by now."""
        self._progress.news(self._server, self._run)

    def _poll(self, answered: str, enough: Callable[[FlowRun], bool]) -> tuple[FlowRun, Form | None] | None:
        """Return the run if it asks or has ended; otherwise report what is new, and raise `NoResult` at the limits."""
        now: FlowRun | None = None
        try:
            now = self._server.run(self._run)
            form = self._server.form(now) if form_keys(now.state) else None
            self._report(now)
            if (form is not None and form.key != answered) or (now.state is not None and now.state.is_final()):
                return now, form
            if enough(now):
                return now, None
            if form is None:  # otherwise people are to answer, which is no obstacle
                self._look_for_obstacle(now)
        except httpx.HTTPStatusError as error:
            if error.response.status_code < 500:
                raise
            self._lose_sight(f"responds with {error.response.status_code}")
        except httpx.TransportError as error:
            self._lose_sight(f"does not respond ({type(error).__name__})")
        self._stop_at_limits(now)
        return None

    def _look_for_obstacle(self, now: FlowRun) -> None:
        """Meet what the run waits for, after a while; at first only whether anything can pick the run up at all."""
        clock = self._limits.clock()
        early = not self._looked and now.state is not None and now.state.is_scheduled()
        if clock - max(self._changed, self._checked) < (self._limits.early if early else self._limits.silent):
            return
        self._looked = True
        obstacle = self._server.obstacle(now)
        if not (early and obstacle.passes):
            self._checked = clock
            self._meet(obstacle)

    def _report(self, now: FlowRun) -> None:
        """Report what is new: steps and bars, and a state by its name. Prefect sets the state of a queued run again and again."""
        if self._out_of_sight:
            self._out_of_sight, self._obstacle = False, None
            print_aside("The Prefect server responds again.")
        ended = now.state is not None and now.state.is_final()
        if ended:
            self._report_steps()
        if state_name(now) != self._shown:
            self._shown = state_name(now)
            self._note_change()
            who = now.name if now.start_time else "The run"  # until it starts, its name is random
            print_aside(f"{who}: {self._shown}")
        if now.state is not None and (now.state.is_running() or now.state.is_paused()):
            self._report_steps()

    def _report_steps(self) -> None:
        for line in self._progress.news(self._server, self._run):
            self._note_change()
            print_aside(Caution(f"  {line}") if line.startswith(FAILED_MARK) else f"  {line}")

    def _note_change(self) -> None:
        self._changed, self._obstacle = self._limits.clock(), None

    def _lose_sight(self, how: str) -> None:
        self._out_of_sight = True
        self._meet(
            Obstacle(
                f"The Prefect server {how}; the run continues without it, as far as it can.",
                "Start the server again, or check PREFECT_API_URL and the network.",
            )
        )

    def _meet(self, obstacle: Obstacle) -> None:
        if obstacle != self._obstacle:
            self._obstacle, self._met = obstacle, self._limits.clock()
            print_aside(f"Waiting. {obstacle}")

    def _stop_at_limits(self, now: FlowRun | None) -> None:
        clock, obstacle = self._limits.clock(), self._obstacle
        stuck = obstacle is not None and not obstacle.passes and clock - self._met >= self._limits.stuck
        if not stuck and clock - self._began < self._limits.longest:
            return
        spent = clock - (self._met if stuck else self._began)
        state = f"in state {state_name(now)}" if now is not None else "out of sight"
        raise NoResult(
            f"No longer followed after {spent / 60:.0f} minutes: the run is {state} and neither asks nor ends. "
            f"{obstacle or ''}".strip(),
            _how_to_continue(self._run),
            STILL_OPEN,
            run=str(self._run),
            link=link(self._run),
        )


@contextmanager
def interruptible(run: UUID) -> Iterator[None]:
    """Turn Ctrl-C into a message that the run continues."""
    try:
        yield
    except KeyboardInterrupt:
        raise NoResult(
            f"Interrupted. The run continues: {link(run)}",
            _how_to_continue(run),
            INTERRUPTED,
            run=str(run),
            link=link(run),
        ) from None


def _how_to_continue(run: UUID) -> str:
    return (
        f"To follow it again: `understudy watch {run}`, or `prefect flow-run inspect {run}`. To end it: "
        f"`prefect flow-run cancel {run}`."
    )


def end_result(run: FlowRun) -> Result:
    """Return how a run ended: the name of its outcome and its message. `failed` unless it is completed."""
    message = str(run.state.message or "") if run.state else ""
    good = run.state is not None and run.state.is_completed()
    where, line = link(run.id), f"{state_name(run)}: {message}"
    document = {"run": str(run.id), "name": run.name, "link": where, "state": state_name(run), "message": message}
    return Result(document, [Good(line) if good else Alert(line), where], failed=not good)


def state_name(run: FlowRun) -> str:
    """Return the name of the run's state, which is the name of its outcome once it has ended."""
    return str(run.state.name if run.state else "unknown")

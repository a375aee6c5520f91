"""Follow a run from its start until it asks something or ends; say for what it waits, and do not wait for ever."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from deployments.cli.output import INTERRUPTED, STILL_OPEN, Ended, Loud, Told, aside
from deployments.obstacles import Obstacle
from deployments.prefect_server import Form, Server, form_keys, link


@dataclass(frozen=True)
class Patience:
    """How long to follow a run. Seconds each. Clock and sleep are arguments for tests."""

    every: float = 0.5  # between two looks at the run
    # Without a change of state, before the obstacle is named; looked at again as often.
    silent: float = 30.0
    stuck: float = 600.0  # of the same obstacle that does not pass by itself
    longest: float = 86400.0  # in all: longer than any export, backup and copy together
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


PATIENCE = Patience()


def follow(
    server: Server, deployment: str, parameters: Mapping[str, Any], patience: Patience = PATIENCE
) -> tuple[FlowRun, Form | None]:
    """Start a deployment and wait until its run asks something or ends. Return the run, with its form if it asks.

    Reports state changes on the way, and after 30 s without one for what the run waits. Raises `Ended` at Ctrl-C or past the
    limits of `patience`: the run goes on then.
    """
    try:
        run = server.start(deployment, parameters)
    except KeyboardInterrupt:
        what = f"Interrupted while {deployment} was being started; whether its run exists is not known."
        raise Ended(what, "Look with `understudy waiting`, or at the runs in Prefect's UI.", INTERRUPTED) from None
    aside(f"Started {deployment}: {link(run)}")
    return watch(server, run, patience=patience)


def watch(
    server: Server, run: UUID, *, answered: str = "", patience: Patience = PATIENCE
) -> tuple[FlowRun, Form | None]:
    """Wait until a run asks something or ends, as `follow`; the question with the key `answered` is not a new one."""
    with _leaving(run), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # each of Prefect's retries waits longer
        wait = _Wait(server, run, patience)
        while True:
            found = wait.look(answered)
            if found is not None:
                return found
            patience.sleep(patience.every)


class _Wait:
    """One wait for a run: what was shown, and since when nothing has changed."""

    def __init__(self, server: Server, run: UUID, patience: Patience) -> None:
        self._server, self._run, self._patience = server, run, patience
        self._began = self._changed = self._looked = patience.clock()
        self._shown = ""  # the name of the state that was shown last
        self._obstacle: Obstacle | None = None
        self._met = self._began  # when this obstacle was met first
        self._out_of_sight = False  # whether the server did not answer the last time

    def look(self, answered: str) -> tuple[FlowRun, Form | None] | None:
        """Return the run if it asks or has ended; else say what is new, and raise `Ended` past the limits."""
        now: FlowRun | None = None
        try:
            now = self._server.run(self._run)
            form = self._server.form(now) if form_keys(now.state) else None
            self._show(now)
            if (form is not None and form.key != answered) or (now.state is not None and now.state.is_final()):
                return now, form
            self._wonder(now)
        except httpx.HTTPStatusError as error:
            if error.response.status_code < 500:
                raise
            self._lose_sight(f"answers {error.response.status_code}")
        except httpx.TransportError as error:
            self._lose_sight(f"does not answer ({type(error).__name__})")
        self._end_if_over(now)
        return None

    def _show(self, now: FlowRun) -> None:
        """Report a new state. A queued run gets the same state again and again, so its name tells whether it is new."""
        if self._out_of_sight:
            self._out_of_sight, self._obstacle = False, None
            aside("The Prefect server answers again.")
        if state_name(now) != self._shown:
            self._shown = state_name(now)
            self._changed, self._obstacle = self._patience.clock(), None
            aside(f"{now.name}: {self._shown}")

    def _wonder(self, now: FlowRun) -> None:
        """Say for what the run waits if its state has not changed for a while."""
        clock = self._patience.clock()
        if clock - max(self._changed, self._looked) >= self._patience.silent:
            self._looked = clock
            self._meet(self._server.obstacle(now))

    def _lose_sight(self, how: str) -> None:
        self._out_of_sight = True
        self._meet(
            Obstacle(
                f"The Prefect server {how}; the run goes on without it, as far as it can.",
                "Start the server again, or check PREFECT_API_URL and the network.",
            )
        )

    def _meet(self, obstacle: Obstacle) -> None:
        clock = self._patience.clock()
        if obstacle != self._obstacle:
            self._obstacle, self._met = obstacle, clock
            aside(f"Waiting. {obstacle}")

    def _end_if_over(self, now: FlowRun | None) -> None:
        clock, obstacle = self._patience.clock(), self._obstacle
        stuck = obstacle is not None and not obstacle.passes and clock - self._met >= self._patience.stuck
        if not stuck and clock - self._began < self._patience.longest:
            return
        spent = clock - (self._met if stuck else self._began)
        state = f" in state {state_name(now)}" if now is not None else ""
        raise Ended(
            f"Not followed any longer after {spent / 60:.0f} minutes: the run is{state or ' out of sight'} and neither asks nor "
            f"ends. {obstacle or ''}".strip(),
            _again(self._run),
            STILL_OPEN,
            run=str(self._run),
            link=link(self._run),
        )


@contextmanager
def _leaving(run: UUID) -> Iterator[None]:
    """Turn Ctrl-C into an end that says that the run goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Ended(
            f"Interrupted. The run goes on: {link(run)}", _again(run), INTERRUPTED, run=str(run), link=link(run)
        ) from None


def _again(run: UUID) -> str:
    return (
        f"To look again: `understudy waiting`, or `prefect flow-run inspect {run}`. To end the run: "
        f"`prefect flow-run cancel {run}`."
    )


def told_end(run: FlowRun) -> Told:
    """How a run ended: the name of its outcome and its message. `failed` unless it is a good one."""
    message = str(run.state.message or "") if run.state else ""
    good = run.state is not None and run.state.is_completed()
    where, line = link(run.id), f"{state_name(run)}: {message}"
    document = {"run": str(run.id), "link": where, "state": state_name(run), "message": message}
    return Told(document, [line if good else Loud(line), where], failed=not good)


def state_name(run: FlowRun) -> str:
    """The name of the run's state, which is the name of its outcome once it has ended."""
    return str(run.state.name if run.state else "unknown")

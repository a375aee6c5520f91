"""Retry policies: which steps are repeated after a failure, how often and how soon; and which must not be."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from tasks.configuration.settings import load_settings
from tasks.estate.errors import RateLimited, Transient
from tasks.estate.polling import backoff, until

R = TypeVar("R")

LONGEST_PATIENCE = 120.0  # seconds; a longer Retry-After is left to the next attempt


def is_transient(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether the step that ended in `state` is retried: only after `Transient`.

    Reads the exception from `state.data`: `state.result()` in a synchronous predicate would never retry an async task.
    """
    return isinstance(state.data, Transient)


# Flows: only a person decides on a retry, which reads the ledger (and the marker of a load) and sends nothing twice.
FLOW: dict[str, Any] = {"retries": 0, "persist_result": True}

# Four retries after 1, 2, 4 and 8 s, each lengthened by up to half, and only after `Transient`.
RETRIES: dict[str, Any] = {
    "retries": 4,
    "retry_delay_seconds": exponential_backoff(1),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
}


# Above the approval gate: the body runs again after a resume, and these steps must return what they returned before the wait,
# on any machine. Prefect would store their results on the worker's disk; `kept_in_ledger` stores them in the ledger.
ABOVE_THE_GATE: dict[str, Any] = RETRIES | {"persist_result": False, "cache_policy": NO_CACHE}
BRIEF: dict[str, Any] = ABOVE_THE_GATE | {"timeout_seconds": 120}  # a few requests to the host; two minutes


# From the approval gate down: never a result from before the wait.
BELOW_THE_GATE: dict[str, Any] = RETRIES | {"persist_result": False, "cache_policy": NO_CACHE}


# Destructive: once. Each value is explicit, because Prefect has environment-wide defaults for retries and persistence.
ONCE: dict[str, Any] = {"retries": 0, "persist_result": False, "cache_policy": NO_CACHE}


@contextmanager
def honouring_retry_after() -> Iterator[None]:
    """Wait as long as the host asked before the failure reaches Prefect, so that no retry comes earlier."""
    try:
        yield
    except RateLimited as limited:
        if limited.retry_after:
            time.sleep(min(limited.retry_after, LONGEST_PATIENCE))
        raise


def poll(look: Callable[[], R | None], *, started: datetime, within: timedelta) -> R | None:
    """Return the first result of `look`, or None at the deadline. `Transient` means "not ready": one lost answer ends no wait."""

    def tolerant() -> R | None:
        try:
            with honouring_retry_after():
                return look()
        except Transient as trouble:
            logging.getLogger(__name__).warning("Polling continues: %s", trouble.message)
            return None

    pace = load_settings().pace
    return until(tolerant, deadline=started + within, started=started, every=lambda s: backoff(s, pace=pace))

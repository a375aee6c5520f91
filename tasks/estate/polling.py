"""Polling with a deadline and growing intervals. Clock and sleep are arguments."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def backoff(elapsed: float, *, pace: float = 1.0) -> float:
    """Return the seconds to the next poll: a tenth of the elapsed time, between 2 and 10 seconds at pace 1.

    So polling adds at most ten per cent or `10 * pace` seconds, whichever is less, to the time that the remote side takes.
    """
    return max(2.0 * pace, min(10.0 * pace, elapsed / 10))


def until(
    look: Callable[[], T | None],
    *,
    deadline: datetime,
    started: datetime,
    every: Callable[[float], float] = backoff,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> T | None:
    """Call `look` until it returns a value, and return that value, or None after `deadline`.

    `look` is called at least once, even after the deadline, so that a resumed process does not give up without a check.
    `every` maps the seconds since `started` to the seconds until the next call; the last sleep ends at the deadline.
    """
    while True:
        found = look()
        if found is not None:
            return found
        now = clock()
        left = (deadline - now).total_seconds()
        if left <= 0:
            return None
        sleep(min(left, every((now - started).total_seconds())))

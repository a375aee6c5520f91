"""Waiting as a value: a deadline, an interval that backs off, a look; clock and sleep are arguments."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


def utc_now() -> datetime:
    """The current time, UTC, to the microsecond."""
    return datetime.now(UTC)


def backoff(elapsed: float, *, pace: float = 1.0) -> float:
    """Seconds to the next look: a tenth of what has passed, between 2 and 10 seconds at pace 1.

    So polling adds at most ten per cent or `10 * pace` seconds, whichever is less, to what the remote side takes.
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
    """Call `look` until it returns something, and return that; None once `deadline` has passed.

    `look` runs at least once, even after the deadline: a resumed process must see before it judges. `every` maps the
    seconds since `started` to the seconds until the next look; the last sleep ends at the deadline.
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

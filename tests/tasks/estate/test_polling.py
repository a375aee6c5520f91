"""Polling: deadline, back-off, and at least one call."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.estate.polling import backoff, until

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeTime:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


def wait(time: FakeTime, finished_after: float, within: float) -> str | None:
    """Wait for something that appears `finished_after` seconds after the start."""
    return until(
        lambda: "there" if (time.now - START).total_seconds() >= finished_after else None,
        deadline=START + timedelta(seconds=within),
        started=START,
        clock=time.clock,
        sleep=time.sleep,
    )


@given(st.floats(0, 3000))
def test_polling_adds_at_most_ten_seconds_to_what_the_remote_side_takes(takes: float) -> None:
    """Whatever the remote side takes, the wait ends at most ten seconds later."""
    time = FakeTime()
    assert wait(time, takes, 5000) == "there"
    assert (time.now - START).total_seconds() - takes <= 10.0


@given(st.floats(1, 3000))
def test_an_overdue_wait_ends_at_its_deadline(within: float) -> None:
    """A wait without a result ends at the deadline, not after it."""
    time = FakeTime()
    assert wait(time, 1e9, within) is None
    assert abs((time.now - START).total_seconds() - within) < 0.01


def test_a_wait_resumed_after_its_deadline_still_polls_once() -> None:
    """A resumed process checks once before it gives up."""
    time = FakeTime()
    time.now += timedelta(hours=1)
    assert wait(time, 0, 10) == "there"
    assert time.slept == []


def test_intervals_grow_and_are_capped() -> None:
    """Polls come every two seconds at first and every ten seconds later."""
    assert [backoff(s) for s in (0, 50, 5000)] == [2.0, 5.0, 10.0]

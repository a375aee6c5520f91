"""Watch a copy or restore until the evidence is good enough, or the deadline has passed."""

import functools
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from tasks.capi.client import Client
from tasks.estate.errors import UnderstudyError
from tasks.estate.plans import Evidence, Plan, Receipt, Verdict
from tasks.estate.sites import Survey
from tasks.estate.waiting import backoff, until, utc_now
from tasks.probes.websites import Prober
from tasks.surveys.evidence import Reading, evaluate, read


class Watch:
    """Readings of one copy over time. A verdict needs two readings at least `gap` apart that agree."""

    def __init__(
        self,
        client: Client,
        prober: Prober,
        plan: Plan,
        receipt: Receipt,
        expected: Survey,
        *,
        gap: timedelta,
        host_done: datetime,
    ) -> None:
        """`host_done`: the moment from which the host's work on this call cannot still be going on."""
        self._look: Callable[[], Reading] = lambda: read(client, prober, plan, receipt, expected)
        self._measure: Callable[[], None] = lambda: client.refresh_usage(plan.pair.destination.id)
        self._gap = gap
        self._sent_at = receipt.sent_at
        self._host_done = host_done
        self._readings: list[tuple[datetime, Reading]] = []
        self._measured_at: datetime | None = None

    @property
    def latest(self) -> Reading | None:
        """The newest reading, if any."""
        return self._readings[-1][1] if self._readings else None

    def step(self) -> Verdict:
        """Read every rung once, and evaluate it with the newest reading that is at least `gap` older."""
        now = utc_now()
        reading = self._look()
        self._ask_for_a_measurement(now, reading)
        earlier = next((old for at, old in reversed(self._readings) if now - at >= self._gap), None)
        self._readings.append((now, reading))
        return evaluate(earlier, reading, host_had_its_time=now >= self._host_done)

    def _ask_for_a_measurement(self, now: datetime, reading: Reading) -> None:
        """The host measures storage when asked; ask again once per four gaps until the figure matches."""
        due = self._measured_at is None or now - self._measured_at >= 4 * self._gap
        if reading.seen(2) or not due:
            return
        try:
            self._measure()
            self._measured_at = now
        except UnderstudyError:
            return  # the rung stays unread; the other rungs may do

    def evidence(self, verdict: Verdict) -> Evidence:
        """The newest reading as evidence."""
        signals = self.latest.signals if self.latest else ()
        return Evidence(verdict=verdict, signals=signals, took_seconds=int((utc_now() - self._sent_at).total_seconds()))


def watch(
    watching: Watch,
    *,
    enough: Verdict,
    started: datetime,
    deadline: datetime,
    pace: float,
    show: Callable[[float, str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Evidence:
    """Read until the verdict is `enough` (or better); at the deadline return what there is."""
    last = Verdict.UNCONFIRMED
    good = {Verdict.CONFIRMED, Verdict.UNCHANGED, enough}

    def look() -> Verdict | None:
        nonlocal last
        last = watching.step()
        seen = [signal.name for signal in watching.latest.signals if signal.seen] if watching.latest else []
        show((utc_now() - started).total_seconds(), f"{last.value}; seen: {', '.join(seen) or 'nothing yet'}")
        return last if last in good else None

    every = functools.partial(backoff, pace=pace)
    # A look that began before the deadline does not show what was there at the deadline.
    until(look, deadline=deadline, started=started, every=every, sleep=sleep) or look()
    return watching.evidence(last)


def evaluate_twice(
    client: Client,
    prober: Prober,
    plan: Plan,
    receipt: Receipt,
    expected: Survey,
    *,
    gap: timedelta,
    host_done: datetime,
) -> Evidence:
    """Two readings `gap` apart and their verdict: for reconciling a copy whose run is over."""
    watching = Watch(client, prober, plan, receipt, expected, gap=gap, host_done=host_done)
    watching.step()
    time.sleep(gap.total_seconds())
    return watching.evidence(watching.step())

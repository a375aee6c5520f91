"""Watch a copy or restore until the evidence suffices or the deadline has passed."""

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from tasks.capi.client import Client
from tasks.estate.errors import UnderstudyError
from tasks.estate.plans import Evidence, Plan, Receipt, Verdict
from tasks.estate.polling import backoff, until, utc_now
from tasks.estate.sites import Survey
from tasks.ledger.facts import Planned
from tasks.ledger.ledger import Fact, Ledger
from tasks.surveys.arrival_evidence import Reading, evaluate, read
from tasks.websites.wordpress_site import Prober


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
        """`host_done`: the time after which the host cannot still be working on this call."""
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
        """Read all signals once, and evaluate them with the newest reading that is at least `gap` older."""
        now = utc_now()
        reading = self._look()
        self._request_measurement(now, reading)
        earlier = next((old for at, old in reversed(self._readings) if now - at >= self._gap), None)
        self._readings.append((now, reading))
        return evaluate(earlier, reading, host_finished=now >= self._host_done)

    def _request_measurement(self, now: datetime, reading: Reading) -> None:
        """Request a measurement of the storage, every four gaps until its rank is seen."""
        due = self._measured_at is None or now - self._measured_at >= 4 * self._gap
        if reading.seen(2) or not due:
            return
        try:
            self._measure()
            self._measured_at = now
        except UnderstudyError:
            return  # the other ranks may suffice

    def evaluate_twice(self) -> Evidence:
        """Return the evidence of two readings `gap` apart: for a copy whose run has ended."""
        self.step()
        time.sleep(self._gap.total_seconds())
        return self.evidence(self.step())

    def evidence(self, verdict: Verdict) -> Evidence:
        """Return the newest reading as evidence."""
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
    """Read until the verdict is `enough` or better, or until the deadline, and return the evidence."""
    last = Verdict.UNCONFIRMED
    good = {Verdict.CONFIRMED, Verdict.UNCHANGED, enough}

    def look() -> Verdict | None:
        nonlocal last
        last = watching.step()
        seen = [signal.name for signal in watching.latest.signals if signal.seen] if watching.latest else []
        show((utc_now() - started).total_seconds(), f"{last.value}; seen: {', '.join(seen) or 'nothing yet'}")
        return last if last in good else None

    every = functools.partial(backoff, pace=pace)
    # A reading that began before the deadline does not show the state at the deadline.
    until(look, deadline=deadline, started=started, every=every, sleep=sleep) or look()
    return watching.evidence(last)


def has_arrived(
    ledger: Ledger,
    sending: Fact,
    *,
    connect: Callable[..., AbstractContextManager[tuple[Client, Prober]]],
    gap: timedelta,
    host_within: timedelta,
) -> bool:
    """Return whether two readings `gap` apart settle the copy of a run that has ended. Takes about `gap`; changes nothing.

    It is settled if its arrival is confirmed, or if nothing differed before and nothing differs now, `host_within` after
    the call. `connect` is called, with the names of the installs, only if the ledger contains the call. Raise as the client
    does: `Transient`, `Misconfigured`.
    """
    planned = next(iter(ledger.facts(run_id=sending.run_id, kind=Planned.KIND)), None)
    receipt = ledger.receipt(sending.run_id) if planned else None
    if planned is None or receipt is None:
        return False
    plan, done = planned.as_(Planned).draft, receipt.sent_at + host_within
    with connect(plan.pair.source.name, plan.pair.destination.name) as (client, prober):
        watching = Watch(client, prober, plan, receipt, receipt.baseline.source, gap=gap, host_done=done)
        return watching.evaluate_twice().verdict in (Verdict.CONFIRMED, Verdict.UNCHANGED)

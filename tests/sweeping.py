"""Runs that wait in Prefect, with their facts in the ledger and a receiver of notices, for tests of the sweep."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Suspended

from deployments.sandbox.notice_receiver import Catcher
from flows.sweep import sweep
from tasks import locks, sweep_reports, sweeps
from tasks.configuration.settings import forget_settings
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Ledger
from tasks.runtime.other_runs import is_over
from tests.people import Run
from tests.raw_facts import raw_fact

HOUR = timedelta(hours=1)
PLANNED = {"verb": "promote", "pair": {"source": {"name": "schulstage"}, "destination": {"name": "schulprod"}}}


@flow(name="waiting")
def waiting() -> None:
    """A flow whose runs are never executed, only put into states."""


def put(run: Run, state: State[Any]) -> None:
    """Force a run into a state, as Prefect or a person would."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run.id), state, force=True)


def forget(run: Run) -> None:
    """Delete a run in Prefect."""
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(run.id))


class Sweeping:
    """A ledger, a receiver of notices, and runs in Prefect, to be swept."""

    def __init__(
        self, start: Callable[..., Run], ledger: Ledger, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.start, self.ledger, self.catcher, self._environment = start, ledger, catcher, monkeypatch

    def waiting(self) -> Run:
        """Return a run that is suspended."""
        run = Run(waiting, {})
        put(run, Suspended(timeout_seconds=3600))
        return run

    def planned(self) -> Run:
        """Return a suspended run with a plan."""
        run = self.waiting()
        self.ledger.record(raw_fact("planned", PLANNED), run_id=run.id, destination_id="d", plan="p")
        return run

    def asked(self, *, ago: timedelta, left: timedelta, run: Run | None = None, people: int = 1) -> Run:
        """Return a run that requested an approval some time ago, with some time left to answer."""
        run, now = run or self.planned(), utc_now()
        detail = {
            "at": (now - ago).isoformat(), "answer_by": (now + left).isoformat(), "verb": "promote", "code": "7K3F-92QD",
            "source_id": "s", "destination": "schulprod", "people": people, "requested_by": "Ada Admin",
        }  # fmt: skip
        self.ledger.record(raw_fact("asked", detail), run_id=run.id, destination_id="d", plan="p")
        return run

    def take(self, place: str, run: Run, now: datetime | None = None) -> None:
        """Lock an install for the run, without evidence from the host."""
        horizon = timedelta(days=1)
        self.ledger.take_lock(
            place, run.id, is_over=is_over, settles=lambda _: False, horizon=horizon, now=now or utc_now()
        )

    def set(self, name: str, value: str) -> None:
        """Change a setting of the worker."""
        self._environment.setenv(f"UNDERSTUDY_{name}", value)
        forget_settings()

    def kinds(self, run: Run) -> list[str]:
        """Return the kinds of a run's facts, without its plan and request."""
        kinds = [fact.kind for fact in self.ledger.facts(run_id=run.id)]
        return [kind for kind in kinds if kind not in ("planned", "asked")]

    @property
    def subjects(self) -> list[str]:
        """The subjects of all notices without their prefix, except digests."""
        subjects = [caught.subject.removeprefix("[Understudy] ") for caught in self.catcher.caught]
        return [subject for subject in subjects if not subject.startswith("20")]

    def steps(self) -> list[str]:
        """Run the steps of a sweep in the flow's order, without Prefect, which is faster. Return what is stuck."""
        steps = (
            sweeps.close_requests,
            sweeps.end_runs,
            sweeps.correct_states,
            sweeps.remind_people,
            locks.release_locks,
        )
        for step in steps:
            step.fn()
        return sweep_reports.report_stuck.fn()

    def sweep(self) -> Run:
        """Run the flow `sweep`, which must succeed."""
        run = self.start(sweep)
        assert run.state == "Swept", run.message
        return run


@pytest.fixture
def office(start: Callable[..., Run], ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweeping]:
    """A ledger with a receiver of notices, and runs in Prefect."""
    with Catcher() as catcher:
        made = Sweeping(start, ledger, catcher, monkeypatch)
        made.set("NOTICES", catcher.url)
        yield made
    forget_settings()

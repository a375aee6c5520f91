"""Locks: keep the two installs of a plan for one run at a time, in every flow, and release what ended runs left."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import task

from tasks.configuration.estate_settings import has_account
from tasks.configuration.settings import load_settings
from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import DestinationBusy, UnderstudyError
from tasks.estate.plans import Plan
from tasks.estate.polling import utc_now
from tasks.estate.sites import Install
from tasks.ledger.approval_requests import close_own
from tasks.ledger.facts import LoadPlanned, LockReleased
from tasks.ledger.ledger import OLD, RECONCILED, Fact
from tasks.runtime.current_run import this_run
from tasks.runtime.other_runs import is_over
from tasks.runtime.resources import open_clients, open_ledger, scaled
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.surveys.arrival_watch import has_arrived


def require_free(*installs: Install, undoes: str = "") -> None:
    """Raise `DestinationBusy` naming install and run if the lock could not be taken now, by the same test as at the call.

    Called before the backup and before anybody is asked: a plan that is drafted while another copy runs is stale when that copy
    ends. If this run has an open approval request, the request is closed. `undoes` names the run that a restore undoes: its call
    may be unproven, but the run must be over.
    """
    ledger = open_ledger()
    try:
        for install in installs:
            ledger.require_takeable(
                install.id,
                this_run(),
                name=install.name,
                is_over=is_over,
                settles=_has_arrived,
                horizon=scaled(load_settings().lock_horizon),
                now=utc_now(),
                undoes=undoes,
            )
    except DestinationBusy as busy:
        close_own(ledger, this_run(), busy.message)
        raise


@contextmanager
def locked(plan: Plan, *, undoes: str = "") -> Iterator[None]:
    """Lock source and destination while the block runs. Raises `DestinationBusy` naming the run that has a lock.

    The source is locked too: a refresh of staging must not run while staging is promoted. After an exception or a suspension the
    lock stays while the run's own copy is not settled. The lock of a run that is over is taken only after reconciling with the
    remote side. `undoes` names the run that this restore undoes: if that run is over, the approval of this plan settles its call.
    """
    ledger = open_ledger()
    names = {install.id: install.name for install in (plan.pair.source, plan.pair.destination)}
    taken: list[str] = []
    try:
        for install_id in sorted(names):  # sorted: two runs never wait for each other
            ledger.take_lock(
                install_id,
                plan.run_id,
                name=names[install_id],
                is_over=is_over,
                settles=_has_arrived,
                horizon=scaled(load_settings().lock_horizon),
                now=utc_now(),
                undoes=undoes,
            )
            taken.append(install_id)
        yield
    finally:
        for install_id in taken:
            ledger.release_lock(install_id, plan.run_id)


@contextmanager
def locked_target(plan: LoadPlan) -> Iterator[None]:
    """Lock the target of a load while the block runs. Raises `DestinationBusy` naming the run that has the lock.

    The lock of a run that is over can be taken: a load that still runs has a lock in the database itself, which ends with its
    connection, and a load requests that one first.
    """
    ledger = open_ledger()
    ledger.take_lock(
        plan.destination_id,
        plan.run_id,
        name=plan.destination_name,
        is_over=is_over,
        settles=lambda sending: True,
        horizon=scaled(load_settings().lock_horizon),
        now=utc_now(),
    )
    try:
        yield
    finally:
        ledger.release_lock(plan.destination_id, plan.run_id)


def _has_arrived(sending: Fact) -> bool:
    """Return whether the remote side proves that the copy of an ended run arrived."""
    settings = load_settings()
    return has_arrived(
        open_ledger(),
        sending,
        connect=open_clients,
        gap=scaled(settings.settle_gap),
        host_within=scaled(settings.copy_within),
    )


@task(name="Release what ended runs hold", **BELOW_THE_GATE)
def release_locks() -> list[str]:
    """Release every lock of a run that is over and whose call, if it made one, is settled or proven now.

    The remote side proves a copy; one that is older than the lock horizon counts as settled. A load needs no proof: it ends with
    its connection. `sweep_reports.report_stuck` reports what stays held. Returns a sentence for each released lock.
    """
    ledger, released = open_ledger(), []
    for lock in ledger.locks():
        if not is_over(lock.run_id):
            continue
        sending = ledger.unsettled(lock.run_id)
        why = "its run is over" if sending is None else _settle(sending)
        if not why or not is_over(lock.run_id):  # reconciling takes a minute, and the run may have been retried
            continue
        ledger.release_lock(lock.install_id, lock.run_id)
        ledger.record(LockReleased(why=why), run_id=lock.run_id, destination_id=lock.install_id)
        released.append(f"{lock.install_id}, held by run {lock.run_id}: {why}")
    return released


def _settle(sending: Fact) -> str:
    """Record that the call of an ended run is settled, and return why; "" if that is not proven."""
    ledger = open_ledger()
    if ledger.facts(run_id=sending.run_id, kind=LoadPlanned.KIND):
        how = "a load ends with its connection, and its run is over"
    elif utc_now() - sending.at > scaled(load_settings().lock_horizon):
        how = OLD
    else:
        try:
            if not has_account():  # a worker for databases only cannot ask the host
                return ""
            if not _has_arrived(sending):
                return ""
        except UnderstudyError:  # the host does not answer: the next sweep asks again
            return ""
        how = RECONCILED
    ledger.settle(sending, how)
    return how

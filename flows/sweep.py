"""Sweep: every quarter of an hour, do what waiting and lost runs cannot do, because they have no process."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import automations, leads, locks, reports, restores, sweep_reports, sweeps


@flow(
    name="sweep",
    flow_run_name="sweep",
    retries=0,  # the next sweep is the retry
    persist_result=False,  # ninety-six results a day are not worth storing
)
@reports.ends_with_report
def sweep() -> State[Any]:
    """Verify the ledger; close approval requests and remind of them, end their runs, release locks, report what needs attention."""
    problems = sweep_reports.verify_ledger()
    if problems:
        return sweep_reports.report_broken_ledger(problems)  # no action on the basis of a ledger that somebody changed
    closed = sweeps.close_requests()
    ended = sweeps.end_runs()
    corrected = sweeps.correct_states()
    reminded = sweeps.remind_people()
    released = locks.release_locks()
    found = sweep_reports.report_findings([*automations.find_harmful(), *sweep_reports.find_undelivered()])
    stuck = sweep_reports.report_stuck()
    suspended = leads.compare_leads()
    restores.offer_runs()
    digest = sweep_reports.send_digest(stuck)
    return sweep_reports.report_sweep(
        closed=closed,
        ended=ended,
        corrected=corrected,
        found=found,
        reminded=reminded,
        released=released,
        stuck=stuck,
        suspended=suspended,
        digest=digest,
    )

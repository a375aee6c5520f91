"""Sweep: every quarter of an hour, do for waiting and lost runs what no process does for them."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import automations, leads, reports, sweeps, upkeep


@flow(
    name="sweep",
    flow_run_name="sweep",
    retries=0,  # the next sweep is the retry
    persist_result=False,  # nothing is worth keeping ninety-six times a day
)
@reports.ends_with_report
def sweep() -> State[Any]:
    """Verify the ledger; close and remind of questions, end their runs, release locks, report what is stuck, suspend leavers."""
    problems = upkeep.verify_ledger()
    if problems:
        return upkeep.report_broken_ledger(problems)  # nothing is done on the word of a ledger that somebody changed
    closed = sweeps.close_requests()
    ended = sweeps.end_runs()
    corrected = sweeps.correct_states()
    reminded = sweeps.remind_people()
    released = upkeep.release_locks()
    found = upkeep.report_findings([*automations.find_harmful(), *upkeep.find_undelivered()])
    stuck = upkeep.report_stuck()
    suspended = leads.compare_leads()
    digest = upkeep.send_digest(stuck)
    return upkeep.report_sweep(
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

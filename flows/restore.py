"""Restore: the inverse of promote. Put back the backup that a run recorded before it copied."""

from datetime import timedelta
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import approvals, backups, caches, checks, installs, locks, reports, restores
from tasks.estate.forms import asked
from tasks.estate.plans import CopyOptions

SETTLES = "Approving this also settles the earlier run: whatever became of its copy, the backup is put back over it."


@flow(
    name="restore",
    flow_run_name="restore what {promotion} overwrote",
    retries=0,  # a retry is a person's decision, and meets the ledger
    persist_result=True,
)
@reports.concluding
def restore(
    promotion: Annotated[
        str,
        asked(
            "Run to undo",
            "Flow run id of the promotion (or refresh); its report shows it.",
            min_length=36,
            max_length=36,
        ),
    ],
    database: Annotated[
        bool,
        asked(
            "Restore the database too",
            "Off: files only. Orders and posts made since are lost when on.",
        ),
    ] = True,
    answer_within: Annotated[timedelta, asked("Answer within", "How long the question stays open.")] = timedelta(
        hours=8
    ),
    requested_by: Annotated[str, asked("Requested by", "Your name, for the ledger.", max_length=80)] = "",
) -> State[Any]:
    """Put back what a promotion overwrote: back up the present state, ask, restore once, prove, verify."""
    options = CopyOptions(files=True, database=database)
    recorded = restores.resolve_recorded(promotion)
    pair = restores.resolve_destination(recorded)
    comparison = installs.compare_installs(pair, options)
    backup = backups.await_backup(backups.request_backup(pair.destination, "before a restore"))
    plan = installs.draft_plan(
        "restore", pair, comparison, backup, options, requested_by=requested_by, restore=recorded.backup.id
    )
    approved = approvals.ask(plan, comparison, within=answer_within, notes=(SETTLES,))
    before = restores.state_before(promotion)
    with locks.held(plan, settles=promotion):
        receipt = restores.send_restore(plan, approved)
        evidence = restores.await_restore(plan, receipt, before)
        evidence = approvals.ask_arrival(plan, receipt, evidence, within=answer_within)
    caches.purge_cache(pair.destination)
    return reports.conclude(plan, approved, evidence, checks.verify_site(plan, before))

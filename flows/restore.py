"""Restore: undo a promotion. Put back the backup that a run recorded before it copied."""

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import after_copy, approvals, arrivals, backups, caches, checks, copies, installs, locks, reports, restores
from tasks.estate.flow_parameters import ANSWER_WITHIN, CHOICE, AnswerWithin, Requester, asked
from tasks.estate.plans import CopyOptions
from tasks.runtime import retries, run_names


@flow(name="restore", flow_run_name=run_names.of_restore, **retries.FLOW)
@reports.ends_with_report
def restore(
    promotion: Annotated[
        str,
        asked(
            "Run to undo",
            "Id of the run that overwrote the install; its report contains it.",
            form={"minLength": 36, "maxLength": 36},
            max_length=CHOICE,
        ),
    ],
    requested_by: Requester,
    approval: Annotated[
        Literal["ask", "pre-authorised"],
        asked("Approval", "ask: people answer in this run. pre-authorised: the promotion's approval permits it."),
    ] = "ask",
    database: Annotated[
        bool, asked("Restore the database too", "Off: files only. On: orders and posts made since are lost.")
    ] = True,
    answer_within: AnswerWithin = ANSWER_WITHIN,
) -> State[Any]:
    """Put back what a promotion overwrote: back up the present state, ask, restore once, prove, verify."""
    options = CopyOptions(files=True, database=database)
    promotion = restores.resolve_run(promotion)
    recorded = restores.resolve_recorded(promotion)
    pair = restores.resolve_destination(recorded)
    locks.require_free(pair.destination, undoes=promotion)
    comparison = installs.compare_installs(pair, options)
    backup = backups.await_backup(backups.request_backup(pair.destination, "before a restore"))
    steps = after_copy.plan_steps(pair, options, recorded)
    plan = installs.draft_plan(
        "restore",
        pair,
        comparison,
        backup,
        options,
        requested_by=requested_by,
        restore=recorded.backup.id,
        after_copy=steps,
    )
    approved = approvals.ask_or_preauthorised(plan, comparison, promotion, mode=approval, within=answer_within)
    before = restores.state_before(promotion)
    with locks.locked(plan, undoes=promotion):
        receipt = restores.send_restore(plan, approved, backups.fresh_backup(plan))
        evidence = copies.await_arrival(plan, receipt, before)
        evidence = arrivals.ask_arrival(plan, receipt, evidence, within=answer_within)
        taken = after_copy.take_steps(plan, receipt, evidence)
    purged_at = caches.purge_cache(pair.destination)
    after_copy.require_done(plan, taken)
    return reports.report_outcome(
        plan, approved, evidence, checks.verify_site(plan, receipt, purged_at, expected=before), taken
    )

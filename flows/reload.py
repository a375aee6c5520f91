"""Reload staging's database from production: make an anonymized dump and load it."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import approvals, exports, loads, locks, reports
from tasks.estate.dumps import require_choices
from tasks.estate.flow_parameters import (
    ANSWER_WITHIN,
    AnswerWithin,
    Attachments,
    LoadedChoice,
    PolicyName,
    Readers,
    RequestedBy,
    StagingHostname,
    StandingOrAsk,
)
from tasks.estate.form_choices import chosen_database
from tasks.runtime import load_target, retries, run_names, task_runners


@flow(
    name="reload",
    flow_run_name=run_names.of_load("reload {hostname} from {policy}"),
    task_runner=task_runners.for_exports(),
    **retries.FLOW,
)
@reports.ends_with_report
def reload(
    hostname: StagingHostname,
    policy: PolicyName = "schulportal",
    approval: StandingOrAsk = "ask",
    readers: Readers = "stay",
    attachments: Attachments = True,
    answer_within: AnswerWithin = ANSWER_WITHIN,
    requested_by: RequestedBy = "",
    loaded: LoadedChoice = "",
) -> State[Any]:
    """Export production anonymized and load it into staging; every anonymizer on. For the nightly schedule."""
    policy, hostname = chosen_database(loaded, policy, hostname)
    loads.require_import_allowed()
    with load_target.audit_refusals("a dump of this run", policy, requested_by=requested_by):
        chosen = require_choices(attachments=attachments, off=[], risk_phrase="")
        loads.require_target(hostname, policy)
        if not exports.recorded_dump():
            with exports.snapshot(policy) as snapshot:
                plan = exports.plan_export(policy, chosen, snapshot, requested_by=requested_by)
                exports.collect_secrets(plan, snapshot)
                parts = exports.extract_all(plan, snapshot)
            exports.bundle_dump(plan, parts)
        facts = exports.require_dump()
        load_plan = loads.plan_load(facts, policy, hostname, chosen, readers=readers, requested_by=requested_by)
        approved = approvals.ask_load(load_plan, mode=approval, within=answer_within)
        with locks.locked_target(load_plan):
            done = loads.load_once(load_plan, approved, policy)
    return reports.report_load(load_plan, approved, done)

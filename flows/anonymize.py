"""Anonymize: export production's database to one dump; personal data is replaced before it leaves the server."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import exports, reports
from tasks.estate.dumps import require_choices
from tasks.estate.flow_parameters import Anonymizers, Attachments, PolicyName, RequestedBy, RiskPhrase, asked
from tasks.runtime import retries, task_runners


@flow(name="anonymize", flow_run_name="anonymize {policy}", task_runner=task_runners.for_exports(), **retries.FLOW)
@reports.ends_with_report
def anonymize(
    policy: PolicyName = "schulportal",
    attachments: Attachments = True,
    off: Annotated[Anonymizers, asked("Switch anonymizers OFF", "Empty: all on. Needs the risk phrase below.")] = [],  # noqa: B006  # Prefect builds the form from it and never mutates it
    risk_phrase: RiskPhrase = "",
    requested_by: RequestedBy = "",
) -> State[Any]:
    """Export production into one anonymized dump: plan, prove, extract masked in one snapshot, bundle, read back."""
    chosen = require_choices(attachments=attachments, off=list(off), risk_phrase=risk_phrase)
    with exports.snapshot(policy) as snapshot:
        plan = exports.plan_export(policy, chosen, snapshot, requested_by=requested_by)
        exports.collect_secrets(plan, snapshot)
        parts = exports.extract_all(plan, snapshot)
    dump = exports.bundle_dump(plan, parts)
    return reports.report_export(plan, dump)

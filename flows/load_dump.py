"""Load a dump into staging: checked, planned, approved, then everything in one transaction that is verified first."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import approvals, loads, locks, reports
from tasks.estate.dumps import require_choices
from tasks.estate.flow_parameters import (
    ANSWER_WITHIN,
    Anonymizers,
    AnswerWithin,
    LoadedChoice,
    PolicyName,
    Readers,
    RequestedBy,
    RiskPhrase,
    StagingHostname,
    StandingOrAsk,
    asked,
)
from tasks.estate.form_choices import chosen_database
from tasks.runtime import load_target, retries, run_names


@flow(name="load_dump", flow_run_name=run_names.of_load("load a dump into {hostname}"), **retries.FLOW)
@reports.ends_with_report
def load_dump(
    hostname: StagingHostname,
    dump: Annotated[str, asked("Dump", "Path or URL; latest: the newest one of the policy's application.")] = "latest",
    policy: PolicyName = "schulportal",
    approval: StandingOrAsk = "ask",
    readers: Readers = "stay",
    off: Annotated[
        Anonymizers, asked("Leave RAW values raw", "Only for a raw dump. Empty: all replaced. Needs the risk phrase.")
    ] = [],  # noqa: B006  # Prefect builds the form from it and never mutates it
    risk_phrase: RiskPhrase = "",
    answer_within: AnswerWithin = ANSWER_WITHIN,
    requested_by: RequestedBy = "",
    loaded: LoadedChoice = "",
) -> State[Any]:
    """Replace staging's data by a dump: check it, prove the target, ask, load and verify in one transaction, commit."""
    policy, hostname = chosen_database(loaded, policy, hostname)
    loads.require_import_allowed()
    with load_target.audit_refusals(dump, policy, requested_by=requested_by):
        chosen = require_choices(attachments=True, off=list(off), risk_phrase=risk_phrase)
        facts = loads.check_dump(dump, policy)
        plan = loads.plan_load(facts, policy, hostname, chosen, readers=readers, requested_by=requested_by)
        approved = approvals.ask_load(plan, mode=approval, within=answer_within)
        with locks.locked_target(plan):
            done = loads.load_once(plan, approved, policy)
    return reports.report_load(plan, approved, done)

"""Reload staging's database from production: an anonymized dump is made and loaded, in a row."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import approvals, choices, exports, loads, locks, reports, runners
from tasks.estate.forms import asked


@flow(
    name="reload",
    flow_run_name="reload {hostname} from {policy}",
    retries=0,  # a retry is a person's decision, and meets the ledger and the marker
    persist_result=True,
    task_runner=runners.for_exports(),
)
@reports.concluding
def reload(
    hostname: Annotated[
        str,
        asked(
            "Staging hostname",
            "Type it: it is compared with the real target of this worker.",
            min_length=1,
            max_length=255,
        ),
    ],
    policy: Annotated[
        str, asked("Policy", "Name of the masking policy, one for each application.", min_length=1, max_length=40)
    ] = "schulportal",
    approval: Annotated[
        Literal["ask", "standing"],
        asked("Approval", "ask: a person answers in this run. standing: the reviewed file must cover this pair."),
    ] = "ask",
    readers: Annotated[
        Literal["stay", "wait"],
        asked("Readers of staging", "stay: they see the old data until the commit. wait: faster, they wait."),
    ] = "stay",
    attachments: Annotated[
        bool, asked("Include attachments", "Off: a smaller dump; rows stay, their content is not read.")
    ] = True,
    answer_within: Annotated[timedelta, asked("Answer within", "How long the question stays open.")] = timedelta(
        hours=8
    ),
    requested_by: Annotated[str, asked("Requested by", "Your name, for the ledger.", max_length=80)] = "",
) -> State[Any]:
    """Export production anonymized and load it into staging; every anonymizer on. For the nightly schedule."""
    loads.open_gate()
    with loads.audited("a dump of this run", policy, requested_by=requested_by):
        chosen = choices.require_choices(attachments=attachments, off=[], risk_phrase="")
        loads.meet_target(hostname)
        if not exports.recall_dump():
            with exports.snapshot() as held:
                plan = exports.plan_export(policy, chosen, held, requested_by=requested_by)
                exports.collect_secrets(plan, held)
                parts = exports.extract_all(plan, held)
            exports.bundle_dump(plan, parts)
        facts = exports.require_dump()
        load_plan = loads.plan_load(facts, policy, hostname, chosen, readers=readers, requested_by=requested_by)
        approved = approvals.ask_load(load_plan, mode=approval, within=answer_within)
        with locks.held_target(load_plan):
            loaded = loads.load_once(load_plan, approved, policy)
    return reports.conclude_load(load_plan, approved, loaded)

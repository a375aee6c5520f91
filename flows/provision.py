"""Provision a new staging install: create it, wait until it is active, then the steps of a refresh."""

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import after_copy, approvals, backups, caches, checks, copies, installs, locks, reports
from tasks.estate.flow_parameters import ANSWER_WITHIN, AnswerWithin, RequestedBy, asked, install
from tasks.estate.form_choices import chosen_name
from tasks.estate.plans import CopyOptions
from tasks.estate.sites import Direction, Environment
from tasks.runtime import retries, run_names


@flow(name="provision", flow_run_name=run_names.of_place("provision {name} from {source}"), **retries.FLOW)
@reports.ends_with_report
def provision(
    source: Annotated[str, install("Source install", "Install to copy from, by name.")],
    name: Annotated[
        str,
        asked(
            "Name of the new install",
            "3 to 14 lowercase letters and digits, a letter first.",
            pattern="^[a-z][a-z0-9]{2,13}$",
        ),
    ],
    environment: Annotated[
        Literal["staging", "development"], asked("Environment", "Role of the new install.")
    ] = "staging",
    answer_within: AnswerWithin = ANSWER_WITHIN,
    requested_by: RequestedBy = "",
) -> State[Any]:
    """Create a staging install next to production, wait until it is active, and fill it: ask, copy once, prove, verify."""
    source = chosen_name(source)
    origin = installs.resolve_install(source)
    locks.require_free(origin)
    created = installs.create_install(origin, name, Environment(environment))
    installs.await_install(created)
    options = CopyOptions()
    pair = installs.resolve_pair(source, name, Direction.DOWN)
    locks.require_free(pair.destination)
    comparison = installs.compare_installs(pair, options)
    backup = backups.await_backup(backups.request_backup(pair.destination, "before the first copy"))
    steps = after_copy.plan_steps(pair, options)
    plan = installs.draft_plan(
        "provision", pair, comparison, backup, options, requested_by=requested_by, after_copy=steps
    )
    approved = approvals.ask(plan, comparison, within=answer_within)
    with locks.locked(plan):
        receipt = copies.send_copy(plan, approved, backups.fresh_backup(plan))
        evidence = copies.require_arrival(plan, copies.await_arrival(plan, receipt))
        taken = after_copy.take_steps(plan, receipt, evidence)
    purged_at = caches.purge_cache(pair.destination)
    after_copy.require_done(plan, taken)
    return reports.report_outcome(plan, approved, evidence, checks.verify_site(plan, receipt, purged_at), taken)

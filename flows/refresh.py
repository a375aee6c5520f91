"""Refresh staging from production: backed up, approved, copied once, proven, verified."""

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import after_copy, approvals, backups, caches, checks, copies, installs, locks, reports
from tasks.estate.flow_parameters import (
    ANSWER_WITHIN,
    AnswerWithin,
    CopyFiles,
    OtherSite,
    RequestedBy,
    SiteChoice,
    StandingOrAsk,
    asked,
    install,
)
from tasks.estate.form_choices import chosen_pair
from tasks.estate.plans import CopyOptions, Verdict
from tasks.estate.sites import Direction
from tasks.runtime import retries, run_names


@flow(name="refresh", flow_run_name=run_names.of_pair("refresh {destination} from {source}"), **retries.FLOW)
@reports.ends_with_report
def refresh(
    source: Annotated[str, install("Source install", "Production install to copy from, by name.")],
    destination: Annotated[
        str, install("Destination install", "Staging or development install that is overwritten, by name.")
    ],
    approval: StandingOrAsk = "ask",
    files: CopyFiles = True,
    database: Annotated[bool, asked("Copy the database", "Posts, users, options.")] = True,
    tables: Annotated[list[str], asked("Only these tables", "Empty: the whole database.")] = [],  # noqa: B006  # Prefect builds the form from it and never mutates it
    proceed_when: Annotated[
        Literal["confirmed", "probable"],
        asked("Continue when the arrival is", "probable accepts weaker evidence; see docs/evidence.md."),
    ] = "confirmed",
    other_site: OtherSite = False,
    answer_within: AnswerWithin = ANSWER_WITHIN,
    requested_by: RequestedBy = "",
    site: SiteChoice = "",
) -> State[Any]:
    """Overwrite a staging install with production: back up, ask (or use a standing approval), copy once, prove, verify."""
    source, destination = chosen_pair(site, source, destination)
    options = CopyOptions.chosen(files=files, database=database, tables=tables)
    pair = installs.resolve_pair(source, destination, Direction.DOWN, other_site=other_site)
    locks.require_free(pair.source, pair.destination)
    comparison = installs.compare_installs(pair, options)
    backup = backups.await_backup(backups.request_backup(pair.destination, "before a refresh"))
    steps = after_copy.plan_steps(pair, options)
    plan = installs.draft_plan(
        "refresh", pair, comparison, backup, options, requested_by=requested_by, other_site=other_site, after_copy=steps
    )
    approved = approvals.ask_or_standing(plan, comparison, mode=approval, within=answer_within)
    enough = Verdict(proceed_when)
    with locks.locked(plan):
        receipt = copies.send_copy(plan, approved, backups.fresh_backup(plan), other_site=other_site)
        evidence = copies.require_arrival(plan, copies.await_arrival(plan, receipt, enough=enough), enough=enough)
        taken = after_copy.take_steps(plan, receipt, evidence)
    purged_at = caches.purge_cache(pair.destination)
    after_copy.require_done(plan, taken)
    return reports.report_outcome(plan, approved, evidence, checks.verify_site(plan, receipt, purged_at), taken)

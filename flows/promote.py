"""Promote staging to production: prepared automatically, approved by people, sent once."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import (
    after_copy,
    approvals,
    arrivals,
    backups,
    caches,
    checks,
    copies,
    installs,
    locks,
    pictures,
    reports,
    restores,
)
from tasks.estate.flow_parameters import (
    ANSWER_WITHIN,
    AnswerWithin,
    CopyFiles,
    OtherSite,
    Requester,
    SiteChoice,
    asked,
    install,
)
from tasks.estate.form_choices import chosen_pair
from tasks.estate.plans import CopyOptions
from tasks.estate.sites import Direction
from tasks.runtime import retries, run_names


@flow(name="promote", flow_run_name=run_names.of_pair("promote {source} to {destination}"), **retries.FLOW)
@reports.ends_with_report
def promote(
    source: Annotated[str, install("Source install", "Staging or development install to copy from, by name.")],
    destination: Annotated[str, install("Destination install", "PRODUCTION install that is overwritten, by name.")],
    requested_by: Requester,
    files: CopyFiles = True,
    database: Annotated[
        bool, asked("Copy the database too", "Off unless you mean it: newer orders, posts and users are lost.")
    ] = False,
    tables: Annotated[list[str], asked("Only these tables", "With the database only. Empty: all of it.")] = [],  # noqa: B006  # Prefect builds the form from it and never mutates it
    other_site: OtherSite = False,
    break_glass: Annotated[
        str,
        asked(
            "Break-glass reason", "Only during a freeze: why it cannot wait. Two people must approve.", max_length=300
        ),
    ] = "",
    answer_within: AnswerWithin = ANSWER_WITHIN,
    site: SiteChoice = "",
) -> State[Any]:
    """Copy staging over production, files only unless chosen otherwise, after leads have approved exactly that."""
    source, destination = chosen_pair(site, source, destination)
    options = CopyOptions.chosen(files=files, database=database, tables=tables)
    pair = installs.resolve_pair(source, destination, Direction.UP, other_site=other_site)
    locks.require_free(pair.source, pair.destination)
    comparison = installs.compare_installs(pair, options)
    backup = backups.await_backup(backups.request_backup(pair.destination, "before a promotion"))
    steps = after_copy.plan_steps(pair, options)
    plan = installs.draft_plan(
        "promote",
        pair,
        comparison,
        backup,
        options,
        requested_by=requested_by,
        other_site=other_site,
        break_glass=break_glass,
        after_copy=steps,
    )
    pictures.take_pictures(plan, comparison)
    approved = approvals.ask(plan, comparison, within=answer_within)
    with locks.locked(plan):
        receipt = copies.send_copy(plan, approved, backups.fresh_backup(plan), other_site=other_site)
        evidence = copies.await_arrival(plan, receipt)
        evidence = arrivals.ask_arrival(plan, receipt, evidence, within=answer_within)
        taken = after_copy.take_steps(plan, receipt, evidence)
    purged_at = caches.purge_cache(pair.destination)
    after_copy.require_done(plan, taken)
    ended = reports.report_outcome(plan, approved, evidence, checks.verify_site(plan, receipt, purged_at), taken)
    return restores.start_allowed_restore(plan, approved, ended)

"""Promote staging to production: prepared by the machine, decided by a person, done once."""

from datetime import timedelta
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import approvals, backups, caches, checks, copies, installs, locks, reports
from tasks.estate.forms import asked
from tasks.estate.plans import CopyOptions
from tasks.estate.sites import Direction


@flow(
    name="promote",
    flow_run_name="promote {source} to {destination}",
    retries=0,  # a retry is a person's decision, and meets the ledger
    persist_result=True,
)
@reports.concluding
def promote(
    source: Annotated[
        str,
        asked(
            "Source install",
            "Staging or development install to copy from, by name.",
            min_length=3,
            max_length=14,
        ),
    ],
    destination: Annotated[
        str,
        asked(
            "Destination install",
            "PRODUCTION install that is overwritten, by name.",
            min_length=3,
            max_length=14,
        ),
    ],
    files: Annotated[bool, asked("Copy files", "Uploads, themes, plugins.")] = True,
    database: Annotated[
        bool,
        asked(
            "Copy the database too",
            "Off unless you mean it: newer orders, posts and users of production are lost.",
        ),
    ] = False,
    tables: Annotated[list[str], asked("Only these tables", "With the database only. Empty: all of it.")] = [],  # noqa: B006  # Prefect builds the form from it and never mutates it
    other_site: Annotated[
        bool, asked("Allow another site", "Explicit leave to copy between two sites of one account.")
    ] = False,
    answer_within: Annotated[timedelta, asked("Answer within", "How long the question stays open.")] = timedelta(
        hours=8
    ),
    requested_by: Annotated[str, asked("Requested by", "Your name, for the ledger.", max_length=80)] = "",
) -> State[Any]:
    """Copy staging over production, files only unless chosen otherwise, after a person has approved exactly that."""
    options = CopyOptions.chosen(files=files, database=database, tables=tables)
    pair = installs.resolve_pair(source, destination, Direction.UP, other_site=other_site)
    comparison = installs.compare_installs(pair, options)
    backup = backups.await_backup(
        backups.request_backup(pair.destination, "before a promotion")
    )  # what `restore` puts back
    plan = installs.draft_plan("promote", pair, comparison, backup, options, requested_by=requested_by)
    approved = approvals.ask(plan, comparison, within=answer_within)
    with locks.held(plan):
        receipt = copies.send_copy(plan, approved, other_site=other_site)
        evidence = copies.await_arrival(plan, receipt)
        evidence = approvals.ask_arrival(plan, receipt, evidence, within=answer_within)
    caches.purge_cache(pair.destination)
    return reports.conclude(plan, approved, evidence, checks.verify_site(plan, receipt.baseline.source))

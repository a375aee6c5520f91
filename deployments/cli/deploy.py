"""`deploy`: write the deployments, schedules and form choices of the estate to Prefect, and print what differs."""

from typing import Annotated, Any

import typer

from deployments.bootstrap import POOL
from deployments.cli.output import Alert, Result
from deployments.estate_deployments import wanted_deployments
from deployments.prefect_deployments import Change, find_changes
from deployments.prefect_server import connected
from tasks.configuration.estate_settings import read_estate
from tasks.configuration.settings import load_settings
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Estate
from tasks.runtime.undo_choices import undo_choices
from tasks.signoff.standing import load_standing

SIGNS = {"created": "+", "changed": "~", "removed": "-", "kept": "="}
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the difference, and write nothing.")]


def deploy(dry_run: DryRun = False) -> Result:
    """Write every deployment, schedule and form choice of the estate to Prefect, and print the difference.

    May be repeated at any time. A schedule that a person paused stays paused. Reads the estate, the standing approvals and the
    ledger: run it where the worker runs.
    """
    estate = read_estate()
    wanted = wanted_deployments(estate, undoable=undo_choices())
    notes = uncovered_nights(estate)
    with connected() as server:
        if not server.has_pool(POOL):
            raise Misconfigured(
                f"Prefect has no work pool {POOL!r}, in which the worker looks for runs.",
                next_step="Nothing was changed. Run `python -m deployments.bootstrap`, then this command again.",
            )
        changes = server.using(lambda client: find_changes(client, wanted))
        if not dry_run:
            for change in changes:
                change.apply()
    different = [change for change in changes if change.kind != "kept"]
    done = "Nothing was written." if dry_run else "Prefect has them now."
    same = len(wanted) - len({change.deployment for change in different if change.kind != "removed"})
    summary = f"{len(different)} deployments differ, {same} are as they should be. {done if different else ''}".rstrip()
    return Result(
        {"dry_run": dry_run, "changes": [_document(change) for change in changes], "unchanged": same, "notes": notes},
        [*(line for change in changes for line in _lines(change)), *map(Alert, notes), summary],
    )


def uncovered_nights(estate: Estate) -> list[str]:
    """Return a sentence for each night whose pair has no standing approval that is open when the run starts."""
    path = load_settings().standing_file
    entries = load_standing(path)
    nights = [
        (site.production, str(getattr(site, site.nightly.destination)), site.nightly)
        for site in estate.sites
        if site.nightly
    ]
    nights += [(each.application, str(each.hostname), each.nightly) for each in estate.databases if each.nightly]  # type: ignore[misc]  # the filter leaves no None
    found = []
    for source, destination, nightly in nights:
        if nightly.approval != "standing":
            continue
        windows = [
            e.window for e in entries if (e.source, e.destination) == (source, destination) and e.window is not None
        ]
        starts = f"The nightly run from {source} to {destination} starts at {nightly.window.opens:%H:%M} {nightly.zone}"
        if not windows:
            found.append(f"{starts}, and {path} has no entry for it: each run will end as NotApproved.")
        elif not any(window.holds(nightly.window.opens) for window in windows):
            found.append(f"{starts}, outside of the window of its entry in {path}: each run will end as NotApproved.")
    return found


def _document(change: Change) -> dict[str, Any]:
    return {"deployment": change.deployment, "change": change.kind, "details": list(change.lines)}


def _lines(change: Change) -> list[str]:
    return [f"{SIGNS[change.kind]} {change.deployment}", *(f"    {line}" for line in change.lines)]

"""`standing`: list the standing approvals, and sign one with its issuer's key."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli.output import Alert, Result, columns, command, new_group, print_aside
from deployments.cli.proofs import sign_with
from tasks.configuration.settings import load_settings
from tasks.estate.errors import Misconfigured, NotFound
from tasks.estate.polling import utc_now
from tasks.signoff.leads import Leads, load_leads
from tasks.signoff.standing import (
    NAMESPACE,
    StandingApproval,
    load_standing,
    sign_standing,
    statement_of,
    why_invalid,
    why_not_signed,
)

group = new_group("Standing approvals: reviewed and signed permission for the nightly refresh of one pair.")


@command(group, "sign")
def sign(
    source: Annotated[str, typer.Argument(help="Source of the entry: an install or application.")],
    destination: Annotated[str, typer.Argument(help="Destination of the entry: an install or hostname.")],
    key: Annotated[Path, typer.Option("--key", help="SSH key of the entry's issuer; ssh-keygen signs.")],
    number: Annotated[
        int | None, typer.Option("--entry", help="Number of the entry in the file, if the pair has several.")
    ] = None,
) -> Result:
    """Sign an entry of the standing approvals file. Submit the file for review afterwards."""
    settings = load_settings()
    path, leads = settings.standing_file, load_leads(settings.leads_file, settings.codes_file)
    chosen = _chosen(path, source, destination, number)
    message = statement_of(path, chosen)
    print_aside("You are about to sign:", "", message.decode())
    body = sign_with(key, message, namespace=NAMESPACE)
    entry = load_standing(path)[chosen - 1]
    wrong = why_not_signed(entry.model_copy(update={"signature": body}), leads, utc_now())
    if wrong:
        raise Misconfigured(
            f"The signature would not be valid: {wrong}",
            next_step=f"{path} was not changed. Sign with a key of {entry.issuer}, or list the key in the leads file first.",
        )
    entry = sign_standing(path, chosen, body)
    document = {"entry": chosen, "file": str(path), "issuer": entry.issuer, "until": entry.until.isoformat()}
    line = f"Entry {chosen} of {path}, {entry.pair}, is signed by {entry.issuer} until {entry.until}."
    return Result(document, [f"{line} Submit the file for review."])


@command(group, "list")
def list_standing() -> Result:
    """List the standing approvals and whether each is valid now. Exit with 1 if one is not."""
    settings, now = load_settings(), utc_now()
    path, leads = settings.standing_file, load_leads(settings.leads_file, settings.codes_file)
    entries = load_standing(path)
    rows = [_row(number, entry, leads, now) for number, entry in enumerate(entries, start=1)]
    if not rows:
        return Result({"standing": []}, [f"{path} has no entries: every refresh requires a person."])
    names = ("entry", "source", "destination", "issuer", "until", "state")
    bad = any(row["state"] != "holds" for row in rows)
    table = columns([[row[name] for name in names] for row in rows], head=names)
    lines = [line if row["state"] == "holds" else Alert(line) for row, line in zip(rows, table[1:], strict=True)]
    return Result({"standing": rows}, [table[0], *lines], failed=bad)


def _chosen(path: Path, source: str, destination: str, number: int | None) -> int:
    """Return the number of the entry of this pair, from 1. Raise `NotFound` unless there is exactly one."""
    pairs = [(entry.source, entry.destination) for entry in load_standing(path)]
    fitting = [n for n, pair in enumerate(pairs, start=1) if pair == (source, destination) and number in (None, n)]
    if len(fitting) != 1:
        raise NotFound(
            f"{path} has {len(fitting) or 'no'} entries for {source} → {destination}; expected one.",
            next_step="Nothing was signed. `understudy standing list` shows them; --entry chooses one of several.",
        )
    return fitting[0]


def _row(number: int, entry: StandingApproval, leads: Leads, now: datetime) -> dict[str, Any]:
    return {
        "entry": number,
        "source": entry.source,
        "destination": entry.destination,
        "issuer": entry.issuer,
        "until": entry.until.isoformat(),
        "database": entry.include_database,
        "state": why_invalid(entry, leads, now) or "holds",
    }

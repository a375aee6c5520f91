"""`doctor`: check everything that a worker with these settings needs, with a remedy for each finding."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from deployments.cli.ledger import open_existing_ledger
from deployments.cli.output import Alert, Caution, Good, Result, print_aside
from deployments.doctor.databases import examine_databases
from deployments.doctor.examination import Finding, examine
from deployments.doctor.host import examine_host
from deployments.doctor.records import examine_leads, examine_ledger, examine_notices, examine_standing
from deployments.doctor.server import examine_server
from deployments.places import known_places, pairs_of_sites
from deployments.prefect_server import connected
from tasks.configuration.estate_file import load_estate
from tasks.configuration.settings import load_settings
from tasks.signoff.standing import load_standing

MARKS = {True: "✓", False: "✗", None: "?"}  # each line has a word as well: a mark or a colour alone is not enough


def doctor(
    notice: Annotated[bool, typer.Option("--notice/--no-notice", help="Send a test notice to every place.")] = True,
) -> Result:
    """Check whether a worker with these settings can do its work. Exit with 1 if something failed or is not known.

    Run it where the worker runs, in the project's folder and with its settings. It changes nothing; by default it sends one
    notice to every place.
    """
    parts: list[Finding] = []
    for part in _parts(send=notice):
        parts += part
    counts = {verdict: sum(each.verdict == verdict for each in parts) for verdict in ("passed", "failed", "not known")}
    document = {
        "findings": [
            {"check": each.check, "verdict": each.verdict, "detail": each.detail, "remedy": each.remedy}
            for each in parts
        ],
        "counts": counts,
    }
    summary = f"{counts['passed']} passed, {counts['failed']} failed, {counts['not known']} not known."
    failed = counts["passed"] < len(parts)
    lines = [line for each in parts for line in _lines(each)]
    return Result(document, [*lines, "", Alert(summary) if failed else Good(summary)], failed=failed)


def _parts(*, send: bool) -> Iterator[list[Finding]]:
    """Yield the findings of each part. Without valid settings nothing else can be looked at."""
    settings = examine("settings", _settings)
    yield settings
    if any(each.passed is not True for each in settings):
        return
    for name, part in (
        ("databases", _databases), ("leads", examine_leads), ("standing approvals", examine_standing),
        ("ledger", _ledger), ("Prefect", _server), ("API login", _host),
        ("notices", lambda: examine_notices(send=send)),
    ):  # fmt: skip
        print_aside(f"Checking: {name} …")
        yield examine(name, part)


def _settings() -> Iterator[Finding]:
    settings = load_settings()
    estate = load_estate(settings.estate_file)
    detail = f"They can be read; {len(estate.sites)} sites and {len(estate.databases)} databases are described."
    yield Finding("settings", True, detail)


def _databases() -> Iterator[Finding]:
    yield from examine_databases(load_estate(load_settings().estate_file))


def _ledger() -> Iterator[Finding]:
    with open_existing_ledger() as ledger:
        yield from examine_ledger(ledger)


def _server() -> Iterator[Finding]:
    with connected() as server:
        yield from examine_server(server, server.client)


def _host() -> Iterator[Finding]:
    settings = load_settings()
    estate = load_estate(settings.estate_file)
    pairs = pairs_of_sites(known_places(estate, load_standing(settings.standing_file)))
    yield from examine_host(pairs, len(estate.accounts))


def _lines(finding: Finding) -> list[str]:
    kind: dict[bool | None, Any] = {True: Good, False: Alert, None: Caution}
    shown = [kind[finding.passed](f"{MARKS[finding.passed]} {finding.check}: {finding.verdict}. {finding.detail}")]
    return shown if finding.passed else [*shown, f"    {finding.remedy}"]

"""`freezes`: whether a destination may be overwritten at a moment, which freeze window prevents it, and until when."""

from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from deployments.cli.options import parse_moment
from deployments.cli.output import Result, columns
from tasks.configuration.settings import load_settings
from tasks.estate.polling import utc_now
from tasks.safeguards.freezes import Calendar, Window, load_calendar


def freezes(
    destination: Annotated[
        str, typer.Option("--destination", help="An install or hostname; without it, the rules are listed.")
    ] = "",
    environment: Annotated[
        Literal["production", "staging", "development", "unknown"],
        typer.Option("--environment", help="Its environment; unknown counts as production."),
    ] = "production",
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="Moment to check, like 2026-12-24T18:00+01:00; by default now.")
    ] = "",
) -> Result:
    """Check whether the freeze calendar is open for a destination, and list its rules."""
    moment = parse_moment(at) if at else utc_now()
    calendar = load_calendar(load_settings().freeze_file)
    rules = [_rule(window, moment) for window in calendar.windows]
    if destination:
        found = _state(calendar, destination, environment, moment)
        return Result({**found, "rules": rules}, [_sentence(found)])
    names = ("name", "rule", "now", "zone", "reason", "owner")
    table = columns([[rule[name] for name in names] for rule in rules], head=names)
    return Result({"at": moment.isoformat(), "rules": rules}, table if rules else ["There are no freeze windows."])


def _state(calendar: Calendar, destination: str, environment: str, moment: datetime) -> dict[str, Any]:
    closing = calendar.all_closing(destination, environment, moment)
    again = calendar.reopens(destination, environment, moment) if closing else None
    return {
        "destination": destination,
        "environment": environment,
        "at": moment.isoformat(),
        "open": not closing,
        "closed_by": [{"name": w.name, "rule": w.rule, "reason": w.reason, "owner": w.owner} for w in closing],
        "reopens": again.isoformat() if again else None,
    }


def _sentence(found: dict[str, Any]) -> str:
    where = f"{found['destination']} ({found['environment']})"
    if found["open"]:
        return f"{where} is open at {found['at']}."
    kinds = {"deny": "denied by"}
    rules = "; ".join(
        f"{kinds.get(rule['rule'], 'outside of')} {rule['name']!r} ({rule['reason']}; owner {rule['owner']})"
        for rule in found["closed_by"]
    )
    again = f"It reopens at {found['reopens']}." if found["reopens"] else "It does not reopen within 400 days."
    return f"{where} is closed at {found['at']}: {rules}. {again} A restore is exempt."


def _rule(window: Window, moment: datetime) -> dict[str, str]:
    return {
        "name": window.name,
        "rule": window.rule,
        "now": "holds" if window.covers(moment) else "",
        "zone": window.zone,
        "recurs": window.recurs,
        "reason": window.reason,
        "owner": window.owner,
    }

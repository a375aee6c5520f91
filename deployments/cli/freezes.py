"""`freezes`: whether destructive work may be done on a destination at a moment, by which rule, and when again."""

from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from deployments.cli.output import Told, columns, command
from tasks.estate.settings import load_settings
from tasks.estate.waiting import utc_now
from tasks.safeguards.freezes import Calendar, Window, load_calendar


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the program."""
    command(app, "freezes")(freezes)


def freezes(
    destination: Annotated[
        str, typer.Option("--destination", help="An install or hostname; without it, the rules.")
    ] = "",
    environment: Annotated[
        Literal["production", "staging", "development", "unknown"],
        typer.Option("--environment", help="Its role; unknown counts as production."),
    ] = "production",
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="Moment to ask about, like 2026-12-24T18:00+01:00.")
    ] = "",
) -> Told:
    """Say whether the freeze calendar is open for a destination, and list its rules."""
    moment = moment_of(at) if at else utc_now()
    calendar = load_calendar(load_settings().freeze_file)
    rules = [_rule(window, moment) for window in calendar.windows]
    names = ("name", "rule", "now", "zone", "reason", "owner")
    table = (
        columns([[rule[name] for name in names] for rule in rules], head=names)
        if rules
        else ["Nothing is frozen, ever."]
    )
    if not destination:
        return Told({"at": moment.isoformat(), "rules": rules}, table)
    found = _state(calendar, destination, environment, moment)
    return Told({**found, "rules": rules}, [_sentence(found)])


def moment_of(text: str) -> datetime:
    """A moment with its zone, as it was typed. Raises typer's usage error otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time like 2026-12-24T18:00+01:00.") from error
    if moment.utcoffset() is None:
        raise typer.BadParameter(f"{text!r} has no time zone; expected one, as in 2026-12-24T18:00+01:00.")
    return moment


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
    rules = "; ".join(_closing(rule) for rule in found["closed_by"])
    again = f"It reopens at {found['reopens']}." if found["reopens"] else "It does not reopen within 400 days."
    return f"{where} is closed at {found['at']}: {rules}. {again} A restore is exempt."


def _closing(rule: dict[str, str]) -> str:
    kind = "denied by" if rule["rule"] == "deny" else "outside of"
    return f"{kind} {rule['name']!r} ({rule['reason']}; owner {rule['owner']})"


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

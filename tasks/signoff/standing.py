"""Standing approvals: a reviewed file that lets a nightly refresh of exactly one pair go on without a person."""

from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import Misconfigured, NotApproved
from tasks.estate.plans import Plan
from tasks.estate.sites import Direction


class StandingApproval(BaseModel):
    """Leave for one pair until a day (inclusive), given by a named person for a reason: two installs by name, or an
    application and the hostname of its staging instance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    destination: str
    issuer: str = Field(min_length=3)
    reason: str = Field(min_length=10)
    until: date


def load_standing(path: Path) -> list[StandingApproval]:
    """Read the file. Raises `Misconfigured` naming the file and the entry that is wrong."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except (OSError, yaml.YAMLError) as error:
        raise Misconfigured(f"The standing approvals in {path} cannot be read: {type(error).__name__}.") from error
    if not isinstance(entries, list):
        raise Misconfigured(f"{path} holds a {type(entries).__name__}; expected a list of standing approvals.")
    approvals = []
    for number, entry in enumerate(entries, start=1):
        try:
            approvals.append(StandingApproval.model_validate(entry))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors())
            raise Misconfigured(f"Entry {number} of {path} is not a standing approval: {wrong}.") from error
    return approvals


def require_covered(plan: Plan, standing: list[StandingApproval], today: date) -> StandingApproval:
    """The entry that covers exactly this plan's pair today. Raises `NotApproved` with the reason where there is none.

    Only a refresh to a destination that is proven not to be production can be covered: never a promotion or restore.
    """
    source, destination = plan.pair.source, plan.pair.destination
    if plan.verb != "refresh" or plan.direction is not Direction.DOWN or destination.environment.may_be_production:
        raise NotApproved(
            f"A {plan.verb} to {destination.name} can never have a standing approval; a person must answer."
        )
    named = [entry for entry in standing if (entry.source, entry.destination) == (source.name, destination.name)]
    if not named:
        raise NotApproved(
            f"No standing approval covers {source.name} → {destination.name}.",
            next_step="Nothing was overwritten. Add the pair to the standing approvals file, or run with approval 'ask'.",
        )
    return _valid(named, today, f"{source.name} → {destination.name}")


def require_load_covered(plan: LoadPlan, standing: list[StandingApproval], today: date) -> StandingApproval:
    """The entry that covers loading this application's dumps into this host today; `source` is the application.

    Raises `NotApproved`: also for a first load and for anything that is not replaced, which need a person.
    """
    if plan.first_load:
        raise NotApproved(
            f"The target {plan.hostname} carries no staging marker yet; a first load needs a person.",
            next_step="Nothing was loaded. Start `load_dump` with approval 'ask' once; the load sets the marker.",
        )
    if plan.arrives_raw or plan.header.raw:
        raise NotApproved(
            "A dump with anonymizers switched off can never have a standing approval; a person must answer."
        )
    named = [entry for entry in standing if (entry.source, entry.destination) == (plan.header.app, plan.hostname)]
    if not named:
        raise NotApproved(
            f"No standing approval covers {plan.header.app} → {plan.hostname}.",
            next_step="Nothing was loaded. Add the pair to the standing approvals file, or run with approval 'ask'.",
        )
    return _valid(named, today, f"{plan.header.app} → {plan.hostname}")


def _valid(named: list[StandingApproval], today: date, pair: str) -> StandingApproval:
    valid = [entry for entry in named if today <= entry.until]
    if not valid:
        last = max(entry.until for entry in named)
        raise NotApproved(
            f"The standing approval for {pair} ended on {last.isoformat()}.",
            next_step="Nothing was overwritten. Renew it in the standing approvals file, under review.",
        )
    return valid[0]

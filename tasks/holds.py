"""Holds: keep one destination as it is until a moment, or let it go again."""

from datetime import datetime

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from psycopg.conninfo import conninfo_to_dict

from tasks import wording
from tasks.estate.errors import NotFound
from tasks.estate.plans import Report
from tasks.estate.settings import Settings, load_settings
from tasks.estate.waiting import utc_now
from tasks.policy import ABOVE_THE_GATE, connected, open_ledger, recalled, this_run
from tasks.signoff.holds import Hold, active_holds, end, place

HELD, RELEASED = "Held", "Released"


@task(name="Find what is to be held", task_run_name="Find {destination}", timeout_seconds=120, **ABOVE_THE_GATE)
@recalled
def find_destination(destination: str) -> str:
    """The destination's name as plans name it: an install of the account, or the hostname of this worker's target.

    Raises `NotFound`: a typo must not hold nothing. Retried 4 times on `Transient`, backing off with jitter.
    """
    settings, name = load_settings(), destination.strip()
    target = _target(settings)
    if target and name.casefold() == target.casefold():
        return target
    if settings.api_user.get_secret_value():
        with connected() as (client, _):
            found = next((each.name for each in client.installs() if each.name.casefold() == name.casefold()), None)
        if found is not None:
            return found
    raise NotFound(
        f"{name!r} is neither an install that this API user may see nor the hostname of this worker's target"
        f"{f' ({target})' if target else ''}.",
        next_step="Nothing is held. Check the name, and start again.",
    )


def _target(settings: Settings) -> str:
    """The hostname of the staging database's instance, as a load's plan names it; empty where this worker has none."""
    address = settings.target_database.get_secret_value()
    if not address:
        return settings.target_hostname
    return settings.target_hostname or str(conninfo_to_dict(address).get("host") or "localhost")


@task(name="Hold the destination", task_run_name="Hold {destination}", **ABOVE_THE_GATE)
@recalled
def place_hold(destination: str, *, until: datetime | None, reason: str, your_name: str) -> tuple[Hold, ...]:
    """Keep the destination as it is until that moment. Raises `Misconfigured` for an end, name or reason that will not do.

    A second call in the same run gives the hold that the first one placed.
    """
    ledger, run_id = open_ledger(), this_run()
    placed = [Hold.of(fact) for fact in ledger.facts(run_id=run_id, kind="hold")]
    if placed:
        return tuple(placed)
    return (
        place(ledger, destination=destination, until=until, by=your_name, reason=reason, now=utc_now(), run_id=run_id),
    )


@task(name="End the holds", task_run_name="End the holds of {destination}", **ABOVE_THE_GATE)
@recalled
def end_holds(destination: str, *, your_name: str) -> tuple[Hold, ...]:
    """End every active hold of the destination, whoever set it. Raises `NotFound` where there is none."""
    ledger, now = open_ledger(), utc_now()
    active = active_holds(ledger, destination, now)
    if not active:
        raise NotFound(
            f"Nothing holds {destination} now.", next_step="Nothing is to be done: refreshes go on as they did."
        )
    return tuple(end(ledger, hold.seq, by=your_name, now=now, run_id=this_run()) for hold in active)


def conclude_hold(destination: str, holds: tuple[Hold, ...], *, ended: bool) -> State[None]:
    """The end of a run that set a hold or ended some: `Held` or `Released`, with all that holds the destination now."""
    still = active_holds(open_ledger(), destination, utc_now())
    message = "; ".join(f"{destination} {'was' if ended else 'is'} {hold.words}" for hold in holds) + "."
    report = Report(
        verb="hold",
        outcome=RELEASED if ended else HELD,
        source="",
        destination=destination,
        run_id=this_run(),
        message=message,
        next_step="Nightly refreshes may overwrite it again."
        if ended
        else "No standing approval overwrites it until then; whoever approves by hand is shown the hold. To end it earlier, "
        "start `hold` with 'End the holds instead'.",
    )
    open_ledger().record("outcome", run_id=report.run_id, detail=report.model_dump(mode="json"))
    lines = [f"* {hold.mark}: {wording.plain(hold.words, 500)}" for hold in still] or ["* nothing"]
    create_markdown_artifact(
        "\n".join([wording.report_text(report), "", f"## What holds {destination} now", "", *lines]),
        key=f"report-{report.run_id}",
        description=f"hold: {report.outcome}",
    )
    return Completed(name=report.outcome, message=f"{report.message} {report.next_step}")

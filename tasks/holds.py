"""Holds: keep one destination as it is until a moment, or let it go again."""

from datetime import datetime, timedelta

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from psycopg.conninfo import conninfo_to_dict

from tasks.estate.errors import NotApproved, NotFound
from tasks.estate.plans import Report, fingerprint
from tasks.estate.settings import Settings, load_settings
from tasks.estate.waiting import utc_now
from tasks.ledger.ledger import AlreadyRecorded, Entry, Ledger
from tasks.rendering.markdown import plain
from tasks.rendering.report import report_text
from tasks.runtime.current_run import this_run
from tasks.runtime.forms import HoldEndForm, await_answer, hold_end_form
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import open_clients, open_ledger, read_leads, read_rules
from tasks.runtime.results import kept_in_ledger
from tasks.runtime.retries import ABOVE_THE_GATE
from tasks.runtime.waiting_runs import parameters_of
from tasks.safeguards.holds import Hold, active_holds, end, place
from tasks.signoff.proofs import BadProof, statement, verify

HELD, RELEASED = "Held", "Released"
ANSWER_WITHIN = timedelta(hours=1)  # the question who may end a hold; whoever asked is at hand


@task(name="Find what is to be held", task_run_name="Find {destination}", timeout_seconds=120, **ABOVE_THE_GATE)
@kept_in_ledger
def find_destination(destination: str) -> str:
    """The destination's name as plans name it: an install of the account, or the hostname of this worker's target.

    Raises `NotFound`: a typo must not hold nothing. Retried 4 times on `Transient`, backing off with jitter.
    """
    settings, name = load_settings(), destination.strip()
    target = _target(settings)
    if target and name.casefold() == target.casefold():
        return target
    if settings.api_user.get_secret_value():
        with open_clients() as (client, _):
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
@kept_in_ledger
def place_hold(
    destination: str, *, until: datetime | None, reason: str, your_name: str, release: str = ""
) -> tuple[Hold, ...]:
    """Keep the destination as it is until that moment. Raises `Misconfigured` for an end, name or reason that will not do.

    A second call in the same run gives the hold that the first one placed.
    """
    ledger, run_id = open_ledger(), this_run()
    placed = [Hold.of(fact) for fact in ledger.facts(run_id=run_id, kind="hold")]
    if placed:
        return tuple(placed)
    made = place(
        ledger,
        destination=destination,
        until=until,
        by=your_name,
        reason=reason,
        now=utc_now(),
        run_id=run_id,
        release=release,
    )
    send_notice("hold", f"{destination} is held", [plain(f"It is {made.words}.", 500)])
    return (made,)


def end_holds(destination: str, *, your_name: str) -> tuple[Hold, ...]:
    """Ask for a proof in this run, and end every active hold that it may end. Notices name the owner and who ended it.

    A plain function, because Prefect suspends only from a flow body. The proof is asked for here and not in the start form: a
    code that lies in a run's parameters could be moved by deleting the run. Raises `NotFound` if nothing is held, `NotApproved` if
    nobody proves in time that they may end it.
    """
    ledger = open_ledger()
    before = ledger.facts(run_id=this_run(), kind="hold-ended")
    if before:  # a retry of a run that ended some
        placed = {fact.seq: fact for fact in ledger.facts(kind="hold")}
        return tuple(Hold.of(placed[fact.detail["hold"]]) for fact in before)
    active = active_holds(ledger, destination, utc_now())
    if not active:
        raise NotFound(
            f"Nothing holds {destination} now.", next_step="Nothing is to be done: refreshes go on as they did."
        )
    for attempt in range(read_rules().answer.attempts):
        ended = _ask_end(ledger, destination, active, your_name, attempt)
        if ended:
            return ended
    raise _nobody(destination, "too many answers came without proof")


def _nobody(destination: str, why: str) -> NotApproved:
    return NotApproved(
        f"The holds of {destination} stay: {why}.",
        next_step="Nothing was changed. Ask the owner or a lead to end them, or wait until they end.",
    )


def _ask_end(ledger: Ledger, destination: str, active: list[Hold], your_name: str, attempt: int) -> tuple[Hold, ...]:
    """One question; returns the holds that were ended, none if the answer did not hold."""
    asked = ledger.facts(run_id=this_run(), kind="hold-end-asked")
    if not asked:
        detail = {"answer_by": (utc_now() + ANSWER_WITHIN).isoformat(), "parameters": parameters_of(this_run())}
        asked = [ledger.record("hold-end-asked", run_id=this_run(), detail=detail)]
    answer_by = datetime.fromisoformat(asked[0].detail["answer_by"])
    names = "; ".join(f"{hold.mark}, {hold.words}" for hold in active)
    text = f"{your_name} wants to end what holds {destination}: {names}."
    named = fingerprint([hold.seq for hold in active] + [this_run()])
    message = statement(f"end-hold:{destination}", named, answer_by)
    heard = await_answer(
        f"hold-end-{attempt}",
        hold_end_form(plain(text, 600), message.decode()),
        plain(text, 600),
        before=lambda: send_notice("hold", f"{destination}: a hold is to be ended", [plain(text, 600)]),
        until=answer_by,
        now=utc_now(),
    )
    if heard.at >= answer_by:
        raise _nobody(destination, "nobody proved in time that they may end them")
    form = heard.form
    if not isinstance(form, HoldEndForm):
        return ()
    return _end(ledger, destination, active, form, message, heard.at)


def _end(
    ledger: Ledger, destination: str, active: list[Hold], form: HoldEndForm, message: bytes, given_at: datetime
) -> tuple[Hold, ...]:
    """End what this proof may end: an owner's word its own holds, a lead's proof all of them."""
    mine, proof, by = [hold for hold in active if hold.is_released_by(form.proof)], "the owner's word", form.approver
    if not mine:
        leads = read_leads()
        lead = leads.find(form.approver)
        if lead is None:
            return ()
        try:
            proven = verify(leads, lead, form.proof, message=message, given_at=given_at, now=utc_now())
            if proven.used:
                ledger.record_together(this_run(), [Entry("code-used", once=proven.used)])
        except (BadProof, AlreadyRecorded):
            return ()
        mine, proof, by = active, proven.kind, lead.name
    now, run_id = utc_now(), this_run()
    ended = tuple(end(ledger, hold.seq, by=by, now=now, run_id=run_id, proof=proof) for hold in mine)
    lines = [plain(f"It was {hold.words}. {by} ended it ({proof}). Both should know.", 500) for hold in ended]
    send_notice("hold", f"{destination}: a hold was ended by {plain(by)}", lines)
    return ended


def report_hold(destination: str, holds: tuple[Hold, ...], *, ended: bool) -> State[None]:
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
        "start `hold` with 'End the holds instead': its owner's word or a lead's proof is asked for.",
    )
    open_ledger().record("outcome", run_id=report.run_id, detail=report.model_dump(mode="json"))
    lines = [f"* {hold.mark}: {plain(hold.words, 500)}" for hold in still] or ["* nothing"]
    create_markdown_artifact(
        "\n".join([report_text(report), "", f"## What holds {destination} now", "", *lines]),
        key=f"report-{report.run_id}",
        description=f"hold: {report.outcome}",
    )
    return Completed(name=report.outcome, message=f"{report.message} {report.next_step}")

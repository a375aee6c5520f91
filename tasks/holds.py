"""Holds: keep one destination as it is until a moment, or end its holds early."""

from datetime import datetime, timedelta
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from psycopg.conninfo import conninfo_to_dict

from tasks.configuration.estate_settings import has_account, read_estate
from tasks.configuration.settings import load_settings
from tasks.estate.errors import NotApproved, NotFound
from tasks.estate.outcomes import HELD, RELEASED
from tasks.estate.plans import Report, fingerprint
from tasks.estate.polling import utc_now
from tasks.ledger.facts import HoldEndAsked, HoldEnded, HoldPlaced
from tasks.ledger.ledger import AlreadyRecorded, Ledger
from tasks.rendering.times_and_tables import bullets, plain, section
from tasks.runtime.approval_forms import HoldEndForm, await_answer, first_request, hold_end_form
from tasks.runtime.current_run import this_run
from tasks.runtime.notices import send_copied_passkey, send_notice
from tasks.runtime.publish_report import publish
from tasks.runtime.resources import each_account, open_ledger, read_leads, read_rules
from tasks.runtime.retries import ABOVE_THE_GATE, BRIEF
from tasks.runtime.step_results import kept_in_ledger
from tasks.safeguards.holds import Hold, active_holds, end, place
from tasks.signoff.passkeys import CounterWentBack
from tasks.signoff.proof_use import require_counted_up, used_up_by
from tasks.signoff.proofs import BadProof, statement, verify

ANSWER_WITHIN = timedelta(hours=1)  # the form about the end of a hold; whoever started the run is present


@task(name="Find what is to be held", task_run_name="Find {destination}", **BRIEF)
@kept_in_ledger
def find_destination(destination: str) -> str:
    """Return the destination's name as plans contain it: an install of an account, or the hostname of a target of this worker.

    Raises `NotFound`, so that a typo is noticed. Retried 4 times on `Transient`, backing off with jitter.
    """
    name, targets = destination.strip(), _targets()
    listed = f" ({', '.join(targets)})" if targets else ""
    for target in targets:
        if name.casefold() == target.casefold():
            return target
    for client in each_account() if has_account() else ():
        found = next((each.name for each in client.installs() if each.name.casefold() == name.casefold()), None)
        if found is not None:
            return found
    raise NotFound(
        f"{name!r} is neither an install that this worker's API users may see nor the hostname of a target of it"
        f"{listed}.",
        next_step="Nothing is held. Check the name, and start again.",
    )


def _targets() -> list[str]:
    """Return the hostnames of the staging databases' instances, as plans of loads contain them."""
    settings, databases = load_settings(), read_estate().databases
    if databases:
        return [each.hostname for each in databases if each.hostname]
    address = settings.target_database.get_secret_value()
    if not address:
        return [settings.target_hostname] if settings.target_hostname else []
    return [settings.target_hostname or str(conninfo_to_dict(address).get("host") or "localhost")]


@task(name="Hold the destination", task_run_name="Hold {destination}", **ABOVE_THE_GATE)
@kept_in_ledger
def place_hold(
    destination: str, *, until: datetime | None, reason: str, your_name: str, release: str = ""
) -> tuple[Hold, ...]:
    """Hold the destination until that moment. Raises `Misconfigured` for an end, name or reason that is not accepted.

    A second call in the same run returns the hold that the first one placed.
    """
    ledger, run_id = open_ledger(), this_run()
    placed = [Hold.of(fact) for fact in ledger.facts(run_id=run_id, kind=HoldPlaced.KIND)]
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

    A plain function, because Prefect suspends only from a flow body. The proof is requested here and not in the start form: a
    code in a run's parameters could be moved by deleting the run. Raises `NotFound` if nothing is held, `NotApproved` if no
    valid proof arrives in time.
    """
    ledger = open_ledger()
    before = ledger.facts(run_id=this_run(), kind=HoldEnded.KIND)
    if before:  # a retry of a run that ended some
        placed = {fact.seq: fact for fact in ledger.facts(kind=HoldPlaced.KIND)}
        return tuple(Hold.of(placed[fact.as_(HoldEnded).hold]) for fact in before)
    active = active_holds(ledger, destination, utc_now())
    if not active:
        raise NotFound(
            f"Nothing holds {destination} now.", next_step="Nothing needs to be done: scheduled refreshes continue."
        )
    for attempt in range(read_rules().answer.attempts):
        ended = _ask_end(ledger, destination, active, your_name, attempt)
        if ended:
            return ended
    raise _not_ended(destination, "too many answers came without proof")


def _not_ended(destination: str, why: str) -> NotApproved:
    return NotApproved(
        f"The holds of {destination} stay: {why}.",
        next_step="Nothing was changed. Ask the owner or a lead to end them, or wait until they end.",
    )


def _ask_end(ledger: Ledger, destination: str, active: list[Hold], your_name: str, attempt: int) -> tuple[Hold, ...]:
    """Show the form once; return the holds that were ended, none if the answer does not count."""
    first, _ = first_request(HoldEndAsked, ANSWER_WITHIN)
    answer_by = first.answer_by
    names = "; ".join(f"{hold.mark}, {hold.words}" for hold in active)
    text = plain(f"{your_name} wants to end what holds {destination}: {names}.", 600)
    named = fingerprint([hold.seq for hold in active] + [this_run()])
    message = statement(f"end-hold:{destination}", named, answer_by)
    answer = await_answer(
        f"hold-end-{attempt}",
        hold_end_form(text, message.decode()),
        before=lambda: send_notice("hold", f"{destination}: a hold is to be ended", [text]),
        until=answer_by,
        now=utc_now(),
    )
    if answer.at >= answer_by:
        raise _not_ended(destination, "nobody proved in time that they may end them")
    if not isinstance(answer.form, HoldEndForm):
        return ()
    return _end(ledger, destination, active, answer.form, message, answer.at)


def _end(
    ledger: Ledger, destination: str, active: list[Hold], form: HoldEndForm, message: bytes, given_at: datetime
) -> tuple[Hold, ...]:
    """End what this proof may end: the owner's own holds with the release word, all of them with a lead's proof."""
    mine, proof, by = [hold for hold in active if hold.is_released_by(form.proof)], "the owner's word", form.approver
    if not mine:
        leads = read_leads()
        lead = leads.find(form.approver)
        if lead is None:
            return ()
        try:
            proven = verify(leads, lead, form.proof, message=message, given_at=given_at, now=utc_now())
            require_counted_up(ledger, proven, given_at)
            if used := used_up_by(proven, given_at):
                ledger.record_together(this_run(), used)
        except CounterWentBack as copied:
            send_copied_passkey(f"the end of a hold of {destination}", str(copied), run_id=this_run())
            return ()
        except (BadProof, AlreadyRecorded):
            return ()
        mine, proof, by = active, proven.kind, lead.name
    now, run_id = utc_now(), this_run()
    ended = tuple(end(ledger, hold.seq, by=by, now=now, run_id=run_id, proof=proof) for hold in mine)
    lines = [plain(f"It was {hold.words}. {by} ended it ({proof}). Both should know.", 500) for hold in ended]
    send_notice("hold", f"{destination}: a hold was ended by {plain(by)}", lines)
    return ended


def report_hold(destination: str, holds: tuple[Hold, ...], *, ended: bool) -> State[Any]:
    """Finish a run that placed a hold or ended some: `Held` or `Released`, with all that holds the destination now."""
    active = active_holds(open_ledger(), destination, utc_now())
    report = Report(
        verb="hold",
        outcome=RELEASED if ended else HELD,
        source="",
        destination=destination,
        run_id=this_run(),
        message="; ".join(f"{destination} {'was' if ended else 'is'} {hold.words}" for hold in holds) + ".",
        next_step="Scheduled refreshes may overwrite it again."
        if ended
        else "No standing approval overwrites it until then; whoever approves a run of it is shown the hold. To end it earlier, "
        "start `hold` with 'End the holds instead': the run asks for its owner's release word or a lead's proof.",
    )
    held = bullets(f"{hold.mark}: {plain(hold.words, 500)}" for hold in active)
    return publish(report, "\n".join(section(f"What holds {plain(destination)} now", held)))

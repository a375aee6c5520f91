"""Settling: a lead reports, with proof, how a call ended whose outcome is unknown. That frees what its run holds.

The host reports the end of a copy only by e-mail. If the evidence does not settle a call, the person who read that e-mail or
checked the site does: at any time, on staging and production, but not if the call is settled already.
"""

from datetime import datetime, timedelta
from typing import Literal

from tasks.estate.errors import NotApproved, NotFound, Refused
from tasks.ledger.facts import ArrivalAnswered, Sending, Settled
from tasks.ledger.ledger import Entry, Fact, Ledger
from tasks.signoff.leads import Leads
from tasks.signoff.passkeys import CounterWentBack
from tasks.signoff.proof_use import require_counted_up, used_up_by
from tasks.signoff.proofs import BadProof, statement, verify

How = Literal["arrived", "failed"]
VALID = timedelta(minutes=15)  # for how long a statement may be signed; the command signs it at once
SHORTEST_REASON = 5  # characters, as in an answer
EMAIL = {"arrived": "completed", "failed": "failed"}  # as in the form about an arrival


def open_call(ledger: Ledger, run_id: str) -> Fact:
    """Return the journaled call of a run whose outcome is unknown. Raises `NotFound`, or `Refused` if it is settled."""
    sent = ledger.facts(run_id=run_id, kind=Sending.KIND)
    if not sent:
        raise NotFound(
            f"The ledger contains no call of run {run_id!r}; expected the id of a run that made one.",
            next_step="Nothing was settled. The report of the run shows its id; `understudy ledger export` lists all runs.",
        )
    call = ledger.unsettled(run_id)
    if call is None:
        raise Refused(
            f"The call of run {run_id} is settled already.",
            next_step="There is nothing to do: it holds nothing. To undo it, start `restore` with this run.",
        )
    return call


def statement_to_sign(call: Fact, how: How, answer_by: datetime) -> bytes:
    """Return the statement to sign: how exactly this plan's call ended, valid until a moment."""
    return statement(f"settle:{how}", call.plan, answer_by)


def settle(
    ledger: Ledger,
    leads: Leads,
    call: Fact,
    how: How,
    *,
    name: str,
    proof: str,
    reason: str,
    answer_by: datetime,
    given_at: datetime,
    now: datetime,
    asked_by: str = "",
) -> Fact:
    """Record how a lead reports that a call ended, with the proof, and return the `Settled` fact.

    `given_at` is when the answer was given, `asked_by` the run whose form asked for it ("" for a terminal). Raises `NotApproved`
    for somebody who is not a lead, a bad proof or a missing reason, with the fact `alert` if a passkey may have been copied, and
    `AlreadyRecorded` for a used code.
    """
    lead = leads.find(name)
    if lead is None:
        raise NotApproved(leads.why_not(name), next_step="Nothing was settled. Ask an enrolled lead.")
    if len(reason.strip()) < SHORTEST_REASON:
        raise NotApproved(
            f"The reason has fewer than {SHORTEST_REASON} characters; expected what was read or seen, and when.",
            next_step="Nothing was settled. Give the source, like the wording and time of the e-mail.",
        )
    message = statement_to_sign(call, how, answer_by)
    try:
        proven = verify(leads, lead, proof, message=message, given_at=given_at, now=now)
        require_counted_up(ledger, proven, given_at)
    except BadProof as bad:
        step = "Nothing was settled. Try again with a new code, or sign."
        raise NotApproved(str(bad), next_step=step, alert=isinstance(bad, CounterWentBack)) from None
    answer = {"approver": lead.name, "words": reason.strip(), "proof": proven.kind}
    how_known = {"how": f"lead: {how}", "statement": message.decode()}
    if asked_by:
        how_known["asked_by"] = asked_by
    if proven.signature:
        how_known["signature"] = proven.signature
    where, once = (call.destination_id, call.plan), f"settled-by-lead:{call.run_id}"
    facts = [
        *used_up_by(proven, given_at),
        Entry(ArrivalAnswered(**answer, email=EMAIL[how]), *where),
        Entry(Settled(**answer, **how_known), *where, once),
    ]
    return ledger.record_together(call.run_id, facts)[-1]


def settled_by_form(ledger: Ledger, run_id: str, asked_by: str) -> Fact | None:
    """Return the fact by which the form of the run `asked_by` settled a call, or None."""
    found = ledger.facts(run_id=run_id, kind=Settled.KIND)
    return next((fact for fact in found if fact.as_(Settled).asked_by == asked_by), None)


def free(ledger: Ledger, run_id: str) -> tuple[str, ...]:
    """Release the locks of a run whose call is settled; return what was freed. The caller must know that the run is over."""
    held = tuple(lock.install_id for lock in ledger.locks() if lock.run_id == run_id)
    for install_id in held:
        ledger.release_lock(install_id, run_id)
    return held

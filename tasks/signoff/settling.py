"""Settling: a lead says, with proof, what became of a call whose outcome nobody knows. That frees what it holds.

The host tells the end of a copy by e-mail only. Where the evidence does not settle a call, the person who read that e-mail,
or looked at the site, does: at any time, on staging and production, and never for a call that is settled already.
"""

from datetime import datetime, timedelta
from typing import Literal

from tasks.estate.errors import NotApproved, NotFound, Refused
from tasks.ledger.ledger import Entry, Fact, Ledger
from tasks.signoff.leads import Leads
from tasks.signoff.proofs import BadProof, statement, verify

How = Literal["arrived", "failed"]
VALID = timedelta(minutes=15)  # in which a signature over a statement may be given; the command makes it at once
SHORTEST_REASON = 5  # characters, as of an answer
EMAIL = {"arrived": "completed", "failed": "failed"}  # as the form about an arrival has it


def open_call(ledger: Ledger, run_id: str) -> Fact:
    """Return the journaled call of a run whose outcome is unknown. Raises `NotFound`, or `Refused` if it is settled."""
    sent = ledger.facts(run_id=run_id, kind="sending")
    if not sent:
        raise NotFound(
            f"The ledger knows no call sent by run {run_id!r}; expected the id of a run that sent one.",
            next_step="Nothing was settled. The report of the run shows its id; `understudy ledger export` lists all runs.",
        )
    call = ledger.unsettled(run_id)
    if call is None:
        raise Refused(
            f"The call of run {run_id} is settled already.",
            next_step="Nothing is to be done: it holds nothing. To go back, start `restore` with this run.",
        )
    return call


def statement_to_sign(call: Fact, how: How, answer_by: datetime) -> bytes:
    """Return what a signature is over: what became of exactly this plan's call, until a moment."""
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
    """Record what a lead says became of a call, with the proof, and return that fact.

    `given_at` is when the answer was given, `asked_by` the run whose form asked for it ("" for a terminal).
    Raises `NotApproved` for somebody who is no lead, a bad proof or no reason, and `AlreadyRecorded` for a used code.
    """
    lead = leads.find(name)
    if lead is None:
        raise NotApproved(leads.why_not(name), next_step="Nothing was settled. Ask an enrolled lead.")
    if len(reason.strip()) < SHORTEST_REASON:
        raise NotApproved(
            f"The reason has fewer than {SHORTEST_REASON} characters; expected what was read or seen, and when.",
            next_step="Nothing was settled. Say what tells you, like the e-mail's words and time.",
        )
    message = statement_to_sign(call, how, answer_by)
    try:
        proven = verify(leads, lead, proof, message=message, given_at=given_at, now=now)
    except BadProof as bad:
        raise NotApproved(str(bad), next_step="Nothing was settled. Try again with a new code, or sign.") from None
    told = {"approver": lead.name, "words": reason.strip(), "proof": proven.kind}
    by_whom = told | {"how": f"lead: {how}", "statement": message.decode()}
    if asked_by:
        by_whom["asked_by"] = asked_by
    if proven.signature:
        by_whom["signature"] = proven.signature
    facts = [
        *([Entry("code-used", once=proven.used)] if proven.used else []),
        Entry("arrival-told", call.destination_id, call.plan, told | {"email": EMAIL[how]}),
        Entry("settled", call.destination_id, call.plan, by_whom, f"settled-by-lead:{call.run_id}"),
    ]
    return ledger.record_together(call.run_id, facts)[-1]


def settled_by_form(ledger: Ledger, run_id: str, asked_by: str) -> Fact | None:
    """Return the fact by which the form of the run `asked_by` settled a call, or None."""
    found = ledger.facts(run_id=run_id, kind="settled")
    return next((fact for fact in found if fact.detail.get("asked_by") == asked_by), None)


def free(ledger: Ledger, run_id: str) -> tuple[str, ...]:
    """Let go what a run holds whose call is settled; return what was freed. The caller knows that the run is over."""
    held = tuple(lock.install_id for lock in ledger.locks() if lock.run_id == run_id)
    for install_id in held:
        ledger.release_lock(install_id, run_id)
    return held

"""An answer at the desk: what the page asks for, and the fields of Prefect's form that it becomes. Nothing here decides."""

from collections.abc import Mapping
from dataclasses import dataclass

from deployments.desk.reading import Request, Sources
from tasks.estate.errors import NotApproved, PlanIsStale
from tasks.signoff.approval_recheck import signed_decision
from tasks.signoff.form_fields import (
    APPROVE,
    REJECT,
    answer_fields,
    approval_choice,
    destination_is_typed,
    phrase_is_typed,
)
from tasks.signoff.passkeys import is_assertion
from tasks.signoff.proofs import statement

SHORTEST_REASON, LONGEST_REASON = 5, 500  # characters, as the form in Prefect demands
OURS = {"decision", "destination", "approver", "proof", "reason", "risk"}
SOMEBODY = "Somebody at the desk"
NOTHING = "Nothing was sent; the run still waits."


@dataclass(frozen=True)
class Asked:
    """What the page asks for before an approval: as little as the risk class allows."""

    destination: bool  # to be typed in full, for red only
    restore: bool
    phrase: bool
    statement: str
    statement_with_restore: str


def asked_for(request: Request) -> Asked:
    """Return what an approval of this request needs in addition to proof and reason. Raises `PlanIsStale` without a sheet."""
    sheet, offered = request.request.trusted_sheet, _offered(request)
    fingerprint, until = sheet.plan.fingerprint, sheet.answer_by
    return Asked(
        destination=destination_is_typed(sheet.plan),
        restore=approval_choice(sheet.plan.code, restore=True) in offered,
        phrase=phrase_is_typed(sheet.plan),
        statement=statement(APPROVE, fingerprint, until).decode(),
        statement_with_restore=statement(signed_decision(APPROVE, restore=True), fingerprint, until).decode(),
    )


def rejection(request: Request, given: Mapping[str, str]) -> dict[str, str]:
    """Return the answer of somebody who rejects: a reason is enough."""
    _require_form(request)
    return answer_fields(request.plan, REJECT, reason=_reason(given), approver=SOMEBODY)


def approval(request: Request, given: Mapping[str, str], sources: Sources) -> dict[str, str]:
    """Return the answer of somebody who approves. Raises `NotApproved`, before anything is sent, for what cannot count."""
    if request.wrong:
        raise PlanIsStale(
            f"This request cannot be approved: {request.wrong[0]}", next_step="Reject it; start a new run."
        )
    _require_form(request)
    asked, plan = asked_for(request), request.plan
    destination = given.get("destination", "").strip()
    if asked.destination and destination != plan.destination_name:
        raise NotApproved(f"The typed name is not {plan.destination_name}, which is overwritten.", next_step=NOTHING)
    approver, proof = _proof(given, sources)
    return answer_fields(
        plan,
        approval_choice(plan.code, restore=asked.restore and given.get("restore") == "yes"),
        reason=_reason(given),
        approver=approver,
        proof=proof,
        destination=destination,
        phrase=given.get("risk", "").strip(),
    )


def _proof(given: Mapping[str, str], sources: Sources) -> tuple[str, str]:
    """Return who answers, and the proof: of a passkey, whose owner the leads file names, or the code that was typed."""
    proof = given.get("proof", "")
    if is_assertion(proof):
        owner = sources.owner_of(given.get("credential", ""))
        if not owner:
            raise NotApproved(
                "This passkey is not in the leads file.",
                next_step=f"{NOTHING} Enrol it on the page Passkeys, or answer with a code.",
            )
        return owner, proof
    name, code = given.get("name", "").strip(), "".join(given.get("code", "").split())
    if len(name) < 3 or len(code) != 6 or not code.isdecimal():
        raise NotApproved("Neither a passkey answered, nor were a name and six digits typed.", next_step=NOTHING)
    return name, code


def _reason(given: Mapping[str, str]) -> str:
    reason = " ".join(given.get("reason", "").split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise NotApproved(
            f"The reason has {len(reason)} characters; expected {SHORTEST_REASON} to {LONGEST_REASON}.",
            next_step=NOTHING,
        )
    return reason


def _offered(request: Request) -> list[str]:
    """Return the choices of the run's form."""
    return list(request.form.fields.get("decision", {}).get("enum", [])) if request.form else []


def _require_form(request: Request) -> None:
    """Raise `NotApproved` unless the run shows an approval form with the fields that are known here."""
    form = request.form
    if form is None or request.request.kind != "approval" or not set(form.required) <= OURS:
        raise NotApproved("This request cannot be answered here; answer in Prefect.", next_step=NOTHING)

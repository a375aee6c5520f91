"""The fields of an approval form: what each plan asks for, the choices of its first field, and an answer in their shape.

Prefect's form, the desk and the commands send this shape, and the worker reads it. A rejection needs a reason only.
"""

import re
from typing import NamedTuple

from tasks.estate.dumps import LoadPlan
from tasks.estate.plans import ALPHABET, Intent
from tasks.estate.risks import Grade

REJECT, APPROVE = "reject", "approve"
UNDO = ", undo if its checks fail"  # of the choice that also permits the restore of a promotion
# The bare word is that of version 0.1, which had a field of its own for the code.
CHOICE = re.compile(rf"^(?:{REJECT}|{APPROVE}(?: ([{ALPHABET}]{{4}}-[{ALPHABET}]{{4}})({UNDO})?)?)$")


class Choice(NamedTuple):
    """A decision, the code of the plan that it names ("" for a rejection), and whether it permits the restore."""

    decision: str
    code: str
    restore: bool


def approval_choice(code: str, *, restore: bool = False) -> str:
    """Return the choice that approves the plan of this code.

    It contains the code, so that Prefect refuses what was chosen in a dialog that was opened for an earlier plan of the run.
    """
    return f"{APPROVE} {code}{UNDO if restore else ''}"


def choices(code: str, *, undoable: bool) -> list[str]:
    """Return the choices of a form, rejection first. `undoable`: an approval may permit the restore."""
    return [REJECT, approval_choice(code), *([approval_choice(code, restore=True)] if undoable else [])]


def read_choice(choice: str) -> Choice:
    """Return what a choice means. Raises `ValueError` for any other text."""
    found = CHOICE.fullmatch(choice)
    if found is None:
        raise ValueError("The decision is not one of the form's choices.")
    decision = REJECT if choice == REJECT else APPROVE
    return Choice(decision, found[1] or "", bool(found[2]))


def destination_is_typed(plan: Intent) -> bool:
    """Return whether an approval of this plan needs the name of what is overwritten, typed in full: for red only."""
    return plan.risk.grade is Grade.RED


def phrase_is_typed(plan: Intent) -> bool:
    """Return whether an approval of this plan needs the risk phrase, because personal data arrives as it is."""
    return isinstance(plan, LoadPlan) and bool(plan.arrives_raw)


def answer_fields(
    plan: Intent,
    choice: str,
    *,
    reason: str,
    approver: str = "",
    proof: str = "",
    destination: str = "",
    phrase: str = "",
) -> dict[str, str]:
    """Return an answer with exactly the fields that the form of this plan has; what a rejection leaves out is empty."""
    fields = {"decision": choice, "reason": reason, "approver": approver, "proof": proof}
    fields |= {"destination": destination} if destination_is_typed(plan) else {}
    return fields | ({"risk": phrase} if phrase_is_typed(plan) else {})

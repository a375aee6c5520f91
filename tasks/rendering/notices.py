"""What a notice says of a plan: no more than the form, and nothing that one could answer with."""

from tasks.estate.plans import Intent
from tasks.rendering.markdown import _when, plain
from tasks.signoff.gate import Waiting


def who_is_missing(plan: Intent, waiting: Waiting) -> str:
    """Whose answer a question still needs, in words."""
    left = plan.risk.people - len(waiting.yes)
    return (
        f"{left} more {'person' if left == 1 else 'people'}"
        if waiting.yes
        else f"{left} {'person' if left == 1 else 'people'}"
    )


def notice_lines(plan: Intent, waiting: Waiting) -> list[str]:
    """What a notice says of a question: no more than the form, and nothing that one could answer with."""
    reasons = "; ".join(plan.risk.reasons)
    return [
        f"{plan.verb} of {plain(plan.destination_name)}, plan {plan.code}, requested by {plain(plan.requested_by) or 'not said'}.",
        f"Risk {plan.risk.grade.value.upper()}: {plain(reasons, 600)}",
        f"Answer by {_when(waiting.answer_by)}; silence means no.",
    ]

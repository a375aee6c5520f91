"""Sheets: the facts of an approval request as data, so that the approver can check the form locally."""

import json
from datetime import datetime

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import PlanIsStale
from tasks.estate.plans import Comparison, Plan, fingerprint
from tasks.estate.sites import Immutable

FENCE = "```"


class Sheet(Immutable):
    """The plan, the comparison that is shown, and until when (UTC) the request may be answered.

    It is stored in Prefect, where everybody can change it. The reader recomputes `plan.fingerprint` and signs that, and the
    worker compares it with its own. A changed sheet makes the signature invalid, not dangerous.
    """

    plan: Plan | LoadPlan
    comparison: Comparison | None = None
    answer_by: datetime
    question: int = 0  # number of earlier answers

    def as_markdown(self) -> str:
        """Return the sheet as the text of an artifact."""
        return f"{FENCE}json\n{self.model_dump_json(indent=1)}\n{FENCE}\n"

    @classmethod
    def of_markdown(cls, text: str) -> "Sheet":
        """Return the sheet in the text of an artifact. Raise `PlanIsStale` if plan and comparison do not match, or ValueError."""
        sheet = cls.model_validate(json.loads(text.strip().removeprefix(f"{FENCE}json").removesuffix(FENCE)))
        if (
            isinstance(sheet.plan, Plan)
            and sheet.comparison is not None
            and sheet.plan.shown != digest(sheet.comparison)
        ):
            raise PlanIsStale(f"The sheet of plan {sheet.plan.code} contains another comparison than the plan.")
        return sheet


def sheet_key(run_id: object) -> str:
    """Return the key of the artifact with the sheet of this run."""
    return f"plan-{run_id}"


def digest(comparison: Comparison) -> str:
    """Return the SHA-256 of a comparison, as in `Plan.shown`."""
    return fingerprint(comparison.model_dump(mode="json"))

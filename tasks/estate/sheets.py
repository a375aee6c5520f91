"""Sheets: one question as data, so that whoever answers can check with their own eyes what the form says."""

import json
from datetime import datetime

from tasks.estate.dumps import LoadPlan
from tasks.estate.errors import PlanIsStale
from tasks.estate.plans import Comparison, Plan, fingerprint
from tasks.estate.sites import Immutable

FENCE = "```"


class Sheet(Immutable):
    """The plan that waits, the comparison that people see, and until when (UTC) it may be answered.

    It lies in Prefect, where everybody can change it: whoever reads it recomputes `plan.fingerprint`, signs that, and the
    worker compares it with its own. A changed sheet makes a signature worthless, not dangerous.
    """

    plan: Plan | LoadPlan
    comparison: Comparison | None = None
    answer_by: datetime
    question: int = 0  # how many answers were given before

    def as_markdown(self) -> str:
        """The sheet as an artifact's text."""
        return f"{FENCE}json\n{self.model_dump_json(indent=1)}\n{FENCE}\n"

    @classmethod
    def of_markdown(cls, text: str) -> "Sheet":
        """The sheet in an artifact's text. Raises `PlanIsStale` where the comparison is not the plan's own, ValueError else."""
        sheet = cls.model_validate(json.loads(text.strip().removeprefix(f"{FENCE}json").removesuffix(FENCE)))
        if (
            isinstance(sheet.plan, Plan)
            and sheet.comparison is not None
            and sheet.plan.shown != digest(sheet.comparison)
        ):
            raise PlanIsStale(
                f"The comparison on the sheet of plan {sheet.plan.code} is not the one that the plan was made of."
            )
        return sheet


def sheet_key(run_id: object) -> str:
    """The key of the artifact that holds the sheet of this run."""
    return f"plan-{run_id}"


def digest(comparison: Comparison) -> str:
    """SHA-256 of a comparison: what `Plan.shown` holds."""
    return fingerprint(comparison.model_dump(mode="json"))

"""Preview: what masking would do to a few rows of every table, side by side, in a report only."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import previews, reports
from tasks.estate.dumps import require_originals_allowed
from tasks.estate.flow_parameters import PolicyName, asked
from tasks.runtime import retries


@flow(name="preview", flow_run_name="preview {policy}", **retries.FLOW)
@reports.ends_with_report
def preview(
    policy: PolicyName = "schulportal",
    rows: Annotated[int, asked("Rows", "How many rows of each table to show, 1 to 20.", ge=1, le=20)] = 3,
    show_originals: Annotated[
        bool,
        asked(
            "Show originals",
            "Off: only their length is shown. On: PERSONAL DATA of production is in the report, which Prefect keeps in "
            "clear text for everybody who reaches it. Needs the risk phrase below.",
        ),
    ] = False,
    risk_phrase: Annotated[
        str, asked("Risk phrase", "Only to show originals: I_UNDERSTAND_THE_PII_RISK", max_length=60)
    ] = "",
) -> State[Any]:
    """Plan and prove the masking like an export, mask a few rows in production's server, and report. Writes nothing."""
    originals = require_originals_allowed(show_originals, risk_phrase)
    seen = previews.preview_masking(policy, rows, originals=originals)
    return reports.report_preview(policy, seen)

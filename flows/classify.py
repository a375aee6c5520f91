"""Classify: draft a masking policy from production's catalogue and samples, and report what is new since the last one."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import previews, reports
from tasks.estate.flow_parameters import asked
from tasks.runtime import retries


@flow(name="classify", flow_run_name="classify {policy}", **retries.FLOW)
@reports.ends_with_report
def classify(
    policy: Annotated[
        str,
        asked(
            "Policy",
            "Name of the policy to compare with, or of one that does not exist yet.",
            min_length=1,
            max_length=40,
        ),
    ] = "schulportal",
    sample: Annotated[
        int, asked("Sample", "Values of each column to look at, 10 to 5000; none is kept or shown.", ge=10, le=5000)
    ] = 200,
    write_to: Annotated[
        str,
        asked(
            "Write to",
            "New .yaml file on the worker, relative to the folder of policies. Empty: the draft is in the report only.",
            max_length=200,
        ),
    ] = "",
) -> State[Any]:
    """Read production's catalogue and samples, draft a rule for every column, compare with the policy. Changes nothing."""
    path = previews.require_new_file(write_to)
    existing = previews.read_policy(policy)
    drafted = previews.draft_policy(policy, existing, sample)
    written = previews.write_draft(drafted, path)
    return reports.report_classification(policy, drafted, compared=existing is not None, written=written)

"""Diagnose: check one install in every respect, without changing it."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import checks, reports
from tasks.estate.forms import asked


@flow(
    name="diagnose",
    flow_run_name="diagnose {install}",
    retries=0,  # the steps retry; another diagnosis is a new run
    persist_result=True,
)
@reports.ends_with_report
def diagnose(
    install: Annotated[str, asked("Install", "Install to look at, by name.", min_length=3, max_length=14)],
    compare_with: Annotated[str, asked("Compare with", "Second install, by name; empty: none.", max_length=14)] = "",
) -> State[Any]:
    """Check one install read-only: active, domains, HTTP, certificates, leaked URLs, cache; compare it with a second one if named."""
    diagnosis = checks.diagnose_install(install, compare_with)
    return reports.report_diagnosis(install, diagnosis.findings, diagnosis.comparison)

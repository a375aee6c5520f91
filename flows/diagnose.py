"""Diagnose: check one install in every respect, without changing it."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import checks, reports
from tasks.estate.flow_parameters import install
from tasks.estate.form_choices import chosen_name
from tasks.runtime import retries, run_names


@flow(name="diagnose", flow_run_name=run_names.of_place("diagnose {install}"), **retries.FLOW)
@reports.ends_with_report
def diagnose(
    install: Annotated[str, install("Install", "Install to look at, by name.")],
    compare_with: Annotated[str, install("Compare with", "Second install, by name; empty: none.", optional=True)] = "",
) -> State[Any]:
    """Check one install read-only: active, domains, HTTP, certificates, leaked URLs, cache; compare it with a second one if named.

    If the settings allow SSH to the install, WP-CLI looks at it from the inside too.
    """
    install, compare_with = chosen_name(install), chosen_name(compare_with)
    diagnosis = checks.diagnose_install(install, compare_with)
    inside = checks.look_inside(install, compare_with)
    return reports.report_diagnosis(install, diagnosis.findings + inside, diagnosis.comparison)

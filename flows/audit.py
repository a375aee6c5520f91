"""Audit: who requested, who approved, when, and with what outcome. Reads only the ledger."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import audits, reports
from tasks.estate.flow_parameters import CHOICE, asked
from tasks.estate.form_choices import chosen_name
from tasks.runtime import retries


@flow(name="audit", flow_run_name="audit of {days} days", **retries.FLOW)
@reports.ends_with_report
def audit(
    days: Annotated[int, asked("Days", "How far back to look, 1 to 400.", ge=1, le=400)] = 30,
    destination: Annotated[
        str, asked("Destination", "Only this install or hostname; empty: all of them.", max_length=CHOICE)
    ] = "",
) -> State[Any]:
    """Report who approved what in the last days, from the ledger alone, with the verification of its hash chain."""
    return audits.report_audit(audits.read_history(days, chosen_name(destination)))

"""Settle: a lead answers how a call with an unknown outcome ended, and what it holds is released."""

from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import reports, settlements
from tasks.estate.flow_parameters import asked, person
from tasks.runtime import retries


@flow(name="settle", flow_run_name="settle for {your_name}", **retries.FLOW)
@reports.ends_with_report
def settle(
    run: Annotated[UUID, asked("Run", "Id of the run whose outcome is unknown; its report shows it.")],
    your_name: Annotated[str, person("Your name", "You start this run; a lead answers its form with proof.")],
) -> State[Any]:
    """Ask a lead, with proof, for the outcome of a copy, restore or load that was sent. Sends nothing; a retry of that run continues."""
    return settlements.report_settlement(settlements.settle_call(run, your_name=your_name))

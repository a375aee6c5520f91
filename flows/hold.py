"""Hold: keep one destination as it is until a moment, so that no scheduled refresh overwrites work on it."""

from datetime import datetime
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks import holds, reports
from tasks.estate.flow_parameters import CHOICE, asked, person
from tasks.estate.form_choices import chosen_name
from tasks.runtime import retries, run_names


@flow(name="hold", flow_run_name=run_names.of_hold, **retries.FLOW)
@reports.ends_with_report
def hold(
    destination: Annotated[
        str,
        asked(
            "What to keep as it is",
            "Install, by name, or the hostname of the staging instance.",
            min_length=1,
            max_length=CHOICE,
        ),
    ],
    your_name: Annotated[str, person("Your name", "Whom others ask about the hold.")],
    until: Annotated[
        datetime | None,
        asked("Until", "Needed to hold: choose date-time. At most 30 days ahead; then the hold ends by itself."),
    ] = None,
    reason: Annotated[
        str, asked("Reason", "Needed to hold: what the destination is needed for, in a few words.", max_length=300)
    ] = "",
    end_hold: Annotated[
        bool, asked("End the holds instead", "On: this run asks for the owner's release word or a lead's proof.")
    ] = False,
    release: Annotated[
        str,
        asked(
            "Release", "Filled in by `understudy hold`, so that the owner can end it. Otherwise empty.", max_length=64
        ),
    ] = "",
) -> State[Any]:
    """Keep a destination as it is until a moment: standing approvals do not apply. Anybody may place a hold; its owner or a lead ends it."""
    name = holds.find_destination(chosen_name(destination))
    if end_hold:
        changed = holds.end_holds(name, your_name=your_name)
    else:
        changed = holds.place_hold(name, until=until, reason=reason, your_name=your_name, release=release)
    return holds.report_hold(name, changed, ended=end_hold)

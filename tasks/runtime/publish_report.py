"""Publish the end of a run: its outcome in the ledger, its report, its notice and its named state. No other file does that."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.estate.outcomes import GREEN
from tasks.estate.plans import Report
from tasks.ledger.facts import NoticeSent, Reported
from tasks.ledger.ledger import AlreadyRecorded
from tasks.rendering.report_text import report_text
from tasks.rendering.times_and_tables import plain
from tasks.runtime.notices import Kind, send_notice
from tasks.runtime.other_runs import wait_timed_out
from tasks.runtime.resources import open_ledger

ALWAYS_NOTIFIED = ("promote", "restore", "provision")  # people wait for the end of these, whatever it is
NOTIFIED_IF_RED = ("refresh", "load_dump", "reload")
WITHOUT_LEDGER = ("Misconfigured", "LedgerUnavailable")  # outcomes that the ledger cannot or need not record


def publish(report: Report, extra: str = "", *, record: bool = True, key: str = "") -> State[Any]:
    """Publish the report of this run, followed by the Markdown `extra`, and return the named state of the run.

    The ledger comes first: the record that matters does not depend on Prefect. `record=False`: it is there already. `key`: a key
    other than the one that the reports of all runs of this verb share.
    """
    head = ""
    if record and report.outcome not in WITHOUT_LEDGER:
        open_ledger().record(Reported.of(report), run_id=report.run_id)
        head = str(open_ledger().head())
    state = publish_text(report.verb, report.outcome, report_text(report, head) + extra, _message(report), key)
    red = report.outcome not in GREEN and report.verb in NOTIFIED_IF_RED
    if report.outcome != "Misconfigured" and (report.verb in ALWAYS_NOTIFIED or red):
        _notify(report, "ended")
    return state


def publish_text(verb: str, outcome: str, markdown: str, message: str, key: str = "") -> State[Any]:
    """Publish Markdown as the report of this run, and return the named state of the run. Nothing is recorded."""
    create_markdown_artifact(markdown, key=key or report_key(verb), description=f"{verb}: {outcome}")
    make: Callable[..., State[Any]] = Completed if outcome in GREEN else Failed
    return make(name=outcome, message=message)


def publish_for(report: Report, state: State[Any] | None, kind: Kind) -> bool:
    """Publish the end of a run that no process will end; return False if another sweep recorded it.

    `state` is the run's state, None if Prefect does not have the run. A state Crashed or Cancelled stays. State and report come
    first and may be repeated: the newest report of a run counts. The recorded outcome decides which
    sweep sends the notice.
    """
    if state is not None:
        with get_client(sync_client=True) as client:
            if not state.is_final() or wait_timed_out(state) or state.is_completed():
                named: State[Any] = Failed(name=report.outcome, message=_message(report))
                client.set_flow_run_state(UUID(report.run_id), named, force=True)
            client.create_artifact(
                ArtifactCreate(
                    key=report_key(report.verb),
                    type="markdown",
                    data=report_text(report),
                    description=f"{report.verb}: {report.outcome}",
                    flow_run_id=UUID(report.run_id),
                )
            )
    ledger = open_ledger()
    try:
        ledger.record(Reported.of(report), run_id=report.run_id, once=f"swept:{report.run_id}")
    except AlreadyRecorded:
        return False
    if not any(
        fact.as_(NoticeSent).kind == "ended" for fact in ledger.facts(run_id=report.run_id, kind=NoticeSent.KIND)
    ):
        _notify(report, kind)
    return True


def report_key(verb: str, run_id: str = "") -> str:
    """Return the key of a report, which Prefect shows as its title. The run of a report is its `flow_run_id`.

    Words only, because `prefect artifact delete` deletes by key: a report that people must delete has its run's id in the key.
    """
    return "-".join(filter(None, ("report", verb.replace("_", "-"), run_id)))


def _message(report: Report) -> str:
    return " ".join(filter(None, (report.message, report.next_step))) or f"{report.verb} {report.outcome.lower()}"


def _notify(report: Report, kind: Kind) -> None:
    lines = [plain(line, 600) for line in (report.message, report.next_step) if line]
    send_notice(kind, f"{report.verb} of {plain(report.destination)}: {report.outcome}", lines, run_id=report.run_id)

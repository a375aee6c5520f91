"""Audits: read the ledger, change nothing of it, and tell who approved what."""

from datetime import timedelta
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tasks.estate.errors import LedgerBroken
from tasks.estate.plans import Report
from tasks.estate.waiting import utc_now
from tasks.ledger.ledger import Fact, Ledger
from tasks.rendering import audit
from tasks.rendering.report import report_text
from tasks.runtime.current_run import this_run
from tasks.runtime.resources import open_ledger, read_leads
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.signoff.history import KINDS, History, history
from tasks.signoff.witnesses import verified_signatures

AUDITED = "Audited"


@task(name="Read who approved what", **BELOW_THE_GATE)
def read_history(days: int, destination: str) -> History:
    """Verify the ledger's chain, and read the history of the last days; `destination` by name, empty for all."""
    ledger, now = open_ledger(), utc_now()
    problems = ledger.verify()
    facts = _readable(ledger) if problems else ledger.facts(kinds=KINDS)
    found = history(facts, since=now - timedelta(days=days), until=now, destination=destination)
    verified, kept = verified_signatures(facts, read_leads())
    said = f"{verified} of {kept} kept signatures verify with today's leads file"
    return found.model_copy(update={"problems": tuple(problems), "head": str(ledger.head() or ""), "signatures": said})


def _readable(ledger: Ledger) -> list[Fact]:
    """What a broken ledger still tells; nothing where a row is no fact any more."""
    try:
        return ledger.facts(kinds=KINDS)
    except ValueError:
        return []


def report_audit(found: History) -> State[Any]:
    """The end of an audit: `Audited`, or `LedgerBroken` where the history rests on a chain that does not hold."""
    report = Report(
        verb="audit",
        outcome=LedgerBroken.outcome if found.problems else AUDITED,
        source="the ledger",
        destination=found.destination,
        run_id=this_run(),
        message=f"{len(found.runs)} runs; the chain has {len(found.problems) or 'no'} problems.",
        next_step="Stop the workers, keep a copy of the ledger, and compare it with an anchor: `understudy ledger verify`."
        if found.problems
        else "",
    )
    return _publish(report, "\n" + audit.history_text(found))


def _publish(report: Report, extra: str) -> State[Any]:
    """As every other report is published."""
    open_ledger().record("outcome", run_id=report.run_id, detail=report.model_dump(mode="json"))
    create_markdown_artifact(
        report_text(report) + extra,
        key=f"report-{report.run_id}",
        description=f"{report.verb}: {report.outcome}",
    )
    message = " ".join(part for part in (report.message, report.next_step) if part)
    end = Completed if report.outcome == AUDITED else Failed
    return end(name=report.outcome, message=message)

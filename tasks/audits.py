"""Audits: read the ledger, change nothing in it, and report who approved what."""

from datetime import timedelta
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State

from tasks.estate.errors import LedgerBroken
from tasks.estate.outcomes import AUDITED
from tasks.estate.plans import Report
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Fact, Ledger
from tasks.rendering.audit import history_text
from tasks.runtime.current_run import this_run
from tasks.runtime.publish_report import publish
from tasks.runtime.resources import open_ledger, read_leads
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.signoff.approval_recheck import verified_signatures
from tasks.signoff.history import KINDS, History, history


@task(name="Read who approved what", **BELOW_THE_GATE)
def read_history(days: int, destination: str) -> History:
    """Verify the ledger's chain, and return the history of the last days; `destination` by name, empty for all."""
    ledger, now = open_ledger(), utc_now()
    problems = ledger.verify()
    facts = _readable(ledger) if problems else ledger.facts(kinds=KINDS)
    found = history(facts, since=now - timedelta(days=days), until=now, destination=destination)
    verified, kept = verified_signatures(facts, read_leads())
    signatures = f"{verified} of {kept} kept signatures verify with today's leads file"
    return found.model_copy(
        update={"problems": tuple(problems), "head": str(ledger.head() or ""), "signatures": signatures}
    )


def _readable(ledger: Ledger) -> list[Fact]:
    """Return the facts of a broken ledger, or no fact if a row cannot be read as one."""
    try:
        return ledger.facts(kinds=KINDS)
    except ValueError:
        return []


def report_audit(found: History) -> State[Any]:
    """Finish an audit: `Audited`, or `LedgerBroken` if the chain does not verify."""
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
    return publish(report, "\n" + history_text(found))

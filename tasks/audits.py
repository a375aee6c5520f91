"""Audits: read the ledger, change nothing in it, and report who approved what."""

from datetime import timedelta
from typing import Any

import httpx
from prefect import task
from prefect.client.schemas.objects import State

from tasks.estate.errors import LedgerBroken
from tasks.estate.outcomes import AUDITED
from tasks.estate.plans import Report
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Fact, Ledger
from tasks.rendering.audit import history_text
from tasks.runtime.current_run import this_run
from tasks.runtime.other_runs import states_of
from tasks.runtime.publish_report import publish
from tasks.runtime.resources import open_ledger, read_leads
from tasks.runtime.retries import BELOW_THE_GATE
from tasks.signoff.approval_recheck import verified_signatures
from tasks.signoff.history import KINDS, History, RunRecord, history

UNKNOWN = "its state in Prefect is not known"
DELETED = "Prefect does not have the run"


@task(name="Read who approved what", **BELOW_THE_GATE)
def read_history(days: int, destination: str) -> History:
    """Verify the ledger's chain, and return the history of the last days; `destination` by name, empty for all."""
    ledger, now = open_ledger(), utc_now()
    problems = ledger.verify()
    facts = _readable(ledger) if problems else ledger.facts(kinds=KINDS)
    found = _with_states(history(facts, since=now - timedelta(days=days), until=now, destination=destination))
    verified, kept = verified_signatures(facts, read_leads())
    signatures = f"{verified} of {kept} kept signatures verify with today's leads file"
    return found.model_copy(
        update={"problems": tuple(problems), "head": str(ledger.head() or ""), "signatures": signatures}
    )


def _with_states(found: History) -> History:
    """Return the history with the state in Prefect of each run that has no outcome: it may wait, or never get one."""
    wanting = [run.run_id for run in found.runs if not run.outcome]
    if not wanting:
        return found
    try:
        states = states_of(wanting)
    except httpx.HTTPError:  # the audit is about the ledger: it needs no Prefect
        return found.model_copy(update={"runs": tuple(_in_state(run, UNKNOWN) for run in found.runs)})
    words = {run_id: f"{state.name} in Prefect" for run_id, state in states.items()}
    return found.model_copy(
        update={"runs": tuple(_in_state(run, words.get(run.run_id, DELETED)) for run in found.runs)}
    )


def _in_state(run: RunRecord, words: str) -> RunRecord:
    return run if run.outcome else run.model_copy(update={"state": words})


def _readable(ledger: Ledger) -> list[Fact]:
    """Return the facts of a broken ledger, or no fact if a row cannot be read as one."""
    try:
        return ledger.facts(kinds=KINDS)
    except ValueError:
        return []


def _message(found: History) -> str:
    runs, problems = len(found.runs), len(found.problems)
    return f"{runs} {'run' if runs == 1 else 'runs'}; the chain has {problems or 'no'} {'problem' if problems == 1 else 'problems'}."


def report_audit(found: History) -> State[Any]:
    """Finish an audit: `Audited`, or `LedgerBroken` if the chain does not verify."""
    report = Report(
        verb="audit",
        outcome=LedgerBroken.outcome if found.problems else AUDITED,
        source="the ledger",
        destination=found.destination,
        run_id=this_run(),
        message=_message(found),
        next_step="Stop the workers, keep a copy of the ledger, and compare it with an anchor: `understudy ledger verify`."
        if found.problems
        else "",
    )
    return publish(report, "\n" + history_text(found))

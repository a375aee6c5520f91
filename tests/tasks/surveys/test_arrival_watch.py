"""The copy of a run that has ended counts as arrived only if the state of the host proves it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from deployments.sandbox.host.host import Host
from flows.refresh import refresh
from tasks.ledger.ledger import Fact, Ledger
from tasks.runtime.resources import open_clients
from tasks.surveys.arrival_watch import has_arrived
from tests.raw_facts import raw_fact

GAP = timedelta(milliseconds=20)
TIME = timedelta(hours=1)  # the host may still be working: an unchanged site proves nothing yet


def again(ledger: Ledger, verified: str, run_id: str) -> Fact:
    """Record a run that sent the same copy as the verified one and crashed before the outcome."""
    copied = {}
    for fact in ledger.facts(run_id=verified):
        if fact.kind in ("planned", "sending"):
            where = {"run_id": run_id, "destination_id": fact.destination_id, "plan": fact.plan}
            copied[fact.kind] = ledger.record(raw_fact(fact.kind, fact.detail), **where)  # type: ignore[arg-type]  # all are text
    return copied["sending"]


def test_what_arrived_is_proven(start: Callable[..., Any], worker: Host, ledger: Ledger) -> None:
    """Two readings prove a copy that arrived, but not one that differs now, nor one without a plan."""
    worker.publish("schulprod", "files")
    worker.publish("schulprod", "post")
    done = start(refresh, source="schulprod", destination="schulstage", approval="ask").approve()
    assert done.state == "Verified", done.message
    sending = again(ledger, done.id, "crashed")
    assert has_arrived(ledger, sending, connect=open_clients, gap=GAP, host_within=TIME) is True
    worker.publish("schulstage", "post")  # staging has changed since
    assert has_arrived(ledger, sending, connect=open_clients, gap=GAP, host_within=TIME) is False
    lost = ledger.record(raw_fact("sending"), run_id="no plan")
    assert has_arrived(ledger, lost, connect=open_clients, gap=GAP, host_within=TIME) is False

"""The flow process is killed around the copy call, then the run is retried: at most one copy, always reconciled."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from flows.promote import promote
from flows.refresh import refresh
from tasks.ledger.ledger import Ledger
from tests.flows.killing import kill

# Kills the process before, during or after the copy call.
PATCH = """
from tasks.capi.client import Client

send = Client.send_copy

def killed(self, *args, **options):
    if "{moment}" == "during":
        threading.Timer(0.25, os.kill, (os.getpid(), signal.SIGKILL)).start()  # the host answers after half a second
    if "{moment}" != "before":
        send(self, *args, **options)
    os.kill(os.getpid(), signal.SIGKILL)

Client.send_copy = killed
"""


@pytest.mark.parametrize("verb", [pytest.param("refresh", marks=pytest.mark.drill), "promote"])
@pytest.mark.parametrize(
    ("moment", "copies", "outcome"),
    [
        ("before", 0, "OutcomeUnknown"),
        ("during", 1, "Verified"),
        pytest.param("after", 1, "Verified", marks=pytest.mark.drill),
    ],
)
def test_a_killed_run_is_reconciled_and_never_sends_again(
    verb: str, moment: str, copies: int, outcome: str, start: Callable[..., Any], worker: Host, ledger: Ledger
) -> None:
    """Killed before, during or after the call: the retry sends nothing and finds out whether the copy arrived."""
    worker.publish("schulstage", "files")
    flow, pair = {
        "refresh": (refresh, {"source": "schulprod", "destination": "schulstage"}),
        "promote": (promote, {"source": "schulstage", "destination": "schulprod"}),
    }[verb]
    run = start(flow, **pair)
    assert run.say() == "ACCEPT"
    if moment == "during":
        worker.switch_on("slow-reply", install=pair["destination"], path="/install_copy", seconds=0.5)
    assert kill(verb, run.id, PATCH.format(moment=moment)) == -signal.SIGKILL
    assert [fact.kind for fact in ledger.facts(run_id=run.id)][-1] == "sending"
    worker.switch_off_all()
    run.restart().go()
    if run.state == "Suspended":  # production and no evidence: the e-mail decides
        run.arrived("no e-mail yet")
    assert (run.state, worker.copies_received()) == (outcome, copies), run.message
    run.restart().go()
    assert worker.copies_received() == copies

"""Provision: a new staging install is made once and filled from production."""

from collections.abc import Callable
from typing import Any

from deployments.sandbox.host.host import Host
from flows.provision import provision


def test_a_new_install_is_made_once_and_filled(start: Callable[..., Any], worker: Host) -> None:
    """Provision creates one staging install next to production, waits, and copies."""
    run = start(provision, source="schulprod", name="schulneu").approve()
    assert run.state == "Verified", run.message
    made = [row for row in worker.journal() if (row["method"], row["path"]) == ("POST", "/v1/installs")]
    assert len(made) == 1
    assert worker.snapshot()["installs"]["schulneu"]["totals"]["posts"] == 12

"""What could not be checked: a copy that arrived ends VerifiedInPart, and its report names what a person should check."""

from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from flows.promote import promote
from flows.refresh import refresh
from tasks.ledger.ledger import Ledger


@pytest.mark.parametrize(
    ("flow", "source", "destination", "variant", "why"),
    [
        (refresh, "schulprod", "schulstage", "protected", "the site requires a login"),
        (promote, "schulstage", "schulprod", "challenge", "the site does not answer programs now (HTTP 403)"),
    ],
)
def test_a_copy_whose_site_cannot_be_read_is_verified_in_part(
    flow: Any, source: str, destination: str, variant: str, why: str,
    start: Callable[..., Any], worker: Host, ledger: Ledger,
) -> None:  # fmt: skip
    """One copy, proven by checkpoints and measured size; no undo, no lock left, and the report names the checks to make manually."""
    worker.publish(source, "files")
    worker.vary(variant, install=destination)
    run = start(flow, source=source, destination=destination).approve()
    assert (run.state, worker.copies_received()) == ("VerifiedInPart", 1), run.message
    assert "Checks that could not be made: " in run.message
    for check in ("front page", "home is the site's own domain", "cache is fresh"):
        assert check in run.message
    assert why in run.report
    assert f"Look at {destination} for what could not be checked" in run.report
    assert (ledger.locks(), ledger.facts(run_id=run.id, kind="restore-started")) == ([], [])
    assert [fact.detail["outcome"] for fact in ledger.facts(run_id=run.id, kind="outcome")] == ["VerifiedInPart"]

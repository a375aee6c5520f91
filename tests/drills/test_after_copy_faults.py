"""Every fault of the SSH gateway × every step after a copy: staging is never less safe than its run reports."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request
from deployments.sandbox.host.site_tables import PEOPLE
from flows.refresh import refresh
from tasks.estate.recipes import CopyStep

pytestmark = pytest.mark.drill

PAIR = {"source": "schulprod", "destination": "schulstage"}
PASSING = ("ssh-dropped", "ssh-answer-lost", "ssh-session-killed", "ssh-out-of-memory", "ssh-database-down")
LASTING = ("ssh-php-fails", "ssh-no-wp")
# A part of a command that only this step sends to staging.
COMMANDS: dict[CopyStep, str] = {
    CopyStep.KEEP_OUT: "UNDERSTUDY_KEEPS_OUT",
    CopyStep.STOP_MAIL: "UNDERSTUDY_STOPS_MAIL",
    CopyStep.PAUSE_JOBS: "actionscheduler",
    CopyStep.TEST_PAYMENTS: "woocommerce",
    CopyStep.DISABLE_WEBHOOKS: "wc_webhooks",
    CopyStep.HIDE_FROM_SEARCH: "blog_public",
    CopyStep.REPLACE_URLS: "search-replace",
    CopyStep.MARK_STAGING: "understudy-banner",
    CopyStep.MASK_PEOPLE: "UPDATE",
    CopyStep.FLUSH: "rewrite",
}


def harm(host: Host) -> list[str]:
    """Return what staging sends in an hour, and the tables with production's people."""
    host.pass_hour("schulstage")
    sent = [f"{row['kind']} to {row['to']}" for row in host.outbox("schulstage")]
    tables = host.named("schulstage")["database"]["rows"]
    planted = [value for person in PEOPLE for value in person[2:4]]
    return sent + [name for name, rows in tables.items() if any(value in json.dumps(rows) for value in planted)]


def is_kept_out(host: Host) -> bool:
    """Return whether a visitor of staging is kept out."""
    domain = host.named("schulstage")["primary_domain"]
    return host.handle(Request("GET", domain, "/", {"fresh": "1"})).status == 503


@pytest.mark.parametrize(("step", "fault"), list(itertools.product(COMMANDS, (*PASSING, *LASTING))))
def test_a_step_that_cannot_be_taken_is_reported_and_repeated(
    step: CopyStep, fault: str, start: Callable[..., Any], inside: Host
) -> None:
    """While the fault lasts the run is not neutralised, and names the step; a retry without it ends safe, without a copy."""
    inside.switch_on(fault, install="schulstage", path=COMMANDS[step])
    run = start(refresh, **PAIR, approval="standing")
    assert (run.state, inside.copies_received()) == ("NotNeutralised", 1), run.message
    assert is_kept_out(inside) or "Visitors are kept out." not in run.message
    inside.switch_off_all()
    run.restart().go()
    assert (run.state, inside.copies_received()) == ("Verified", 1), run.message
    assert harm(inside) == []
    assert not is_kept_out(inside)


@pytest.mark.parametrize(("step", "fault"), list(itertools.product(COMMANDS, PASSING)))
def test_a_fault_that_passes_is_met_by_a_retry_of_the_step(
    step: CopyStep, fault: str, start: Callable[..., Any], inside: Host
) -> None:
    """After one lost command the step is repeated, and the run ends safe."""
    inside.switch_on(fault, install="schulstage", path=COMMANDS[step], times=1)
    run = start(refresh, **PAIR, approval="standing")
    assert (run.state, inside.copies_received()) == ("Verified", 1), run.message
    assert harm(inside) == []

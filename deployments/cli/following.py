"""Follow a run from its start until it asks something or ends."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from deployments.cli.server import Form, Server, form_keys, link
from deployments.cli.speaking import Loud, Told, aside

EVERY = 0.5  # seconds between two looks at a run


def follow(server: Server, deployment: str, parameters: Mapping[str, Any]) -> tuple[FlowRun, Form | None]:
    """Start a deployment and wait until its run asks something or ends; say on the way what it does.

    Gives the run, with its form if it asks. Waits as long as the run does; whoever stops waiting does not stop the run.
    """
    run = server.start(deployment, parameters)
    aside(f"Started {deployment}: {link(run)}")
    return watch(server, run)


def watch(server: Server, run: UUID, *, answered: str = "") -> tuple[FlowRun, Form | None]:
    """Wait until a run asks something or ends, as `follow`; the question with the key `answered` is not a new one."""
    shown = ""
    while True:
        now = server.run(run)
        if state_name(now) != shown:
            shown = state_name(now)
            aside(f"{now.name}: {shown}")
        form = server.form(now) if form_keys(now.state) else None
        if (form is not None and form.key != answered) or (now.state is not None and now.state.is_final()):
            return now, form
        time.sleep(EVERY)


def told_end(run: FlowRun) -> Told:
    """How a run ended: the name of its outcome and its message. `failed` unless it is a good one."""
    message = str(run.state.message or "") if run.state else ""
    good = run.state is not None and run.state.is_completed()
    where, line = link(run.id), f"{state_name(run)}: {message}"
    document = {"run": str(run.id), "link": where, "state": state_name(run), "message": message}
    return Told(document, [line if good else Loud(line), where], failed=not good)


def state_name(run: FlowRun) -> str:
    """The name of the run's state, which is the name of its outcome once it has ended."""
    return str(run.state.name if run.state else "unknown")

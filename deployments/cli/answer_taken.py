"""After an answer: wait until the worker has checked it, and report whether it counted and what the run does now."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, TaskRun

from deployments.cli.follow_run import LIMITS, Limits, end_result, state_name, watch
from deployments.cli.output import Alert, Good, Result, print_aside
from deployments.prefect_server import Form, Server, link
from deployments.run_progress import step_name
from tasks.estate.errors import Rejected

REFUSED = re.compile(r"^\* \*\*(The last answer did not count: .+?)\*\*(.*)$", re.MULTILINE)  # rendering.refused_line
APPROVED = re.compile(r"^\* \*\*.+\*\* approved \(.*$", re.MULTILINE)  # rendering.gate_lines


def await_taken(
    server: Server,
    run: UUID,
    form: Form,
    before: Sequence[TaskRun],
    answered: Mapping[str, Any],
    limits: Limits = LIMITS,
) -> Result:
    """Wait until the run asks again, ends, or starts a step that it had not reached `before`. `answered` is the document so far.

    After an answer a run starts again from its beginning, so a step of a new name is the first one past the approval gate.
    """
    print_aside("Prefect has the answer. The worker checks it …")
    known = {step_name(step) for step in before}

    def continues(now: FlowRun) -> bool:
        running = now.state is not None and now.state.is_running()
        return running and any(step_name(step) not in known for step in server.steps(run))

    now, again = watch(server, run, answered=form.key, limits=limits, enough=continues)
    document = {**answered, "state": state_name(now)}
    if again is not None:
        return _asks_again(now, again, document)
    if now.state is not None and now.state.is_final():
        return _ended(now, document)
    line = Good("The answer counts, and the run continues.")
    return Result(document | {"counted": True}, [line, f"To follow it: understudy watch {run}", link(run)])


def _asks_again(now: FlowRun, form: Form, document: dict[str, Any]) -> Result:
    why, where = why_refused(form), link(now.id)
    if why:
        lines = [
            Alert(why),
            "Nothing was overwritten; the run still waits. Answer again with a new code, or sign.",
            where,
        ]
        return Result(document | {"counted": False, "why": why}, lines, failed=True)
    approved = [line.lstrip("* ").replace("**", "") for line in APPROVED.findall(form.text)]
    lines = [Good("The answer counts. The run waits for another answer."), *approved, where]
    return Result(document | {"counted": True}, lines)


def why_refused(form: Form) -> str:
    """Return why the last answer did not count, from the form that asks again; empty if it counted or nobody answered."""
    refused = REFUSED.search(form.text)
    return f"{refused[1]}{refused[2]}".replace("\\", "") if refused else ""


def _ended(now: FlowRun, document: dict[str, Any]) -> Result:
    """Return how the run ended. A rejected run is what somebody who rejects it wanted."""
    ended = end_result(now)
    wanted = document["decision"] == "reject" and document["state"] == Rejected.outcome
    lines = [Good(line) if wanted else line for line in ended.lines]
    counted = True if wanted or not ended.failed else None
    return Result({**document, **ended.document, "counted": counted}, lines, failed=ended.failed and not wanted)

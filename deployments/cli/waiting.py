"""`waiting` and `show`: list the requests that wait for an answer, and show one of them."""

from typing import Any

from prefect.client.schemas.objects import FlowRun

from deployments.cli.follow_run import state_name
from deployments.cli.options import PlanOrRun
from deployments.cli.output import Alert, MarkdownText, Result, columns
from deployments.cli.request_lines import fact_lines
from deployments.comments import comments_on
from deployments.open_requests import (
    OpenRequest,
    disagreements,
    facts_of,
    find_past_run,
    find_request,
    open_requests,
)
from deployments.prefect_server import Server, connected, link
from deployments.run_progress import step_name
from tasks.estate.errors import NotFound


def waiting() -> Result:
    """List the runs that wait for an answer, the earliest deadline first."""
    with connected() as server:
        requests = open_requests(server)
        comments = comments_on(server.client, [request.run.id for request in requests])
    rows = [_row(request, len(comments.get(request.run.id, ()))) for request in requests]
    if not rows:
        return Result({"waiting": []}, ["Nothing waits for an answer."])
    lines = columns([list(row.values()) for row in rows], head=[name.replace("_", " ") for name in rows[0]])
    return Result({"waiting": rows}, lines)


def show(named: PlanOrRun) -> Result:
    """Show one request: the plan recomputed from its sheet, and the form. Exit with 1 if they disagree.

    A run that waits for nothing is shown with its state, its steps and its message.
    """
    with connected() as server:
        try:
            request = find_request(server, named)
        except NotFound:
            run = find_past_run(server, named)
            if run is None:
                raise
            return _now(server, run)
        form = server.form(request.run)
        comments = comments_on(server.client, [request.run.id]).get(request.run.id, [])
    wrong = disagreements(request, form)
    text = form.text if form else ""
    lines = [
        "The sheet, recomputed here:",
        "",
        *fact_lines(request),
        "",
        "The form, as Prefect shows it:",
        "",
        MarkdownText(text),
        *(["", "Comments, which decide nothing:", ""] if comments else []),
        *map(str, comments),
    ]
    warning = [Alert(f"THE FORM AND THE SHEET DISAGREE. {each}") for each in wrong]
    advice = ["", "Do not approve. Reject it and start a new run; ask who changed it."] if wrong else []
    document = facts_of(request) | {
        "asks": request.kind,
        "form": text,
        "disagreements": wrong,
        "comments": [{"name": each.name, "at": each.at.isoformat(), "text": each.text} for each in comments],
    }
    return Result(document, [*warning, *lines, "", *warning, *advice], failed=bool(wrong))


def _now(server: Server, run: FlowRun) -> Result:
    """Return what a run does that waits for no answer."""
    steps = server.steps(run.id)
    running = [step_name(step) for step in steps if step.state and step.state.is_running()]
    done = list(dict.fromkeys(step_name(step) for step in steps if step.state and step.state.is_completed()))
    over = run.state is not None and run.state.is_final()
    message = str(run.state.message or "") if run.state else ""
    document = {
        "run": str(run.id),
        "name": run.name,
        "state": state_name(run),
        "message": message,
        "running": running,
        "done": done,
        "link": link(run.id),
    }
    lines = [
        f"{run.name} waits for no answer: it is {state_name(run)}. {message if over else ''}".strip(),
        *([f"Done: {', '.join(done)}"] if done else []),
        *([f"Running: {', '.join(running)}"] if running else []),
        *([] if over else [f"It waits: {server.obstacle(run)}"] if not running else []),
        link(run.id),
    ]
    return Result(document, lines)


def _row(request: OpenRequest, comments: int) -> dict[str, Any]:
    sheet = request.sheet
    return {
        "code": sheet.plan.code if sheet else "unreadable",
        "asks": request.kind,
        "verb": sheet.plan.verb if sheet else "",
        "destination": sheet.plan.destination_name if sheet else "",
        "answer_by": sheet.answer_by.strftime("%Y-%m-%d %H:%M UTC") if sheet else "",
        "comments": comments,
        "run": str(request.run.id),
        "link": link(request.run.id),
    }

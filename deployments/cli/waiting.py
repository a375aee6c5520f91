"""`waiting` and `show`: list the requests that wait for an answer, and show one of them."""

from typing import Any

from deployments.cli.options import PlanOrRun
from deployments.cli.output import Alert, MarkdownText, Result, columns
from deployments.cli.request_lines import fact_lines
from deployments.open_requests import OpenRequest, disagreements, facts_of, find_request, open_requests
from deployments.prefect_server import connected, link


def waiting() -> Result:
    """List the runs that wait for an answer, the earliest deadline first."""
    with connected() as server:
        rows = [_row(request) for request in open_requests(server)]
    if not rows:
        return Result({"waiting": []}, ["Nothing waits for an answer."])
    lines = columns([list(row.values()) for row in rows], head=[name.replace("_", " ") for name in rows[0]])
    return Result({"waiting": rows}, lines)


def show(named: PlanOrRun) -> Result:
    """Show one request: the plan recomputed from its sheet, and the form. Exit with 1 if they disagree."""
    with connected() as server:
        request = find_request(server, named)
        form = server.form(request.run)
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
    ]
    warning = [Alert(f"THE FORM AND THE SHEET DISAGREE. {each}") for each in wrong]
    advice = ["", "Do not approve. Reject it and start a new run; ask who changed it."] if wrong else []
    document = facts_of(request) | {"asks": request.kind, "form": text, "disagreements": wrong}
    return Result(document, [*warning, *lines, "", *warning, *advice], failed=bool(wrong))


def _row(request: OpenRequest) -> dict[str, Any]:
    sheet = request.sheet
    return {
        "code": sheet.plan.code if sheet else "unreadable",
        "asks": request.kind,
        "verb": sheet.plan.verb if sheet else "",
        "destination": sheet.plan.destination_name if sheet else "",
        "answer_by": sheet.answer_by.strftime("%Y-%m-%d %H:%M UTC") if sheet else "",
        "run": str(request.run.id),
        "link": link(request.run.id),
    }

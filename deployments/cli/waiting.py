"""`waiting` and `show`: which questions are open, and what exactly one of them asks."""

from typing import Annotated, Any

import typer

from deployments.cli.output import Loud, Marked, Told, columns, command
from deployments.cli.sheets import Asked, all_asked, disagreements, fact_lines, facts_of, find_asked
from deployments.prefect_server import connected, link

Named = Annotated[str, typer.Argument(metavar="CODE|RUN", help="Code of the plan, like 7K3F-92QD, or id of the run.")]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the program."""
    command(app, "waiting")(waiting)
    command(app, "show")(show)


def waiting() -> Told:
    """List the runs that wait for an answer, the earliest deadline first."""
    with connected() as server:
        rows = [_row(asked) for asked in all_asked(server)]
    if not rows:
        return Told({"waiting": []}, ["Nothing waits for an answer."])
    lines = columns([list(row.values()) for row in rows], head=[name.replace("_", " ") for name in rows[0]])
    return Told({"waiting": rows}, lines)


def show(named: Named) -> Told:
    """Show one question: the plan recomputed from its sheet, next to the text of the form. Exit 1 where they disagree."""
    with connected() as server:
        asked = find_asked(server, named)
        form = server.form(asked.run)
    wrong = disagreements(asked, form)
    text = form.text if form else ""
    lines = [
        "The sheet, recomputed here:",
        "",
        *fact_lines(asked),
        "",
        "The form, as Prefect shows it:",
        "",
        Marked(text),
    ]
    warning = [Loud(f"THE FORM AND THE SHEET DISAGREE. {each}") for each in wrong]
    advice = ["", "Do not approve. Reject it and start a new run; ask who changed it."] if wrong else []
    document = facts_of(asked) | {"asks": asked.kind, "form": text, "disagreements": wrong}
    return Told(document, [*warning, *lines, "", *warning, *advice], failed=bool(wrong))


def _row(asked: Asked) -> dict[str, Any]:
    sheet = asked.sheet
    return {
        "code": sheet.plan.code if sheet else "unreadable",
        "asks": asked.kind,
        "verb": sheet.plan.verb if sheet else "",
        "destination": sheet.plan.destination_name if sheet else "",
        "answer_by": sheet.answer_by.strftime("%Y-%m-%d %H:%M UTC") if sheet else "",
        "run": str(asked.run.id),
        "link": link(asked.run.id),
    }

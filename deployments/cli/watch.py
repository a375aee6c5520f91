"""`watch` and `open`: follow a run that exists, or open its page."""

import os
import webbrowser
from typing import Annotated

import typer

from deployments.cli.follow_to_end import AnswerKey, Ask, Person, follow_to_end
from deployments.cli.output import Result, print_aside
from deployments.find_run import find_run
from deployments.prefect_server import connected, link

DESK = "UNDERSTUDY_DESK"  # address of the desk

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id or name of the run, the beginning of one, the code of its plan, or a place: its newest run is meant.",
    ),
]


def watch(named: Run, ask: Ask = None, key: AnswerKey = None) -> Result:
    """Follow a run until it ends, and end with its outcome. Ctrl-C ends following, not the run."""
    person = Person.at(ask, key)
    with connected() as server:
        run = find_run(server, named)
        print_aside(f"{run.name}: {link(run.id)}")
        return follow_to_end(server, run.id, person)


def open(
    named: Run,
    desk: Annotated[
        str,
        typer.Option(
            "--desk",
            metavar="ADDRESS",
            help=f"Open the page at this desk instead of Prefect's. {DESK} names one that is always used.",
        ),
    ] = "",
    printed: Annotated[bool, typer.Option("--print", help="Only print the address.")] = False,
) -> Result:
    """Open the page of a run in the browser, and print its address."""
    desk = desk or os.environ.get(DESK, "")
    with connected() as server:
        run = find_run(server, named)
    where = f"{desk.rstrip('/')}/runs/{run.id}" if desk else link(run.id)
    opened = not printed and webbrowser.open(where)
    lines = [where] if printed or opened else [where, "No browser could be opened here."]
    return Result({"run": str(run.id), "name": run.name, "link": where, "opened": opened}, lines)

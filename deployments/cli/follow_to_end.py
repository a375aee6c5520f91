"""Follow a run to its end: what it asks is shown, and asked at this terminal if a person sits there."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, cast
from uuid import UUID

import typer
from prefect.client.schemas.objects import FlowRun

from deployments.cli.answer_taken import why_refused
from deployments.cli.approve import approve, arrived, reject
from deployments.cli.follow_run import LIMITS, Limits, Watcher, end_result, interruptible
from deployments.cli.output import Alert, Caution, InputEnded, MarkdownText, Result, print_aside, prompt
from deployments.open_requests import find_request
from deployments.prefect_server import Form, Server, link
from tasks.estate.errors import NotFound, UnderstudyError
from tasks.runtime.approval_forms import Email

READING = ("diagnose", "classify", "preview", "audit", "sweep")  # verbs whose report is what they are for
LATER = "later"
ANSWERS = {"approval": ("approve", "reject"), "arrival": ("completed", "failed", "no e-mail yet")}

Ask = Annotated[
    bool | None,
    typer.Option(
        "--ask/--no-ask", help="Ask for answers at this terminal. By default, if standard input is a terminal."
    ),
]
AnswerKey = Annotated[
    Path | None, typer.Option("--key", help="Your enrolled SSH key for answers that you give here, instead of a code.")
]


@dataclass(frozen=True)
class Person:
    """Whether somebody at this terminal is asked for answers, and the key that they sign with, if any."""

    asked: bool
    key: Path | None = None

    @classmethod
    def at(cls, ask: bool | None, key: Path | None) -> "Person":
        """Return the person as the options describe them; a terminal has one."""
        return cls(sys.stdin.isatty() if ask is None else ask, key)


def follow_to_end(server: Server, run: UUID, person: Person, limits: Limits = LIMITS) -> Result:
    """Follow a run until it ends, and return how it ended.

    A request that the person does not answer is left to others, wherever they answer: the run is followed on. The worker
    checks every answer; one that does not count is asked for again.
    """
    with interruptible(run):
        watcher, answered = Watcher(server, run, limits), ""
        while True:
            now, form = watcher.wait(answered)
            if form is None:
                return ended_result(server, now)
            answered = form.key
            _show(now, form)
            if person.asked:
                _answer(server, now, person)


def ended_result(server: Server, run: FlowRun) -> Result:
    """Return how a run ended, with its report if that is what the run was for.

    A preview that shows originals is not repeated here: terminals and their logs are no place for personal data.
    """
    result, report = end_result(run), server.report(run.id)
    if not report.startswith(tuple(f"# {verb}:" for verb in READING)) or run.parameters.get("show_originals"):
        return result
    return replace(
        result, document={**result.document, "report": report}, lines=[MarkdownText(report), "", *result.lines]
    )


def _show(run: FlowRun, form: Form) -> None:
    if why := why_refused(form):
        print_aside(Alert(why))
    print_aside(MarkdownText(form.text), "", f"It waits for an answer: {link(run.id)}")


def _answer(server: Server, run: FlowRun, person: Person) -> None:
    """Ask the person until an answer was sent, or is left to others."""
    try:
        kind = find_request(server, str(run.id)).kind
    except NotFound:  # another kind of form: the end of a hold, or the outcome of a call
        print_aside(Caution("This form is answered on the page of the run."))
        return
    choices = (*ANSWERS[kind], LATER)
    typed = ""
    while typed != LATER:
        try:
            typed = prompt(f"Your answer ({', '.join(choices)})", refused=lambda text: _not_one_of(choices, text))
            if typed != LATER:
                print_aside(*_send(run, typed, person).lines)
                return
        except UnderstudyError as error:  # refused on this machine; the run still waits
            print_aside(Alert(f"{error.outcome}: {error.message}"), error.next_step)
        except InputEnded:
            typed = LATER
        except typer.BadParameter as wrong:  # the form refuses what was typed
            print_aside(Alert(wrong.message))
    print_aside(f"Left to others, and followed on. To answer later: understudy approve {run.id}")


def _not_one_of(choices: Sequence[str], typed: str) -> str:
    return "" if typed in choices else f"{typed!r} is not one of: {', '.join(choices)}."


def _send(run: FlowRun, answer: str, person: Person) -> Result:
    """Give an answer as the command of its name does, with its checks and questions."""
    named = str(run.id)
    if answer == "approve":
        return approve(named, key=person.key, wait=False)
    if answer == "reject":
        return reject(named, key=person.key, wait=False)
    return arrived(named, cast("Email", answer), key=person.key, wait=False)

"""`hold`: keep one destination as it is until a moment, or let it go."""

import hashlib
import re
import secrets
from dataclasses import replace
from typing import Annotated, Any

import typer
from prefect.client.schemas.objects import FlowRun

from deployments.cli.follow import follow, told_end, watch
from deployments.cli.freezes import moment_of
from deployments.cli.output import Told, ask, command
from deployments.cli.proofs import Code, Key, Means
from deployments.prefect_server import Form, Server, connected
from tasks.estate.errors import NotApproved, PlanIsStale


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the program."""
    command(app, "hold")(hold)


def hold(
    destination: Annotated[str, typer.Argument(help="Install, by name, or hostname of the staging instance.")],
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="When it ends by itself, like 2026-12-24T18:00+01:00.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="What is going on there. Asked for where not given.")] = "",
    name: Annotated[str, typer.Option("--name", help="Whom others ask about it. Asked for where not given.")] = "",
    end: Annotated[
        bool, typer.Option("--end", help="End whatever holds it. Needs --release, --code or --key.")
    ] = False,
    release: Annotated[
        str, typer.Option("--release", metavar="WORD", help="With --end: the word that was shown when you placed it.")
    ] = "",
    code: Code = "",
    key: Key = None,
) -> Told:
    """Keep a destination as it is: no standing approval covers it meanwhile, and whoever approves is told.

    Its owner, with the word that was shown, or a lead, with a code or key, ends it early.
    """
    if end == bool(until):
        raise typer.BadParameter("Give --until with the end of the hold, or --end to end what holds it now.")
    parameters: dict[str, Any] = {"destination": destination, "end_hold": end}
    if not end:
        parameters |= {"until": moment_of(until).isoformat(), "reason": reason or ask("Reason")}
    parameters["your_name"] = name or ask("Your name")
    word = "" if end else secrets.token_urlsafe(16)
    if word:
        parameters["release"] = hashlib.sha256(word.encode()).hexdigest()
    with connected() as server:
        ended, form = follow(server, "hold/hold", parameters)
        if form is not None:
            ended = _prove(server, ended, form, parameters["your_name"], release, Means(code, key))
    result = told_end(ended)
    if word and not result.failed:
        keep = f"Keep this word. To end the hold early: understudy hold {destination} --end --release {word}"
        result = replace(result, document={**result.document, "release": word}, lines=[*result.lines, keep])
    return result


def _prove(server: Server, run: FlowRun, form: Form, name: str, release: str, means: Means) -> FlowRun:
    """Answer the run's question who may end the hold; return the run as it ended, or as it asks again."""
    statement = str(form.fields.get("proof", {}).get("statement", ""))
    if not re.fullmatch(r"understudy approval 1\nend-hold:[^\s]+ [0-9a-f]{64} [0-9TZ:-]+\n", statement):
        raise PlanIsStale(
            "The form asks to sign something else than the end of a hold.",
            next_step="Nothing was signed. Ask who changed the form in Prefect.",
        )
    proof = release or means.prove(statement.encode())
    server.answer(run.id, {"approver": name, "proof": proof})
    ended, again = watch(server, run.id, answered=form.key)
    if again is not None:
        raise NotApproved(
            "That proof does not end the hold, and it stays.",
            next_step=f"Answer run {run.id} in Prefect with the owner's word or a lead's proof, or cancel it.",
        )
    return ended

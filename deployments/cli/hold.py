"""`hold`: keep one destination as it is until a moment, or end that early."""

import hashlib
import re
import secrets
from dataclasses import replace
from typing import Annotated, Any

import typer
from prefect.client.schemas.objects import FlowRun

from deployments.cli.follow_run import end_result, follow, watch
from deployments.cli.form_rules import asked
from deployments.cli.options import Code, Key, Reason, parse_moment
from deployments.cli.output import Result
from deployments.cli.proofs import Credentials
from deployments.prefect_server import Form, Server, connected
from tasks.estate.errors import NotApproved, PlanIsStale
from tasks.estate.polling import utc_now
from tasks.safeguards.holds import SHORTEST_NAME, SHORTEST_REASON, require_valid

STATEMENT = re.compile(r"understudy approval 1\nend-hold:[^\s]+ [0-9a-f]{64} [0-9TZ:-]+\n")


def hold(
    destination: Annotated[str, typer.Argument(help="Install, by name, or hostname of the staging instance.")],
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="When the hold ends, like 2026-12-24T18:00+01:00.")
    ] = "",
    reason: Reason = "",
    name: Annotated[
        str, typer.Option("--name", help="Your name: whom others ask about the hold. Asked for if missing.")
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="End the hold. Requires --release, --code or --key.")] = False,
    release: Annotated[
        str, typer.Option("--release", metavar="WORD", help="With --end: the word that was shown when it was placed.")
    ] = "",
    code: Code = "",
    key: Key = None,
) -> Result:
    """Keep a destination as it is: no standing approval covers it meanwhile, and approvers are shown the hold.

    Its owner ends it early with the word that was shown, or a lead with a code or key.
    """
    if end == bool(until):
        raise typer.BadParameter("Specify --until with the end of a new hold, or --end to end the present one.")
    credentials = Credentials(code, key)
    moment = None if end else parse_moment(until)
    parameters: dict[str, Any] = {"destination": destination, "end_hold": end}
    if moment is not None:
        parameters |= {"until": moment.isoformat(), "reason": asked("Reason", reason, {"minLength": SHORTEST_REASON})}
    parameters["your_name"] = asked("Your name", name, {"minLength": SHORTEST_NAME})
    if moment is not None:  # the worker refuses the same, after the run has started
        require_valid(until=moment, by=parameters["your_name"], reason=parameters["reason"], now=utc_now())
    word = "" if end else secrets.token_urlsafe(16)
    if word:
        parameters["release"] = hashlib.sha256(word.encode()).hexdigest()
    with connected() as server:
        run, form = follow(server, "hold/hold", parameters)
        if form is not None:
            run = _prove(server, run, form, parameters["your_name"], release, credentials)
    result = end_result(run)
    if word and not result.failed:
        keep = f"Keep this word. To end the hold early: understudy hold {destination} --end --release {word}"
        result = replace(result, document={**result.document, "release": word}, lines=[*result.lines, keep])
    return result


def _prove(server: Server, run: FlowRun, form: Form, name: str, release: str, credentials: Credentials) -> FlowRun:
    """Answer the form that asks for proof to end the hold, and return the ended run. Raise `NotApproved` if it asks again."""
    statement = str(form.fields.get("proof", {}).get("statement", ""))
    if not STATEMENT.fullmatch(statement):
        raise PlanIsStale(
            "The form asks you to sign something other than the end of a hold.",
            next_step="Nothing was signed. Ask who changed the form in Prefect.",
        )
    server.answer(run.id, {"approver": name, "proof": release or credentials.prove(statement.encode())})
    ended, again = watch(server, run.id, answered=form.key)
    if again is not None:
        raise NotApproved(
            "This proof does not end the hold; the hold remains.",
            next_step=f"Answer run {run.id} in Prefect with the owner's word or a lead's proof, or cancel it.",
        )
    return ended

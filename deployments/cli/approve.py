"""`approve`, `reject` and `arrived`: answer a request after checking its facts locally, with proof of who answers."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from deployments.cli.options import Code, Key, Name, PlanOrRun, Reason, parse_pairs
from deployments.cli.output import Alert, Result, print_aside, prompt
from deployments.cli.proofs import Credentials
from deployments.cli.request_lines import fact_lines
from deployments.open_requests import OpenRequest, disagreements, find_request
from deployments.prefect_server import Form, Server, connected, link
from tasks.estate.errors import NotApproved, PlanIsStale
from tasks.signoff.approval_recheck import signed_decision
from tasks.signoff.proofs import statement

Fields = Annotated[
    list[str] | None, typer.Option("--field", metavar="NAME=VALUE", help="Another field of the form, like risk=…")
]


def approve(
    named: PlanOrRun,
    name: Name = "",
    code: Code = "",
    key: Key = None,
    destination: Annotated[
        str,
        typer.Option("--destination", help="Name of what will be overwritten, typed in full. Asked for if missing."),
    ] = "",
    reason: Reason = "",
    restore: Annotated[
        bool,
        typer.Option("--restore-if-failed/--no-restore-if-failed", help="Restore a promotion that fails its checks."),
    ] = False,
    field: Fields = None,
) -> Result:
    """Approve one plan, once. Shows its facts, asks for the destination's name, and signs the plan's fingerprint."""
    more = {"restore": "yes" if restore else "no", **parse_pairs(field)}
    return _decide("approve", named, Credentials(code, key), more, name=name, destination=destination, reason=reason)


def reject(
    named: PlanOrRun, name: Name = "", code: Code = "", key: Key = None, reason: Reason = "", field: Fields = None
) -> Result:
    """Reject one plan: nothing is overwritten."""
    more = {"restore": "no", **parse_pairs(field)}
    return _decide("reject", named, Credentials(code, key), more, name=name, destination=None, reason=reason)


def arrived(
    named: PlanOrRun,
    email: Annotated[
        Literal["completed", "failed", "no e-mail yet"], typer.Option("--email", help="Result in the host's e-mail.")
    ],
    words: Annotated[str, typer.Option("--words", help="Wording and time of the e-mail. Asked for if missing.")] = "",
    name: Name = "",
    code: Code = "",
    key: Key = None,
) -> Result:
    """Report what the host's e-mail states about a copy that was sent: the one documented signal of its end."""
    credentials = Credentials(code, key)
    with connected() as server:
        request, form = _find(server, named, "arrival")
        _require_agreement(request, form)
        given = {
            "email": email,
            "approver": name or prompt("Your name"),
            "words": words or prompt("Wording and time of the e-mail"),
        }
        return _send(server, request, form, given, credentials, decision=f"arrived:{email}")


def _decide(
    decision: str,
    named: str,
    credentials: Credentials,
    more: Mapping[str, str],
    *,
    name: str,
    destination: str | None,
    reason: str,
) -> Result:
    """Answer an approval request. `destination` is asked for if it is empty; None fills in the plan's own."""
    with connected() as server:
        request, form = _find(server, named, "approval")
        plan = request.trusted_sheet.plan
        if decision == "approve":
            _require_agreement(request, form)
        typed = plan.destination_name
        if destination is not None:
            typed = destination or prompt("Type the name of what will be overwritten")
        if typed != plan.destination_name:
            raise NotApproved(
                f"The typed destination is {typed!r}; plan {plan.code} overwrites {plan.destination_name!r}.",
                next_step="Nothing was answered; the run still waits.",
            )
        given = {
            **more,  # first: an extra field cannot replace what is shown, typed and signed
            "decision": decision,
            "approver": name or prompt("Your name"),
            "plan": plan.code,
            "destination": typed,
            "reason": reason or prompt("Reason"),
        }
        unknown = sorted(set(more) - set(form.fields) - {"restore"})
        if unknown:
            raise typer.BadParameter(
                f"The form has no field {', '.join(unknown)}; it asks for {', '.join(form.fields)}."
            )
        return _send(server, request, form, given, credentials, decision=decision)


def _find(server: Server, named: str, kind: str) -> tuple[OpenRequest, Form]:
    """Return the open request of that kind with its form, and print its facts. Raise `NotApproved` for another kind, or no form."""
    request = find_request(server, named)
    if request.kind != kind:
        other = "arrived" if request.kind == "arrival" else "approve"
        raise NotApproved(
            f"Run {request.run.id} asks about its {request.kind}, not its {kind}.",
            next_step=f"Nothing was answered. Use `understudy {other}`.",
        )
    form = server.form(request.run, wait=True)
    if form is None:
        raise NotApproved(
            f"Run {request.run.id} shows no form.", next_step="Nothing was answered. Try again in a few seconds."
        )
    print_aside(*fact_lines(request), "")
    return request, form


def _require_agreement(request: OpenRequest, form: Form) -> None:
    wrong = disagreements(request, form)
    if wrong:
        print_aside(*(Alert(f"THE FORM AND THE SHEET DISAGREE. {each}") for each in wrong))
        raise PlanIsStale(
            f"The form and the sheet of run {request.run.id} are not about the same plan.",
            next_step="Nothing was answered. Reject it and start a new run; ask who changed it in Prefect.",
        )


def _send(
    server: Server,
    request: OpenRequest,
    form: Form,
    given: Mapping[str, str],
    credentials: Credentials,
    *,
    decision: str,
) -> Result:
    """Submit exactly the fields of the form, with the proof. The proof is sent to the API and printed nowhere."""
    missing = [field for field in form.required if field not in given and field != "proof"]
    if missing:
        raise typer.BadParameter(f"The form asks for more: {', '.join(f'--field {name}=…' for name in missing)}.")
    sheet = request.trusted_sheet
    signed = signed_decision(decision, restore=given.get("restore") == "yes")
    proof = credentials.prove(statement(signed, sheet.plan.fingerprint, sheet.answer_by))
    fields = {name: value for name, value in {**given, "proof": proof}.items() if name in form.fields}
    server.answer(request.run.id, fields)
    document: dict[str, Any] = {
        "run": str(request.run.id),
        "plan": sheet.plan.code,
        "decision": decision,
        "verdict": "ACCEPT",
        "link": link(request.run.id),
    }
    lines = [
        f"Prefect accepted the answer to plan {sheet.plan.code}. The worker now verifies name and proof, and asks again if "
        "they are not valid.",
        link(request.run.id),
    ]
    return Result(document, lines)

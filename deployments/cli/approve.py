"""`approve`, `reject` and `arrived`: answer a request after checking its facts locally, with proof of who answers.

Everything that was given is checked before the proof is asked for: a one-time code is used up by the first answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from deployments.cli.answer_taken import await_taken
from deployments.cli.form_rules import asked, require_fits
from deployments.cli.options import Code, Key, Name, PlanOrRun, Reason, parse_pairs
from deployments.cli.output import Alert, Result, print_aside, prompt
from deployments.cli.proofs import Credentials
from deployments.cli.request_lines import fact_lines
from deployments.open_requests import OpenRequest, disagreements, find_request
from deployments.prefect_server import Form, Server, connected, link
from tasks.estate.errors import ApprovalExpired, NotApproved, PlanIsStale
from tasks.signoff.approval_recheck import signed_decision
from tasks.signoff.form_fields import APPROVE, REJECT, approval_choice, destination_is_typed
from tasks.signoff.proofs import statement

Fields = Annotated[
    list[str] | None, typer.Option("--field", metavar="NAME=VALUE", help="Another field of the form, like risk=…")
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait/--no-wait", help="Wait until the worker has checked the answer, or only until Prefect has it."
    ),
]
OPTIONS = {"approver": "--name", "reason": "--reason", "words": "--words"}  # of the fields of a form


def approve(
    named: PlanOrRun,
    name: Name = "",
    code: Code = "",
    key: Key = None,
    destination: Annotated[
        str,
        typer.Option(
            "--destination", help="Name of what will be overwritten, typed in full. Asked for if the plan is red."
        ),
    ] = "",
    reason: Reason = "",
    restore: Annotated[
        bool,
        typer.Option("--restore-if-failed/--no-restore-if-failed", help="Restore a promotion that fails its checks."),
    ] = False,
    field: Fields = None,
    wait: Wait = True,
) -> Result:
    """Approve one plan, once. Shows its facts, asks for what its risk class needs, and signs the plan's fingerprint."""
    given = _Given(name, reason, parse_pairs(field), Credentials(code, key), wait)
    with connected() as server:
        request, form = _find(server, named, "approval")
        plan = request.trusted_sheet.plan
        _require_agreement(request, form)
        _require_in_time(request)
        _require_fields(form, given)
        choice = approval_choice(plan.code, restore=restore)
        if restore and choice not in form.fields["decision"]["enum"]:
            raise typer.BadParameter("--restore-if-failed: an approval of this plan cannot permit a restore.")
        if destination_is_typed(plan):
            destination = destination or prompt("Type the name of what will be overwritten")
        if destination not in ("", plan.destination_name) or (destination_is_typed(plan) and not destination):
            raise NotApproved(
                f"The typed destination is {destination!r}; plan {plan.code} overwrites {plan.destination_name!r}.",
                next_step="Nothing was answered; the run still waits.",
            )
        fields = {
            **given.more,  # first: an extra field cannot replace what is shown, typed and signed
            "decision": choice,
            "approver": asked("Your name", name, form.fields["approver"]),
            "destination": destination,
            "reason": asked("Reason", reason, form.fields["reason"]),
        }
        return _send(server, request, form, fields, given, decision=signed_decision(APPROVE, restore=restore))


def reject(
    named: PlanOrRun,
    name: Name = "",
    code: Code = "",
    key: Key = None,
    reason: Reason = "",
    wait: Wait = True,
) -> Result:
    """Reject one plan: nothing is overwritten. A reason is enough; with a code or key, the ledger names who it was as proven."""
    credentials = Credentials(code, key)
    given = _Given(name, reason, {}, credentials, wait)
    with connected() as server:
        request, form = _find(server, named, "approval")
        _require_fields(form, given)
        fields = {
            **dict.fromkeys(form.required, ""),
            "decision": REJECT,
            "approver": asked("Your name", name, form.fields["approver"]) if credentials.given else name,
            "reason": asked("Reason", reason, form.fields["reason"]),
        }
        return _send(server, request, form, fields, given, decision=REJECT)


def arrived(
    named: PlanOrRun,
    email: Annotated[
        Literal["completed", "failed", "no e-mail yet"], typer.Option("--email", help="Result in the host's e-mail.")
    ],
    words: Annotated[str, typer.Option("--words", help="Wording and time of the e-mail. Asked for if missing.")] = "",
    name: Name = "",
    code: Code = "",
    key: Key = None,
    wait: Wait = True,
) -> Result:
    """Report what the host's e-mail states about a copy that was sent: the one documented signal of its end."""
    typed = _Given(name, words, {}, Credentials(code, key), wait)
    with connected() as server:
        request, form = _find(server, named, "arrival")
        _require_agreement(request, form)
        require_fits(_without_empty(approver=name, words=words), form.fields, OPTIONS)
        given = {
            "email": email,
            "approver": asked("Your name", name, form.fields.get("approver", {})),
            "words": asked("Wording and time of the e-mail", words, form.fields.get("words", {})),
        }
        return _send(server, request, form, given, typed, decision=f"arrived:{email}")


@dataclass(frozen=True)
class _Given:
    """What was typed as options: name, reason, other fields, the proof, and whether to wait for the worker."""

    name: str
    reason: str
    more: Mapping[str, str]
    credentials: Credentials
    wait: bool


def _without_empty(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _require_fields(form: Form, typed: _Given) -> None:
    """Raise typer's usage error for a field that the form does not have, one that it needs, and a value that it refuses."""
    unknown = sorted(set(typed.more) - set(form.fields))
    if unknown:
        raise typer.BadParameter(f"The form has no field {', '.join(unknown)}; it asks for {', '.join(form.fields)}.")
    known = {*typed.more, "decision", "approver", "destination", "reason", "proof"}
    if missing := [name for name in form.required if name not in known]:
        raise typer.BadParameter(f"The form asks for more: {', '.join(f'--field {name}=…' for name in missing)}.")
    values = {**typed.more, **_without_empty(approver=typed.name, reason=typed.reason)}
    require_fits(values, form.fields, OPTIONS | {name: f"--field {name}" for name in typed.more})


def _require_in_time(request: OpenRequest) -> None:
    sheet, now = request.trusted_sheet, datetime.now(UTC)
    if now > sheet.answer_by:
        raise ApprovalExpired(
            f"Plan {sheet.plan.code} could be approved until {sheet.answer_by:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} UTC.",
            next_step="Nothing was answered. Start a new run if the copy is still wanted, or check this machine's clock.",
        )


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
    server: Server, request: OpenRequest, form: Form, given: Mapping[str, str], typed: _Given, *, decision: str
) -> Result:
    """Submit exactly the fields of the form, with the proof of this decision. The proof is sent to the API and printed nowhere.

    A rejection without a code or key has no proof.
    """
    sheet, run = request.trusted_sheet, request.run.id
    message = statement(decision, sheet.plan.fingerprint, sheet.answer_by)
    proof = typed.credentials.prove(message) if decision != REJECT or typed.credentials.given else ""
    fields = {name: value for name, value in {**given, "proof": proof}.items() if name in form.fields}
    before = server.steps(run)
    server.answer(run, fields)
    answered: dict[str, Any] = {
        "run": str(run),
        "plan": sheet.plan.code,
        "decision": decision.partition("+")[0],
        "verdict": "ACCEPT",
        "link": link(run),
    }
    if typed.wait:
        return await_taken(server, run, form, before, answered)
    lines = [
        f"Prefect accepted the answer to plan {sheet.plan.code}. The worker now verifies name and proof, and asks again if "
        "they are not valid.",
        link(run),
    ]
    return Result(answered | {"counted": None}, lines)

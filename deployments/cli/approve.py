"""`approve`, `reject` and `arrived`: answer one question with your own eyes on its facts, and prove that it is you."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from deployments.cli.output import Loud, Told, aside, ask, command
from deployments.cli.proofs import Code, Key, Means
from deployments.cli.sheets import Asked, disagreements, fact_lines, find_asked
from deployments.cli.waiting import Named
from deployments.prefect_server import Form, Server, connected, link
from tasks.estate.errors import NotApproved, PlanIsStale
from tasks.signoff.proofs import statement
from tasks.signoff.witnesses import signed_decision

Name = Annotated[str, typer.Option("--name", help="Your name, as enrolled. Asked for where it is not given.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words. Asked for where it is not given.")]
Destination = Annotated[
    str, typer.Option("--destination", help="What will be overwritten, typed in full. Asked for where it is not given.")
]
Restore = Annotated[
    bool,
    typer.Option("--restore-if-failed/--no-restore-if-failed", help="A promotion that fails its checks is undone."),
]
More = Annotated[
    list[str] | None, typer.Option("--field", metavar="NAME=VALUE", help="Another field of the form, like risk=…")
]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the program."""
    command(app, "approve")(approve)
    command(app, "reject")(reject)
    command(app, "arrived")(arrived)


def approve(
    named: Named,
    name: Name = "",
    code: Code = "",
    key: Key = None,
    destination: Destination = "",
    reason: Reason = "",
    restore: Restore = False,
    field: More = None,
) -> Told:
    """Say yes to one plan, once. Shows its facts, asks for the destination's name, and signs the whole fingerprint."""
    more = {"restore": "yes" if restore else "no", **_pairs(field or [])}
    return _decide("approve", named, Means(code, key), more, name=name, destination=destination, reason=reason)


def reject(
    named: Named,
    name: Name = "",
    code: Code = "",
    key: Key = None,
    reason: Reason = "",
    field: More = None,
) -> Told:
    """Say no to one plan: nothing is overwritten."""
    more = {"restore": "no", **_pairs(field or [])}
    return _decide("reject", named, Means(code, key), more, name=name, destination=None, reason=reason)


def arrived(
    named: Named,
    email: Annotated[
        Literal["completed", "failed", "no e-mail yet"], typer.Option("--email", help="What the host's e-mail says.")
    ],
    words: Annotated[str, typer.Option("--words", help="Its words and time. Asked for where not given.")] = "",
    name: Name = "",
    code: Code = "",
    key: Key = None,
) -> Told:
    """Say what the host's e-mail said about a copy that was sent: the one documented signal of its end."""
    means = Means(code, key)
    with connected() as server:
        asked, form = _met(server, named, "arrival")
        _require_agreement(asked, form)
        given = {
            "email": email,
            "approver": name or ask("Your name"),
            "words": words or ask("The e-mail's words and time"),
        }
        return _send(server, asked, form, given, means, decision=f"arrived:{email}")


def _decide(
    decision: str,
    named: str,
    means: Means,
    more: Mapping[str, str],
    *,
    name: str,
    destination: str | None,
    reason: str,
) -> Told:
    """`destination` is what was typed, to be asked for where it is empty; None where the plan's own may be filled in."""
    with connected() as server:
        asked, form = _met(server, named, "approval")
        plan = asked.trusted.plan
        if decision == "approve":
            _require_agreement(asked, form)
        typed = plan.destination_name
        if destination is not None:
            typed = destination or ask("Type the name of what will be overwritten")
        if typed != plan.destination_name:
            raise NotApproved(
                f"The typed destination is {typed!r}; plan {plan.code} overwrites {plan.destination_name!r}.",
                next_step="Nothing was answered; the run still waits.",
            )
        given = {
            **more,  # first: nothing that is shown, typed and signed can be said another way
            "decision": decision,
            "approver": name or ask("Your name"),
            "plan": plan.code,
            "destination": typed,
            "reason": reason or ask("Reason"),
        }
        unknown = sorted(set(more) - set(form.fields) - {"restore"})
        if unknown:
            raise typer.BadParameter(
                f"The form has no field {', '.join(unknown)}; it asks for {', '.join(form.fields)}."
            )
        return _send(server, asked, form, given, means, decision=decision)


def _met(server: Server, named: str, kind: str) -> tuple[Asked, Form]:
    """The question of that kind with its form; its facts are shown. Raises `NotApproved` for another kind or no form."""
    asked = find_asked(server, named)
    if asked.kind != kind:
        other = "arrived" if asked.kind == "arrival" else "approve"
        raise NotApproved(
            f"Run {asked.run.id} asks about {'its arrival' if asked.kind == 'arrival' else 'its approval'}.",
            next_step=f"Nothing was answered. Use `understudy {other}`.",
        )
    form = server.form(asked.run, wait=True)
    if form is None:
        raise NotApproved(
            f"Run {asked.run.id} shows no form.", next_step="Nothing was answered. Try again in a few seconds."
        )
    aside(*fact_lines(asked), "")
    return asked, form


def _require_agreement(asked: Asked, form: Form) -> None:
    wrong = disagreements(asked, form)
    if wrong:
        aside(*(Loud(f"THE FORM AND THE SHEET DISAGREE. {each}") for each in wrong))
        raise PlanIsStale(
            f"The form and the sheet of run {asked.run.id} are not about the same plan.",
            next_step="Nothing was answered. Reject it and start a new run; ask who changed it in Prefect.",
        )


def _send(server: Server, asked: Asked, form: Form, given: Mapping[str, str], means: Means, *, decision: str) -> Told:
    """Fill in exactly the fields of the form, with the proof, and send it. The proof goes to the API and nowhere else."""
    missing = [field for field in form.required if field not in given and field != "proof"]
    if missing:
        raise typer.BadParameter(f"The form asks for more: {', '.join(f'--field {name}=…' for name in missing)}.")
    sheet = asked.trusted
    said = signed_decision(decision, restore=given.get("restore") == "yes")
    proof = means.prove(statement(said, sheet.plan.fingerprint, sheet.answer_by))
    fields = {name: value for name, value in {**given, "proof": proof}.items() if name in form.fields}
    server.answer(asked.run.id, fields)
    document: dict[str, Any] = {
        "run": str(asked.run.id),
        "plan": sheet.plan.code,
        "decision": decision,
        "verdict": "ACCEPT",
        "link": link(asked.run.id),
    }
    lines = [
        f"Prefect took the answer to plan {sheet.plan.code}. The worker checks name and proof now, and asks again where "
        "they do not hold.",
        link(asked.run.id),
    ]
    return Told(document, lines)


def _pairs(fields: list[str]) -> dict[str, str]:
    wrong = [field for field in fields if "=" not in field]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is not NAME=VALUE.")
    return {name: value for name, _, value in (field.partition("=") for field in fields)}

"""`settle`: a lead says what became of a call whose outcome is unknown, with proof. Runs where the worker runs."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deployments.cli.ledger import opened
from deployments.cli.output import Told, aside, ask, command
from deployments.cli.proofs import Code, Key, Means
from tasks.estate.errors import NotApproved
from tasks.ledger.ledger import AlreadyRecorded
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import read_leads
from tasks.settlements import release_if_over
from tasks.signoff import settling


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the program."""
    command(app, "settle")(settle)


def settle(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run; its report shows it.")],
    arrived: Annotated[
        bool, typer.Option("--arrived/--failed", help="What became of its call, by the host's e-mail or by the site.")
    ],
    name: Annotated[str, typer.Option("--name", help="Your name, as enrolled. Asked for if missing.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="What tells you: the e-mail's words and time.")] = "",
    code: Code = "",
    key: Key = None,
) -> Told:
    """Say what became of a copy, restore or load whose outcome nobody knows; what it holds is free then.

    Needs the worker's settings. Nothing is sent to the host. A retry of the run purges and verifies what arrived.
    """
    means = Means(code, key)
    how: settling.How = "arrived" if arrived else "failed"
    with opened() as ledger:
        call = settling.open_call(ledger, run)
        aside(f"Run {run} sent its call at {call.at:%Y-%m-%d %H:%M} UTC; its outcome is unknown.")
        now = datetime.now(UTC)
        answer_by = now + settling.VALID
        typed, why = name or ask("Your name"), reason or ask("What tells you")
        proof = means.prove(settling.statement_to_sign(call, how, answer_by))
        try:
            fact = settling.settle(
                ledger, read_leads(), call, how, name=typed, proof=proof, reason=why, answer_by=answer_by,
                given_at=datetime.now(UTC), now=datetime.now(UTC),
            )  # fmt: skip
        except AlreadyRecorded:
            raise NotApproved(
                "This code was used before, or somebody else settled the call just now.",
                next_step="Look with `understudy ledger export`, or wait for the next code and try again.",
            ) from None
        freed = release_if_over(ledger, run)
    send_notice(
        "decided", f"run {run}: settled as {how}", [f"{fact.detail['approver']}: {fact.detail['words']}"], run_id=run
    )
    kept = "" if freed else " It held nothing, or its run still lives and lets go at its end."
    document = {"run": run, "settled": how, "by": fact.detail["approver"], "freed": list(freed)}
    return Told(document, [f"Settled as {how} by {fact.detail['approver']}.{kept}"])

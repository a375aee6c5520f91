"""`settle`: a lead reports, with proof, the result of a call whose outcome is unknown. Runs where the worker runs."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deployments.cli.form_rules import asked, require_fits
from deployments.cli.ledger import open_existing_ledger
from deployments.cli.options import Code, Key, Name
from deployments.cli.output import Result, print_aside
from deployments.cli.proofs import Credentials
from tasks.estate.errors import NotApproved
from tasks.ledger.facts import Settled
from tasks.ledger.ledger import AlreadyRecorded
from tasks.runtime.notices import send_notice
from tasks.runtime.resources import read_leads
from tasks.settlements import release_if_over
from tasks.signoff import settling

RULES = {"reason": {"minLength": settling.SHORTEST_REASON}}


def settle(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run; its report contains it.")],
    arrived: Annotated[
        bool, typer.Option("--arrived/--failed", help="Result of its call, by the host's e-mail or by the site.")
    ],
    name: Name = "",
    reason: Annotated[
        str, typer.Option("--reason", help="Your evidence: wording and time of the e-mail. Asked for if missing.")
    ] = "",
    code: Code = "",
    key: Key = None,
) -> Result:
    """Report the result of a copy, restore or load whose outcome is unknown, and release what it locks.

    Requires the worker's settings. Nothing is sent to the host. A retry of the run purges and verifies what arrived.
    """
    credentials = Credentials(code, key)
    how: settling.How = "arrived" if arrived else "failed"
    with open_existing_ledger() as ledger:
        call = settling.open_call(ledger, run)
        print_aside(f"Run {run} sent its call at {call.at:%Y-%m-%d %H:%M} UTC; its outcome is unknown.")
        now = datetime.now(UTC)
        answer_by = now + settling.VALID
        require_fits({"reason": reason} if reason else {}, RULES, {"reason": "--reason"})
        typed, evidence = asked("Your name", name, {}), asked("Your evidence", reason, RULES["reason"])
        leads = read_leads()
        if leads.find(typed) is None:  # before a code is typed: it would be used up for nothing
            raise NotApproved(leads.why_not(typed), next_step="Nothing was settled. Ask an enrolled lead.")
        proof = credentials.prove(settling.statement_to_sign(call, how, answer_by))
        try:
            fact = settling.settle(
                ledger, leads, call, how, name=typed, proof=proof, reason=evidence, answer_by=answer_by,
                given_at=datetime.now(UTC), now=datetime.now(UTC),
            ).as_(Settled)  # fmt: skip
        except AlreadyRecorded:
            raise NotApproved(
                "This code was used before, or somebody else settled the call just now.",
                next_step="Check with `understudy ledger export`, or wait for the next code and try again.",
            ) from None
        freed = release_if_over(ledger, run)
    send_notice("decided", f"run {run}: settled as {how}", [f"{fact.approver}: {fact.words}"], run_id=run)
    kept = "" if freed else " It locked nothing, or its run is still alive and releases the locks at its end."
    document = {"run": run, "settled": how, "by": fact.approver, "freed": list(freed)}
    return Result(document, [f"Settled as {how} by {fact.approver}.{kept}"])

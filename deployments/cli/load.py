"""`load`: a dump into staging's database, from a terminal, through the same gate, without a Prefect server."""

from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

import typer

from deployments.cli.in_process import PlanOnly, Policy, Requester, ended, local_run, patiently, refused
from deployments.cli.output import Loud, Marked, Told, aside, ask, command
from deployments.cli.proofs import Code, Key, Means
from tasks import loads, locks
from tasks.estate.dumps import RISK_PHRASE, Anonymizer, LoadPlan, require_choices
from tasks.estate.errors import RiskNotAccepted, UnderstudyError
from tasks.estate.faults import as_facts
from tasks.estate.plans import Approval
from tasks.estate.waiting import utc_now
from tasks.rendering import dumps
from tasks.rendering.approval import gate_lines
from tasks.runtime import load_target
from tasks.runtime.permission import approval_gate
from tasks.signoff.answers import Answer, recorded_answer
from tasks.signoff.gate import Gate, Waiting
from tasks.signoff.proofs import statement

ANSWER_WITHIN = timedelta(hours=1)  # the question ends with the command anyway; a signature names this deadline

Target = Annotated[
    str,
    typer.Option(
        "--target",
        envvar="UNDERSTUDY_TARGET_DATABASE",
        show_envvar=True,
        help="postgresql://… of staging, as the owner of its tables. Better from the environment.",
    ),
]
Decision = Annotated[
    Literal["approve", "reject", ""], typer.Option("--decision", help="Asked for where it is not given.")
]


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the program."""
    command(app, "load")(load)


def load(
    dump: Annotated[str, typer.Argument(help="Path or URL of the dump; `latest` for the newest one of the policy.")],
    policy: Policy,
    hostname: Annotated[str, typer.Option("--hostname", help="Hostname of the staging instance, typed in full.")],
    target: Target = "",
    readers: Annotated[
        Literal["stay", "wait"], typer.Option("--readers", help="stay: readers see the old data until the commit.")
    ] = "stay",
    off: Annotated[
        list[Anonymizer] | None, typer.Option("--off", help="Leave these values of a RAW dump raw. Needs the phrase.")
    ] = None,
    risk_phrase: Annotated[str, typer.Option("--risk-phrase", help=f"{RISK_PHRASE}, only with --off.")] = "",
    name: Annotated[str, typer.Option("--name", help="The lead's name, as enrolled. Asked for if missing.")] = "",
    code: Code = "",
    key: Key = None,
    decision: Decision = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, in a few words. Asked for if missing.")] = "",
    requested_by: Requester = "",
    plan_only: PlanOnly = False,
) -> Told:
    """Replace staging's data by a dump: check it, prove the target, ask a lead here, load and verify in one transaction.

    Does what the flow `load_dump` does, in this process. APP_ALLOW_PROD_IMPORT=true must be set.
    """
    means = Means(code, key)
    document: dict[str, Any] = {"plan": None}
    with local_run(policy, {"TARGET_DATABASE": target}):
        try:
            loads.require_import_allowed()
            with load_target.audit_refusals(dump, policy.stem, requested_by=requested_by):
                chosen = require_choices(
                    attachments=True, off=[each.value for each in off or []], risk_phrase=risk_phrase
                )
                facts = patiently(loads.check_dump.fn, dump, policy.stem)
                plan = patiently(
                    loads.plan_load.fn, facts, policy.stem, hostname, chosen, readers=readers, requested_by=requested_by
                )
                document["plan"] = _planned(plan)
                if plan_only:
                    text = dumps.load_text(plan, answer_by=utc_now() + ANSWER_WITHIN)
                    return ended("Planned", document, [Marked(text), "", "Nothing was loaded, nobody was asked."])
                approved = _Conversation(approval_gate(), plan, means, name, decision, reason).ask()
                with locks.locked_target(plan):
                    loaded = loads.load_once.fn(plan, approved, policy.stem)
        except UnderstudyError as error:
            return refused(error, document)
    rows = sum(count for _, count in loaded.rows)
    lines = [
        f"Loaded: {rows} rows of {len(loaded.rows)} tables into {plan.hostname}, after {loaded.took_seconds:.1f} s.",
        *(f"{check}: {result}" for check, result in loaded.checks),
    ]
    checks = [{"check": check, "result": result} for check, result in loaded.checks]
    return ended("Loaded", document, lines, rows=rows, checks=checks, approved_by=approved.approver)


class _Conversation:
    """Leads at this terminal answer the question about one plan, one after the other, until the gate has heard enough."""

    def __init__(self, gate: Gate, plan: LoadPlan, means: Means, name: str, decision: str, reason: str) -> None:
        self._gate, self._plan, self._means = gate, plan, means
        self._given = {"name": name, "decision": decision, "reason": reason}

    def ask(self) -> Approval:
        """Return the approval. Raises as the flow's gate does; Ctrl-C closes the question with a rejection."""
        found: Approval | Waiting | None = recorded_answer(self._gate.ledger, self._plan)
        if found is None:
            found, _ = self._gate.ask(self._plan, source_id="", within=ANSWER_WITHIN, now=utc_now())
        try:
            while not isinstance(found, Approval):
                found = self._hear(found or self._gate.waiting(self._plan))
        except (KeyboardInterrupt, typer.BadParameter, typer.Abort):
            self._close()
            raise
        return found

    def _hear(self, waiting: Waiting) -> Approval | Waiting:
        plan = self._plan
        gate = gate_lines(plan, waiting)
        aside(Marked(dumps.load_text(plan, answer_by=waiting.answer_by, gate=gate)), "")
        if waiting.refused:
            aside(Loud(f"The last answer did not count: {waiting.refused}"))
        decision = self._value("decision", "approve or reject")
        approver = self._value("name", "Your name")
        if decision == "approve" and plan.arrives_raw and ask(f"Type {RISK_PHRASE}") != RISK_PHRASE:
            raise RiskNotAccepted("The risk phrase was not typed word for word.")
        reason = self._value("reason", "Reason")
        proof = self._means.prove(statement(decision, plan.fingerprint, waiting.answer_by))
        self._given, self._means = (
            dict.fromkeys(self._given, ""),
            Means(),
        )  # options answer once; the next lead is asked
        answer = Answer(
            decision="approve" if decision == "approve" else "reject",
            approver=approver,
            plan=plan.code,
            destination=plan.destination_name,  # typed as --hostname, and compared with the target by the plan
            proof=proof,
            reason=reason,
            given_at=utc_now(),
            restore=False,
        )
        return self._gate.judge(plan, answer, now=utc_now())

    def _value(self, name: str, question: str) -> str:
        return self._given[name] or ask(question)

    def _close(self) -> None:
        """Nobody can answer any more once this process ends: the question must not stay open."""
        left = Answer(
            decision="reject", approver=self._given["name"] or "the terminal", plan=self._plan.code, destination="",
            proof="", reason="the command was ended before an answer", given_at=utc_now(), restore=False,
        )  # fmt: skip
        with suppress(UnderstudyError):
            self._gate.judge(self._plan, left, now=utc_now())


def _planned(plan: LoadPlan) -> dict[str, Any]:
    return {
        "code": plan.code,
        "fingerprint": plan.fingerprint,
        "hostname": plan.hostname,
        "database": plan.target.database,
        "dump": plan.dump,
        "first_load": plan.first_load,
        "unproven": plan.unproven,
        "risk": plan.risk.grade.value,
        "people": plan.risk.people,
        "tables": [{"table": str(order.name), "rows": order.rows} for order in plan.tables],
        "emptied": plan.emptied,
        "kept": plan.kept,
        "untouched": plan.untouched,
        "missing": [each.model_dump(mode="json") for each in plan.missing],
        "doubts": as_facts(plan.doubts),
        "accepted_doubts": plan.accepted_doubts,
        "skipped": [{"name": name, "reason": why} for name, why in plan.skipped],
        "readers_wait": plan.readers_wait,
    }

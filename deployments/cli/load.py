"""`load`: load a dump into staging's database from a terminal, with the same approval gate, without a Prefect server."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

import typer

from deployments.cli.form_rules import asked, require_fits
from deployments.cli.options import Code, Key, Name, Off, PlanOnly, Policy, Reason, Requester, RiskPhrase
from deployments.cli.output import Alert, MarkdownText, Result, print_aside, prompt
from deployments.cli.proofs import Credentials
from deployments.cli.run_in_process import done_result, local_run, refused_result, with_retries
from tasks import loads, locks
from tasks.estate.dumps import RISK_PHRASE, LoadPlan, require_choices
from tasks.estate.errors import RiskNotAccepted, UnderstudyError
from tasks.estate.planning_faults import as_facts
from tasks.estate.plans import Approval
from tasks.estate.polling import utc_now
from tasks.rendering import dumps
from tasks.rendering.approval import gate_lines, opening_lines
from tasks.runtime import load_target
from tasks.runtime.permission import approval_gate
from tasks.signoff.answers import Answer, recorded_answer
from tasks.signoff.form_fields import phrase_is_typed
from tasks.signoff.gate import SHORTEST_REASON, Gate, Waiting
from tasks.signoff.proofs import statement

ANSWER_WITHIN = timedelta(hours=1)  # the request ends with the command in any case; a signature contains this deadline

Target = Annotated[
    str,
    typer.Option(
        "--target",
        envvar="UNDERSTUDY_TARGET_DATABASE",
        show_envvar=True,
        help="postgresql://… of staging, with the owner of its tables. Prefer the environment variable.",
    ),
]
Decision = Annotated[
    Literal["approve", "reject", ""], typer.Option("--decision", help="Your decision. Asked for if missing.")
]


def load(
    dump: Annotated[str, typer.Argument(help="Path or URL of the dump; `latest` for the newest one of the policy.")],
    policy: Policy,
    hostname: Annotated[str, typer.Option("--hostname", help="Hostname of the staging instance, typed in full.")],
    target: Target = "",
    readers: Annotated[
        Literal["stay", "wait"],
        typer.Option("--readers", help="stay: readers see the old data until the commit; wait: they wait."),
    ] = "stay",
    off: Off = None,
    risk_phrase: RiskPhrase = "",
    name: Name = "",
    code: Code = "",
    key: Key = None,
    decision: Decision = "",
    reason: Reason = "",
    requested_by: Requester = "",
    plan_only: PlanOnly = False,
) -> Result:
    """Replace staging's data with a dump: check dump and target, ask a lead here, load and verify in one transaction.

    Does what the flow `load_dump` does, in this process. Requires APP_ALLOW_PROD_IMPORT=true.
    """
    credentials = Credentials(code, key)
    document: dict[str, Any] = {"plan": None}
    with local_run(policy, {"TARGET_DATABASE": target}):
        try:
            loads.require_import_allowed()
            with load_target.audit_refusals(dump, policy.stem, requested_by=requested_by):
                chosen = require_choices(
                    attachments=True, off=[each.value for each in off or []], risk_phrase=risk_phrase
                )
                facts = with_retries(loads.check_dump.fn, dump, policy.stem)
                plan = with_retries(
                    loads.plan_load.fn, facts, policy.stem, hostname, chosen, readers=readers, requested_by=requested_by
                )
                document["plan"] = _planned(plan)
                if plan_only:
                    details = dumps.load_text(plan, answer_by=utc_now() + ANSWER_WITHIN)
                    text = "\n".join([*opening_lines(plan, None), details])
                    return done_result(
                        "Planned", document, [MarkdownText(text), "", "Nothing was loaded, and nobody was asked."]
                    )
                approved = _Conversation(approval_gate(), plan, credentials, name, decision, reason).ask()
                with locks.locked_target(plan):
                    loaded = loads.load_once.fn(plan, approved, policy.stem)
        except UnderstudyError as error:
            return refused_result(error, document)
    rows = sum(count for _, count in loaded.rows)
    lines = [
        f"Loaded: {rows} rows of {len(loaded.rows)} tables into {plan.hostname}, after {loaded.took_seconds:.1f} s.",
        *(f"{check}: {result}" for check, result in loaded.checks),
    ]
    checks = [{"check": check, "result": result} for check, result in loaded.checks]
    return done_result("Loaded", document, lines, rows=rows, checks=checks, approved_by=approved.approver)


class _Conversation:
    """Asks leads at this terminal about one plan, one after the other, until the approval gate has decided."""

    def __init__(
        self, gate: Gate, plan: LoadPlan, credentials: Credentials, name: str, decision: str, reason: str
    ) -> None:
        self._gate, self._plan, self._credentials = gate, plan, credentials
        self._given = {"name": name, "decision": decision, "reason": reason}

    def ask(self) -> Approval:
        """Return the approval. Raise as the flow's approval gate does; Ctrl-C closes the request with a rejection."""
        found: Approval | Waiting | None = recorded_answer(self._gate.ledger, self._plan)
        if found is None:
            found, _ = self._gate.ask(self._plan, source_id="", within=ANSWER_WITHIN, now=utc_now())
        try:
            while not isinstance(found, Approval):
                found = self._ask_once(found or self._gate.waiting(self._plan))
        except (KeyboardInterrupt, typer.BadParameter, typer.Abort):
            self._close()
            raise
        return found

    def _ask_once(self, waiting: Waiting) -> Approval | Waiting:
        plan = self._plan
        details = dumps.load_text(plan, answer_by=waiting.answer_by, gate=gate_lines(plan, waiting))
        print_aside(MarkdownText("\n".join([*opening_lines(plan, waiting), details])), "")
        if waiting.refused:
            print_aside(Alert(f"The last answer did not count: {waiting.refused}"))
        decision = self._value("decision", "approve or reject", {"enum": ["approve", "reject"]})
        approver = self._value("name", "Your name", {})
        needed = RISK_PHRASE if decision == "approve" and phrase_is_typed(plan) else ""
        phrase = prompt(f"Type {needed}") if needed else ""
        if phrase != needed:
            raise RiskNotAccepted("The risk phrase was not typed exactly.")
        reason = self._value("reason", "Reason", {"minLength": SHORTEST_REASON})
        proof = self._credentials.prove(statement(decision, plan.fingerprint, waiting.answer_by))
        self._given, self._credentials = dict.fromkeys(self._given, ""), Credentials()  # options are for one lead
        answer = Answer(
            decision="approve" if decision == "approve" else "reject",
            approver=approver,
            plan=plan.code,
            destination=plan.destination_name,  # typed as --hostname, and compared with the target by the plan
            proof=proof,
            reason=reason,
            given_at=utc_now(),
            restore=False,
            phrase=phrase,
        )
        return self._gate.evaluate(plan, answer, now=utc_now())

    def _value(self, name: str, label: str, rules: Mapping[str, Any]) -> str:
        require_fits({name: self._given[name]} if self._given[name] else {}, {name: rules}, {name: f"--{name}"})
        return asked(label, self._given[name], rules)

    def _close(self) -> None:
        """Reject the request: once this process ends, nobody could answer it."""
        left = Answer(
            decision="reject", approver=self._given["name"] or "the terminal", plan=self._plan.code, destination="",
            proof="", reason="the command was ended before an answer", given_at=utc_now(), restore=False,
        )  # fmt: skip
        with suppress(UnderstudyError):
            self._gate.evaluate(self._plan, left, now=utc_now())


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

"""Forms: show a form in Prefect, and read what was typed with the time at which the server received it.

Anybody with access to Prefect's API may have stored what is read here. It is not trusted: the approval gate checks it.
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import flow_run
from pydantic import ConfigDict, Field, ValidationError, create_model

from tasks.estate.approval_sheet import Sheet, sheet_key
from tasks.estate.dumps import RISK_PHRASE
from tasks.estate.polling import utc_now
from tasks.ledger.facts import HoldEndAsked, SettleAsked
from tasks.rendering.dumps import RISK_LABEL
from tasks.runtime.current_run import this_run
from tasks.runtime.prefect_records import parameters_of
from tasks.runtime.resources import open_ledger

SHORTEST = timedelta(seconds=1)

PROOF: dict[str, Any] = {"min_length": 6, "max_length": 4000}  # characters: a code; an RSA signature has 1,600
PROOF_TITLE = "Proof that it is you"
DECISIONS = "reject: nothing is overwritten. approve: this plan, once."
PLAN_HELP = "The notice that you received names the same code."
DESTINATION_HELP = "In full: it will be overwritten."
EMAIL, ONLY_IF_READ = "The host's e-mail about this copy reports", "'completed' only if you read it."
OUTCOME, ONLY_IF_KNOWN = "Outcome of the call", "Only if you know it."


def _field(position: int, title: str, help_text: str, more: Mapping[str, Any] | None = None, **rules: Any) -> Any:
    """Return a field of a form. No field has a default: an empty answer is no answer. `more` is added to its schema."""
    return Field(title=title, description=help_text, json_schema_extra={"position": position, **(more or {})}, **rules)


def _approver(position: int) -> Any:
    return _field(
        position, "Your name", "As enrolled. The ledger and the report contain it.", min_length=3, max_length=80
    )


def _proof(position: int, signs: str = "understudy approve", more: Mapping[str, Any] | None = None) -> Any:
    help_text = f"The current six digits of your authenticator, or your SSH signature on one line (`{signs}` makes it)."
    return _field(position, PROOF_TITLE, help_text, more, **PROOF)


class _Form(RunInput):
    model_config = ConfigDict(extra="forbid")


class ApprovalForm(_Form):
    """The form that a lead fills in before a copy or restore."""

    decision: Literal["reject", "approve"] = _field(0, "Decision", DECISIONS)
    plan: str = _field(1, "Type the code of the plan", PLAN_HELP, max_length=20)
    destination: str = _field(2, "Type the name of the destination", DESTINATION_HELP, max_length=255)
    approver: str = _approver(3)
    proof: str = _proof(4)
    reason: str = _field(5, "Reason", "Why, in a few words.", min_length=5, max_length=500)


class PromotionForm(ApprovalForm):
    """The approval form of a promotion, which may also permit its restore."""

    restore: Literal["no", "yes"] = _field(
        6, "If verification fails", "yes: the backup is put back automatically, without asking again, for a short time."
    )


class RiskyForm(ApprovalForm):
    """The approval form of a load that leaves personal data as it is."""

    risk: str = _field(6, RISK_LABEL, "Personal data of production will be on staging.", pattern=f"^{RISK_PHRASE}$")


Email = Literal["no e-mail yet", "failed", "completed"]


class ArrivalForm(_Form):
    """What the host's e-mail about a copy reports: the one documented signal of its end."""

    email: Email = _field(0, EMAIL, ONLY_IF_READ)
    approver: str = _approver(1)
    proof: str = _proof(2)
    words: str = _field(
        3, "Wording and time of the e-mail", "For example: 'Copy complete', 14:32.", min_length=5, max_length=300
    )


class HoldEndForm(_Form):
    """Who ends a hold, and the proof that they may."""

    approver: str = _approver(0)
    proof: str = _proof(1)


class SettleForm(_Form):
    """The outcome of a call that is unknown, and the proof of the lead who knows it."""

    outcome: Literal["arrived", "failed"] = _field(0, OUTCOME, ONLY_IF_KNOWN)
    approver: str = _approver(1)
    proof: str = _proof(2)
    reason: str = _field(
        3, "How you know", "The host's e-mail and its time, or what you saw.", min_length=5, max_length=300
    )


def form_for(code: str, destination: str, kind: type[ApprovalForm], text: str = "") -> type[ApprovalForm]:
    """Return the form for one plan: the server refuses any typed code or destination but the plan's own.

    `text` is also the help of the first field: if the window is not high enough for all fields, Prefect's dialog reduces the
    form's own description to nothing, and people would approve what they cannot see.
    """
    plan = _field(1, f"Type the code of the plan: {code}", PLAN_HELP, pattern=f"^{code}$")
    title = f"Type the name of what will be overwritten: {destination}"
    typed = _field(2, title, DESTINATION_HELP, pattern=f"^{re.escape(destination)}$")
    decision = _field(0, "Decision", _help(text, DECISIONS))
    return _derived(kind, decision=(Literal["reject", "approve"], decision), plan=(str, plan), destination=(str, typed))


def arrival_form(text: str) -> type[ArrivalForm]:
    """Return the form about one copy, with its text as the help of the first field: see `form_for`."""
    return _derived(ArrivalForm, email=(Email, _field(0, EMAIL, _help(text, ONLY_IF_READ))))


def settle_form(text: str, statements: Mapping[Any, str]) -> type[SettleForm]:
    """Return the form about one call. Its proof field carries, for each outcome, the statement that a lead may sign."""
    outcome = _field(0, OUTCOME, _help(text, ONLY_IF_KNOWN))
    proof = _proof(2, "understudy settle", {"statements": {**statements}})
    return _derived(SettleForm, outcome=(Literal["arrived", "failed"], outcome), proof=(str, proof))


def hold_end_form(text: str, statement: str) -> type[HoldEndForm]:
    """Return the form for ending holds. Its proof field carries the statement that a lead may sign instead of typing a code."""
    help_text = f"{text} The release word that its owner kept, or a lead's six digits or SSH signature."
    proof = _field(1, "Proof that you may", help_text, {"statement": statement}, **PROOF)
    return _derived(HoldEndForm, proof=(str, proof))


def _derived(kind: type[Any], **fields: Any) -> type[Any]:
    return create_model(kind.__name__, __base__=kind, **fields)


def _help(markdown: str, last: str) -> str:
    """Return Markdown as a field's help can show it: single line ends are lost there."""
    return "\n\n".join([*(line for line in markdown.splitlines() if line.strip()), last])


@dataclass(frozen=True)
class FormAnswer:
    """What was typed, and when (UTC) the server received it. `form` is None if it was no answer to the form."""

    form: RunInput | None
    at: datetime


def await_answer(
    key: str, form: type[RunInput], description: str, *, before: Callable[[], None], until: datetime, now: datetime
) -> FormAnswer:
    """Suspend the run until somebody answers, or return the stored answer; `before` is called before a wait.

    An answer counts from when it reached the server, however late a worker reads it. Without one, after `until` or if the run
    was resumed without an answer, the result has no form and the time `now`.
    """
    answer = _stored(key, form)
    if answer is not None or now >= until:
        return answer or FormAnswer(None, now)
    before()
    timeout = max(until - now, SHORTEST)
    with suppress(ValidationError, ValueError, KeyError):  # what is stored is no answer to this form
        suspend_flow_run(
            wait_for_input=form.with_initial_data(description=description),
            timeout=int(timeout.total_seconds()),
            key=key,
        )
    return _stored(key, form) or FormAnswer(None, now)


A = TypeVar("A", HoldEndAsked, SettleAsked)


def first_request(kind: type[A], within: timedelta, **detail: Any) -> tuple[A, A]:
    """Return what this run recorded when it first asked, as a fact of this kind, and what it would record now.

    Both contain the deadline (`answer_by`), a digest of the run's `parameters`, and `detail`. The deadline counts from the first
    time, however often the run asks again.
    """
    ledger, parameters = open_ledger(), parameters_of(this_run())
    now = kind(answer_by=utc_now() + within, parameters=parameters, **detail)
    first = ledger.facts(run_id=this_run(), kind=kind.KIND) or [ledger.record(now, run_id=this_run())]
    return first[0].as_(kind), now


def publish_sheet(sheet: Sheet) -> None:
    """Publish the plan as data next to its form, for the command line and for people who want to check it."""
    create_markdown_artifact(
        sheet.as_markdown(), key=sheet_key(flow_run.get_id()), description="The plan that waits, as data"
    )


def _stored(key: str, form: type[RunInput]) -> FormAnswer | None:
    """Return the answer that the server has under this key."""
    wanted = keyset_from_base_key(f"suspended-{key}")["response"]
    with get_client(sync_client=True) as client:
        stored = client.filter_flow_run_input(
            UUID(str(flow_run.get_id())), key_prefix=wanted, limit=5, exclude_keys=set()
        )
    answer = next((each for each in stored if each.key == wanted), None)
    if answer is None:
        return None
    at = answer.created or datetime.now(UTC)
    try:
        return FormAnswer(form.model_validate(json.loads(answer.value)), at)
    except (ValidationError, ValueError, TypeError):
        return FormAnswer(None, at)

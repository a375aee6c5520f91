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
from tasks.estate.dumps import RISK_PHRASE, LoadPlan
from tasks.estate.plans import Plan
from tasks.estate.polling import utc_now
from tasks.ledger.facts import HoldEndAsked, SettleAsked
from tasks.runtime.current_run import this_run
from tasks.runtime.prefect_records import parameters_of
from tasks.runtime.resources import open_ledger
from tasks.signoff.form_fields import CHOICE, REJECT, choices, destination_is_typed, phrase_is_typed

SHORTEST = timedelta(seconds=1)

PROOF: dict[str, Any] = {"min_length": 6, "max_length": 4000}  # characters: a code; an RSA signature has 1,600
PROOF_TITLE = "Proof that it is you"
REASON_HELP = "Why, in a few words. If you reject, leave the rest empty."
BOUND_ONLY = "A code is not enough here: answer with a passkey at the desk, or with an SSH key (`understudy approve`)."
CODE_OR_BOUND = (
    "The six digits that your authenticator shows now, or your SSH signature (`understudy approve` makes it)."
)
EMAIL, ONLY_IF_READ = "The host's e-mail about this copy reports", "'completed' only if you read it."
OUTCOME, ONLY_IF_KNOWN = "Outcome of the call", "Only if you know it."


def _field(position: int, title: str, help_text: str, more: Mapping[str, Any] | None = None, **rules: Any) -> Any:
    """Return a field of a form. No field has a default: an empty answer is no answer. `more` is added to its schema."""
    return Field(title=title, description=help_text, json_schema_extra={"position": position, **(more or {})}, **rules)


def _approver(position: int) -> Any:
    return _field(
        position, "Your name", "As enrolled. The ledger and the report contain it.", min_length=3, max_length=80
    )


def _proof(position: int, signs: str, more: Mapping[str, Any] | None = None) -> Any:
    help_text = f"The current six digits of your authenticator, or your SSH signature on one line (`{signs}` makes it)."
    return _field(position, PROOF_TITLE, help_text, more, **PROOF)


class _Form(RunInput):
    model_config = ConfigDict(extra="forbid")


class ApprovalForm(_Form):
    """What a lead answered before a copy, restore or load. The gate checks it; nothing here is trusted.

    Reads the answers of version 0.1 too, which typed `plan`, `destination` and `restore` and chose a bare "approve": an answer
    may come from a form that was opened before an upgrade. `form_for` makes what people see.
    """

    decision: str = Field(pattern=CHOICE.pattern)
    reason: str = Field(max_length=500)
    approver: str = Field("", max_length=80)
    proof: str = Field("", max_length=PROOF["max_length"])
    destination: str = Field("", max_length=255)
    risk: str = Field("", max_length=100)
    plan: str = Field("", max_length=20)
    restore: Literal["no", "yes"] = "no"


Email = Literal["no e-mail yet", "failed", "completed"]


class ArrivalForm(_Form):
    """What the host's e-mail about a copy reports: the one documented signal of its end."""

    email: Email = _field(0, EMAIL, ONLY_IF_READ)
    approver: str = _approver(1)
    proof: str = _proof(2, "understudy approve")
    words: str = _field(
        3, "Wording and time of the e-mail", "For example: 'Copy complete', 14:32.", min_length=5, max_length=300
    )


class HoldEndForm(_Form):
    """Who ends a hold, and the proof that they may."""

    approver: str = _approver(0)
    proof: str = _proof(1, "understudy approve")


class SettleForm(_Form):
    """The outcome of a call that is unknown, and the proof of the lead who knows it."""

    outcome: Literal["arrived", "failed"] = _field(0, OUTCOME, ONLY_IF_KNOWN)
    approver: str = _approver(1)
    proof: str = _proof(2, "understudy approve")
    reason: str = _field(
        3, "How you know", "The host's e-mail and its time, or what you saw.", min_length=5, max_length=300
    )


def form_for(plan: Plan | LoadPlan, text: str, *, undoable: bool = False, bound: bool = False) -> type[ApprovalForm]:
    """Return the form for one plan: decision, reason, name and proof, and what its risk class needs in addition.

    `undoable`: an approval may also permit the restore. `bound`: this answer must be made with a passkey or an SSH key. The server
    refuses an approval that names another plan or destination, or leaves a field empty. `text` is the help of the first field:
    a low window hides the form's own description.
    """
    schema = _approval_schema(plan, text, undoable=undoable, bound=bound)

    class Shown(ApprovalForm):
        model_config = ConfigDict(title=ApprovalForm.__name__, json_schema_extra=lambda drawn: drawn.update(schema))

    return Shown


def _approval_schema(plan: Plan | LoadPlan, text: str, *, undoable: bool, bound: bool) -> dict[str, Any]:
    """Return the JSON schema of `form_for`. All fields are listed as required, because Prefect's UI calls the others optional.

    A field that a rejection leaves empty has the default "", which the UI sends; what an approval must contain is in `else`.
    """
    decision = {
        "title": "Decision", "description": _help(text), "enum": choices(plan.code, undoable=undoable),
    }  # fmt: skip
    shown: dict[str, dict[str, Any]] = {
        "decision": decision,
        "reason": {"title": "Reason", "description": REASON_HELP, "minLength": 5, "maxLength": 500},
        "approver": {"title": "Your name", "description": "As enrolled.", "default": "", "maxLength": 80},
        "proof": {
            "title": PROOF_TITLE, "description": BOUND_ONLY if bound else CODE_OR_BOUND, "default": "",
            "maxLength": PROOF["max_length"],
        },
    }  # fmt: skip
    needed: dict[str, dict[str, Any]] = {"approver": {"minLength": 3}, "proof": {"minLength": PROOF["min_length"]}}
    if destination_is_typed(plan):
        name = plan.destination_name
        title = f"Type the name of what will be overwritten: {name}"
        shown["destination"] = {"title": title, "default": "", "maxLength": 255}
        needed["destination"] = {"pattern": f"^{re.escape(name)}$"}
    if phrase_is_typed(plan):
        title = f"Personal data of production will be on staging. Type {RISK_PHRASE}"
        shown["risk"] = {"title": title, "default": "", "maxLength": 100}
        needed["risk"] = {"pattern": f"^{RISK_PHRASE}$"}
    rejects = {"properties": {"decision": {"const": REJECT}}, "required": ["decision"]}
    return {
        "properties": {
            name: {"type": "string", "position": position, **rules}
            for position, (name, rules) in enumerate(shown.items())
        },
        "required": [*shown],
        "if": rejects,
        "else": {"properties": needed},
    }


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
    approver = _field(0, "Your name", _help(text, "As enrolled, if you are a lead."), min_length=3, max_length=80)
    help_text = "The release word that its owner kept, or a lead's six digits or SSH signature."
    proof = _field(1, "Proof that you may", help_text, {"statement": statement}, **PROOF)
    return _derived(HoldEndForm, approver=(str, approver), proof=(str, proof))


def _derived(kind: type[Any], **fields: Any) -> type[Any]:
    return create_model(kind.__name__, __base__=kind, **fields)


def _help(*texts: str) -> str:
    """Return Markdown as a field's help can show it: single line ends are lost there."""
    return "\n\n".join(line for text in texts for line in text.splitlines() if line.strip())


@dataclass(frozen=True)
class FormAnswer:
    """What was typed, and when (UTC) the server received it. `form` is None if it was no answer to the form."""

    form: RunInput | None
    at: datetime


def await_answer(
    key: str, form: type[RunInput], *, before: Callable[[], None], until: datetime, now: datetime
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
            wait_for_input=form,
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

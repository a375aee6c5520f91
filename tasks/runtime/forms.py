"""Asking: put a form before people in Prefect, and read what was typed with the time at which the server got it.

What is read is what anybody with Prefect's API may have put there: nothing here is trusted, the gate judges it.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import flow_run
from pydantic import ConfigDict, Field, ValidationError, create_model

from tasks.estate.dumps import RISK_PHRASE
from tasks.estate.sheets import Sheet, sheet_key
from tasks.estate.waiting import utc_now
from tasks.rendering.dumps import RISK_LABEL
from tasks.runtime.current_run import this_run
from tasks.runtime.resources import open_ledger
from tasks.runtime.waiting_runs import parameters_of

SHORTEST = timedelta(seconds=1)
TABLE_RULE = re.compile(r"\|[-:|]+\|$")
CELL_END = re.compile(r"(?<!\\)\|")  # an escaped bar belongs to a cell


PROOF: dict[str, Any] = {"min_length": 6, "max_length": 4000}  # characters: a code; an RSA signature has 1,600


def _field(position: int, title: str, description: str, carries: Mapping[str, Any] | None = None, **rules: Any) -> Any:
    """A field of a form, in its place. None has a default: an empty answer is no answer. `carries`: more of its schema."""
    extra = {"position": position, **(carries or {})}
    return Field(title=title, description=description, json_schema_extra=extra, **rules)


def _approver(position: int) -> Any:
    return _field(
        position, "Your name", "As enrolled. Goes into the ledger and the report.", min_length=3, max_length=80
    )


def _proof(position: int) -> Any:
    told = "Six digits of your authenticator now, or your SSH signature on one line (understudy approve makes it)."
    return _field(position, "Proof that it is you", told, **PROOF)


def _reason(position: int) -> Any:
    return _field(position, "Reason", "Why, in a few words.", min_length=5, max_length=500)


class _Form(RunInput):
    model_config = ConfigDict(extra="forbid")


class ApprovalForm(_Form):
    """The form a lead fills in before a copy or restore."""

    decision: Literal["reject", "approve"] = _field(
        0, "Decision", "reject: nothing is overwritten. approve: this plan, once."
    )
    plan: str = _field(1, "Type the code of the plan", "The notice that you got names the same one.", max_length=20)
    destination: str = _field(2, "Type the name of the destination", "In full: it will be overwritten.", max_length=255)
    approver: str = _approver(3)
    proof: str = _proof(4)
    reason: str = _reason(5)


class PromotionForm(ApprovalForm):
    """The same before a promotion, with leave to undo it."""

    restore: Literal["no", "yes"] = _field(
        6, "If verification fails", "yes: put the backup back by itself, without asking again, for a short time."
    )


class RiskyForm(ApprovalForm):
    """The same before a load that leaves personal data as it is."""

    risk: str = _field(6, RISK_LABEL, "Personal data of production will be on staging.", pattern=f"^{RISK_PHRASE}$")


EMAIL, ONLY_IF_READ = "The host's e-mail about this copy says", "'completed' only if you read it."
Email = Literal["no e-mail yet", "failed", "completed"]


class ArrivalForm(_Form):
    """What the host's e-mail said about a copy: the one documented signal of its end."""

    email: Email = _field(0, EMAIL, ONLY_IF_READ)
    approver: str = _approver(1)
    proof: str = _proof(2)
    words: str = _field(3, "Its words and time", "For example: 'Copy complete', 14:32.", min_length=5, max_length=300)


class HoldEndForm(_Form):
    """Who ends a hold, and the proof that they may."""

    approver: str = _approver(0)
    proof: str = _proof(1)


class SettleForm(_Form):
    """What became of a call whose outcome is unknown, and the proof of the lead who says so."""

    outcome: Literal["arrived", "failed"] = _field(0, "What became of the call", "Only if you know.")
    approver: str = _approver(1)
    proof: str = _proof(2)
    reason: str = _field(
        3, "What tells you", "The host's e-mail and its time, or what you saw.", min_length=5, max_length=300
    )


def settle_form(text: str, statements: Mapping[Any, str]) -> type[SettleForm]:
    """Return the form about one call. Its proof field carries, for each outcome, the statement that a lead may sign."""
    told = (
        "Six digits of your authenticator now, or your SSH signature on one line (`understudy settle` signs by itself)."
    )
    proof = _field(2, "Proof that it is you", told, {"statements": {**statements}}, **PROOF)
    outcome = _field(0, "What became of the call", "\n\n".join([*_paragraphs(text), "Only if you know."]))
    fields: dict[str, Any] = {"outcome": (Literal["arrived", "failed"], outcome), "proof": (str, proof)}
    return create_model(SettleForm.__name__, __base__=SettleForm, **fields)


def hold_end_form(text: str, statement: str) -> type[HoldEndForm]:
    """Return the form for ending holds. Its proof field carries the statement that a lead may sign instead of typing a code."""
    told = f"{text} The word that its owner kept, or a lead's six digits or SSH signature."
    fields: dict[str, Any] = {"proof": (str, _field(1, "Proof that you may", told, {"statement": statement}, **PROOF))}
    return create_model(HoldEndForm.__name__, __base__=HoldEndForm, **fields)


def form_for(code: str, destination: str, kind: type[ApprovalForm], text: str = "") -> type[ApprovalForm]:
    """The form for one plan: the server refuses any typed code or destination but the plan's own.

    `text` is the help of the first field, too: where the window is not high enough for all fields, Prefect's dialog squeezes
    the form's own description to nothing, and people would approve what they cannot see.
    """
    typed = {
        "plan": _field(
            1, f"Type the code of the plan: {code}", "The notice that you got names the same one.", pattern=f"^{code}$"
        ),
        "destination": _field(
            2,
            f"Type the name of what will be overwritten: {destination}",
            "In full: it will be overwritten.",
            pattern=f"^{re.escape(destination)}$",
        ),
    }
    fields: dict[str, Any] = {name: (str, field) for name, field in typed.items()}
    told = "\n\n".join([*_paragraphs(text), "reject: nothing is overwritten. approve: this plan, once."])
    fields["decision"] = (Literal["reject", "approve"], _field(0, "Decision", told))
    return create_model(kind.__name__, __base__=kind, **fields)


def arrival_form(text: str) -> type[ArrivalForm]:
    """The form about one copy, with the question as the help of its first field: see `form_for`."""
    told = "\n\n".join([*_paragraphs(text), ONLY_IF_READ])
    fields: dict[str, Any] = {"email": (Email, _field(0, EMAIL, told))}
    return create_model(ArrivalForm.__name__, __base__=ArrivalForm, **fields)


def _paragraphs(markdown: str) -> list[str]:
    """Markdown as a field's help can show it: its single line ends are lost, and with them tables, which become lists."""
    lines = [line for line in markdown.splitlines() if line.strip() and not TABLE_RULE.match(line)]
    return [_row(line) if line.startswith("|") else line for line in lines]


def _row(line: str) -> str:
    first, *others = (cell.strip() for cell in CELL_END.split(line)[1:-1])
    return f"* {f'{first}: ' if first else ''}{' · '.join(filter(None, others))}"


@dataclass(frozen=True)
class FormAnswer:
    """What was typed, and when (UTC) the server got it. `form` is None where it was no answer to the form."""

    form: RunInput | None
    at: datetime


def await_answer(
    key: str, form: type[RunInput], description: str, *, before: Callable[[], None], until: datetime, now: datetime
) -> FormAnswer:
    """Suspend the run until somebody answers, or give the answer that lies there already; `before` is called before a wait.

    An answer counts from when it reached the server, however late a worker reads it. Past `until` without one, gives
    nothing heard at that moment. A run that was resumed without an answer gives nothing heard now.
    """
    heard = _stored(key, form)
    if heard is not None or now >= until:
        return heard or FormAnswer(None, now)
    before()
    timeout = max(until - now, SHORTEST)
    try:
        suspend_flow_run(
            wait_for_input=form.with_initial_data(description=description),
            timeout=int(timeout.total_seconds()),
            key=key,
        )
    except (ValidationError, ValueError, KeyError):  # what lies there is no answer to this form
        return _stored(key, form) or FormAnswer(None, now)
    return _stored(key, form) or FormAnswer(None, now)


def first_request(kind: str, within: timedelta, **detail: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what this run recorded when it first asked, as a fact of this kind, and what it would record now.

    Both contain the deadline (`answer_by`), a digest of the run's `parameters`, and `detail`. The deadline counts from the first
    time, however often the run asks again.
    """
    ledger, parameters = open_ledger(), parameters_of(this_run())
    now = {"answer_by": (utc_now() + within).isoformat(), **detail, "parameters": parameters}
    first = ledger.facts(run_id=this_run(), kind=kind) or [ledger.record(kind, run_id=this_run(), detail=now)]
    return first[0].detail, now


def publish_sheet(sheet: Sheet) -> None:
    """Put the question as data beside its form, for the command line and for whoever wants to check."""
    create_markdown_artifact(
        sheet.as_markdown(), key=sheet_key(flow_run.get_id()), description="The plan that waits, as data"
    )


def _stored(key: str, form: type[RunInput]) -> FormAnswer | None:
    """The answer under this key as the server keeps it."""
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

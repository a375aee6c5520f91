"""Prefect's own records of runs that waited, and whether a code was moved from one run to another.

Nothing in Prefect is trusted to approve. But what is missing or changed there can void an approval.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.input.run_input import keyset_from_base_key

from tasks.estate.errors import NotApproved
from tasks.estate.plans import Intent, fingerprint
from tasks.ledger.facts import Asked
from tasks.ledger.ledger import Ledger
from tasks.runtime.resources import open_ledger
from tasks.signoff.answers import numbered_answers
from tasks.signoff.gate import Settling
from tasks.signoff.interference import Change, disturbed, tampered, waits_since
from tasks.signoff.one_time_codes import CODE_LIVES, may_be_production

BY_SCHEDULE = "Nothing was overwritten. Wait for the scheduled run, or start one manually with approval 'ask'."
MANY = 500  # stored inputs of one run; a form leaves three


@dataclass(frozen=True)
class TypedProof:
    """What was typed as proof into one form of a run, under which key, and when (UTC) the server stored it."""

    key: str
    proof: str
    at: datetime

    @property
    def digits(self) -> str:
        """Return the proof as a code: digits without spaces; "" if it is no code."""
        digits = "".join(self.proof.split())
        return digits if digits.isdecimal() else ""


def form_key(plan: Intent, index: int) -> str:
    """Return the name of the form that asks for answer `index` to this plan; Prefect derives its keys from it."""
    return f"appr-{plan.fingerprint[:8]}-{index}"


def parameters_of(run_id: str) -> str:
    """Return a digest of the run's parameters as Prefect has them; "" for a run that Prefect does not have."""
    with get_client(sync_client=True) as client:
        run = _run(client, run_id)
    return "" if run is None else _digest(run)


def _digest(run: FlowRun) -> str:
    return fingerprint(json.loads(json.dumps(run.parameters, default=str)))


def _run(client: SyncPrefectClient, run_id: str) -> FlowRun | None:
    try:
        return client.read_flow_run(UUID(run_id))
    except (ObjectNotFound, ValueError):
        return None


def typed_proofs(run_id: str) -> list[TypedProof]:
    """Return every proof that Prefect has as typed into a form of this run, also one that no form asked for."""
    with get_client(sync_client=True) as client:
        return [*_typed(client, run_id)]


def _typed(client: SyncPrefectClient, run_id: str) -> Iterator[TypedProof]:
    stored = client.filter_flow_run_input(UUID(run_id), key_prefix="", limit=MANY, exclude_keys=set())
    for each in stored:
        try:
            value: Any = json.loads(each.value)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("proof"), str):
            yield TypedProof(each.key, value["proof"], each.created or datetime.now(UTC))


def _changes(client: SyncPrefectClient, run_id: str) -> list[Change]:
    states = client.read_flow_run_states(UUID(run_id))
    return sorted((Change(state.type.value, state.timestamp) for state in states), key=lambda change: change.at)


def why_moved(plan: Intent, settling: Settling) -> str:
    """Return why the code of this answer may have been typed for something else; "" if nothing points to that.

    Checks every run that waited while the code was valid: each must exist, be unchanged, and have continued only after a proven
    answer. Checks this run's own record of the answer as well.
    """
    ledger, given_at = open_ledger(), settling.signer.answered_at
    since = given_at - CODE_LIVES
    with get_client(sync_client=True) as client:
        why = _why_not_its_own(client, ledger, plan, settling.index, given_at)
        if why:
            return why
        mine = next(
            typed.digits for typed in _typed(client, plan.run_id) if typed.key == _response(plan, settling.index)
        )
        for wait in waits_since(ledger, since):
            if wait.run_id == plan.run_id:
                continue
            run = _run(client, wait.run_id)
            changes = None if run is None else _changes(client, wait.run_id)
            why = disturbed(wait, changes, "" if run is None else _digest(run), since)
            if not why and any(typed.digits == mine for typed in _typed(client, wait.run_id)):
                why = f"the same code was typed into run {wait.run_id}"
            if why:
                return why
    return ""


def _response(plan: Intent, index: int) -> str:
    return str(keyset_from_base_key(f"suspended-{form_key(plan, index)}")["response"])


def _why_not_its_own(client: SyncPrefectClient, ledger: Ledger, plan: Intent, index: int, given_at: datetime) -> str:
    run = _run(client, plan.run_id)
    if run is None:
        return "Prefect does not know the run any more"
    if _digest(run) not in _asked_with(ledger, plan):
        return "the parameters of the run were changed after the request"
    stored = next((typed for typed in _typed(client, plan.run_id) if typed.key == _response(plan, index)), None)
    if stored is None or stored.at != given_at:
        return "the answer in Prefect is not the one that was checked"
    return tampered(_changes(client, plan.run_id), given_at)


def _asked_with(ledger: Ledger, plan: Intent) -> list[str]:
    asked = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=Asked.KIND)
    return [fact.as_(Asked).parameters or "" for fact in asked]


def require_unmoved(plan: Intent) -> None:
    """Raise `NotApproved` unless Prefect still has each code that may open production, as it was checked, with its time."""
    if not may_be_production(plan):
        return
    ledger = open_ledger()
    facts = ledger.facts(run_id=plan.run_id, plan=plan.fingerprint)
    codes = [(index, answer) for index, answer in numbered_answers(facts) if answer.proof == "code"]
    with get_client(sync_client=True) as client:
        for index, answer in codes:
            stored = next((typed for typed in _typed(client, plan.run_id) if typed.key == _response(plan, index)), None)
            if stored is None or stored.at != answer.given_at or not stored.digits:
                raise NotApproved(
                    f"The answer of {answer.name} to plan {plan.code} is not in Prefect as it was checked."
                )


def was_scheduled(run: FlowRun) -> bool:
    """Return whether Prefect's own scheduler made this run. A client of its API cannot set that for a run that it creates."""
    return run.auto_scheduled and run.parent_task_run_id is None


def require_scheduled(plan: Intent) -> None:
    """Raise `NotApproved` unless Prefect's scheduler made this run."""
    with get_client(sync_client=True) as client:
        run = _run(client, plan.run_id)
    if run is None or not was_scheduled(run):
        raise NotApproved(
            f"This {plan.verb} of {plan.destination_name} was started by a person; a standing approval covers only runs that "
            "the schedule of their deployment started.",
            next_step=BY_SCHEDULE,
        )

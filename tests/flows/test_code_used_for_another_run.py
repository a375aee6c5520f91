"""A code that was typed for one run opens no production by another: every variant, through Prefect's real API."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyotp
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Paused, Scheduled

from deployments.sandbox.host.host import Host
from tasks import approvals
from tasks.configuration.settings import forget_settings
from tasks.estate.flow_parameters import ANSWER_WITHIN
from tasks.estate.plans import Plan
from tasks.estate.risks import Grade, Risk
from tasks.runtime.permission import require_permission
from tasks.runtime.resources import open_ledger, read_rules
from tests.flows.test_approvals_forged import key_of
from tests.people import CODES, DEMO_LEAD, SECOND_LEAD, Run
from tests.tasks.safeguards.ledger_histories import DEV, PROD, STAGE, comparison, content, plan

SENT: list[str] = []


def _plan(what: str, note: str) -> Plan:
    risk = Risk(grade=Grade.YELLOW, reasons=(note,), rules=read_rules().fingerprint)
    more: dict[str, Any] = {"run": str(flow_run.get_id()), "risk": risk, "requested_by": "Dora Developer"}
    return plan("promote", STAGE, PROD, **more) if what == "promote" else plan("refresh", PROD, DEV, **more)


@flow(name="light", persist_result=False)
def light(what: str, note: str = "the menu") -> None:
    """Do what a refresh or promotion does at the approval gate: ask, check the permission, call."""
    drafted = _plan(what, note)
    approved = approvals.ask(drafted, comparison(content(), content()), within=ANSWER_WITHIN)
    require_permission(drafted, approved)
    SENT.append(what)


@pytest.fixture
def ask(
    prefect_server: None, worker: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[Run, Run]]:
    """A development refresh and a promotion that both wait, with a ledger of their own; nothing was sent."""

    def both() -> tuple[Run, Run]:
        monkeypatch.setenv("UNDERSTUDY_LEDGER_URL", f"sqlite:///{tmp_path / uuid4().hex}.db")
        forget_settings()
        SENT.clear()
        return Run(light, {"what": "refresh"}).go(), Run(light, {"what": "promote"}).go()

    return both


def code(lead: str = DEMO_LEAD) -> str:
    """The lead's code now."""
    return pyotp.TOTP(CODES[lead]).at(int(datetime.now(UTC).timestamp()))


Move = Callable[[SyncPrefectClient, Run], object]


def _replace(client: SyncPrefectClient, run: Run) -> None:
    form = {"decision": "reject", "approver": "mallory", "proof": "000000", "reason": "because I can"}
    client.delete_flow_run_input(UUID(run.id), key_of(run))
    asked = run.request
    client.create_flow_run_input(
        UUID(run.id), key_of(run), json.dumps(form | {"plan": asked.code, "destination": asked.destination})
    )
    run.go()


def _take_back(client: SyncPrefectClient, run: Run) -> None:
    client.delete_flow_run_input(UUID(run.id), key_of(run))
    client.set_flow_run_state(UUID(run.id), Paused(timeout_seconds=3600, reschedule=True), force=True)


MOVES: dict[str, Move] = {
    "deleted": lambda client, run: client.delete_flow_run(UUID(run.id)),
    "cancelled": lambda client, run: client.set_flow_run_state(UUID(run.id), Cancelled(), force=True),
    "forced to be over": lambda client, run: client.set_flow_run_state(UUID(run.id), Completed(name="Verified"), force=True),
    "its answer replaced": _replace,
    "its answer taken back": _take_back,
    "its parameters changed": lambda client, run: client._client.patch(f"/flow_runs/{run.id}", json={"parameters": {"what": "x"}}),
    "left as it is": lambda client, run: None,
}  # fmt: skip


def move_code(ask: Callable[[], tuple[Run, Run]], how: str) -> None:
    """A lead types a code for the refresh; before a worker reads it, it is moved to the promotion."""
    refresh, promote = ask()
    typed = code()
    assert refresh.say(proof=typed) == "ACCEPT"
    with get_client(sync_client=True) as client:
        MOVES[how](client, refresh)
    assert promote.say(proof=typed) == "ACCEPT"
    promote.go()
    assert (promote.state, SENT) == ("Suspended", []), promote.message
    ledger = open_ledger()
    assert not ledger.facts(run_id=promote.id, kind="approved")
    void = ledger.facts(run_id=promote.id, kinds=("answer-void", "answer-refused"))
    assert len(void) == 1, void
    assert promote.say(proof=typed) == "ACCEPT"  # again, in the same minute: it is used up
    promote.go()
    assert (promote.state, SENT) == ("Suspended", [])


@pytest.mark.parametrize("how", MOVES)
def test_a_moved_code_opens_nothing(ask: Callable[[], tuple[Run, Run]], how: str) -> None:
    """That holds whatever happens to the run into which the code was typed: a race for one code."""
    move_code(ask, how)


@pytest.mark.drill
def test_a_hundred_moved_codes_open_nothing(ask: Callable[[], tuple[Run, Run]]) -> None:
    """Every variant in turn, a hundred times."""
    for number in range(100):
        move_code(ask, [*MOVES][number % len(MOVES)])


def test_changed_parameters_void_an_answer_for_good(ask: Callable[[], tuple[Run, Run]]) -> None:
    """The unused code does not approve another plan of the same run, even after the parameters are changed back."""
    _, promote = ask()
    typed = code()
    assert promote.say(proof=typed) == "ACCEPT"
    with get_client(sync_client=True) as client:
        client._client.patch(f"/flow_runs/{promote.id}", json={"parameters": {"what": "promote", "note": "all of it"}})
    promote.parameters = {"what": "promote", "note": "all of it"}
    promote.go()
    assert (promote.state, SENT) == ("Failed", [])
    assert "parameters of the run were changed" in promote.message
    promote.parameters = {"what": "promote"}
    with get_client(sync_client=True) as client:
        client._client.patch(f"/flow_runs/{promote.id}", json={"parameters": promote.parameters})
    promote.restart().go()
    assert (promote.state, SENT) == ("Failed", [])
    assert open_ledger().facts(run_id=promote.id, kind="code-used"), "nobody can use it elsewhere"


def test_an_answer_written_past_the_form_by_code_opens_no_production(ask: Callable[[], tuple[Run, Run]]) -> None:
    """A valid code that did not arrive when the run was resumed was moved there."""
    _, promote = ask()
    asked = promote.request
    form = {
        "decision": "approve", "approver": DEMO_LEAD, "proof": code(), "reason": "because I can", "restore": "no",
        "plan": asked.code, "destination": asked.destination,
    }  # fmt: skip
    with get_client(sync_client=True) as client:
        client.create_flow_run_input(UUID(promote.id), key_of(promote), json.dumps(form))
        client.set_flow_run_state(UUID(promote.id), Scheduled(), force=False)
    promote.go()
    assert (promote.state, SENT) == ("Suspended", [])
    assert "without the form" in open_ledger().facts(run_id=promote.id, kind="answer-void")[0].detail["why"]


def test_a_code_opens_production_while_others_wait_and_answer(ask: Callable[[], tuple[Run, Run]]) -> None:
    """A healthy neighbour, which waits or was answered with proof, voids nothing."""
    refresh, promote = ask()
    assert refresh.say(lead=SECOND_LEAD, proof=code(SECOND_LEAD)) == "ACCEPT"
    assert refresh.go().state == "Completed", refresh.message
    Run(light, {"what": "refresh", "note": "another"}).go()
    assert promote.say(proof=code()) == "ACCEPT"
    assert promote.go().state == "Completed", promote.message
    assert SENT == ["refresh", "promote"]

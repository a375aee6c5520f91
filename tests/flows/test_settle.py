"""Settle: a lead answers in Prefect's form, with proof, how a call with an unknown outcome ended."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from pyotp import TOTP

from flows.refresh import refresh
from flows.settle import settle
from tasks.ledger.ledger import Ledger
from tasks.signoff.proofs import sign, statement
from tests.flows_with_faults import refresh_without_evidence
from tests.people import CODES, DEMO_LEAD, PEOPLE
from tests.raw_facts import raw_fact

WHO = {"your_name": "Dora Developer"}
SEEN = {"reason": "the e-mail reports complete, 14:32"}


@pytest.fixture
def unknown(start: Callable[..., Any], ledger: Ledger) -> Callable[[], str]:
    """A run that is gone: it sent a call, holds its destination, and the outcome of the call is unknown."""

    def make() -> str:
        run = str(uuid4())
        ledger.take_lock(
            "one", run, is_over=lambda _: True, settles=lambda _: True, horizon=datetime.max - datetime(2000, 1, 1),
            now=datetime.now(UTC),
        )  # fmt: skip
        ledger.record(raw_fact("sending", {}), run_id=run, destination_id="one", plan="a" * 64)
        return run

    return make


def code() -> str:
    """Return what the demo lead's phone shows."""
    return TOTP(CODES[DEMO_LEAD]).now()


def test_a_refresh_whose_outcome_is_unknown_is_settled_and_goes_on(
    start: Callable[..., Any], worker: Any, ledger: Ledger
) -> None:
    """Wrong proofs settle nothing and are asked again; a lead's code does, frees the locks, and the retry verifies."""
    sent = refresh_without_evidence(start, refresh, worker)
    run = start(settle, run=sent.id, **WHO)
    assert run.state == "Suspended", run.message
    with get_client(sync_client=True) as client:
        asked = client.filter_flow_run_input(UUID(run.id), key_prefix="", limit=9, exclude_keys=set())
    assert any("Did the refresh of schulstage arrive or fail?" in each.value for each in asked)
    for name, proof in ((DEMO_LEAD, "000000"), ("Somebody Else", code())):
        assert run.answer(outcome="failed", approver=name, proof=proof, **SEEN) == "ACCEPT"
        assert run.go().state == "Suspended", run.message
    assert ledger.unsettled(sent.id) is not None
    assert run.answer(outcome="arrived", approver=DEMO_LEAD, proof=code(), **SEEN) == "ACCEPT"
    assert run.go().state == "Settled", run.message
    assert (ledger.unsettled(sent.id), ledger.locks()) == (None, [])
    kinds = [fact.kind for fact in ledger.facts(run_id=run.id)]
    assert [kinds.count(kind) for kind in ("settle-asked", "settle-refused", "settle-told", "outcome")] == [1, 2, 1, 1]
    assert run.restart().go().state == "Settled"  # a retry asks nobody again
    sent.restart().go()
    assert (sent.state, worker.copies_received()) == ("Verified", 1), sent.message


def test_a_signature_over_the_other_outcome_settles_nothing(
    unknown: Callable[[], str], start: Callable[..., Any], ledger: Ledger
) -> None:
    """It is bound to one outcome of one call: signed as failed, it does not prove arrived."""
    sent = unknown()
    run = start(settle, run=sent, **WHO)
    answer_by = datetime.fromisoformat(ledger.facts(run_id=run.id, kind="settle-asked")[0].detail["answer_by"])
    signature = sign(PEOPLE[DEMO_LEAD][0], statement("settle:failed", "a" * 64, answer_by))
    assert run.answer(outcome="arrived", approver=DEMO_LEAD, proof=signature, **SEEN) == "ACCEPT"
    assert run.go().state == "Suspended"
    assert run.answer(outcome="failed", approver=DEMO_LEAD, proof=signature, **SEEN) == "ACCEPT"
    assert run.go().state == "Settled", run.message
    (settled,) = ledger.facts(run_id=sent, kind="settled")
    assert (settled.detail["how"], settled.detail["asked_by"], ledger.locks()) == ("lead: failed", run.id, [])
    assert start(settle, run=sent, **WHO).state == "Refused"
    assert start(settle, run=str(uuid4()), **WHO).state == "NotFound"


def test_changed_parameters_settle_nothing_else(
    unknown: Callable[[], str], start: Callable[..., Any], ledger: Ledger
) -> None:
    """Whoever points the answered run to another call in Prefect gets nothing settled by the code."""
    meant, other = unknown(), str(uuid4())
    ledger.record(raw_fact("sending", {}), run_id=other, destination_id="two", plan="b" * 64)
    run = start(settle, run=meant, **WHO)
    assert run.answer(outcome="arrived", approver=DEMO_LEAD, proof=code(), **SEEN) == "ACCEPT"
    with get_client(sync_client=True) as client:
        client.request(
            "PATCH", f"/flow_runs/{UUID(run.id)}", json={"parameters": {"run": other, **WHO}}
        ).raise_for_status()
    run.parameters = {"run": other, **WHO}
    assert run.go().state == "NotApproved"
    assert "parameters of this run were changed" in run.message
    assert ledger.unsettled(meant) is not None
    assert ledger.unsettled(other) is not None


def test_guessing_is_limited_over_all_runs(
    unknown: Callable[[], str], start: Callable[..., Any], ledger: Ledger
) -> None:
    """After ten refused codes in an hour even the right one does not count; a run stops asking after its attempts."""
    sent = unknown()
    for attempt in range(9):
        detail = {"attempt": attempt, "why": "", "name": DEMO_LEAD}
        ledger.record(raw_fact("settle-refused", detail), run_id=str(uuid4()))
    run = start(settle, run=sent, **WHO)
    for proof in ("000000", code(), "000000", "000000", "000000"):
        assert run.state == "Suspended", run.message
        assert run.answer(outcome="arrived", approver=DEMO_LEAD, proof=proof, **SEEN) == "ACCEPT"
        run.go()
    assert (run.state, ledger.unsettled(sent) is not None) == ("NotApproved", True), run.message
    assert "too many wrong codes" in ledger.facts(run_id=run.id, kind="settle-refused")[1].detail["why"]

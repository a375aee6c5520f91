"""`settle`: a lead settles an unknown outcome once, with proof, and its locks are released."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from flows.refresh import refresh
from tasks.ledger.ledger import Fact, Ledger
from tests.flows_with_faults import refresh_without_evidence
from tests.people import CODES, DEMO_LEAD
from tests.raw_facts import raw_fact

RUN = "11111111-2222-4333-8444-555555555555"
PLAN = "a" * 64
EVIDENCE = ("--reason", "e-mail: complete, 14:32")


@pytest.fixture
def unknown(ledger: Ledger) -> Fact:
    """A run that is gone: it locks two installs and sent a call whose outcome is unknown."""
    for install in ("one", "two"):
        ledger.take_lock(
            install, RUN, is_over=lambda run: True, settles=lambda fact: False,
            horizon=timedelta(days=1), now=datetime.now(UTC),
        )  # fmt: skip
    return ledger.record(raw_fact("sending", {}), run_id=RUN, destination_id="one", plan=PLAN)


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect no longer has the run."""
    monkeypatch.setattr("tasks.settlements.is_over", lambda run: True)


@pytest.mark.parametrize("how", ["arrived", "failed"])
def test_a_lead_settles_a_call_with_a_signature(
    unknown: Fact, gone: None, ledger: Ledger, machine: Callable[..., Any], key: Path, how: str
) -> None:
    """The fact contains lead, proof and statement, both locks are released, and a second attempt is refused."""
    given = ("settle", RUN, f"--{how}", "--name", DEMO_LEAD, "--key", key, *EVIDENCE)
    code, document = machine(*given)
    assert (code, document["settled"], document["freed"]) == (0, how, ["one", "two"]), document
    settled = ledger.facts(run_id=RUN, kind="settled")[-1].detail
    assert (settled["how"], settled["approver"], settled["proof"]) == (f"lead: {how}", DEMO_LEAD, "signature")
    assert settled["statement"].split()[3:5] == [f"settle:{how}", PLAN]
    assert ledger.locks() == []
    code, document = machine(*given)
    assert (code, "settled already" in document["error"]["message"]) == (1, True)


def test_a_code_settles_once(unknown: Fact, gone: None, ledger: Ledger, machine: Callable[..., Any]) -> None:
    """The code is used up."""
    code = pyotp.TOTP(CODES[DEMO_LEAD]).now()
    ended, _ = machine("settle", RUN, "--arrived", "--name", DEMO_LEAD, "--code", code, *EVIDENCE)
    assert ended == 0
    assert [fact.kind for fact in ledger.facts(run_id=RUN)][-3:] == ["code-used", "arrival-told", "settled"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (("--name", "Somebody Else", *EVIDENCE), (1, "NotApproved")),  # before a code is asked for
        (("--name", DEMO_LEAD, "--code", "000000", *EVIDENCE), (1, "NotApproved")),
        (("--name", DEMO_LEAD, "--reason", "ok"), (2, "Usage")),
    ],
)
def test_without_proof_or_reason_nothing_is_settled(
    unknown: Fact, gone: None, ledger: Ledger, machine: Callable[..., Any], wrong: tuple[str, ...], error: Any
) -> None:
    """An unknown name, a wrong code or a reason without content change neither the call nor its locks."""
    code, document = machine("settle", RUN, "--arrived", *wrong)
    assert (code, document["error"]["outcome"]) == error
    assert ledger.unsettled(RUN) is not None
    assert len(ledger.locks()) == 2


def test_a_run_that_sent_nothing_has_nothing_to_settle(ledger: Ledger, machine: Callable[..., Any]) -> None:
    """The command fails before it asks for anything."""
    code, document = machine("settle", RUN, "--arrived", "--name", DEMO_LEAD, "--code", "000000", *EVIDENCE)
    assert (code, document["error"]["outcome"]) == (1, "NotFound")


def test_a_living_run_keeps_its_locks(
    unknown: Fact, ledger: Ledger, machine: Callable[..., Any], key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is settled, and the process that is still alive releases the locks at its end."""
    monkeypatch.setattr("tasks.settlements.is_over", lambda run: False)
    code, document = machine("settle", RUN, "--arrived", "--name", DEMO_LEAD, "--key", key, *EVIDENCE)
    assert (code, document["freed"], len(ledger.locks())) == (0, [], 2)


def test_a_settled_refresh_continues_when_it_is_retried(
    start: Callable[..., Any], worker: Any, ledger: Ledger, machine: Callable[..., Any], key: Path
) -> None:
    """The retry sends nothing: it accepts the settled arrival, purges and verifies."""
    run = refresh_without_evidence(start, refresh, worker)
    code, document = machine("settle", run.id, "--arrived", "--name", DEMO_LEAD, "--key", key, *EVIDENCE)
    assert code == 0, document
    run.restart().go()
    assert (run.state, worker.copies_received()) == ("Verified", 1), run.message

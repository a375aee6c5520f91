"""Passkeys in Prefect's forms: each form accepts one, and a counter that goes back alerts the leads wherever it appears."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import yaml

from flows.hold import hold
from flows.refresh import refresh
from flows.settle import settle
from tasks.configuration.settings import load_settings
from tasks.estate.plans import fingerprint
from tasks.ledger.ledger import Ledger
from tasks.signoff.proofs import statement
from tests.passkey_device import Device
from tests.people import DEMO_LEAD, SECOND_LEAD, Run
from tests.raw_facts import raw_fact

pytestmark = pytest.mark.drill
REFRESH = {"source": "schulprod", "destination": "schulstage", "approval": "ask"}


@pytest.fixture
def phone(worker: Any) -> Device:
    """The demo lead's passkey, which is listed in the leads file of the worker."""
    made, path = Device("the demo lead's phone"), load_settings().leads_file
    leads = yaml.safe_load(path.read_text())
    leads[0]["passkeys"] = [made.fields]
    path.write_text(yaml.safe_dump(leads))
    return made


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subjects of the alerts about copied passkeys."""
    sent: list[str] = []
    monkeypatch.setattr("tasks.runtime.notices.send_notice", lambda kind, subject, *_, **__: sent.append(subject))
    return sent


def answer(run: Run, phone: Device) -> Run:
    """Approve with the passkey, and continue."""
    asked = run.request
    assert run.say(proof=phone.sign(statement("approve", asked.plan, asked.answer_by))) == "ACCEPT"
    return run.go()


def test_a_copied_passkey_is_refused_and_reported(
    start: Callable[..., Any], phone: Device, ledger: Ledger, alerts: list[str]
) -> None:
    """The original approves and is verified again before the call; its copy, used less often, alerts the leads."""
    phone.counter = 4
    assert answer(start(refresh, **REFRESH), phone).state == "Verified"
    phone.counter = 1
    run = answer(start(refresh, **REFRESH), phone)
    assert run.state == "Suspended", run.message
    assert alerts == ["refresh of schulstage: a passkey may have been copied"]
    (refused,) = ledger.facts(run_id=run.id, kind="answer-refused")
    assert "is 2, and 5 was seen before" in refused.detail["why"]
    run.say(lead=SECOND_LEAD)
    assert run.go().state == "Verified", run.message


def test_a_passkey_ends_a_hold(start: Callable[..., Any], phone: Device, ledger: Ledger, alerts: list[str]) -> None:
    """It is bound to the holds that the run named; a counter that goes back ends nothing and alerts the leads."""
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    start(hold, destination="schulstage", until=until, your_name="Cleo", reason="the menu is not done")
    freed = start(hold, destination="schulstage", your_name="Ben", end_hold=True)
    (placed,), (asked,) = ledger.facts(kind="hold"), ledger.facts(kind="hold-end-asked")
    by = datetime.fromisoformat(asked.detail["answer_by"])
    message = statement("end-hold:schulstage", fingerprint([placed.seq, freed.id]), by)
    ledger.record(
        raw_fact("passkey-used", {"credential": phone.fields["credential"], "counter": 7, "given_at": by.isoformat()}),
        run_id=str(uuid4()),
    )
    phone.counter = 8
    assert freed.answer(approver=DEMO_LEAD, proof=phone.sign(message)) == "ACCEPT"
    assert freed.go().state == "Suspended", freed.message
    assert alerts == ["the end of a hold of schulstage: a passkey may have been copied"]
    phone.counter = 4
    assert freed.answer(approver=DEMO_LEAD, proof=phone.sign(message)) == "ACCEPT"
    assert freed.go().state == "Released", freed.message
    assert [fact.detail["proof"] for fact in ledger.facts(kind="hold-ended")] == ["passkey"]


def test_a_passkey_settles_a_call(start: Callable[..., Any], phone: Device, ledger: Ledger, alerts: list[str]) -> None:
    """Its answer is over how this call ended; sent again it is refused, and leads are alerted."""
    sent, seen = str(uuid4()), {"reason": "the e-mail reports complete, 14:32"}
    ledger.record(raw_fact("sending", {}), run_id=sent, destination_id="one", plan="a" * 64)
    run = start(settle, run=sent, your_name="Dora Developer")
    (asked,) = ledger.facts(kind="settle-asked")
    by = datetime.fromisoformat(asked.detail["answer_by"])
    failed = phone.sign(statement("settle:failed", "a" * 64, by))
    assert run.answer(outcome="arrived", approver=DEMO_LEAD, proof=failed, **seen) == "ACCEPT"
    assert run.go().state == "Suspended", run.message
    assert alerts == []
    arrived = phone.sign(statement("settle:arrived", "a" * 64, by))
    assert run.answer(outcome="arrived", approver=DEMO_LEAD, proof=arrived, **seen) == "ACCEPT"
    assert run.go().state == "Settled", run.message
    assert [fact.detail["proof"] for fact in ledger.facts(kind="settled")] == ["passkey"]

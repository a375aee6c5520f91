"""The gate against time, accidents and curiosity: what acceptance tests 16 to 23 ask for, by their numbers.

Number 15 is in test_scheduled_refreshes.py, 17 in test_killed_copy.py, 20 in tests/tasks/ledger/test_ledger_tampering.py.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.input.run_input import keyset_from_base_key
from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH
from prefect.states import Scheduled

from deployments.sandbox.host.host import Host
from deployments.sandbox.notice_receiver import Catcher
from flows.promote import promote
from flows.refresh import refresh
from flows.restore import restore
from tasks.configuration.settings import forget_settings
from tasks.ledger.ledger import Ledger
from tasks.safeguards.holds import place
from tasks.signoff.form_fields import approval_choice
from tests.people import CODES, DEMO_LEAD, Run

Start = Callable[..., Run]
PAIR = {"source": "schulprod", "destination": "schulstage"}
UP = {"source": "schulstage", "destination": "schulprod"}


@pytest.fixture
def notices(worker: Host, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A place that catches what the worker sends out."""
    with Catcher() as catcher:
        monkeypatch.setenv("UNDERSTUDY_NOTICES", catcher.url)
        forget_settings()
        yield catcher


def test_a_hold_keeps_the_night_away_and_is_shown_to_whoever_approves(
    start: Start, worker: Host, ledger: Ledger
) -> None:
    """A scheduled refresh skips a held staging; a person sees the hold; a hold after the approval still counts."""
    now = datetime.now(UTC)
    kept = {"until": now + timedelta(days=2), "by": "Dora Developer", "reason": "my demo on Friday", "now": now}
    place(ledger, destination="schulstage", run_id="r", **kept)  # type: ignore[arg-type]  # mixed values, each of its type
    night = start(refresh, **PAIR, approval="standing")
    assert night.state == "Skipped", night.message
    assert "my demo on Friday" in night.message
    run = start(refresh, **PAIR)
    assert ledger.facts(run_id=run.id, kind="planned")[-1].detail["overrides"] == ["hold:1"]
    place(ledger, destination="schulstage", run_id="r", **kept)  # type: ignore[arg-type]  # the same
    run.approve()
    assert (run.state, worker.copies_received()) == ("OnHold", 0), run.message


def test_16_a_request_while_another_copy_runs_is_refused(start: Start, worker: Host, ledger: Ledger) -> None:
    """After its call the run that has the lock is named, before a backup is made or anybody is asked."""
    worker.publish("schulstage", "files")
    run = start(promote, **UP)
    worker.switch_on("copy-silence", install="schulprod")
    run.approve()
    assert run.state == "Suspended"  # sent, no evidence: it asks for the host's e-mail, and holds both installs
    assert ledger.lock_holder(run.request.destination_id) == run.id
    late = start(promote, **UP)
    assert late.state == "DestinationBusy", late.message
    assert run.id in late.message
    assert worker.copies_received() == 1


def test_18_a_typo_costs_nothing(start: Start, worker: Host) -> None:
    """What was chosen for another plan, and a name that was not asked for, are refused by the form; the run still waits."""
    run = start(refresh, **PAIR)
    assert run.say(destination="schulprod") == "REJECT"
    assert run.say(decision=approval_choice("AAAA-AAAA")) == "REJECT"
    assert run.state == "Suspended"
    assert run.approve().state == "Verified", run.message


def test_an_answer_in_the_shape_of_version_0_1_is_checked(start: Start, worker: Host) -> None:
    """It was typed into a form that was opened before an upgrade: a wrong typed name does not count, a complete answer does."""
    run = start(refresh, **PAIR)
    asked = run.request
    for index, destination in enumerate(("schulprod", "schulstage")):
        assert (run.state, worker.copies_received()) == ("Suspended", 0)
        old = {
            "decision": "approve", "plan": asked.code, "destination": destination, "approver": DEMO_LEAD,
            "reason": "release day", "proof": run.signature(),
        }  # fmt: skip
        key = keyset_from_base_key(f"suspended-appr-{asked.plan[:8]}-{index}")["response"]
        with get_client(sync_client=True) as client:
            client.create_flow_run_input(UUID(run.id), key, json.dumps(old))
            client.set_flow_run_state(UUID(run.id), Scheduled(), force=False)
        run.go()
    assert (run.state, worker.copies_received()) == ("Verified", 1), run.message


def test_a_rejection_needs_no_name_and_no_proof(start: Start, worker: Host, ledger: Ledger) -> None:
    """The form takes a reason alone; the ledger has it as not proven."""
    run = start(refresh, **PAIR)
    assert run.say("reject", approver="", proof="", reason="not today") == "ACCEPT"
    run.go()
    assert (run.state, worker.copies_received()) == ("Rejected", 0)
    assert "Somebody (not proven) rejected" in run.message


def test_19_five_bad_proofs_end_the_request_and_raise_an_alert(
    start: Start, worker: Host, notices: Any, ledger: Ledger
) -> None:
    """Guessing codes ends the run as Rejected and alerts the leads; the form shows each time why it asks again."""
    run = start(refresh, **PAIR)
    signed = run.filled()
    for guess in range(5):
        assert run.state == "Suspended"
        assert run.say(proof=f"00000{guess}") == "ACCEPT"
        run.go()
    assert (run.state, worker.copies_received()) == ("Rejected", 0), run.message
    assert run.answer(**signed) != "ACCEPT"
    alerts = [fact for fact in ledger.facts(run_id=run.id, kind="notice") if fact.detail["kind"] == "alert"]
    assert len(alerts) == 1
    assert any("rejected" in caught.subject for caught in notices.caught)


HOSTILE = [
    "{{ prefect.variables.leads }} {% raw %}",
    {"__prefect_kind": "jinja", "template": "approve"},
    {"__prefect_kind": "json", "value": '"approve"'},
    ["approve"],
    None,
]


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_21_a_template_or_another_shape_is_no_yes(value: Any, start: Start, worker: Host) -> None:
    """Whatever is sent as decision, through the form (which renders templates) or the API: the run asks again."""
    run = start(refresh, **PAIR)
    asked = run.request
    form = {
        "decision": value, "plan": asked.code, "destination": asked.destination, "approver": DEMO_LEAD,
        "reason": "{{ 7 * 7 }}", "proof": "000000",
    }  # fmt: skip
    with get_client(sync_client=True) as client:
        with contextlib.suppress(PrefectHTTPStatusError):  # the server refuses some shapes with an error
            client.resume_flow_run(UUID(run.id), run_input=form)
        if run.state == "Suspended":
            key = keyset_from_base_key(f"suspended-appr-{asked.plan[:8]}-0")["response"]
            client.create_flow_run_input(UUID(run.id), key, json.dumps(form | {"proof": run.signature()}))
            client.set_flow_run_state(UUID(run.id), Scheduled(), force=False)
    run.go()
    assert (run.state, worker.copies_received()) == ("Suspended", 0)


def test_21_a_reason_with_a_template_stays_text(start: Start, worker: Host, ledger: Ledger) -> None:
    """What a lead types is kept as it was typed, and rendered nowhere."""
    run = start(refresh, **PAIR).approve(reason="{{ 7 * 7 }} {% raw %}")
    assert ledger.facts(run_id=run.id, kind="approved")[0].detail["reason"] == "{{ 7 * 7 }} {% raw %}"
    assert "49" not in run.report.partition("Reason")[2].partition("\n")[0]


ANSWERED_ELSEWHERE = """
import sys
from uuid import UUID
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from flows.refresh import refresh
with get_client(sync_client=True) as client:
    run = client.read_flow_run(UUID(sys.argv[1]))
run_flow(refresh, flow_run=run, parameters=refresh.validate_parameters(run.parameters), return_type="state")
"""


def test_22_a_host_that_is_lost_while_waiting_is_not_needed(start: Start, worker: Host) -> None:
    """No process runs while the request is open: another one reads the answer and continues."""
    run = start(refresh, **PAIR)
    assert run.say() == "ACCEPT"
    environment = os.environ | {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_LOCAL_STORAGE_PATH": str(PREFECT_LOCAL_STORAGE_PATH.value()),
        "PYTHONPATH": ".",
    }
    done = subprocess.run([sys.executable, "-c", ANSWERED_ELSEWHERE, run.id], env=environment, timeout=90, check=False)
    assert done.returncode not in (-signal.SIGKILL, 1)
    assert (run.state, worker.copies_received()) == ("Verified", 1), run.message


def test_23_no_code_and_no_secret_is_kept_anywhere(
    start: Start, worker: Host, ledger: Ledger, notices: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Codes that were typed, right or wrong, and the leads' secrets are in no log, state, artifact, notice or ledger row."""
    run = start(refresh, **PAIR)
    wrong, right = "918273", pyotp.TOTP(CODES[DEMO_LEAD]).now()
    for proof in (wrong, right):
        assert run.say(proof=proof) == "ACCEPT"
        run.go()
    assert run.state == "Verified", run.message
    with get_client(sync_client=True) as client:
        states = [str(state) for state in client.read_flow_run_states(UUID(run.id))]
        artifacts = [str(artifact.data) for artifact in client.read_artifacts()]
    kept = "\n".join([*states, *artifacts, *ledger.export(), caplog.text, *(str(n) for n in notices.caught)])
    for secret in (wrong, *CODES.values(), "demo:demo"):
        assert secret not in kept
    assert f" {right}" not in kept  # six digits alone may be part of a hash
    assert f'"{right}"' not in kept


def test_a_failed_promotion_is_undone_by_the_leave_that_its_approval_gave(
    start: Start, worker: Host, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `restore: yes` the backup is put back without asking again, once; the second time people are asked."""
    started: list[dict[str, Any]] = []
    monkeypatch.setattr("tasks.restores.start_restore", started.append)
    worker.publish("schulstage", "files")
    before = worker.snapshot()["installs"]["schulprod"]["files_version"]
    promotion = start(promote, **UP)
    worker.switch_on("certificate-expired", install="schulprod")
    promotion.approve(restore=True)
    assert promotion.state == "VerifyFailed", promotion.message
    (order,) = started
    worker.switch_off_all()
    undone = start(restore, **order)
    assert undone.state == "Verified", undone.message
    assert worker.snapshot()["installs"]["schulprod"]["files_version"] == before
    (approved,) = ledger.facts(run_id=undone.id, kind="approved")
    assert approved.detail["kind"] == "pre-authorised"
    again = start(restore, **order)
    assert again.state == "Suspended", again.message
    promotion.restart().go()
    assert len(started) == 1

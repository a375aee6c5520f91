"""The gate against everybody who reaches Prefect's API: what acceptance tests 1 to 12 ask for, by their numbers.

Numbers 9, 13 and 14 are about libraries and stand with them: tests/tasks/estate/test_plans.py, tests/tasks/signoff/
test_freezes.py and test_standing_file.py; number 6 also in test_signatures.py there.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pyotp
import pytest
from prefect.client.orchestration import get_client
from prefect.input.run_input import keyset_from_base_key
from prefect.states import Scheduled

from deployments.sandbox.host.host import Host
from flows.promote import promote
from flows.refresh import refresh
from tasks.ledger.ledger import Ledger
from tests.people import CODES, DEMO_LEAD, SECOND_LEAD, Run

Start = Callable[..., Run]
PAIR = {"source": "schulprod", "destination": "schulstage"}
UP = {"source": "schulstage", "destination": "schulprod"}
BOTH = UP | {"database": True}  # red: two people


def key_of(run: Run, index: int = 0) -> str:
    """Return the key under which Prefect stores the answer to a run's form."""
    return keyset_from_base_key(f"suspended-appr-{run.request.plan[:8]}-{index}")["response"]


def plant(run: Run, value: object, index: int = 0) -> None:
    """Write an answer through the API, then reschedule the run without resuming it: two calls that Prefect accepts."""
    with get_client(sync_client=True) as client:
        client.create_flow_run_input(UUID(run.id), key_of(run, index), json.dumps(value))
        state = client.set_flow_run_state(UUID(run.id), Scheduled(), force=False)
    assert state.status.value == "ACCEPT", state  # this is the hole; if Prefect closes it, so much the better


def code(lead: str = DEMO_LEAD, ago: float = 0) -> str:
    """The lead's one-time code now, or some seconds ago."""
    return pyotp.TOTP(CODES[lead]).at(int(datetime.now(UTC).timestamp() - ago))


def answer(run: Run, **instead: str) -> dict[str, str]:
    """A form that is filled in without any proof."""
    asked = run.request
    form = {
        "decision": "approve", "plan": asked.code, "destination": asked.destination, "approver": "mallory",
        "reason": "because I can", "proof": "123456",
    }  # fmt: skip
    return form | ({"restore": "no"} if asked.verb == "promote" else {}) | instead


def test_01_an_answer_planted_past_the_form_approves_nothing(start: Start, worker: Host) -> None:
    """Whoever writes the answer with the API and reschedules the run gets another form, and no copy."""
    run = start(refresh, **PAIR)
    plant(run, answer(run))
    run.go()
    assert (run.state, worker.copies_received()) == ("Suspended", 0)
    plant(run, answer(run, approver=DEMO_LEAD), index=1)  # the name of a lead proves nothing
    run.go()
    assert (run.state, worker.copies_received()) == ("Suspended", 0)


def test_01_a_planted_yes_under_a_stolen_signature_of_another_plan_is_refused(start: Start, worker: Host) -> None:
    """Acceptance 6 over the API: what a lead signed for one plan opens no other."""
    other, run = start(refresh, **PAIR), start(refresh, source="schulprod", destination="schuldev")
    plant(run, answer(run, approver=DEMO_LEAD, proof=other.signature()))
    run.go()
    assert (run.state, worker.copies_received()) == ("Suspended", 0)


def test_02_a_retry_after_approval_sends_nothing(start: Start, worker: Host) -> None:
    """The health check fails after the copy; retrying the run asks nobody and copies nothing."""
    worker.publish("schulstage", "files")
    run = start(promote, **UP)
    worker.switch_on("certificate-expired", install="schulprod")
    run.approve()
    assert (run.state, worker.copies_received()) == ("VerifyFailed", 1), run.message
    run.restart().go()
    run.restart().go()
    assert worker.copies_received() == 1


def test_03_an_expired_request_stays_expired_whatever_is_retried(start: Start, worker: Host, ledger: Ledger) -> None:
    """After its deadline the request is closed: a retry, and a signed approval planted afterwards, end as Expired."""
    run = start(refresh, **PAIR, answer_within=timedelta(seconds=2))
    late = answer(run, approver=DEMO_LEAD, proof=run.signature())
    _pass(run.request.answer_by)
    run.restart().go()
    assert (run.state, worker.copies_received()) == ("Expired", 0), run.message
    with get_client(sync_client=True) as client:
        client.create_flow_run_input(UUID(run.id), key_of(run), json.dumps(late))
    run.restart().go()
    assert (run.state, worker.copies_received()) == ("Expired", 0)
    assert len(ledger.facts(run_id=run.id, kind="expired")) == 1


def _pass(moment: datetime) -> None:
    while (left := (moment - datetime.now(UTC)).total_seconds()) >= 0:
        time.sleep(left + 0.01)


def test_04_resuming_with_nothing_approves_nothing(start: Start, worker: Host) -> None:
    """An empty answer is refused by the form; rescheduling without an answer makes the run ask again."""
    run = start(refresh, **PAIR)
    assert run.answer() == "REJECT"
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run.id), Scheduled(), force=False)
    run.go()
    assert (run.state, worker.copies_received()) == ("Suspended", 0)
    assert run.approve().state == "Verified"


def test_05_a_code_counts_once_now_and_for_its_own_lead(start: Start, worker: Host) -> None:
    """Another lead's code, an old one, and one that was used before are refused; a fresh one approves."""
    first, run = start(refresh, **PAIR), start(refresh, source="schulprod", destination="schuldev")
    used = code()
    assert first.say(proof=used) == "ACCEPT"
    assert first.go().state == "Verified", first.message
    for proof in (code(SECOND_LEAD), code(ago=120), used):
        assert run.say(proof=proof) == "ACCEPT"
        assert run.go().state == "Suspended"
    assert run.say(lead=SECOND_LEAD, proof=code(SECOND_LEAD)) == "ACCEPT"
    assert run.go().state == "Verified", run.message


def test_07_the_same_person_twice_is_one_person(start: Start, worker: Host, ledger: Ledger) -> None:
    """A database to production needs two people; a lead who answers twice, in any spelling, counts once."""
    worker.publish("schulstage", "files")
    run = start(promote, **BOTH)
    assert run.request.people == 2
    for spelling in (DEMO_LEAD, "  demo   LEAD "):
        assert run.say(approver=spelling) == "ACCEPT"
        assert run.go().state == "Suspended"
    assert worker.copies_received() == 0
    assert run.say(lead=SECOND_LEAD) == "ACCEPT"
    run.go()
    (approved,) = ledger.facts(run_id=run.id, kind="approved")
    assert approved.detail["approver"] == f"{DEMO_LEAD} and {SECOND_LEAD}"
    assert worker.copies_received() == 1, run.message


@pytest.mark.parametrize(("fault", "outcome"), [("renamed-between", "Stale"), ("relabelled-production", "Stale")])
def test_08_a_destination_that_changes_after_the_yes_is_stale(
    fault: str, outcome: str, start: Start, worker: Host
) -> None:
    """Renamed, or turned into a production, between approval and call: nothing is sent."""
    run = start(refresh, **PAIR)
    worker.switch_on(fault, install="schulstage")
    run.approve()
    assert (run.state, worker.copies_received()) == (outcome, 0), run.message


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("backup-aborted", "BackupAborted"),
        ("backup-never-ends", "BackupOverdue"),
        ("backup-vanishes", "BackupOverdue"),
        ("unknown-enum", "WrongDestination"),  # its environment is a word that we do not know either
    ],
)
def test_10_without_a_completed_backup_nobody_is_even_asked(
    fault: str, outcome: str, start: Start, worker: Host
) -> None:
    """A backup that is aborted, unfinished, gone or of unknown status: nobody is asked, nothing is copied."""
    worker.switch_on(fault, install="schulstage")
    run = start(refresh, **PAIR)
    assert (run.state, worker.copies_received()) == (outcome, 0), run.message


def test_11_a_late_answer_gets_a_second_backup(start: Start, worker: Host, ledger: Ledger, tmp_path: Path) -> None:
    """If the backup is too old after the wait, another one is made before the call, and the report names that."""
    (tmp_path / "risks.yaml").write_text("backup_fresh: PT0.001S\n")
    run = start(refresh, **PAIR).approve()
    assert run.state == "Verified", run.message
    (renewed,) = ledger.facts(run_id=run.id, kind="backup-renewed")
    planned = ledger.facts(run_id=run.id, kind="planned")[-1]
    assert renewed.detail["id"] != planned.detail["backup"]["id"]
    assert renewed.detail["id"] in run.report
    run.restart().go()
    assert len(ledger.facts(run_id=run.id, kind="backup-renewed")) == 1


def test_12_a_freeze_that_starts_after_the_yes_holds(start: Start, worker: Host, tmp_path: Path) -> None:
    """A freeze that begins while the request is open ends the run as Frozen, and the message names its end."""
    run = start(refresh, **PAIR)
    began = datetime.now(UTC) - timedelta(hours=1)
    (tmp_path / "freezes.yaml").write_text(
        f"- {{rule: deny, name: Exams, zone: UTC, start: {began:%Y-%m-%dT%H:%M:%S}, lasts: P1D, reason: exam week, owner: Anna}}\n"
    )
    run.approve()
    assert (run.state, worker.copies_received()) == ("Frozen", 0), run.message
    assert "reopens" in run.message
    assert start(refresh, **PAIR).state == "Frozen"  # and at the request

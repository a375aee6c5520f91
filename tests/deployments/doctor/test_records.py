"""What the worker keeps: the ledger, the leads, the standing approvals, and the places of notices."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from deployments.doctor.examination import Finding, examine
from deployments.doctor.records import examine_leads, examine_ledger, examine_notices, examine_standing
from deployments.sandbox.host.host import Host
from tasks.configuration.settings import forget_settings, load_settings
from tasks.estate.errors import LedgerUnavailable
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Ledger
from tasks.signoff.enrolment import enrol
from tests.raw_facts import raw_fact


def findings(part: Callable[[], Iterator[Finding]]) -> dict[str, str]:
    """Return the verdicts by check."""
    return {each.check: each.verdict for each in examine("part", part)}


def test_a_whole_ledger_takes_a_fact_and_keeps_none(ledger: Ledger) -> None:
    """The check leaves no trace."""
    ledger.record(raw_fact("digest"), run_id="r")
    before = ledger.head()
    assert findings(lambda: examine_ledger(ledger)) == {"ledger": "passed", "ledger writable": "passed"}
    assert ledger.head() == before


def test_a_changed_ledger_fails(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken chain fails, and so does a database that takes no fact."""
    monkeypatch.setattr(Ledger, "verify", lambda self: ["fact 3 was changed"])
    assert findings(lambda: examine_ledger(ledger))["ledger"] == "failed"

    def full(*_: object) -> None:
        raise LedgerUnavailable("No fact can be added.")

    monkeypatch.setattr(Ledger, "require_writable", full)
    assert "part" in findings(lambda: examine_ledger(ledger))


def test_a_ledger_that_cannot_be_written_is_reported(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that refuses to write is one of our errors, without the statement and its values."""

    def full(*_: object) -> None:
        raise OperationalError("INSERT INTO facts VALUES ('anna')", {}, Exception("disk full"))

    monkeypatch.setattr("tasks.ledger.rows.append", full)
    with pytest.raises(LedgerUnavailable, match="OperationalError") as refused:
        ledger.require_writable()
    assert "anna" not in refused.value.message


def test_enough_leads_with_keys_pass(worker: Host) -> None:
    """Two people can approve a red plan, each with a key."""
    assert findings(examine_leads) == {"leads": "passed"}


def test_too_few_leads_fail(worker: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One lead without a key can approve nothing that is red; a readable file of codes is named."""
    monkeypatch.setenv("UNDERSTUDY_LEADS_FILE", str(tmp_path / "few.yaml"))
    monkeypatch.setenv("UNDERSTUDY_CODES_FILE", str(tmp_path / "few-codes.yaml"))
    forget_settings()
    settings = load_settings()
    enrol(settings.leads_file, settings.codes_file, name="Anna Lead", email="anna@school.example", codes=True)
    assert findings(examine_leads) == {"leads": "failed", "leads' keys": "failed"}
    settings.codes_file.unlink()
    assert findings(examine_leads)["leads' proofs"] == "failed"


def test_a_standing_approval_is_checked_for_today_and_soon(worker: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signed entry passes, close to its end it needs somebody, and after it the entry fails."""
    check = "standing approval schulprod → schulstage"
    assert findings(examine_standing)[check] in ("passed", "not known")
    monkeypatch.setattr("deployments.doctor.records.utc_now", lambda: utc_now() + timedelta(days=400))
    assert findings(examine_standing)[check] == "failed"


@pytest.mark.parametrize(
    ("places", "send", "verdicts"),
    [
        ("", True, {"notices": "failed"}),
        ("json://127.0.0.1:1/x", False, {"notices": "not known"}),
        ("json://user:hidden@127.0.0.1:1/x", True, {"notices to an address of kind 'json'": "failed"}),
    ],
)
def test_notices_count_only_if_a_place_takes_one(
    worker: Host, monkeypatch: pytest.MonkeyPatch, places: str, send: bool, verdicts: dict[str, str]
) -> None:
    """Without a place nobody is reached, without sending it is not known, and a place that is away fails."""
    monkeypatch.setenv("UNDERSTUDY_NOTICES", places)
    forget_settings()
    assert findings(lambda: examine_notices(send=send)) == verdicts

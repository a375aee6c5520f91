"""The sweep as a whole: a run that nobody answered, the daily digest, a changed ledger, and nothing to do."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Cancelled
from sqlalchemy import create_engine, text

from flows.promote import promote
from flows.sweep import sweep
from tasks import sweep_reports, sweeps
from tasks.estate.polling import utc_now
from tasks.rendering.times_and_tables import head_words
from tests.raw_facts import raw_fact
from tests.sweeping import HOUR, PLANNED, Sweeping, put


class Answer(RunInput):
    """The smallest form."""

    decision: Literal["reject", "approve"]


@flow(name="waits")
def waits() -> None:
    """Wait for an answer as the real flows do."""
    suspend_flow_run(wait_for_input=Answer, timeout=3600, key="question")


def test_a_run_that_waited_in_vain_ends_as_expired(office: Sweeping) -> None:
    """A truly suspended run past its deadline, and a sweep that died after it recorded the end: the next one ends it."""
    run = office.start(waits)
    assert run.state == "Suspended"
    office.ledger.record(raw_fact("planned", PLANNED), run_id=run.id, destination_id="d", plan="p")
    office.asked(ago=9 * HOUR, left=-HOUR, run=run)
    assert len(sweeps.close_requests.fn()) == 1
    assert run.state == "Suspended"
    report = office.sweep().report
    assert run.state == "Expired"
    assert run.answer(decision="approve") == "ABORT"
    assert office.subjects == ["promote of schulprod: Expired"]
    assert f"promote of schulprod (run {run.id}): Expired" in report


def test_a_digest_once_a_day_from_seven(office: Sweeping, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first sweep from seven sends what ended, waits, holds and ends soon; no other sweep of that day does."""
    office.asked(ago=HOUR, left=9 * HOUR)
    until = (utc_now() + 48 * HOUR).isoformat()  # also after the digest's time, whatever time it is now
    lines = {"destination": "schulstage", "until": until, "by": "Ada", "reason": "my <b>work</b>"}
    office.ledger.record(raw_fact("hold", lines), run_id="r")
    office.ledger.record(raw_fact("outcome", {"outcome": "Verified"}), run_id="x")
    today = utc_now().date()

    def at(hour: int) -> int:
        moment = datetime(today.year, today.month, today.day, hour, 5, tzinfo=UTC)
        monkeypatch.setattr(sweep_reports, "utc_now", lambda: moment)
        sweep_reports.send_digest.fn([])
        return sum(caught.subject.startswith("[Understudy] 20") for caught in office.catcher.caught)

    assert [at(hour) for hour in (6, 7, 8)] == [0, 1, 1]
    (digest,) = [caught.body for caught in office.catcher.caught if caught.subject.startswith("[Understudy] 20")]
    assert "1 Verified" in digest
    assert "promote of schulprod, plan 7K3F-92QD" in digest
    assert "schulstage: held until" in digest
    assert "<b>" not in digest
    assert "The ledger is whole." in digest


def change(folder: Path, statement: str) -> None:
    """Change the ledger without the ledger's code."""
    engine = create_engine(f"sqlite:///{folder / 'ledger.db'}")
    with engine.begin() as connection:
        for guard in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER IF EXISTS facts_no_{guard}"))
        connection.execute(text(statement))
    engine.dispose()


def test_a_changed_ledger_is_an_alarm_and_nothing_is_done(office: Sweeping, tmp_path: Path) -> None:
    """A fact that was edited makes the sweep fail as LedgerBroken; one alert a day is sent, nothing is ended."""
    run = office.asked(ago=9 * HOUR, left=-HOUR)
    change(tmp_path, "UPDATE facts SET destination_id = 'another' WHERE seq = 1")
    broken = office.start(sweep)
    assert broken.state == "LedgerBroken"
    assert "fact 1 was changed" in broken.message
    assert "fact 1 was changed" in broken.report
    assert run.state == "Suspended"
    assert len(sweep_reports.verify_ledger.fn()) == 1
    assert office.subjects == ["the ledger was changed"]


def test_a_cut_ledger_is_an_alarm(office: Sweeping, tmp_path: Path) -> None:
    """Each sweep leaves the ledger's head in Prefect: facts that were cut off since are missed, though the chain is whole."""
    office.ledger.record(raw_fact("digest"), run_id="r", once=f"digest:{utc_now().date()}")
    office.sweep()
    assert sweep_reports.verify_ledger.fn() == []
    change(tmp_path, "DELETE FROM facts WHERE kind = 'digest'")
    assert office.ledger.verify() == []
    assert "cut or rebuilt" in "".join(sweep_reports.verify_ledger.fn())


def test_an_idle_sweep_leaves_no_row(office: Sweeping) -> None:
    """With nothing to do the report names the ledger's head, and the ledger stays as it was except for the digest."""
    office.ledger.record(raw_fact("digest"), run_id="r", once=f"digest:{utc_now().date()}")
    run, head = office.sweep(), office.ledger.head()
    assert run.message == "Nothing to do."
    assert head is not None
    assert f"`{head_words(str(head))}`" in run.report
    assert head.seq == 1


def test_a_promotion_that_was_cancelled_while_it_waited(office: Sweeping) -> None:
    """The facts of a real approval request: the ledger and the report name source, destination and plan."""
    run = office.start(promote, source="schulstage", destination="schulprod")
    assert run.state == "Suspended", run.message
    put(run, Cancelled(message="wrong day"))
    office.steps()
    (outcome,) = office.ledger.facts(run_id=run.id, kind="outcome")
    notified = {key: outcome.detail[key] for key in ("verb", "outcome", "source", "destination", "plan_code")}
    assert notified == {
        "verb": "promote", "outcome": "Rejected", "source": "schulstage", "destination": "schulprod",
        "plan_code": run.request.code,
    }  # fmt: skip
    assert "Rejected" in run.report
    assert office.subjects[-1] == "promote of schulprod: Rejected"

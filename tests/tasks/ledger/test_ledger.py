"""The ledger on both databases: append-only, approvals used once, calls journaled once, locks that one run has."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tasks.estate.errors import ApprovalExpired, ApprovalUsed, DestinationBusy, Misconfigured, NotApproved
from tasks.estate.plans import Approval, Baseline
from tasks.estate.sites import Content, Environment, Install, Survey
from tasks.ledger.facts import Sending
from tasks.ledger.ledger import AlreadyRecorded, Entry, Ledger
from tests.raw_facts import raw_fact

NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)
HORIZON = timedelta(days=1)


def baseline() -> Baseline:
    """Return the facts of both installs before a call."""
    install = Install(
        id="d",
        name="stage",
        account_id="a",
        site_id="s",
        environment=Environment.STAGING,
        status="active",
        primary_domain=None,
    )
    survey = Survey(install=install, content=Content(reachable=False), taken_at=NOW)
    return Baseline(backup_ids=("b",), server_time=NOW, source=survey, destination=survey)


def approved(book: Ledger, run: str = "run", **changes: Any) -> Approval:
    """Record and return an approval of a run that has the lock on `d`."""
    fields: dict[str, Any] = {
        "id": str(uuid4()), "plan": "p" * 64, "run_id": run, "kind": "person", "approver": "Anna", "reason": "release",
        "answered_at": NOW, "execute_by": NOW + timedelta(minutes=30),
    }  # fmt: skip
    approval = Approval.model_validate(fields | changes)
    book.record(raw_fact("approved", approval.model_dump(mode="json")), run_id=run, plan=approval.plan)
    take(book, run)
    return approval


def take(book: Ledger, run: str, *, over: bool = False, arrived: bool = False, now: datetime = NOW) -> None:
    """Take the lock on `d`; `over`: the holder's run has ended; `arrived`: its copy is proven."""
    book.take_lock("d", run, is_over=lambda _: over, settles=lambda _: arrived, horizon=HORIZON, now=now)


def send(book: Ledger, approval: Approval, now: datetime = NOW) -> None:
    """Journal the call of an approval."""
    book.consume(approval, destination_id="d", intent=Sending(baseline=baseline()), now=now)


def race(attempts: Sequence[Callable[[], object]]) -> int:
    """Run all at once, and return how many succeeded."""
    succeeded: list[int] = []

    def attempt(one: Callable[[], object]) -> None:
        try:
            one()
        except (ApprovalUsed, DestinationBusy, AlreadyRecorded):
            return
        succeeded.append(1)

    threads = [threading.Thread(target=attempt, args=(one,)) for one in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(succeeded)


def test_an_approval_is_used_once(book: Ledger) -> None:
    """Of eight workers with one approval, exactly one may send."""
    approval = approved(book)
    assert race([lambda: send(book, approval)] * 8) == 1
    assert len(book.facts(kind="sending")) == len(book.facts(kind="consumed")) == 1


def test_one_run_sends_once_also_with_a_second_approval(book: Ledger) -> None:
    """A second answer in the same run does not allow a second call."""
    send(book, approved(book))
    with pytest.raises(ApprovalUsed):
        send(book, approved(book))
    assert len(book.facts(kind="sending")) == 1
    assert len(book.facts(kind="consumed")) == 1


def test_a_destination_is_held_by_one_run(book: Ledger) -> None:
    """Of eight runs that want one destination, exactly one gets it."""
    assert race([lambda run=f"run-{n}": take(book, run) for n in range(8)]) == 1  # type: ignore[misc]  # default argument


def test_an_approval_that_is_not_recorded_is_refused(book: Ledger) -> None:
    """An approval that was invented, or changed after it was recorded, is not used."""
    real = approved(book)
    for forged in (real.model_copy(update={"id": "x"}), real.model_copy(update={"plan": "q" * 64})):
        with pytest.raises(NotApproved):
            send(book, forged)
    longer = real.model_copy(update={"execute_by": NOW + timedelta(days=9)})
    with pytest.raises(NotApproved):
        send(book, longer)
    assert book.facts(kind="sending") == []


def test_an_expired_approval_is_refused(book: Ledger) -> None:
    """`execute_by` is a deadline."""
    with pytest.raises(ApprovalExpired):
        send(book, approved(book), NOW + timedelta(minutes=31))


def test_a_run_without_the_lock_may_not_send(book: Ledger) -> None:
    """The lock is checked in the transaction that uses the approval."""
    approval = approved(book)
    book.release_lock("d", "run")
    with pytest.raises(DestinationBusy):
        send(book, approval)


def test_the_receipt_has_the_answer_to_a_call(book: Ledger) -> None:
    """A call is not sent, sent without an answer (after a crash), or accepted."""
    approval = approved(book)
    assert book.receipt("run") is None
    send(book, approval)
    assert (book.receipt("run") or pytest.fail("no receipt")).answer == "unknown"
    book.record(raw_fact("sent"), run_id="run", once="answered:run")
    assert (book.receipt("run") or pytest.fail("no receipt")).answer == "accepted"


def test_a_refused_call_is_not_sent_again(book: Ledger) -> None:
    """After the host's refusal the approval stays used up."""
    send(book, approved(book))
    book.record(raw_fact("send-refused"), run_id="run", once="answered:run")
    with pytest.raises(ApprovalUsed):
        book.receipt("run")


def test_a_lock_stays_while_a_call_is_unsettled(book: Ledger) -> None:
    """A destination whose copy may still be running is not released."""
    send(book, approved(book))
    book.release_lock("d", "run")
    assert book.lock_holder("d") == "run"
    book.record(raw_fact("settled"), run_id="run")
    book.release_lock("d", "run")
    assert book.lock_holder("d") is None


@pytest.mark.parametrize(
    ("sent", "over", "arrived", "late", "taken"),
    [
        (False, False, False, False, False),
        (False, True, False, False, True),
        (True, False, True, False, False),
        (True, True, False, False, False),
        (True, True, True, False, True),
        (True, True, False, True, True),
    ],
)
def test_a_lock_is_taken_over_only_from_a_run_that_is_over_and_settled(
    book: Ledger, sent: bool, over: bool, arrived: bool, late: bool, taken: bool
) -> None:
    """A running holder keeps it, and an ended one until its copy is proven or older than the horizon."""
    approval = approved(book)
    if sent:
        send(book, approval)
    now = datetime.now(UTC) + (2 * HORIZON if late else timedelta())
    if taken:
        take(book, "other", over=over, arrived=arrived, now=now)
    else:
        with pytest.raises(DestinationBusy, match="run"):
            take(book, "other", over=over, arrived=arrived, now=now)
    assert book.lock_holder("d") == ("other" if taken else "run")


def test_facts_cannot_be_changed_or_deleted(book: Ledger) -> None:
    """The database itself refuses updates and deletions."""
    book.record(raw_fact("asked"), run_id="run")
    for statement in ("UPDATE facts SET kind = 'approved'", "DELETE FROM facts"):
        with pytest.raises(DBAPIError, match="append-only"), book._engine.begin() as connection:
            connection.execute(text(statement))
    assert [fact.kind for fact in book.facts()] == ["asked"]


def test_a_once_key_is_recorded_once(book: Ledger) -> None:
    """Of eight answers under one key, one is recorded."""
    assert race([lambda: _answer(book)] * 8) == 1


def _answer(book: Ledger) -> None:
    book.record(raw_fact("approved"), run_id="run", once="answer:run")


def test_facts_that_belong_together_are_recorded_together(book: Ledger) -> None:
    """All are recorded in order, or no fact is; the error names the key that was taken."""
    used = Entry(raw_fact("code-used"), once="code:ada:58")
    first, second = book.record_together("run", [used, Entry(raw_fact("answered", {"name": "Ada"}), "d", "p" * 64)])
    assert book.facts() == [first, second]
    stored = (second.destination_id, second.plan, second.detail, second.previous)
    assert stored == ("d", "p" * 64, {"name": "Ada"}, first.hash)
    with pytest.raises(AlreadyRecorded, match="code:ada:58") as refused:
        book.record_together("other", [Entry(raw_fact("answered")), used, Entry(raw_fact("approved"))])
    assert refused.value.once == "code:ada:58"
    assert book.facts() == [first, second]


def test_one_key_cannot_be_used_twice_in_one_transaction(book: Ledger) -> None:
    """The check also sees what the same transaction recorded before."""
    with pytest.raises(AlreadyRecorded):
        book.record_together(
            "run", [Entry(raw_fact("code-used"), once="code"), Entry(raw_fact("code-used"), once="code")]
        )
    assert book.head() is None


def test_of_concurrent_groups_with_one_key_one_is_recorded(book: Ledger) -> None:
    """Of eight answers with one code, one is recorded with all of its facts."""
    entries = [Entry(raw_fact("code-used"), once="code"), Entry(raw_fact("answered")), Entry(raw_fact("approved"))]
    assert race([lambda: book.record_together("run", entries)] * 8) == 1
    assert [fact.kind for fact in book.facts()] == ["code-used", "answered", "approved"]


def test_facts_are_filtered_by_kinds_and_number(book: Ledger) -> None:
    """All filters apply together; an empty list of kinds matches no fact."""
    for kind in ("asked", "answered", "approved", "asked"):
        book.record(raw_fact(kind), run_id="run")
    assert [fact.seq for fact in book.facts(kinds={"asked", "approved"})] == [1, 3, 4]
    assert [fact.seq for fact in book.facts(kinds=("asked",), after=1, run_id="run")] == [4]
    assert [fact.seq for fact in book.facts(after=2)] == [3, 4]
    assert book.facts(kinds=[]) == book.facts(after=4) == []


def test_the_head_is_the_newest_fact(book: Ledger) -> None:
    """Its text is the anchor: number and hash."""
    assert book.head() is None
    newest = [book.record(raw_fact("asked"), run_id="run") for _ in range(3)][-1]
    head = book.head()
    assert head == (3, newest.hash)
    assert str(head) == f"3:{newest.hash}"


def test_facts_are_hashed_as_they_are_read(book: Ledger) -> None:
    """Details that JSON changes (tuples, numbers as keys, characters of any language) are verified."""
    fact = book.record(
        raw_fact("planned", {"tables": ("a", "b"), "per": {9: 0.1, 10: None}, "ü\u2028": "€\n😀"}), run_id="run"
    )
    assert fact == book.facts()[0]
    assert fact.detail["per"] == {"9": 0.1, "10": None}
    assert book.verify() == []


def test_locks_are_listed_with_their_holders(book: Ledger) -> None:
    """Every lock is listed with its install, run and time."""
    assert book.locks() == []
    take(book, "run")
    [lock] = book.locks()
    assert (lock.install_id, lock.run_id, lock.taken_at) == ("d", "run", NOW)


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    """The mode of the file is 0600."""
    Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wrong", ["ledger.db", "mysql://host/ledger", ""])
def test_another_kind_of_database_is_misconfigured(wrong: str) -> None:
    """The error names what is expected."""
    with pytest.raises(Misconfigured, match="sqlite"):
        Ledger(wrong)

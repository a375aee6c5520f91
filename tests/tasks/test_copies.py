"""Copies: if any guard between an approval and the call fails, the host receives no request."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks import copies
from tasks.capi.client import Client
from tasks.configuration.settings import load_settings
from tasks.copies import await_arrival, require_arrival, send_copy
from tasks.estate.errors import (
    ApprovalExpired,
    ApprovalUsed,
    DestinationBusy,
    Frozen,
    HostRefused,
    LedgerBroken,
    NotApproved,
    OnHold,
    OutcomeUnknown,
    PlanIsStale,
    Unreachable,
    WrongDestination,
)
from tasks.estate.plans import CopyOptions, Evidence, Receipt, Signal, Verdict
from tasks.estate.polling import utc_now
from tasks.ledger.ledger import Ledger
from tasks.runtime import permission
from tasks.runtime.resources import scaled
from tasks.safeguards.holds import place
from tasks.signoff.answers import record_approval
from tests.raw_facts import raw_fact
from tests.tasks.conftest import Scene, approve, freeze, tamper
from tests.tasks.safeguards.ledger_histories import PROD, plan

Make = Callable[..., Scene]
SENT = ["consumed", "sending", "sent"]


def test_an_approved_copy_is_sent_once(scene: Make) -> None:
    """The approval is used up and the intent journaled before the call; a second attempt of the run sends nothing."""
    made = scene()
    receipt = made.send(send_copy)
    assert (receipt.answer, receipt.recalled, receipt.baseline.source.install.name) == ("accepted", False, "schulprod")
    assert made.kinds()[-3:] == SENT
    assert made.ledger.facts(run_id="tonight")[-1].once == "answered:tonight"
    assert made.host.copies_received() == 1
    again = made.send(send_copy)
    assert (again.recalled, made.sent(), again.sent_at) == (True, 1, receipt.sent_at)


def test_the_call_carries_what_was_approved(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both installs in their roles, what travels, the tables, and whom the host notifies."""
    calls: list[Any] = []
    monkeypatch.setattr(Client, "send_copy", lambda self, *ids, **how: calls.append((ids, how)))
    options = CopyOptions(files=False, database=True, tables=("wp_posts",))
    made = scene(options=options)
    made.send(send_copy)
    ((ids, how),) = calls
    assert ids == (made.plan.pair.source.id, made.plan.pair.destination.id)
    assert how == {"files": False, "database": True, "tables": ["wp_posts"], "emails": [load_settings().notify]}


def held_now(made: Scene) -> None:
    """Somebody holds the destination after the approval."""
    place(
        made.ledger, destination="schulstage", until=utc_now() + timedelta(hours=1), by="Ann", reason="a demo",
        now=utc_now(), run_id="h",
    )  # fmt: skip


def copied_since(made: Scene) -> None:
    """Another run copied to the same destination."""
    made.ledger.record(raw_fact("sending"), run_id="other", destination_id=made.plan.destination_id, plan="p")


STALE: dict[str, tuple[Callable[[Scene], Any], type[Exception], str]] = {
    "a freeze": (lambda _: freeze(), Frozen, "year's end"),
    "a hold": (held_now, OnHold, "a demo"),
    "an edited ledger": (lambda _: tamper(), LedgerBroken, "does not verify"),
    "another copy": (copied_since, PlanIsStale, "was sent after this plan was made"),
    "another role": (
        lambda made: made.host.relabel("schulstage", environment="production"),
        PlanIsStale,
        "environment",
    ),
    "other rules": (
        lambda _: load_settings().risk_file.write_text("newer_destination: always\n"),
        PlanIsStale,
        "risk rules changed",
    ),
}


@pytest.mark.parametrize("what", STALE)
def test_what_changed_after_the_approval_stops_the_call(scene: Make, what: str) -> None:
    """Each failed guard alone stops the call: nothing is sent, used up or journaled."""
    made = scene()
    change, error, words = STALE[what]
    change(made)
    with pytest.raises(error, match=words):
        made.send(send_copy)
    assert made.sent() == 0
    assert not {"consumed", "sending"} & {*made.kinds()}


@pytest.mark.parametrize(
    ("drafted", "sent", "error", "words"),
    [
        ({"code_version": "earlier"}, {}, PlanIsStale, "another version of the code"),
        ({}, {"hold": False}, DestinationBusy, "does not hold"),
    ],
)
def test_another_version_or_a_lost_lock_stops_the_call(
    scene: Make, drafted: dict[str, Any], sent: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A plan drafted before a deployment, and a destination that this run does not hold at the moment of the call."""
    made = scene(**drafted)
    with pytest.raises(error, match=words):
        made.send(send_copy, **sent)
    assert made.sent() == 0


def test_the_backup_that_would_be_put_back_must_be_completed(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds for a newer backup after a late answer."""
    made = scene()
    newer = made.backup.model_copy(update={"id": "3f0c7a52-6b0a-4c61-9f3a-0d6a5f1c2b11"})
    real = Client.backup

    def backup(self: Client, install: str, backup_id: str) -> Any:
        seen = real(self, install, made.backup.id)
        return seen.model_copy(update={"status": "aborted"}) if backup_id == newer.id else seen

    monkeypatch.setattr(Client, "backup", backup)
    with pytest.raises(PlanIsStale, match="'aborted'; expected 'completed'"):
        made.send(send_copy, backup=newer)
    assert made.sent() == 0


@pytest.mark.parametrize("allowed", [False, True])
def test_two_sites_need_their_permission_at_the_call_too(scene: Make, allowed: bool) -> None:
    """It is not allowed unless the run requests it, and is checked again at the call."""
    made = scene()
    document = made.host.store.get("installs", made.plan.pair.source.id) or {}
    made.host.store.put("installs", document | {"site": {"id": "another"}})
    moved = made.plan.model_copy(update={"pinned": {}, "run_id": "two-sites"})
    approval = approve(moved)
    if allowed:
        assert made.send(send_copy, plan=moved, approval=approval, other_site=True).answer == "accepted"
        return
    with pytest.raises(WrongDestination, match="expected one site"):
        made.send(send_copy, plan=moved, approval=approval)
    assert made.sent() == 0


def test_a_forged_approval_opens_nothing(scene: Make) -> None:
    """An approval that somebody wrote into the ledger, or that only this process has, is refused."""
    made = scene(run="real")
    forged_plan = made.plan.model_copy(update={"run_id": "forged"})
    planted = record_approval(
        made.ledger, forged_plan, kind="person", approver="Demo Lead", reason="x", answered_at=utc_now(),
        execute_within=timedelta(minutes=5),
    )  # fmt: skip
    with pytest.raises(NotApproved, match="did not answer"):
        made.send(send_copy, plan=forged_plan, approval=planted)
    with pytest.raises(NotApproved):
        made.send(send_copy, plan=forged_plan, approval=made.approval)
    invented = made.approval.model_copy(update={"id": "invented"})
    with pytest.raises(NotApproved, match="does not contain this approval"):
        made.send(send_copy, approval=invented)
    assert made.sent() == 0


def test_an_approval_is_used_in_time(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval is refused a second after it expired."""
    made = scene()
    late = made.approval.execute_by + timedelta(seconds=1)
    monkeypatch.setattr(copies, "utc_now", lambda: late)
    with pytest.raises(ApprovalExpired):
        made.send(send_copy)
    assert made.sent() == 0


def test_an_approval_that_was_used_opens_nothing_again(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """That also holds if the call was refused: a new run asks again."""
    made = scene()
    with monkeypatch.context() as refusing:
        refusing.setattr(Client, "send_copy", _refusing)
        with pytest.raises(HostRefused):
            made.send(send_copy)
    assert made.kinds()[-1] == "send-refused"
    with pytest.raises(ApprovalUsed):
        made.send(send_copy)
    assert made.sent() == 0


def _refusing(self: Client, *ids: str, **how: Any) -> None:
    raise HostRefused("400", status=400)


@pytest.mark.parametrize(
    ("error", "raised", "kinds"),
    [
        (OutcomeUnknown("lost"), None, ["consumed", "sending", "send-unanswered"]),
        (Unreachable("not sent"), Unreachable, ["consumed", "sending", "send-refused"]),
        (HostRefused("400"), HostRefused, ["consumed", "sending", "send-refused"]),
    ],
)
def test_what_becomes_of_the_call_is_journaled(
    scene: Make, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception] | None, kinds: list[str]
) -> None:
    """A lost answer is an outcome that evidence settles; a call that was not accepted raises a refusal."""
    made = scene()

    def call(self: Client, *ids: str, **how: Any) -> None:
        raise error

    monkeypatch.setattr(Client, "send_copy", call)
    if raised is None:
        assert made.send(send_copy).answer == "unknown"
    else:
        with pytest.raises(raised):
            made.send(send_copy)
    assert made.kinds()[-3:] == kinds
    (*_, last) = made.ledger.facts(run_id="tonight")
    assert (last.once, last.detail) == ("answered:tonight" if raised else None, {"why": str(error)})


SEEN = datetime(2026, 1, 1, tzinfo=UTC)


def evidence(verdict: Verdict) -> Evidence:
    """Evidence with one signal."""
    signal = Signal(rank=3, name="files match", seen=True, detail="", observed_at=SEEN)
    return Evidence(verdict=verdict, signals=(signal,), took_seconds=7)


@pytest.mark.parametrize(
    ("verdict", "enough", "good"),
    [
        (Verdict.CONFIRMED, Verdict.CONFIRMED, True),
        (Verdict.UNCHANGED, Verdict.CONFIRMED, True),
        (Verdict.PROBABLE, Verdict.CONFIRMED, False),
        (Verdict.PROBABLE, Verdict.PROBABLE, True),
        (Verdict.UNCONFIRMED, Verdict.PROBABLE, False),
        (Verdict.FAILED, Verdict.CONFIRMED, False),
    ],
)
def test_an_arrival_that_is_not_proven_is_an_unknown_outcome(
    ledger: Ledger, verdict: Verdict, enough: Verdict, good: bool
) -> None:
    """Only good evidence settles the call, which releases the locks."""
    if good:
        assert require_arrival(plan(), evidence(verdict), enough=enough) == evidence(verdict)
        (settled,) = ledger.facts(run_id="tonight", kind="settled")
        assert settled.detail == {"how": f"evidence: {verdict.value}"}
        return
    with pytest.raises(OutcomeUnknown, match=f"is {verdict.value}; expected {enough.value}"):
        require_arrival(plan(), evidence(verdict), enough=enough)
    assert ledger.facts(kind="settled") == []


@pytest.mark.parametrize(
    ("words", "settled"),
    [(["completed"], True), (["failed"], False), (["failed", "completed"], True), (["completed", "failed"], False)],
)
def test_the_last_answer_of_a_lead_counts(ledger: Ledger, words: list[str], settled: bool) -> None:
    """With the lead's words as the first signal; an e-mail of failure settles nothing."""
    for email in words:
        detail = {"email": email, "approver": "Ann", "words": "read at 14:32"}
        ledger.record(raw_fact("arrival-told", detail), run_id="tonight", plan=plan().fingerprint)
    ledger.record(raw_fact("arrival-told", {"email": "failed"}), run_id="other", plan=plan().fingerprint)
    if not settled:
        with pytest.raises(OutcomeUnknown):
            require_arrival(plan(), evidence(Verdict.UNCONFIRMED))
        return
    found = require_arrival(plan(), evidence(Verdict.UNCONFIRMED))
    assert found.verdict is Verdict.CONFIRMED
    assert [(s.rank, s.seen, s.detail) for s in found.signals] == [(0, True, "Ann: read at 14:32"), (3, True, "")]


@pytest.mark.parametrize("restore", [False, True])
@pytest.mark.parametrize("ago", [0.0, 1e6])
def test_the_wait_ends_by_the_call_and_looks_at_least_twice(
    scene: Make, monkeypatch: pytest.MonkeyPatch, ago: float, restore: bool
) -> None:
    """The deadline counts from the call, so that a resumed run does not start it again, and leaves time for two looks."""
    made, now = scene(), utc_now()
    sent = made.send(send_copy)
    receipt: Receipt = sent.model_copy(update={"sent_at": now - timedelta(seconds=ago)})
    waits: list[Any] = []

    def watch(watching: Any, **how: Any) -> Evidence:
        waits.append((watching, how))
        return evidence(Verdict.PROBABLE)

    shown: list[str] = []
    monkeypatch.setattr(copies, "Watch", lambda *what, **how: (what, how))
    monkeypatch.setattr(copies, "watch", watch)
    monkeypatch.setattr(copies, "utc_now", lambda: now)
    monkeypatch.setattr(copies.Progress, "done", lambda self, text: shown.append(text))
    before = receipt.baseline.destination if restore else None
    assert await_arrival.fn(made.plan, receipt, before, enough=Verdict.PROBABLE).verdict is Verdict.PROBABLE
    ((watching, how),) = waits
    gap, within = scaled(load_settings().settle_gap), scaled(load_settings().copy_within)
    two_looks = now + 2 * gap + timedelta(seconds=1)
    assert how["deadline"] == max(receipt.sent_at + within, two_looks)
    assert (how["deadline"] == two_looks) is (ago > 0)
    (_, _, _, _, expected), watched = watching
    assert expected is (before or receipt.baseline.source)
    assert watched["host_done"] == receipt.sent_at + within
    assert (how["enough"], how["started"]) == (Verdict.PROBABLE, receipt.sent_at)
    assert shown == ["schulstage: probable"]


def test_production_is_never_the_destination_of_an_arrival_that_is_probable() -> None:
    """The step requires `confirmed`, unless the flow of a staging install requires less."""
    assert PROD.environment.may_be_production
    assert require_arrival.__kwdefaults__ == {"enough": Verdict.CONFIRMED}
    assert await_arrival.fn.__kwdefaults__ == {"enough": Verdict.CONFIRMED}
    assert permission.require_permission is copies.require_permission

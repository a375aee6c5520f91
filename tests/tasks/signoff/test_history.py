"""History: requesters, approvers, times and outcomes of runs, also from malformed facts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ledger.ledger import Fact
from tasks.rendering.audit import history_text
from tasks.signoff.history import KINDS, UNPROVEN, History, RunRecord, history

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
PLAN = {
    "verb": "promote",
    "pair": {"source": {"name": "schulstage"}, "destination": {"name": "schulprod"}},
    "risk": {"grade": "red", "reasons": ["the database travels"]},
    "overrides": ["freeze:Christmas"],
    "break_glass": "the shop is down",
    "backup": {"id": "first"},
    "requested_by": "Ada Admin",
}
ASKED = {"verb": "promote", "code": "7K3F-92QD", "destination": "schulprod", "requested_by": "Ada Admin"}
YES = {
    "name": "Anna Lead", "proof": "signature", "decision": "approve", "reason": "release day", "given_at": NOW.isoformat(),
}  # fmt: skip
APPROVED = {"kind": "person", "approver": "Anna Lead and Ben Lead", "reason": "release day"}
OUTCOME = {
    "verb": "promote", "outcome": "Verified", "destination": "schulprod", "source": "schulstage", "plan_code": "7K3F-92QD",
}  # fmt: skip


def facts(*rows: tuple[str, dict[str, Any]], run: str = "run-1", days_ago: float = 1) -> list[Fact]:
    """Return facts of one run, in order."""
    at = NOW - timedelta(days=days_ago)
    return [Fact(seq, at, run, kind, "", "", detail, None, "", "") for seq, (kind, detail) in enumerate(rows, start=1)]


def history_of(*found: Fact, destination: str = "") -> History:
    """Return the history of a month."""
    return history(found, since=NOW - MONTH, until=NOW, destination=destination)


def only(*rows: tuple[str, dict[str, Any]]) -> RunRecord:
    """Return the one row of these facts."""
    (row,) = history_of(*facts(*rows)).runs
    return row


def test_a_promotion_is_one_row() -> None:
    """It contains requester, risk class with reasons, both answers with their proofs, approval, newest backup and outcome."""
    second = YES | {"name": "Ben Lead", "proof": "code"}
    row = only(
        ("planned", PLAN), ("asked", ASKED), ("answered", YES), ("answered", second), ("approved", APPROVED),
        ("backup-renewed", {"id": "second"}), ("outcome", OUTCOME),
    )  # fmt: skip
    assert (row.verb, row.source, row.destination) == ("promote", "schulstage", "schulprod")
    assert (row.grade, row.reasons, row.overrides) == ("red", ("the database travels",), ("freeze:Christmas",))
    assert (row.requested_by, row.code, row.break_glass) == ("Ada Admin", "7K3F-92QD", "the shop is down")
    assert [(answer.name, answer.proof, answer.decision) for answer in row.answers] == [
        ("Anna Lead", "signature", "approve"),
        ("Ben Lead", "code", "approve"),
    ]
    assert (row.decision, row.approval, row.outcome, row.backup) == ("approved", "person", "Verified", "second")


@pytest.mark.parametrize(("proven", "proof"), [(True, "proven"), (False, UNPROVEN)])
def test_a_rejection_is_listed_with_its_proof(proven: bool, proof: str) -> None:
    """Anybody may reject a plan; without proof the name is marked as not proven."""
    row = only(("planned", PLAN), ("rejected", {"approver": "Eve", "proven": proven, "reason": "not now"}))
    assert [(answer.name, answer.proof, answer.decision) for answer in row.answers] == [("Eve", proof, "reject")]
    assert row.decision == "rejected"


@pytest.mark.parametrize("kind", ["expired", "superseded", "frozen"])
def test_a_request_that_ended_without_answers_lists_none(kind: str) -> None:
    """The row contains the end, and no approver."""
    row = only(("planned", PLAN), (kind, {}))
    assert (row.decision, row.answers, row.approver) == (kind, (), "")


def test_a_standing_approval_is_not_listed_as_an_answer() -> None:
    """It is listed as the approval, with the issuer's name."""
    standing = {"kind": "standing", "approver": "Anna Lead (standing)", "reason": "nightly"}
    found = history_of(*facts(("planned", PLAN | {"verb": "refresh"}), ("approved", standing), ("outcome", OUTCOME)))
    assert [(row.approval, row.approver, row.answers) for row in found.standing] == [
        ("standing", "Anna Lead (standing)", ())
    ]


def test_an_approval_without_answers_is_listed_as_not_proven() -> None:
    """The first ledgers recorded only the approver's name."""
    row = only(("planned", PLAN), ("approved", APPROVED))
    assert [(answer.name, answer.proof) for answer in row.answers] == [("Anna Lead and Ben Lead", UNPROVEN)]


def test_a_report_of_arrival_is_an_answer() -> None:
    """The answer about the host's e-mail is listed with its proof."""
    row = only(
        ("planned", PLAN),
        ("arrival-told", {"email": "completed", "approver": "Anna Lead", "words": "14:32", "proof": "code"}),
    )
    assert [(answer.decision, answer.proof, answer.reason) for answer in row.answers] == [
        ("arrival: completed", "code", "14:32")
    ]


def test_a_load_is_a_row_by_its_hostname() -> None:
    """Loads are planned without a pair; the request contains the destination."""
    asked = {"verb": "load_dump", "code": "AAAA-BBBB", "destination": "staging.schule.example"}
    row = only(("planned-load", {"code": "AAAA-BBBB"}), ("asked", asked), ("outcome", OUTCOME | {"verb": "reload"}))
    assert (row.verb, row.destination, row.code) == ("reload", "staging.schule.example", "AAAA-BBBB")


def test_runs_that_could_overwrite_nothing_are_left_out() -> None:
    """A diagnosis is left out; a refused promotion is listed."""
    found = history_of(
        *facts(("outcome", OUTCOME | {"verb": "diagnose"}), run="a"),
        *facts(("outcome", OUTCOME | {"outcome": "TooRisky"}), run="b"),
    )
    assert [(row.run_id, row.outcome) for row in found.runs] == [("b", "TooRisky")]


def test_refused_answers_are_counted_for_each_lead_and_kind() -> None:
    """Names of strangers are not listed."""
    rows = [("answer-refused", {"name": "Anna Lead", "kind": "proof", "why": "x"})] * 3
    rows += [("answer-refused", {"name": "", "kind": "proof", "why": "x"}), ("arrival-refused", {"why": "x"})]
    found = history_of(*facts(("planned", PLAN), *rows))
    assert [(refused.name, refused.kind, refused.count) for refused in found.refused] == [
        ("Anna Lead", "proof", 3),
        ("nobody that is enrolled", "proof", 1),
        ("nobody that is proven", "arrival", 1),
    ]


def test_holds_are_listed_with_whoever_ended_them() -> None:
    """An old hold that is still active is listed; one that ended before the time is not."""
    until = (NOW + MONTH).isoformat()
    old = facts(
        ("hold", {"destination": "schulstage", "until": until, "by": "Ada", "reason": "my work"}),
        ("hold-ended", {"hold": 1, "by": "Ben"}),
        ("hold", {"destination": "schulstage", "until": (NOW - 2 * MONTH).isoformat(), "by": "Ada", "reason": "old"}),
        days_ago=80,
    )
    (held,) = history_of(*old).holds
    assert (held.by, held.reason, held.ended_by) == ("Ada", "my work", "Ben")


def test_only_the_requested_time_and_destination_are_listed() -> None:
    """Older runs and other destinations are left out; a run that began earlier and ended in time is complete."""
    other = PLAN | {"pair": {"source": {"name": "a"}, "destination": {"name": "other"}}}
    found = [
        *facts(("planned", PLAN), run="old", days_ago=31),
        *facts(("planned", PLAN), run="across", days_ago=31),
        *facts(("outcome", OUTCOME), run="across", days_ago=29),
        *facts(("planned", other), run="other"),
    ]
    assert [row.run_id for row in history_of(*found, destination="SchulProd").runs] == ["across"]
    assert [row.run_id for row in history_of(*found).runs] == ["across", "other"]
    assert history_of(*found).runs[0].grade == "red"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PLAN, *YES, *APPROVED, "until"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(KINDS), JSON), max_size=6))
def test_any_facts_can_be_read(rows: list[tuple[str, Any]]) -> None:
    """An audit of a ledger with forged or malformed facts ends in a report, not in an exception."""
    found = history_of(*facts(*rows))
    assert len(found.runs) <= 1
    assert "## Runs" in history_text(found)

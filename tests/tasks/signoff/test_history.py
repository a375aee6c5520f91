"""History: who asked, who approved, when, what came of it, from whatever facts a ledger holds."""

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
    "name": "Anna Lead",
    "proof": "signature",
    "decision": "approve",
    "reason": "release day",
    "given_at": NOW.isoformat(),
}
APPROVED = {"kind": "person", "approver": "Anna Lead and Ben Lead", "reason": "release day"}
OUTCOME = {
    "verb": "promote",
    "outcome": "Verified",
    "destination": "schulprod",
    "source": "schulstage",
    "plan_code": "7K3F-92QD",
}


def facts(*rows: tuple[str, dict[str, Any]], run: str = "run-1", days_ago: float = 1) -> list[Fact]:
    """Facts of one run, in order."""
    at = NOW - timedelta(days=days_ago)
    return [Fact(seq, at, run, kind, "", "", detail, None, "", "") for seq, (kind, detail) in enumerate(rows, start=1)]


def told(*found: Fact, destination: str = "") -> History:
    """The history of a month."""
    return history(found, since=NOW - MONTH, until=NOW, destination=destination)


def only(*rows: tuple[str, dict[str, Any]]) -> RunRecord:
    """The one row that these facts make."""
    (row,) = told(*facts(*rows)).runs
    return row


def test_a_promotion_is_one_row_with_everybody_in_it() -> None:
    """Who asked, the class with reasons, both answers with their proofs, the approval, the newest backup and the end."""
    second = YES | {"name": "Ben Lead", "proof": "code"}
    row = only(
        ("planned", PLAN), ("asked", ASKED), ("answered", YES), ("answered", second), ("approved", APPROVED),
        ("backup-renewed", {"id": "second"}), ("outcome", OUTCOME),
    )  # fmt: skip
    assert (row.verb, row.source, row.destination) == ("promote", "schulstage", "schulprod")
    assert (row.grade, row.reasons, row.overrides) == ("red", ("the database travels",), ("freeze:Christmas",))
    assert (row.requested_by, row.code, row.break_glass) == ("Ada Admin", "7K3F-92QD", "the shop is down")
    assert [(said.name, said.proof, said.decision) for said in row.answers] == [
        ("Anna Lead", "signature", "approve"),
        ("Ben Lead", "code", "approve"),
    ]
    assert (row.decision, row.approval, row.outcome, row.backup) == ("approved", "person", "Verified", "second")


@pytest.mark.parametrize(("proven", "proof"), [(True, "proven"), (False, UNPROVEN)])
def test_a_rejection_says_whether_it_was_proven(proven: bool, proof: str) -> None:
    """Anybody may say no; the report does not make a lead of them."""
    row = only(("planned", PLAN), ("rejected", {"approver": "Eve", "proven": proven, "reason": "not now"}))
    assert [(said.name, said.proof, said.decision) for said in row.answers] == [("Eve", proof, "reject")]
    assert row.decision == "rejected"


@pytest.mark.parametrize("kind", ["expired", "superseded", "frozen"])
def test_a_question_that_nobody_ended_has_no_answers(kind: str) -> None:
    """The end is in the row, and no name that was not there."""
    row = only(("planned", PLAN), (kind, {}))
    assert (row.decision, row.answers, row.approver) == (kind, (), "")


def test_a_standing_approval_is_nobodys_answer() -> None:
    """It is listed as used, with the words of its issuer."""
    standing = {"kind": "standing", "approver": "Anna Lead (standing)", "reason": "nightly"}
    found = told(*facts(("planned", PLAN | {"verb": "refresh"}), ("approved", standing), ("outcome", OUTCOME)))
    assert [(row.approval, row.approver, row.answers) for row in found.standing] == [
        ("standing", "Anna Lead (standing)", ())
    ]


def test_an_answer_of_an_older_version_is_not_called_proven() -> None:
    """Before answers were proven, an approval held a name only."""
    row = only(("planned", PLAN), ("approved", APPROVED))
    assert [(said.name, said.proof) for said in row.answers] == [("Anna Lead and Ben Lead", UNPROVEN)]


def test_what_the_e_mail_said_is_an_answer_too() -> None:
    """The question about arrival has a proven answer of its own."""
    row = only(
        ("planned", PLAN),
        ("arrival-told", {"email": "completed", "approver": "Anna Lead", "words": "14:32", "proof": "code"}),
    )
    assert [(said.decision, said.proof, said.reason) for said in row.answers] == [
        ("arrival: completed", "code", "14:32")
    ]


def test_a_load_is_a_row_by_its_hostname() -> None:
    """Loads are planned without a pair; what a person typed names the destination."""
    asked = {"verb": "load_dump", "code": "AAAA-BBBB", "destination": "staging.schule.example"}
    row = only(("planned-load", {"code": "AAAA-BBBB"}), ("asked", asked), ("outcome", OUTCOME | {"verb": "reload"}))
    assert (row.verb, row.destination, row.code) == ("reload", "staging.schule.example", "AAAA-BBBB")


def test_runs_that_could_overwrite_nothing_are_left_out() -> None:
    """Diagnoses and audits have an outcome, and no place here; a refused promotion has."""
    found = told(
        *facts(("outcome", OUTCOME | {"verb": "diagnose"}), run="a"),
        *facts(("outcome", OUTCOME | {"outcome": "TooRisky"}), run="b"),
    )
    assert [(row.run_id, row.outcome) for row in found.runs] == [("b", "TooRisky")]


def test_refused_answers_are_counted_for_each_lead_and_kind() -> None:
    """A guesser shows; a name that nobody has does not stand there."""
    rows = [("answer-refused", {"name": "Anna Lead", "kind": "proof", "why": "x"})] * 3
    rows += [("answer-refused", {"name": "", "kind": "proof", "why": "x"}), ("arrival-refused", {"why": "x"})]
    found = told(*facts(("planned", PLAN), *rows))
    assert [(refused.name, refused.kind, refused.count) for refused in found.refused] == [
        ("Anna Lead", "proof", 3),
        ("nobody that is enrolled", "proof", 1),
        ("nobody that is proven", "arrival", 1),
    ]


def test_holds_are_told_with_who_ended_them() -> None:
    """One that was placed long before and still holds counts; one that ended before does not."""
    until = (NOW + MONTH).isoformat()
    old = facts(
        ("hold", {"destination": "schulstage", "until": until, "by": "Ada", "reason": "my work"}),
        ("hold-ended", {"hold": 1, "by": "Ben"}),
        ("hold", {"destination": "schulstage", "until": (NOW - 2 * MONTH).isoformat(), "by": "Ada", "reason": "old"}),
        days_ago=80,
    )
    (held,) = told(*old).holds
    assert (held.by, held.reason, held.ended_by) == ("Ada", "my work", "Ben")


def test_only_the_time_and_the_destination_that_were_asked_for_are_told() -> None:
    """Older runs and other places are left out; a run that began earlier and ended in time is whole."""
    other = PLAN | {"pair": {"source": {"name": "a"}, "destination": {"name": "other"}}}
    found = [
        *facts(("planned", PLAN), run="old", days_ago=31),
        *facts(("planned", PLAN), run="across", days_ago=31),
        *facts(("outcome", OUTCOME), run="across", days_ago=29),
        *facts(("planned", other), run="other"),
    ]
    assert [row.run_id for row in told(*found, destination="SchulProd").runs] == ["across"]
    assert [row.run_id for row in told(*found).runs] == ["across", "other"]
    assert told(*found).runs[0].grade == "red"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PLAN, *YES, *APPROVED, "until"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(KINDS), JSON), max_size=6))
def test_whatever_a_broken_ledger_holds_is_read(rows: list[tuple[str, Any]]) -> None:
    """An audit of a ledger that somebody wrote into ends in a report, not in a stack trace."""
    found = told(*facts(*rows))
    assert len(found.runs) <= 1
    assert "## Runs" in history_text(found)

"""Facts by kind: stored facts are read again, also those of version 0.1, and no kind is written as text elsewhere."""

import ast
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.estate.errors import ApprovalExpired, Frozen, LedgerBroken, Rejected, RunLost, Superseded
from tasks.ledger import facts
from tasks.ledger.chain import Fact

ROOT = Path(__file__).parents[3]
# Written by the code of version 0.1: its first commit, and its first gate with leads.
STORED = [
    Fact.of(json.loads(line))
    for line in (Path(__file__).parent / "facts_of_0_1.jsonl").read_text(encoding="utf-8").splitlines()
]
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def stored(kind: str) -> Fact:
    """Return the first stored fact of this kind."""
    return next(fact for fact in STORED if fact.kind == kind)


@pytest.mark.parametrize("fact", STORED, ids=lambda fact: f"{fact.seq}-{fact.kind}")
def test_every_fact_of_0_1_is_read(fact: Fact) -> None:
    """Each stored detail is read as its kind, and no key and no plain value of it is lost."""
    read = fact.as_(facts.KINDS[fact.kind])
    again = read.stored()
    assert fact.detail.keys() <= again.keys()
    assert not [key for key, value in fact.detail.items() if not isinstance(value, dict | list) and again[key] != value]
    assert facts.KINDS[fact.kind].read(read.stored()) == read


def test_fields_that_0_1_did_not_record_have_defaults() -> None:
    """Fields that version 0.1 did not record at first are absent, which is not an error."""
    first, later = (fact.as_(facts.Asked) for fact in STORED if fact.kind == "asked")
    assert first.answer_by is None
    assert later.answer_by
    assert later.parameters is None
    assert stored("arrival-asked").as_(facts.ArrivalAsked).parameters == ""
    assert stored("arrival-told").as_(facts.ArrivalAnswered).proof == ""
    assert stored("hold").as_(facts.HoldPlaced).release == ""
    assert stored("hold-ended").as_(facts.HoldEnded).proof == ""
    assert stored("planned-load").as_(facts.LoadPlanned).emptied == ()
    assert not stored("rejected").as_(facts.RequestRejected).proven


def test_each_kind_has_one_type() -> None:
    """No two types read the same kind, and each ending of a request is one of them."""
    named = [
        node.value.value
        for node in ast.walk(ast.parse((ROOT / "tasks/ledger/facts.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "KIND"
        and isinstance(node.value, ast.Constant)
    ]
    assert sorted(named) == sorted(facts.KINDS)
    assert {*facts.ENDS} <= {*facts.KINDS}


def test_only_given_fields_are_stored_under_their_stored_names() -> None:
    """Times are stored as ISO 8601 with offset, defaults are left out, and keys keep the names of earlier ledgers."""
    assert facts.ArrivalAsked(answer_by=NOON).stored() == {"answer_by": "2026-11-26T12:00:00+00:00"}
    assert facts.LockTakenOver(from_run="r").stored() == {"from": "r"}
    assert facts.StateCorrected(was="Completed", outcome="Expired").stored() == {"was": "Completed", "is": "Expired"}
    baseline = stored("sending").as_(facts.Sending).before
    assert facts.Sending(baseline=baseline).stored() == {"baseline": baseline.model_dump(mode="json")}
    report = {"outcome": "Verified", "verb": "refresh", "evidence": None}
    assert facts.Reported.read(report).stored() == report


def test_a_broken_fact_is_named_without_its_values() -> None:
    """The error names the fact and the fields, and shows no value of it."""
    broken = Fact(7, NOON, "r", "hold", "", "", {"until": "Ada's secret", "by": "Ada"}, None, "", "")
    with pytest.raises(LedgerBroken, match=r"Fact 7 .*\(hold\).*destination, reason, until") as error:
        broken.as_(facts.HoldPlaced)
    assert "Ada" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("ending", "error", "text"),
    [
        (facts.RequestRejected(approver="Ada", reason="no"), Rejected, r"Ada \(not proven\) rejected plan C: no"),
        (facts.RequestRejected(approver="Ada", reason="no", proven=True), Rejected, "Ada rejected plan C: no"),
        (facts.RequestExpired(answer_by=NOON), ApprovalExpired, "until 2026-11-26 12:00 UTC: nobody answered in time"),
        (facts.RequestExpired(answer_by=NOON, why="the run ended"), ApprovalExpired, "UTC: the run ended"),
        (facts.RequestSuperseded(by="r", code="D"), Superseded, "replaced by the newer plan D of run r"),
        (facts.RequestFrozen(why="closed"), Frozen, "closed"),
        (facts.RequestLost(why="it was deleted"), RunLost, "it was deleted"),
    ],
)
def test_each_ending_has_its_error(ending: facts.Ending, error: type[Exception], text: str) -> None:
    """The error of an ended request is the same wherever it is raised."""
    with pytest.raises(error, match=text):
        raise ending.error("C") or AssertionError


def test_no_kind_is_written_as_text_elsewhere() -> None:
    """Kinds are recorded, read and compared by their types: no call or comparison in the code names one as text."""
    named = []
    for folder in ("tasks", "flows", "deployments"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            named += [f"{path.relative_to(ROOT)}:{line}" for node in ast.walk(tree) for line in _kinds_in(node)]
    assert not named


def _kinds_in(node: ast.AST) -> list[int]:
    """Lines in which a node records, asks for or compares a kind as text; approvals and notices have kinds of their own."""
    values: list[ast.expr] = []
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        values += node.args[:1] if name in ("record", "Entry", "entry", "first_request", "_is_new") else []
        if name in ("record", "facts", "Entry"):
            values += [keyword.value for keyword in node.keywords if keyword.arg in ("kind", "kinds")]
    elif isinstance(node, ast.Compare) and getattr(node.left, "attr", "") == "kind":
        values += node.comparators
    texts = [each for value in values for each in ast.walk(value) if isinstance(each, ast.Constant)]
    return [each.lineno for each in texts if each.value in facts.KINDS]


@pytest.mark.parametrize(
    "code",
    ['x.record("sent")', 'x.facts(kind="sent")', 'f.kind in ("sent", "asked")', 'f.kind == "lost"', 'Entry("hold")'],
)
def test_a_kind_that_is_written_as_text_is_found(code: str) -> None:
    """Each way in which the code could name a kind as text is noticed."""
    assert [line for node in ast.walk(ast.parse(code)) for line in _kinds_in(node)]

"""History: who requested what, who approved it and how it ended, from the facts of the ledger only."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from tasks.estate.sites import Immutable
from tasks.ledger.facts import (
    ENDS,
    PLANNED,
    Answered,
    AnswerRefused,
    Approved,
    ArrivalAnswered,
    ArrivalRefused,
    Asked,
    BackupRenewed,
    HoldEnded,
    HoldPlaced,
    Reported,
    RequestRejected,
)
from tasks.ledger.ledger import Fact
from tasks.signoff.lead_suspensions import KINDS as SUSPENSIONS
from tasks.signoff.lead_suspensions import Suspension, suspensions

VERBS = ("refresh", "provision", "promote", "restore", "load_dump", "reload")  # what can overwrite something
ANSWERS = (Answered.KIND, ArrivalAnswered.KIND)
KINDS = (
    *PLANNED, *ENDS, *ANSWERS, Asked.KIND, AnswerRefused.KIND, ArrivalRefused.KIND, BackupRenewed.KIND, HoldPlaced.KIND,
    HoldEnded.KIND, Reported.KIND, *SUSPENSIONS,
)  # fmt: skip
UNPROVEN = "not proven"


class AnswerRecord(Immutable):
    """One answer of one person. `proof`: code, signature or not proven. `at` is UTC."""

    name: str
    proof: str
    decision: str
    at: datetime
    reason: str = ""


class RunRecord(Immutable):
    """One run that could have overwritten something. `decision` is "" if it waits or never asked for an approval."""

    run_id: str
    at: datetime
    verb: str
    source: str = ""
    destination: str = ""
    grade: str = ""
    reasons: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    break_glass: str = ""
    requested_by: str = ""
    code: str = ""
    answers: tuple[AnswerRecord, ...] = ()
    decision: str = ""
    approval: str = ""  # person, standing or pre-authorised
    approver: str = ""
    outcome: str = ""
    ended: datetime | None = None  # UTC; when the outcome was recorded
    state: str = ""  # of a run without an outcome: its state in Prefect, in words
    backup: str = ""


class Refusals(Immutable):
    """How many answers in one name did not count, by kind: proof, person, form, early or arrival."""

    name: str
    kind: str
    count: int


class HoldRecord(Immutable):
    """One hold of a destination. `ended_by` is "" unless somebody ended it early. Times are UTC."""

    destination: str
    at: datetime
    until: str
    by: str
    reason: str
    ended_by: str = ""


class History(Immutable):
    """All runs and holds between two moments (UTC), of one destination or all. `problems` are the findings about the chain."""

    since: datetime
    until: datetime
    destination: str
    runs: tuple[RunRecord, ...] = ()
    refused: tuple[Refusals, ...] = ()
    holds: tuple[HoldRecord, ...] = ()
    suspended: tuple[Suspension, ...] = ()
    problems: tuple[str, ...] = ()
    head: str = ""
    signatures: str = ""  # a sentence with the number of stored signatures that verify

    @property
    def standing(self) -> tuple[RunRecord, ...]:
        """The runs that a standing approval approved."""
        return tuple(entry for entry in self.runs if entry.approval == "standing")


def history(facts: Iterable[Fact], *, since: datetime, until: datetime, destination: str = "") -> History:
    """Return the history of the runs and holds that have a fact between these moments; `destination` by name, "" for all.

    Tolerates missing and malformed details, because it must also show facts of an older version and of a broken ledger.
    """
    by_run: dict[str, list[Fact]] = defaultdict(list)
    known = [fact for fact in facts if isinstance(fact.detail, dict) and fact.at <= until]
    for fact in known:
        by_run[fact.run_id].append(fact)
    recent = [run for run in by_run.values() if any(fact.at >= since for fact in run)]
    found = [
        (entry, run) for run in recent if (entry := _entry(run)) is not None and _about(destination, entry.destination)
    ]
    return History(
        since=since,
        until=until,
        destination=destination,
        runs=tuple(entry for entry, _ in found),
        refused=_refusals(fact for _, run in found for fact in run if fact.at >= since),
        holds=tuple(_holds(known, since, destination)),
        suspended=tuple(each for each in suspensions(known) if each.ended is None or each.ended >= since),
    )


def _about(wanted: str, destination: str) -> bool:
    return not wanted or wanted.casefold() == destination.casefold()


def _entry(run: Sequence[Fact]) -> RunRecord | None:
    """Return the row of one run, or None if it could overwrite nothing."""
    plan, outcome = _last(run, *PLANNED), _last(run, Reported.KIND)
    asked, end = _last(run, Asked.KIND), _last(run, *ENDS)
    verb = _first("verb", plan, asked, outcome)
    if verb not in VERBS:
        return None
    return RunRecord(
        run_id=run[0].run_id,
        at=run[0].at,
        verb=_first("verb", outcome) or verb,  # `reload` plans a `load_dump`
        source=_text(plan, "pair", "source", "name") or _first("source", outcome),
        destination=_text(plan, "pair", "destination", "name")
        or _first("destination", asked)
        or _first("hostname", plan)
        or _first("destination", outcome),
        grade=_text(plan, "risk", "grade"),
        reasons=_texts(plan, "risk", "reasons"),
        overrides=_texts(plan, "overrides"),
        break_glass=_first("break_glass", plan),
        requested_by=_first("requested_by", plan, asked),
        code=_first("code", asked, plan) or _first("plan_code", outcome),
        answers=tuple(_answers(run, end)),
        decision=end.kind if end else "",
        approval=_first("kind", end) if end and end.kind == Approved.KIND else "",
        approver=_first("approver", end),
        outcome=_first("outcome", outcome),
        ended=outcome.at if outcome else None,
        backup=_first("id", _last(run, BackupRenewed.KIND)) or _text(plan, "backup", "id"),
    )


def _answers(run: Sequence[Fact], end: Fact | None) -> Iterable[AnswerRecord]:
    """Yield the answers of people. A rejection is read from the end, and so is an approval by the first version, without proofs."""
    answers = [_answer(fact) for fact in run if fact.kind in ANSWERS]
    yield from answers
    if end is None or end.kind not in (Approved.KIND, RequestRejected.KIND):
        return
    approved = end.kind == Approved.KIND
    if approved and (answers or end.detail.get("kind", "person") != "person"):
        return  # the answers are listed, or nobody answered
    proof = "proven" if end.detail.get("proven") else UNPROVEN
    decision = "approve" if approved else "reject"
    yield AnswerRecord(name=end.text("approver"), proof=proof, decision=decision, at=end.at, reason=end.text("reason"))


def _answer(fact: Fact) -> AnswerRecord:
    arrival = fact.kind == ArrivalAnswered.KIND
    return AnswerRecord(
        name=fact.text("approver" if arrival else "name"),
        proof=fact.text("proof") or UNPROVEN,
        decision=f"arrival: {fact.text('email')}" if arrival else fact.text("decision"),
        at=_moment(fact.detail.get("given_at"), fact.at),
        reason=fact.text("words" if arrival else "reason"),
    )


def _refusals(facts: Iterable[Fact]) -> tuple[Refusals, ...]:
    counted: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        if fact.kind == AnswerRefused.KIND:
            counted[fact.text("name") or "nobody that is enrolled", fact.text("kind")] += 1
        elif fact.kind == ArrivalRefused.KIND:
            counted["nobody that is proven", "arrival"] += 1
    return tuple(Refusals(name=name, kind=kind, count=count) for (name, kind), count in sorted(counted.items()))


def _holds(facts: Sequence[Fact], since: datetime, destination: str) -> Iterable[HoldRecord]:
    ended = {fact.text("hold"): fact.text("by") for fact in facts if fact.kind == HoldEnded.KIND}
    for fact in facts:
        wanted = fact.kind == HoldPlaced.KIND and _about(destination, fact.text("destination"))
        if wanted and max(fact.at, _moment(fact.detail.get("until"), fact.at)) >= since:
            yield HoldRecord(
                destination=fact.text("destination"),
                at=fact.at,
                until=fact.text("until"),
                by=fact.text("by"),
                reason=fact.text("reason"),
                ended_by=ended.get(str(fact.seq), ""),
            )


def _last(run: Sequence[Fact], *kinds: str) -> Fact | None:
    return next((fact for fact in reversed(run) if fact.kind in kinds), None)


def _text(fact: Fact | None, *path: str) -> str:
    return fact.text(*path) if fact else ""


def _first(name: str, *facts: Fact | None) -> str:
    """Return this detail of the first fact that has it, or ""."""
    return next((found for fact in facts if (found := _text(fact, name))), "")


def _texts(fact: Fact | None, *path: str) -> tuple[str, ...]:
    value: Any = fact.detail if fact else None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _moment(value: Any, otherwise: datetime) -> datetime:
    """Return the moment that a detail contains, or `otherwise` if it contains none with a time zone."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return otherwise
    return found if found.utcoffset() is not None else otherwise

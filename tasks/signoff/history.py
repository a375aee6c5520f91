"""History: who asked for what, who approved it, and what came of it, put together from the ledger's facts alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tasks.estate.sites import Immutable
from tasks.ledger.approval_requests import ENDS
from tasks.ledger.ledger import Fact
from tasks.signoff.suspensions import KINDS as SUSPENSIONS
from tasks.signoff.suspensions import Suspension, suspensions

VERBS = ("refresh", "provision", "promote", "restore", "load_dump", "reload")  # what can overwrite something
PLANNED = ("planned", "planned-load")
TOLD = ("answered", "arrival-told")
KINDS = (
    *PLANNED, *ENDS, *TOLD, "asked", "answer-refused", "arrival-refused", "backup-renewed", "hold", "hold-ended", "outcome",
    *SUSPENSIONS,
)  # fmt: skip
UNPROVEN = "not proven"


class Said(Immutable):
    """One answer of one person. `proof`: code, signature or not proven. `at` is UTC."""

    name: str
    proof: str
    decision: str
    at: datetime
    reason: str = ""


class Undertaking(Immutable):
    """One run that wanted to overwrite something. `decision` is empty while it waits, or where it never asked."""

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
    answers: tuple[Said, ...] = ()
    decision: str = ""
    approval: str = ""  # person, standing or pre-authorised
    approver: str = ""
    outcome: str = ""
    backup: str = ""


class Refusals(Immutable):
    """How many answers in one name did not count, and of what kind: proof, person, form, early, or arrival."""

    name: str
    kind: str
    count: int


class Held(Immutable):
    """One hold of a destination. `ended_by` is empty where it ran, or runs, to its end. Times are UTC."""

    destination: str
    at: datetime
    until: str
    by: str
    reason: str
    ended_by: str = ""


class History(Immutable):
    """Everything between two moments (UTC), about one destination or all. `problems`: what the chain's verification found."""

    since: datetime
    until: datetime
    destination: str
    runs: tuple[Undertaking, ...] = ()
    refused: tuple[Refusals, ...] = ()
    holds: tuple[Held, ...] = ()
    suspended: tuple[Suspension, ...] = ()
    problems: tuple[str, ...] = ()
    head: str = ""
    signatures: str = ""  # how many of those that are kept verify, in words

    @property
    def standing(self) -> tuple[Undertaking, ...]:
        """The runs that went on by a standing approval."""
        return tuple(entry for entry in self.runs if entry.approval == "standing")


def history(facts: Iterable[Fact], *, since: datetime, until: datetime, destination: str = "") -> History:
    """The history of the runs and holds that have a fact between these moments; `destination` by name, empty for all.

    Reads with patience: facts of an older version lack words, and a broken ledger may hold anything.
    """
    by_run: dict[str, list[Fact]] = defaultdict(list)
    known = [fact for fact in facts if isinstance(fact.detail, dict) and fact.at <= until]
    for fact in known:
        by_run[fact.run_id].append(fact)
    recent = [run for run in by_run.values() if any(fact.at >= since for fact in run)]
    told = [
        (entry, run) for run in recent if (entry := _entry(run)) is not None and _about(destination, entry.destination)
    ]
    return History(
        since=since,
        until=until,
        destination=destination,
        runs=tuple(entry for entry, _ in told),
        refused=_refusals(fact for _, run in told for fact in run if fact.at >= since),
        holds=tuple(_holds(known, since, destination)),
        suspended=tuple(each for each in suspensions(known) if each.ended is None or each.ended >= since),
    )


def _about(wanted: str, destination: str) -> bool:
    return not wanted or wanted.casefold() == destination.casefold()


def _entry(run: Sequence[Fact]) -> Undertaking | None:
    """The row of one run; None for runs that could overwrite nothing."""
    plan, outcome = _last(run, PLANNED), _last(run, ("outcome",))
    asked, end = _last(run, ("asked",)), _last(run, ENDS)
    verb = _text(plan, "verb") or _text(asked, "verb") or _text(outcome, "verb")
    if verb not in VERBS:
        return None
    risk, pair = _part(plan, "risk"), _part(plan, "pair")
    approved = end is not None and end.kind == "approved"
    return Undertaking(
        run_id=run[0].run_id,
        at=run[0].at,
        verb=_text(outcome, "verb") or verb,  # `reload` plans a `load_dump`
        source=_name(pair, "source") or _text(outcome, "source"),
        destination=_name(pair, "destination")
        or _text(asked, "destination")
        or _text(plan, "hostname")
        or _text(outcome, "destination"),
        grade=str(risk.get("grade", "")),
        reasons=_texts(risk.get("reasons")),
        overrides=_texts(plan.detail.get("overrides") if plan else ()),
        break_glass=_text(plan, "break_glass"),
        requested_by=_text(plan, "requested_by") or _text(asked, "requested_by"),
        code=_text(asked, "code") or _text(plan, "code") or _text(outcome, "plan_code"),
        answers=tuple(_answers(run, end)),
        decision=end.kind if end else "",
        approval=_text(end, "kind") if approved else "",
        approver=_text(end, "approver"),
        outcome=_text(outcome, "outcome"),
        backup=_text(_last(run, ("backup-renewed",)), "id") or str(_part(plan, "backup").get("id", "")),
    )


def _answers(run: Sequence[Fact], end: Fact | None) -> Iterable[Said]:
    """Who said what. A no ends the question, so it is in the end itself; so is a yes that an older version recorded."""
    told = [_said(fact) for fact in run if fact.kind in TOLD]
    yield from told
    if end is None or end.kind not in ("approved", "rejected") or (end.kind == "approved" and told):
        return
    if end.kind == "approved" and end.detail.get("kind", "person") != "person":
        return  # nobody answered
    proven = "proven" if end.detail.get("proven") else UNPROVEN
    word = "approve" if end.kind == "approved" else "reject"
    yield Said(name=_text(end, "approver"), proof=proven, decision=word, at=end.at, reason=_text(end, "reason"))


def _said(fact: Fact) -> Said:
    arrival = fact.kind == "arrival-told"
    return Said(
        name=_text(fact, "approver" if arrival else "name"),
        proof=_text(fact, "proof") or UNPROVEN,
        decision=f"arrival: {_text(fact, 'email')}" if arrival else _text(fact, "decision"),
        at=_moment(fact.detail.get("given_at"), fact.at),
        reason=_text(fact, "words" if arrival else "reason"),
    )


def _refusals(facts: Iterable[Fact]) -> tuple[Refusals, ...]:
    counted: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        if fact.kind == "answer-refused":
            counted[_text(fact, "name") or "nobody that is enrolled", _text(fact, "kind")] += 1
        elif fact.kind == "arrival-refused":
            counted["nobody that is proven", "arrival"] += 1
    return tuple(Refusals(name=name, kind=kind, count=count) for (name, kind), count in sorted(counted.items()))


def _holds(facts: Sequence[Fact], since: datetime, destination: str) -> Iterable[Held]:
    ended = {str(fact.detail.get("hold")): _text(fact, "by") for fact in facts if fact.kind == "hold-ended"}
    for fact in facts:
        wanted = fact.kind == "hold" and _about(destination, _text(fact, "destination"))
        if wanted and max(fact.at, _moment(fact.detail.get("until"), fact.at)) >= since:
            yield Held(
                destination=_text(fact, "destination"),
                at=fact.at,
                until=_text(fact, "until"),
                by=_text(fact, "by"),
                reason=_text(fact, "reason"),
                ended_by=ended.get(str(fact.seq), ""),
            )


def _last(run: Sequence[Fact], kinds: Sequence[str]) -> Fact | None:
    return next((fact for fact in reversed(run) if fact.kind in kinds), None)


def _part(fact: Fact | None, name: str) -> Mapping[str, Any]:
    found = fact.detail.get(name) if fact else None
    return found if isinstance(found, dict) else {}


def _name(pair: Mapping[str, Any], side: str) -> str:
    found = pair.get(side)
    return str(found.get("name", "")) if isinstance(found, dict) else ""


def _text(fact: Fact | None, name: str) -> str:
    value = fact.detail.get(name) if fact else None
    return "" if value is None else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _moment(value: Any, otherwise: datetime) -> datetime:
    """A moment that a fact tells of; that of its record where it tells none that can be compared."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return otherwise
    return found if found.utcoffset() is not None else otherwise

"""Waits: the runs that waited for somebody's answer, and the signs that one was deleted, forced or changed meanwhile.

Whoever wants to use a lead's code elsewhere must keep the run into which it was typed from evaluating it: delete the run, force it
into another state, remove its answer, or change its parameters. A worker can see each of these.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from tasks.ledger.facts import (
    ENDS,
    THE_GATE,
    Answered,
    AnswerRefused,
    ArrivalAnswered,
    ArrivalAsked,
    ArrivalRefused,
    Asked,
    HoldEndAsked,
    HoldEnded,
    Reported,
    RequestRejected,
    RequestSuperseded,
    SettleAnswered,
    SettleAsked,
    SettleRefused,
)
from tasks.ledger.ledger import Fact, Ledger

# Everything that asks people for a proof while its run waits.
ASKED = (Asked.KIND, ArrivalAsked.KIND, HoldEndAsked.KIND, SettleAsked.KIND)
CLOSED = (*ENDS, ArrivalAnswered.KIND, HoldEnded.KIND, SettleAnswered.KIND, Reported.KIND)
PROVEN = (Answered.KIND, ArrivalAnswered.KIND, HoldEnded.KIND, SettleAnswered.KIND)  # recorded only with a valid proof
REFUSED = (AnswerRefused.KIND, ArrivalRefused.KIND, SettleRefused.KIND)
SKEW = timedelta(seconds=5)  # between the clocks of the Prefect server and of a worker
WITH_ITS_STATE = timedelta(seconds=5)  # the server stores an answer right after the state of the resumed run


@dataclass(frozen=True)
class Change:
    """One state of a run, as Prefect keeps it: its type in capitals (PAUSED, SCHEDULED, …) and its time."""

    kind: str
    at: datetime


@dataclass(frozen=True)
class Wait:
    """A run that waited. `parameters` is their digest when it asked; `facts` are those about its requests and answers."""

    run_id: str
    parameters: str
    facts: tuple[Fact, ...]


def waits_since(ledger: Ledger, since: datetime) -> list[Wait]:
    """Return every run that waited for somebody's answer at or after this moment."""
    runs: dict[str, list[Fact]] = defaultdict(list)
    for fact in ledger.facts(kinds=(*ASKED, *CLOSED, *PROVEN, *REFUSED)):
        runs[fact.run_id].append(fact)
    return [wait for facts in runs.values() if (wait := _wait(facts, since)) is not None]


def _wait(facts: Sequence[Fact], since: datetime) -> Wait | None:
    turns = [fact for fact in facts if fact.kind in (*ASKED, *CLOSED)]
    if not any(fact.kind in ASKED for fact in turns) or (turns[-1].kind in CLOSED and turns[-1].at < since):
        return None
    answer_by = turns[-1].text("answer_by") if turns[-1].kind in ASKED else ""
    if answer_by and datetime.fromisoformat(answer_by) + SKEW < since:
        return None  # Prefect accepted no answer any more, so it may be deleted
    # A load from a terminal asks without Prefect, where nobody can read what is typed: it has no parameters.
    parameters = next((found for fact in facts if fact.kind in ASKED and (found := fact.text("parameters"))), "")
    return Wait(facts[0].run_id, parameters, tuple(facts)) if parameters else None


def disturbed(wait: Wait, changes: Sequence[Change] | None, parameters: str, since: datetime) -> str:
    """Return why a code that was typed since this moment may come from this run, or "" if nothing suggests it.

    `changes` are the run's states, oldest first; None if Prefect does not know the run. Each way out of a wait needs a proven
    answer in the ledger, or an end that our own code recorded.
    """
    if changes is None:
        return f"run {wait.run_id} was deleted while it waited"
    if parameters != wait.parameters:
        return f"the parameters of run {wait.run_id} were changed while it waited"
    for number, (before, after) in enumerate(pairwise(changes), start=1):
        if after.at < since:
            continue
        if after.kind == "PAUSED" and before.kind != "RUNNING":
            return f"run {wait.run_id} was set to wait again manually"
        if before.kind == "PAUSED" and after.kind != "PAUSED":
            again = next((change.at for change in changes[number + 1 :] if change.kind == "PAUSED"), None)
            if not _ran_out(wait, after) and not any(_explains(fact, after, again) for fact in wait.facts):
                return f"run {wait.run_id} continued, and no answer with proof explains that"
    return ""


def _ran_out(wait: Wait, left: Change) -> bool:
    """Return whether Prefect failed the run because its deadline had passed. The sweep records that later."""
    asked = [fact for fact in wait.facts if fact.kind in ASKED and fact.at <= left.at + SKEW]
    answer_by = asked[-1].text("answer_by") if asked else ""
    # Not earlier: somebody could have forced that state.
    return left.kind == "FAILED" and bool(answer_by) and left.at + SKEW >= datetime.fromisoformat(answer_by)


def _explains(fact: Fact, left: Change, again: datetime | None) -> bool:
    """Return whether this fact is the reason that a run left its wait at that moment, before it waited again."""
    if fact.kind == RequestSuperseded.KIND:
        return left.kind == "FAILED"
    proven = fact.kind in PROVEN
    if fact.kind == RequestRejected.KIND:
        rejected = fact.as_(RequestRejected)
        proven = rejected.proven and rejected.approver != THE_GATE
    return proven and fact.at + SKEW >= left.at and (again is None or fact.at <= again + SKEW)


def tampered(changes: Sequence[Change], given_at: datetime) -> str:
    """Return why the answer that was stored at `given_at` may not be what a lead sent to this run, or "" if nothing shows it.

    Prefect stores an answer right after the state that resumes the run, and from then on only a worker changes the state.
    """
    waits = [number for number, change in enumerate(changes) if change.kind == "PAUSED" and change.at <= given_at]
    after = changes[waits[-1] + 1 :] if waits else ()
    if not after or after[0].kind != "SCHEDULED":
        return "the answer was not given by resuming the run"
    if not timedelta(0) <= given_at - after[0].at <= WITH_ITS_STATE:
        return "the answer was replaced, or written without the form"
    if any(change.kind not in ("SCHEDULED", "PENDING", "RUNNING") for change in after):
        return "the state of the run was changed manually"
    return ""

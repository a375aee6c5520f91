"""The gate: who has to say yes to a plan, by when, and whether what was typed counts.

Every check is made here, on the worker, against our own ledger: Prefect's form can be walked around by anybody who reaches
its API. The gate knows no clock and no Prefect; times are arguments.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.estate.errors import Frozen, Rejected
from tasks.estate.plans import Approval, Intent, Signer
from tasks.ledger.approval_requests import ApprovalRequest, end_of, open_requests
from tasks.ledger.ledger import AlreadyRecorded, Entry, Fact, Ledger
from tasks.signoff.answers import (
    Answer,
    counted_answers,
    entry,
    record_approval,
    recorded_answer,
    where,
)
from tasks.signoff.codes import may_be_production, seal
from tasks.signoff.leads import Lead, Leads
from tasks.signoff.proofs import BadProof, Proof, statement, verify
from tasks.signoff.witnesses import signed_decision

COUNTED = ("proof", "form")  # refused answers of these kinds use up an attempt; honest mistakes about persons do not
HOUR = timedelta(hours=1)
SHORTEST_REASON = 5  # characters


@dataclass(frozen=True)
class Terms:
    """The gate's numbers: attempts a question, wrong codes a lead and hour over all questions, and how long a yes is good.

    `code_settles`: how long a code's yes for production is watched before it takes effect.
    """

    attempts: int
    codes_an_hour: int
    execute_within: timedelta
    restore_within: timedelta
    code_settles: timedelta = timedelta(minutes=1)  # longer than a code lives after the answer: 30 s and one step


@dataclass(frozen=True)
class Settling:
    """A code's yes for production that takes effect at `at`, if the code shows up nowhere else: the answer `index`."""

    index: int
    at: datetime
    signer: Signer


@dataclass(frozen=True)
class Waiting:
    """A question that is open: `index` answers were given, these people said yes, the last answer was refused because."""

    index: int
    asked_at: datetime
    answer_by: datetime
    yes: tuple[Signer, ...]
    attempts_left: int
    refused: str = ""
    settling: Settling | None = None


@dataclass(frozen=True)
class Gate:
    """One gate over a ledger. `require_open(plan, moment)` raises `Frozen` while the calendar is closed for the plan."""

    ledger: Ledger
    leads: Leads
    terms: Terms
    require_open: Callable[[Intent, datetime], None]

    def ask(
        self, plan: Intent, *, source_id: str, within: timedelta, now: datetime, parameters: str = ""
    ) -> tuple[Waiting, list[ApprovalRequest]]:
        """Open the question, or find it as it stands; with the older questions that gave way to it.

        `parameters` is a digest of the run's parameters, kept with the question. Raises `Frozen`, and as `recorded_answer`
        does: ask that one first for an approval.
        """
        asked = self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="asked")
        superseded: list[ApprovalRequest] = []
        if not asked:
            self.require_open(plan, now)
            superseded = self._supersede(plan)
            said = {
                "at": now.isoformat(), "answer_by": (now + within).isoformat(), "verb": plan.verb, "code": plan.code,
                "source_id": source_id, "destination": plan.destination_name, "people": plan.risk.people,
                "requested_by": plan.requested_by, "parameters": parameters,
            }  # fmt: skip
            self.ledger.record("asked", **where(plan), detail=said)
        return self.waiting(plan), superseded

    def waiting(self, plan: Intent) -> Waiting:
        """The open question about this plan, from the ledger."""
        asked, yes, index, counted, refused = None, [], 0, 0, ""
        settling: Settling | None = None
        for fact in self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint):
            if fact.kind == "asked" and asked is None:  # later passes of the flow body do not move the deadline
                asked = fact.detail
            elif fact.kind == "answered":
                index, refused = index + 1, ""
                if "settles_at" in fact.detail:
                    settling = Settling(index - 1, datetime.fromisoformat(fact.detail["settles_at"]), _signer(fact))
                elif self.leads.find(fact.detail["name"]):  # a lead who was suspended since then does not count
                    yes.append(_signer(fact))
            elif fact.kind == "answer-settled" and settling:
                yes += [settling.signer] if self.leads.find(settling.signer.name) else []
                settling = None
            elif fact.kind == "answer-void":
                settling, refused = None, fact.detail["why"]
            elif fact.kind == "answer-refused":
                index, refused = index + 1, fact.detail["why"]
                counted += fact.detail["kind"] in COUNTED
        assert asked is not None, "ask() recorded it"  # noqa: S101  # an invariant, not input
        return Waiting(
            index,
            datetime.fromisoformat(asked["at"]),
            datetime.fromisoformat(asked["answer_by"]),
            tuple(yes),
            self.terms.attempts - counted,
            refused,
            settling,
        )

    def expire(self, plan: Intent) -> Approval | None:
        """Close the question because nobody answered in time. Raises `ApprovalExpired`, or as it ended otherwise."""
        late = {"answer_by": self.waiting(plan).answer_by.isoformat()}
        with suppress(AlreadyRecorded):
            self.ledger.record("expired", **where(plan), detail=late, once=end_of(plan.run_id, plan.fingerprint))
        return recorded_answer(self.ledger, plan)

    def unreadable(self, plan: Intent) -> Approval | Waiting:
        """Take note that the run went on without an answer to its form. Raises `Rejected` when that was once too often."""
        why = "The run was resumed without a complete answer to this form."
        return self._unless_ended(plan, lambda: self._refuse(plan, "", "form", why))

    def judge(self, plan: Intent, answer: Answer, *, now: datetime) -> Approval | Waiting:
        """Take one answer: the approval, if it was the last that was needed, or what the question is now.

        Raises `Rejected` (said so, or too many answers without proof), `ApprovalExpired`, `Superseded`, `Frozen`.
        """
        return self._unless_ended(plan, lambda: self._judge_once(plan, answer, now))

    def reject_changed(self, plan: Intent) -> None:
        """End every question of this run, for good: its parameters were changed after it asked. Raises `Rejected`."""
        reason = "the parameters of the run were changed in Prefect after it asked"
        detail = {"approver": "The gate", "reason": reason, "proven": True}
        asked = {fact.plan for fact in self.ledger.facts(run_id=plan.run_id, kind="asked")}
        for each in sorted({plan.fingerprint, *asked}):
            with suppress(AlreadyRecorded):
                self.ledger.record(
                    "rejected",
                    run_id=plan.run_id,
                    destination_id=plan.destination_id,
                    plan=each,
                    detail=detail,
                    once=end_of(plan.run_id, each),
                )
        recorded_answer(self.ledger, plan)

    def settle(self, plan: Intent, *, moved: str, now: datetime) -> Approval | Waiting:
        """Let the code's yes that is being watched take effect, or void it for the reason `moved`; its code stays used up.

        Returns the approval if it was the last yes that was needed, or what the question is now. Raises as `judge`.
        """
        return self._unless_ended(plan, lambda: self._settle(plan, moved, now))

    def _settle(self, plan: Intent, moved: str, now: datetime) -> Approval | Waiting:
        question = self.waiting(plan)
        if question.settling is None:
            return question
        self._require_open(plan, now, ())
        settling, once = question.settling, f"settled:{plan.run_id}:{plan.fingerprint}:{question.settling.index}"
        answered = self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind="answered")[-1].detail
        lead = self.leads.find(settling.signer.name)
        if lead is None:
            moved = self.leads.why_not(settling.signer.name)
        if moved or lead is None:
            self.ledger.record("answer-void", **where(plan), detail={"index": settling.index, "why": moved}, once=once)
            return self.waiting(plan)
        given_at, message = settling.signer.answered_at, answered["statement"].encode()
        sealed = seal(self.leads, lead, message, given_at=given_at, used=answered["used"], word="settled")
        settled = entry("answer-settled", plan, {"index": settling.index, "seal": sealed}, once)
        return self._count(plan, (*question.yes, settling.signer), (settled,))

    def _unless_ended(self, plan: Intent, act: Callable[[], Approval | Waiting]) -> Approval | Waiting:
        """What the act gives; where the question ended before it, or meanwhile by somebody else, that end counts."""
        try:
            return recorded_answer(self.ledger, plan) or act()
        except AlreadyRecorded:
            return recorded_answer(self.ledger, plan) or self.waiting(plan)

    def _judge_once(self, plan: Intent, answer: Answer, now: datetime) -> Approval | Waiting:
        try:
            return self._judge(plan, answer, now)
        except AlreadyRecorded as taken:
            if not taken.once.startswith("code:"):
                raise
            return self._refuse(plan, answer.approver, "proof", "This code was used before; wait for the next one.")

    def _judge(self, plan: Intent, answer: Answer, now: datetime) -> Approval | Waiting:
        question = self.waiting(plan)
        if question.settling:  # that answer comes first: `settle`
            return question
        decided = signed_decision(answer.decision, restore=answer.restore)
        message = statement(decided, plan.fingerprint, question.answer_by)
        identified = self._identify(answer, message, now)
        # Prefect shows what was typed: a code that somebody typed is used up, whatever becomes of the answer.
        used = () if isinstance(identified, BadProof) else _used_up_by(identified[1])
        if answer.decision != "approve":
            self._reject(plan, answer, used, proven=not isinstance(identified, BadProof))
        if answer.given_at > question.answer_by:
            self._use_up(plan, used)
            return self.expire(plan) or question
        self._require_open(plan, now, used)
        if isinstance(identified, BadProof):
            return self._refuse(plan, answer.approver, "proof", str(identified))
        kind, why = self._objection(plan, question, answer, *identified)
        if why:
            return self._refuse(plan, answer.approver, kind, why, besides=used)
        return self._accept(plan, question, answer, *identified, message)

    def _reject(self, plan: Intent, answer: Answer, used: tuple[Entry, ...], *, proven: bool) -> None:
        """Anybody may say no: a wrong code, or one that was used before, must not turn a no into another question."""
        said = {"approver": answer.approver, "reason": answer.reason}
        end = end_of(plan.run_id, plan.fingerprint)
        try:
            self.ledger.record_together(plan.run_id, [*used, entry("rejected", plan, said | {"proven": proven}, end)])
        except AlreadyRecorded as taken:
            if taken.once == end:
                raise
            self.ledger.record("rejected", **where(plan), detail=said | {"proven": False}, once=end)
        recorded_answer(self.ledger, plan)

    def _use_up(self, plan: Intent, used: tuple[Entry, ...]) -> None:
        with suppress(AlreadyRecorded):
            self.ledger.record_together(plan.run_id, used)

    def _require_open(self, plan: Intent, now: datetime, used: tuple[Entry, ...]) -> None:
        try:
            self.require_open(plan, now)
        except Frozen as frozen:
            self._use_up(plan, used)
            said = {"why": frozen.message}
            self.ledger.record("frozen", **where(plan), detail=said, once=end_of(plan.run_id, plan.fingerprint))
            raise

    def _identify(self, answer: Answer, message: bytes, now: datetime) -> tuple[Lead, Proof] | BadProof:
        """The lead who answered with the proof of that, or why it is none."""
        lead = self.leads.find(answer.approver)
        if lead is None:
            return BadProof(self.leads.why_not(answer.approver))
        if self._wrong_codes(lead, now) >= self.terms.codes_an_hour and _looks_like_a_code(answer.proof):
            return BadProof("There were too many wrong codes for this lead; sign instead, or wait an hour.")
        try:
            return lead, verify(self.leads, lead, answer.proof, message=message, given_at=answer.given_at, now=now)
        except BadProof as bad:
            return bad

    def _wrong_codes(self, lead: Lead, now: datetime) -> int:
        """Refused proofs in this lead's name within the last hour, over all runs: guessing does not pay."""
        refused = self.ledger.facts(kind="answer-refused")
        mine = [f for f in refused if f.detail["kind"] == "proof" and self.leads.find(f.detail["name"]) == lead]
        return sum(now - fact.at < HOUR for fact in mine)

    def _objection(self, plan: Intent, question: Waiting, answer: Answer, lead: Lead, proof: Proof) -> tuple[str, str]:
        """Why a proven answer does not count: its kind and the reason, or two empty strings."""
        risk = plan.risk
        if answer.plan.strip().upper() != plan.code:
            return "form", f"The code of the plan is not {plan.code}."
        if answer.destination.strip() != plan.destination_name:
            return "form", f"The typed destination is not {plan.destination_name}."
        if len(answer.reason.strip()) < SHORTEST_REASON:
            return "form", f"The reason has fewer than {SHORTEST_REASON} characters."
        if any(self.leads.find(signer.name) == lead for signer in question.yes):
            return "person", f"{lead.name} has said yes before; somebody else must answer."
        if not risk.requester_may_approve and self.leads.find(plan.requested_by) == lead:
            return "person", f"{lead.name} asked for this; somebody else must answer."
        early = question.asked_at + timedelta(seconds=risk.cool_down)
        if answer.given_at < early:
            return "early", f"The rules let nobody approve this before {early:%H:%M:%S} UTC: look at it again."
        signed = sum(signer.proof == "signature" for signer in question.yes) + (proof.kind == "signature")
        if risk.signatures - signed > risk.people - len(question.yes) - 1:
            return "person", "This answer must be an SSH signature, not a code."
        return "", ""

    def _refuse(self, plan: Intent, name: str, kind: str, why: str, *, besides: tuple[Entry, ...] = ()) -> Waiting:
        """Record an answer that does not count, and go on asking; after too many, end the question."""
        known = self.leads.find(name)
        said = {"name": known.name if known else "", "kind": kind, "why": why}  # a stranger's words are not kept
        facts = [*besides, entry("answer-refused", plan, said)]
        if self.waiting(plan).attempts_left - (kind in COUNTED) > 0:
            self.ledger.record_together(plan.run_id, facts)
            return self.waiting(plan)
        reason = f"{self.terms.attempts} answers without valid proof; the last one: {why}"
        detail = {"approver": "The gate", "reason": reason, "proven": True}
        facts.append(entry("rejected", plan, detail, end_of(plan.run_id, plan.fingerprint)))
        self.ledger.record_together(plan.run_id, facts)
        raise Rejected(f"The gate rejected plan {plan.code}: {reason}", alert=True)

    def _accept(
        self, plan: Intent, question: Waiting, answer: Answer, lead: Lead, proof: Proof, message: bytes
    ) -> Approval | Waiting:
        said = {
            "name": lead.name, "proof": proof.kind, "decision": answer.decision, "reason": answer.reason,
            "restore": answer.restore, "given_at": answer.given_at.isoformat(), "statement": message.decode(),
        }  # fmt: skip
        if proof.signature:  # kept: it can be checked later with git and the ledger alone
            said["signature"] = proof.signature
        else:
            said["seal"] = seal(self.leads, lead, message, given_at=answer.given_at, used=proof.used)
            said["used"] = proof.used
        watched = proof.kind == "code" and may_be_production(plan)
        if watched:
            said["settles_at"] = (answer.given_at + self.terms.code_settles).isoformat()
        answered = entry("answered", plan, said, f"answered:{plan.run_id}:{plan.fingerprint}:{question.index}")
        facts = (*_used_up_by(proof), answered)
        if watched:
            self.ledger.record_together(plan.run_id, list(facts))
            return self.waiting(plan)
        return self._count(
            plan, (*question.yes, Signer(name=lead.name, proof=proof.kind, answered_at=answer.given_at)), facts
        )

    def _count(self, plan: Intent, signers: tuple[Signer, ...], facts: tuple[Entry, ...]) -> Approval | Waiting:
        """Record one more yes; with the approval, if these signers are as many as the plan demands."""
        if len(signers) < plan.risk.people:
            self.ledger.record_together(plan.run_id, list(facts))
            return self.waiting(plan)
        names = {signer.name for signer in signers}
        before = counted_answers(self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint))
        said = [fact.detail for fact in before if fact.detail["name"] in names]
        said += [each.detail for each in facts if each.kind == "answered"]
        agreed = all(each["restore"] for each in said)
        reasons = dict.fromkeys(each["reason"] for each in said)
        return record_approval(
            self.ledger,
            plan,
            kind="person",
            approver=" and ".join(signer.name for signer in signers),
            reason="; ".join(reasons),
            answered_at=max(signer.answered_at for signer in signers),
            execute_within=self.terms.execute_within,
            signers=signers,
            restore_within=self.terms.restore_within if agreed and plan.verb == "promote" else timedelta(0),
            besides=facts,
        )

    def _supersede(self, plan: Intent) -> list[ApprovalRequest]:
        """End every older question about this destination: two yeses to two plans of one place would overtake each other."""
        older = []
        for question in open_requests(self.ledger):
            if question.destination_id != plan.destination_id or question.run_id == plan.run_id:
                continue
            try:
                self.ledger.record(
                    "superseded",
                    run_id=question.run_id,
                    destination_id=question.destination_id,
                    plan=question.plan,
                    detail={"by": plan.run_id, "code": plan.code},
                    once=end_of(question.run_id, question.plan),
                )
            except AlreadyRecorded:  # answered at this very moment: then it is its lock that decides
                continue
            older.append(question)
        return older


def _signer(answered: Fact) -> Signer:
    said = answered.detail
    return Signer(name=said["name"], proof=said["proof"], answered_at=datetime.fromisoformat(said["given_at"]))


def _used_up_by(proof: Proof) -> tuple[Entry, ...]:
    return (Entry("code-used", once=proof.used),) if proof.used else ()


def _looks_like_a_code(proof: str) -> bool:
    return "".join(proof.split()).isdecimal()

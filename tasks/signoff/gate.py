"""The approval gate: who must approve a plan, by when, and whether an answer counts.

Every check is made here, on the worker, against our own ledger, because anybody who reaches Prefect's API can bypass its form.
The gate uses no clock and no Prefect; times are arguments.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tasks.estate.dumps import RISK_PHRASE
from tasks.estate.errors import Frozen, Rejected
from tasks.estate.plans import BOUND, Approval, Intent, Signer
from tasks.ledger.approval_requests import ApprovalRequest, end_of, end_request, open_requests
from tasks.ledger.facts import (
    THE_GATE,
    Answered,
    AnswerRefused,
    AnswerSettled,
    AnswerVoided,
    Asked,
    RequestExpired,
    RequestFrozen,
    RequestRejected,
    RequestSuperseded,
)
from tasks.ledger.ledger import AlreadyRecorded, Entry, Ledger
from tasks.signoff.answers import Answer, counted_answers, entry, record_approval, recorded_answer, where
from tasks.signoff.approval_recheck import signed_decision
from tasks.signoff.form_fields import destination_is_typed, phrase_is_typed
from tasks.signoff.leads import Lead, Leads
from tasks.signoff.one_time_codes import may_be_production, seal
from tasks.signoff.passkeys import CounterWentBack
from tasks.signoff.proof_use import require_counted_up, used_before, used_up_by
from tasks.signoff.proofs import BadProof, Proof, statement, verify

COUNTED = ("proof", "counter", "form")  # refused answers of these kinds use up an attempt; mistakes about people do not
HOUR = timedelta(hours=1)
SHORTEST_REASON = 5  # characters


@dataclass(frozen=True)
class Terms:
    """The gate's limits: attempts per request, wrong codes per lead and hour over all requests, and approval lifetimes.

    `code_settles`: how long an approval by code for production is watched before it takes effect.
    """

    attempts: int
    codes_an_hour: int
    execute_within: timedelta
    restore_within: timedelta
    code_settles: timedelta = timedelta(minutes=1)  # longer than a code lives after the answer: 30 s and one step


@dataclass(frozen=True)
class Settling:
    """An approval by code for production, the answer `index`, that takes effect at `at` if the code appears nowhere else."""

    index: int
    at: datetime
    signer: Signer


@dataclass(frozen=True)
class Waiting:
    """An open request after `index` answers: `yes` approved, `refused` is why the last answer did not count, and `copied` whether
    its passkey may have been copied.
    """

    index: int
    asked_at: datetime
    answer_by: datetime
    yes: tuple[Signer, ...]
    attempts_left: int
    refused: str = ""
    settling: Settling | None = None
    copied: bool = False


@dataclass(frozen=True)
class Gate:
    """The approval gate over one ledger. `require_open(plan, moment)` raises `Frozen` during a freeze window for the plan."""

    ledger: Ledger
    leads: Leads
    terms: Terms
    require_open: Callable[[Intent, datetime], None]

    def ask(
        self, plan: Intent, *, source_id: str, within: timedelta, now: datetime, parameters: str = ""
    ) -> tuple[Waiting, list[ApprovalRequest]]:
        """Open the request, or return the open one, with the older requests that it superseded.

        `parameters` is a digest of the run's parameters, kept with the request. Check `recorded_answer` for an approval first:
        this raises as it does, and `Frozen`.
        """
        superseded: list[ApprovalRequest] = []
        if not self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=Asked.KIND):
            self.require_open(plan, now)
            superseded = self._supersede(plan)
            asked = Asked(
                at=now,
                answer_by=now + within,
                verb=plan.verb,
                code=plan.code,
                source_id=source_id,
                destination=plan.destination_name,
                people=plan.risk.people,
                requested_by=plan.requested_by,
                parameters=parameters,
            )
            self.ledger.record(asked, **where(plan))
        return self.waiting(plan), superseded

    def waiting(self, plan: Intent) -> Waiting:
        """Return the open request about this plan, from the ledger."""
        request, yes, index, counted, refused, copied = None, [], 0, 0, "", False
        settling: Settling | None = None
        for fact in self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint):
            if fact.kind == Asked.KIND and request is None:  # later passes of the flow body do not move the deadline
                request = ApprovalRequest.of(fact)
            elif fact.kind == Answered.KIND:
                answered = fact.as_(Answered)
                index, refused, copied = index + 1, "", False
                if answered.settles_at:
                    settling = Settling(index - 1, answered.settles_at, _signer(answered))
                elif self.leads.find(answered.name):  # a lead who was suspended since then does not count
                    yes.append(_signer(answered))
            elif fact.kind == AnswerSettled.KIND and settling:
                yes += [settling.signer] if self.leads.find(settling.signer.name) else []
                settling = None
            elif fact.kind == AnswerVoided.KIND:
                settling, refused, copied = None, fact.as_(AnswerVoided).why, False
            elif fact.kind == AnswerRefused.KIND:
                answer = fact.as_(AnswerRefused)
                index, refused, copied = index + 1, answer.why, answer.kind == "counter"
                counted += answer.kind in COUNTED
        assert request is not None, "ask() recorded it"  # noqa: S101  # an invariant, not input
        left = self.terms.attempts - counted
        return Waiting(index, request.asked_at, request.answer_by, tuple(yes), left, refused, settling, copied)

    def _end(self, plan: Intent, ending: RequestExpired | RequestRejected, *, of: str = "") -> None:
        """End the request about this plan, or about the earlier plan `of` of the same run."""
        end_request(
            self.ledger,
            ending,
            run_id=plan.run_id,
            destination_id=plan.destination_id,
            plan=of or plan.fingerprint,
        )

    def expire(self, plan: Intent) -> Approval | None:
        """End the request because nobody answered in time. Raises `ApprovalExpired`, or as it ended before."""
        self._end(plan, RequestExpired(answer_by=self.waiting(plan).answer_by))
        return recorded_answer(self.ledger, plan)

    def unreadable(self, plan: Intent) -> Approval | Waiting:
        """Record that the run was resumed without an answer to its form. Raises `Rejected` after too many attempts."""
        why = "The run was resumed without a complete answer to this form."
        return self._unless_ended(plan, lambda: self._refuse(plan, "", "form", why))

    def evaluate(self, plan: Intent, answer: Answer, *, now: datetime) -> Approval | Waiting:
        """Evaluate one answer, and return the approval if it was the last one needed, or else the open request.

        Raises `Rejected` (by the answer, or after too many without proof), `ApprovalExpired`, `Superseded` and `Frozen`.
        """
        return self._unless_ended(plan, lambda: self._evaluate(plan, answer, now))

    def reject_changed(self, plan: Intent) -> None:
        """End every request of this run permanently: its parameters were changed after it asked. Raises `Rejected`."""
        reason = "the parameters of the run were changed in Prefect after it asked"
        asked = {fact.plan for fact in self.ledger.facts(run_id=plan.run_id, kind=Asked.KIND)}
        for each in sorted({plan.fingerprint, *asked}):
            self._end(plan, RequestRejected(approver=THE_GATE, reason=reason, proven=True), of=each)
        recorded_answer(self.ledger, plan)

    def settle(self, plan: Intent, *, moved: str, now: datetime) -> Approval | Waiting:
        """Let the watched approval by code take effect, or void it for the reason `moved`; its code stays used.

        Returns the approval if it was the last one needed, or else the open request. Raises as `evaluate`.
        """
        return self._unless_ended(plan, lambda: self._settle(plan, moved, now))

    def _settle(self, plan: Intent, moved: str, now: datetime) -> Approval | Waiting:
        waiting = self.waiting(plan)
        if waiting.settling is None:
            return waiting
        self._require_open(plan, now, ())
        settling, once = waiting.settling, f"settled:{plan.run_id}:{plan.fingerprint}:{waiting.settling.index}"
        answered = self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint, kind=Answered.KIND)[-1].as_(Answered)
        lead = self.leads.find(settling.signer.name)
        if lead is None:
            moved = self.leads.why_not(settling.signer.name)
        if moved or lead is None:
            self.ledger.record(AnswerVoided(index=settling.index, why=moved), **where(plan), once=once)
            return self.waiting(plan)
        given_at, message = settling.signer.answered_at, answered.statement.encode()
        sealed = seal(self.leads, lead, message, given_at=given_at, used=answered.used, word="settled")
        settled = entry(AnswerSettled(index=settling.index, seal=sealed), plan, once)
        return self._count(plan, (*waiting.yes, settling.signer), (settled,))

    def _unless_ended(self, plan: Intent, act: Callable[[], Approval | Waiting]) -> Approval | Waiting:
        """Run `act` unless the request has ended. An end that somebody else records meanwhile counts."""
        try:
            return recorded_answer(self.ledger, plan) or act()
        except AlreadyRecorded:
            return recorded_answer(self.ledger, plan) or self.waiting(plan)

    def _evaluate(self, plan: Intent, answer: Answer, now: datetime) -> Approval | Waiting:
        try:
            return self._decide(plan, answer, now)
        except AlreadyRecorded as taken:
            if not (why := used_before(taken)):
                raise
            return self._refuse(plan, answer.approver, "proof", why)

    def _decide(self, plan: Intent, answer: Answer, now: datetime) -> Approval | Waiting:
        waiting = self.waiting(plan)
        if waiting.settling:  # `settle` must end that answer first
            return waiting
        decided = signed_decision(answer.decision, restore=answer.restore)
        message = statement(decided, plan.fingerprint, waiting.answer_by)
        identified = self._identify(answer, message, now)
        # Prefect shows what was typed, so a code is used up even if its answer does not count.
        used = () if isinstance(identified, BadProof) else used_up_by(identified[1], answer.given_at)
        if answer.decision != "approve":
            self._reject(plan, answer, used, proven=not isinstance(identified, BadProof))
        if answer.given_at > waiting.answer_by:
            self._use_up(plan, used)
            return self.expire(plan) or waiting
        self._require_open(plan, now, used)
        if isinstance(identified, BadProof):
            kind = "counter" if isinstance(identified, CounterWentBack) else "proof"
            return self._refuse(plan, answer.approver, kind, str(identified))
        kind, why = self._objection(plan, waiting, answer, *identified)
        if why:
            return self._refuse(plan, answer.approver, kind, why, also=used)
        return self._accept(plan, waiting, answer, *identified, message)

    def _reject(self, plan: Intent, answer: Answer, used: tuple[Entry, ...], *, proven: bool) -> None:
        """Reject the plan. Anybody may: a wrong or used code must not turn a rejection into another attempt."""
        rejected = RequestRejected(approver=answer.approver, reason=answer.reason, proven=proven)
        end = end_of(plan.run_id, plan.fingerprint)
        try:
            self.ledger.record_together(plan.run_id, [*used, entry(rejected, plan, end)])
        except AlreadyRecorded:  # the code; if it is the end, it is raised again
            unproven = rejected.model_copy(update={"proven": False})
            self.ledger.record(unproven, **where(plan), once=end)
        recorded_answer(self.ledger, plan)

    def _use_up(self, plan: Intent, used: tuple[Entry, ...]) -> None:
        with suppress(AlreadyRecorded):
            self.ledger.record_together(plan.run_id, used)

    def _require_open(self, plan: Intent, now: datetime, used: tuple[Entry, ...]) -> None:
        try:
            self.require_open(plan, now)
        except Frozen as frozen:
            self._use_up(plan, used)
            end = end_of(plan.run_id, plan.fingerprint)
            self.ledger.record(RequestFrozen(why=frozen.message), **where(plan), once=end)
            raise

    def _identify(self, answer: Answer, message: bytes, now: datetime) -> tuple[Lead, Proof] | BadProof:
        """Return the lead who answered and the proof, or why the answer proves nothing."""
        lead = self.leads.find(answer.approver)
        if not answer.approver.strip() or not answer.proof.strip():
            return BadProof("An approval needs a name and a proof; one of them is missing.")
        if lead is None:
            return BadProof(self.leads.why_not(answer.approver))
        if self._wrong_codes(lead, now) >= self.terms.codes_an_hour and _looks_like_a_code(answer.proof):
            return BadProof("There were too many wrong codes for this lead; sign instead, or wait an hour.")
        try:
            proof = verify(self.leads, lead, answer.proof, message=message, given_at=answer.given_at, now=now)
            require_counted_up(self.ledger, proof, answer.given_at)
            return lead, proof
        except BadProof as bad:
            return bad

    def _wrong_codes(self, lead: Lead, now: datetime) -> int:
        """Count the refused proofs in this lead's name within the last hour, over all runs, so that guessing is limited."""
        recent = [fact for fact in self.ledger.facts(kind=AnswerRefused.KIND) if now - fact.at < HOUR]
        refused = [fact.as_(AnswerRefused) for fact in recent]
        return sum(answer.kind == "proof" and self.leads.find(answer.name) == lead for answer in refused)

    def _objection(self, plan: Intent, waiting: Waiting, answer: Answer, lead: Lead, proof: Proof) -> tuple[str, str]:
        """Return why a proven answer does not count, as its kind and the reason; two empty strings if it counts."""
        risk = plan.risk
        if answer.plan.strip().upper() != plan.code:
            return "form", f"The code of the plan is not {plan.code}."
        typed = answer.destination.strip()
        if not typed and destination_is_typed(plan):
            return "form", f"The name of what is overwritten was not typed; expected {plan.destination_name}."
        if typed not in ("", plan.destination_name):
            return "form", f"The typed destination is not {plan.destination_name}."
        if phrase_is_typed(plan) and answer.phrase != RISK_PHRASE:
            return "form", f"The risk phrase was not typed exactly; expected {RISK_PHRASE}."
        if len(answer.reason.strip()) < SHORTEST_REASON:
            return "form", f"The reason has fewer than {SHORTEST_REASON} characters."
        if any(self.leads.find(signer.name) == lead for signer in waiting.yes):
            return "person", f"{lead.name} has approved before; somebody else must answer."
        if not risk.requester_may_approve and self.leads.find(plan.requested_by) == lead:
            return "person", f"{lead.name} requested this; somebody else must answer."
        early = waiting.asked_at + timedelta(seconds=risk.cool_down)
        if answer.given_at < early:
            return "early", f"The rules allow no approval before {early:%H:%M:%S} UTC: check the plan again."
        signed = sum(signer.proof in BOUND for signer in waiting.yes) + (proof.kind in BOUND)
        if risk.signatures - signed > risk.people - len(waiting.yes) - 1:
            return "person", "This answer must be made with a passkey or an SSH key, not with a code."
        return "", ""

    def _refuse(self, plan: Intent, name: str, kind: str, why: str, *, also: tuple[Entry, ...] = ()) -> Waiting:
        """Record an answer that does not count. Raises `Rejected`, and ends the request, after too many."""
        known = self.leads.find(name)
        refused = AnswerRefused(name=known.name if known else "", kind=kind, why=why)  # a stranger's text is not kept
        facts = [*also, entry(refused, plan)]
        if self.waiting(plan).attempts_left - (kind in COUNTED) > 0:
            self.ledger.record_together(plan.run_id, facts)
            return self.waiting(plan)
        reason = f"{self.terms.attempts} answers without valid proof; the last one: {why}"
        rejected = RequestRejected(approver=THE_GATE, reason=reason, proven=True)
        facts.append(entry(rejected, plan, end_of(plan.run_id, plan.fingerprint)))
        self.ledger.record_together(plan.run_id, facts)
        raise Rejected(f"The gate rejected plan {plan.code}: {reason}", alert=True)

    def _accept(
        self, plan: Intent, waiting: Waiting, answer: Answer, lead: Lead, proof: Proof, message: bytes
    ) -> Approval | Waiting:
        given: dict[str, Any] = {
            "name": lead.name, "proof": proof.kind, "decision": answer.decision, "reason": answer.reason,
            "restore": answer.restore, "given_at": answer.given_at, "statement": message.decode(),
        }  # fmt: skip
        if proof.signature:  # kept, so that it can be checked later with git and the ledger alone
            given["signature"] = proof.signature
        else:
            given["seal"] = seal(self.leads, lead, message, given_at=answer.given_at, used=proof.used)
            given["used"] = proof.used
        watched = proof.kind == "code" and may_be_production(plan)
        if watched:
            given["settles_at"] = answer.given_at + self.terms.code_settles
        answered = Answered(**given)
        once = f"answered:{plan.run_id}:{plan.fingerprint}:{waiting.index}"
        facts = (*used_up_by(proof, answer.given_at), entry(answered, plan, once))
        if watched:
            self.ledger.record_together(plan.run_id, facts)
            return self.waiting(plan)
        return self._count(plan, (*waiting.yes, _signer(answered)), facts, answered)

    def _count(
        self, plan: Intent, signers: tuple[Signer, ...], facts: tuple[Entry, ...], *new: Answered
    ) -> Approval | Waiting:
        """Record one more person's approval, and the approval of the plan if it has as many signers as it demands."""
        if len(signers) < plan.risk.people:
            self.ledger.record_together(plan.run_id, facts)
            return self.waiting(plan)
        names = {signer.name for signer in signers}
        before = counted_answers(self.ledger.facts(run_id=plan.run_id, plan=plan.fingerprint))
        answers = [*(answer for answer in before if answer.name in names), *new]
        agreed = all(answer.restore for answer in answers)
        reasons = dict.fromkeys(answer.reason for answer in answers)
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
            also=facts,
        )

    def _supersede(self, plan: Intent) -> list[ApprovalRequest]:
        """End every older request about this destination, because two approved plans for it would overtake each other.

        A request that was answered a moment ago stays open; then the lock decides which run continues.
        """
        ending = RequestSuperseded(by=plan.run_id, code=plan.code)
        return [
            older
            for older in open_requests(self.ledger)
            if older.destination_id == plan.destination_id
            and older.run_id != plan.run_id
            and end_request(
                self.ledger, ending, run_id=older.run_id, destination_id=older.destination_id, plan=older.plan
            )
        ]


def _signer(answered: Answered) -> Signer:
    return Signer(name=answered.name, proof=answered.proof, answered_at=answered.given_at)


def _looks_like_a_code(proof: str) -> bool:
    return "".join(proof.split()).isdecimal()

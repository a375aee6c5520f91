"""Facts by kind: one type for each kind of fact, with what its detail holds. The only place that reads stored details.

A fact is never rewritten, so old shapes stay: a field that version 0.1 did not record has a default here, and an unknown field
of a newer version is ignored. Only the fields that are given are stored, under the names that they have here.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from tasks.estate import errors
from tasks.estate.dumps import DumpFacts
from tasks.estate.pictures import PicturePair
from tasks.estate.plans import Approval, Backup, Baseline, Evidence, Plan, ProofKind, Report
from tasks.estate.recipes import StepDone as CopyStepDone
from tasks.estate.risks import Risk

Moment = Annotated[datetime, PlainSerializer(datetime.isoformat)]  # UTC
THE_GATE = "The gate"  # the approver of a rejection that no person made


class Recorded(BaseModel):
    """Base of all facts by kind. `WHOLE` names the one field that takes the detail as a whole, if the kind has such a field."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    KIND: ClassVar[str]
    WHOLE: ClassVar[str] = ""

    @classmethod
    def read(cls, detail: dict[str, Any]) -> Self:
        """Return the fact with this stored detail. Raises pydantic's `ValidationError`."""
        return cls.model_validate({cls.WHOLE: detail} if cls.WHOLE else detail)

    def stored(self) -> dict[str, Any]:
        """Return the detail as it is stored."""
        if self.WHOLE:
            whole: BaseModel = getattr(self, self.WHOLE)
            return whole.model_dump(mode="json")
        unset = type(self).model_fields.keys() - self.model_fields_set  # of this fact, not of the models in it
        return self.model_dump(mode="json", by_alias=True, exclude=unset)


# Plans


class Planned(Recorded):
    """A run drafted the plan of a copy or restore."""

    KIND = "planned"
    WHOLE = "draft"
    draft: Plan


class LoadPlanned(Recorded):
    """A run drafted the plan of a load; `dump` is the name of its file."""

    KIND = "planned-load"
    dump: str = ""
    sha256: str = ""
    code: str = ""
    hostname: str = ""
    verb: str = "load_dump"
    requested_by: str = ""
    risk: Risk | None = None
    overrides: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()


PLANNED = (Planned.KIND, LoadPlanned.KIND)


class Pictured(Recorded):
    """Pictures of both sides of a plan were taken; without them, `why` is the reason."""

    KIND = "pictured"
    pairs: tuple[PicturePair, ...] = ()
    why: str = ""


# Approval requests and their answers


class Asked(Recorded):
    """An approval request was put to people. `parameters` is a digest of the run's parameters; 0.1 recorded only `at` at first."""

    KIND = "asked"
    at: Moment | None = None
    answer_by: Moment | None = None
    verb: str = ""
    code: str = ""
    source_id: str = ""
    destination: str = ""
    people: int = 1
    requested_by: str = ""
    parameters: str | None = None


class Answered(Recorded):
    """A person approved: proven by `signature` (that of an SSH key, or the answer of a passkey), or by `seal` and the key of the
    `used` code, over `statement`.
    """

    KIND = "answered"
    name: str
    proof: ProofKind
    decision: str
    reason: str
    restore: bool
    given_at: Moment
    statement: str
    signature: str = ""
    seal: str | None = None
    used: str = ""
    settles_at: Moment | None = None


class AnswerRefused(Recorded):
    """An answer did not count. `name` is "" for somebody who is not enrolled; `kind`: proof, counter, form, person or early."""

    KIND = "answer-refused"
    name: str = ""
    kind: str = ""
    why: str = ""


class AnswerSettled(Recorded):
    """The approval by code with this index took effect."""

    KIND = "answer-settled"
    index: int
    seal: str = ""


class AnswerVoided(Recorded):
    """The approval by code with this index was voided before it took effect."""

    KIND = "answer-void"
    index: int
    why: str = ""


class Reminded(Recorded):
    """People were reminded after `share` percent of the time to answer."""

    KIND = "reminded"
    share: int = 0


class Ending(Recorded):
    """Base of the facts in which an approval request ends: it ends in exactly one."""

    def error(self, code: str) -> errors.NotApproved | errors.Frozen | None:
        """Return the error with which the run of plan `code` ends, None if the plan was approved."""
        return None


class Approved(Ending):
    """A plan was approved."""

    KIND = "approved"
    WHOLE = "approval"
    approval: Approval


class RequestRejected(Ending):
    """Somebody rejected the plan, or the gate did (`THE_GATE`). 0.1 did not record at first whether that was `proven`."""

    KIND = "rejected"
    approver: str
    reason: str = ""
    proven: bool = False

    def error(self, code: str) -> errors.Rejected:
        """Return `Rejected`."""
        who = self.approver if self.proven else f"{self.approver} (not proven)"
        return errors.Rejected(f"{who} rejected plan {code}: {self.reason}")


class RequestExpired(Ending):
    """Nobody answered in time, or nobody could because of `why`."""

    KIND = "expired"
    answer_by: Moment
    why: str = ""

    def error(self, code: str) -> errors.ApprovalExpired:
        """Return `ApprovalExpired`."""
        why = self.why or "nobody answered in time"
        return errors.ApprovalExpired(
            f"Plan {code} could be approved until {self.answer_by:%Y-%m-%d %H:%M} UTC: {why}."
        )


class RequestSuperseded(Ending):
    """A newer plan for the same destination, `code` of run `by`, replaced the plan."""

    KIND = "superseded"
    by: str
    code: str

    def error(self, code: str) -> errors.Superseded:
        """Return `Superseded`."""
        return errors.Superseded(f"Plan {code} was replaced by the newer plan {self.code} of run {self.by}.")


class RequestFrozen(Ending):
    """A freeze window began before the plan was approved."""

    KIND = "frozen"
    why: str

    def error(self, code: str) -> errors.Frozen:
        """Return `Frozen`."""
        return errors.Frozen(self.why)


class RequestLost(Ending):
    """The run ended or was deleted while its request was open."""

    KIND = "lost"
    answer_by: Moment | None = None
    why: str

    def error(self, code: str) -> errors.RunLost:
        """Return `RunLost`."""
        return errors.RunLost(f"Plan {code} cannot be approved any more: {self.why}.")


ENDINGS: dict[str, type[Ending]] = {
    each.KIND: each
    for each in (Approved, RequestRejected, RequestExpired, RequestSuperseded, RequestFrozen, RequestLost)
}
ENDS = tuple(ENDINGS)


class CodeUsed(Recorded):
    """A one-time code was used up; the fact's `once` is the code's key."""

    KIND = "code-used"


class PasskeyUsed(Recorded):
    """A passkey was used whose authenticator counts; the fact's `once` names both. `given_at`: when the answer reached Prefect."""

    KIND = "passkey-used"
    credential: str
    counter: int
    given_at: Moment


class StandingUsed(Recorded):
    """A standing approval was used for its pair, once in that night."""

    KIND = "standing-used"
    pair: str = ""


class PreauthorisationUsed(Recorded):
    """The permission to undo a failed promotion was used; the fact's `once` names the promotion."""

    KIND = "pre-authorisation-used"


# The journal of destructive calls


class Consumed(Recorded):
    """An approval was used up, in the transaction that recorded `Sending`."""

    KIND = "consumed"
    approval: str = ""


class Sending(Recorded):
    """A destructive call is about to be made: `baseline` of a copy or restore, the file's name `dump` of a load."""

    KIND = "sending"
    baseline: Baseline | None = None
    dump: str = ""

    @property
    def before(self) -> Baseline:
        """The baseline of a copy or restore. Raises `LedgerBroken` if the fact contains no baseline."""
        if self.baseline is None:
            raise errors.LedgerBroken(
                "The ledger contains no baseline of the call; expected that of a copy or restore."
            )
        return self.baseline


class Sent(Recorded):
    """The call was accepted: by the host, or by the commit of the load."""

    KIND = "sent"


class SendUnanswered(Recorded):
    """The answer to the call was lost."""

    KIND = "send-unanswered"
    why: str = ""


class SendRefused(Recorded):
    """The call changed nothing: the host refused it, or the load was rolled back."""

    KIND = "send-refused"
    why: str = ""


class Settled(Recorded):
    """The call has ended. `how` that is known; the other fields are there if a lead settled it, in run `asked_by` or at a terminal."""

    KIND = "settled"
    how: str = ""
    approver: str = ""
    words: str = ""
    proof: str = ""
    statement: str = ""
    asked_by: str = ""
    signature: str = ""


JOURNAL_ENDS = (Settled.KIND, SendRefused.KIND)  # after one of these a journaled call no longer holds its destination


class SettleAsked(Recorded):
    """A run asked for the result of the call of run `call`."""

    KIND = "settle-asked"
    answer_by: Moment
    call: str = ""
    parameters: str = ""


class SettleRefused(Recorded):
    """An answer to `settle-asked` did not count. `name` is "" for somebody who is not enrolled."""

    KIND = "settle-refused"
    attempt: int = 0
    why: str = ""
    name: str = ""


class SettleAnswered(Recorded):
    """A lead settled the call of run `call` in the form of this run."""

    KIND = "settle-told"
    call: str = ""
    approver: str = ""


class ArrivalAsked(Recorded):
    """A run asked whether its copy arrived. 0.1 did not record the digest of its `parameters` at first."""

    KIND = "arrival-asked"
    answer_by: Moment
    parameters: str = ""


class ArrivalRefused(Recorded):
    """An answer to `arrival-asked` did not count."""

    KIND = "arrival-refused"
    why: str = ""


class ArrivalAnswered(Recorded):
    """A person reported the host's `email`: completed or failed. 0.1 asked for no `proof` at first."""

    KIND = "arrival-told"
    email: str
    approver: str = ""
    words: str = ""
    proof: str = ""


class StepsBegun(Recorded):
    """The copy arrived, with this evidence, and the steps after it began. They change the site, so that it is not read again."""

    KIND = "after-copy-begun"
    WHOLE = "evidence"
    evidence: Evidence


class StepTaken(Recorded):
    """A step after a copy ended. `calls`: how many destructive calls onto the install the ledger had then."""

    KIND = "after-copy-step"
    done: CopyStepDone
    calls: int = 0


# Locks, backups, holds, leads


class LockTakenOver(Recorded):
    """A run took the lock of `from_run`, which is over."""

    KIND = "lock-taken-over"
    from_run: str = Field(default="", validation_alias="from", serialization_alias="from")


class LockReleased(Recorded):
    """The sweep released a lock."""

    KIND = "lock-released"
    why: str = ""


class BackupRequested(Recorded):
    """A run asked the host for a backup."""

    KIND = "backup-requested"
    backup: str = ""
    why: str = ""


class BackupRenewed(Recorded):
    """A run made a second backup, because it waited long for its approval. `restore` puts this one back."""

    KIND = "backup-renewed"
    WHOLE = "backup"
    backup: Backup


class HoldPlaced(Recorded):
    """Somebody holds a destination. `release` is the SHA-256 of a word that ends it; 0.1 had none at first."""

    KIND = "hold"
    destination: str
    until: Moment
    by: str
    reason: str
    release: str = ""


class HoldEndAsked(Recorded):
    """A run asked for the proof that somebody may end a hold."""

    KIND = "hold-end-asked"
    answer_by: Moment
    parameters: str = ""


class HoldEnded(Recorded):
    """Somebody ended the hold with this number. 0.1 asked for no `proof` at first."""

    KIND = "hold-ended"
    hold: int
    by: str = ""
    proof: str = ""


class LeadsChecked(Recorded):
    """The leads were compared with the users of the hosting accounts."""

    KIND = "leads-checked"
    leads: int = 0
    accounts: int = 0


class LeadsUnchecked(Recorded):
    """People were notified that the leads could not be compared."""

    KIND = "leads-unchecked"


class LeadSuspended(Recorded):
    """A lead may not answer; `why` continues the name."""

    KIND = "lead-suspended"
    name: str = ""
    why: str = ""


class LeadRestored(Recorded):
    """A suspended lead may answer again."""

    KIND = "lead-restored"
    name: str = ""


# Runs, dumps and the sweep


class StepDone(Recorded):
    """A step above the approval gate ended with this result, which later passes of the run read."""

    KIND = "step"
    step: str = ""
    result: Any = None


class Reported(Recorded):
    """A run ended: a whole `Report`, of which readers need only these fields, so that reports of other versions are read."""

    model_config = ConfigDict(extra="allow")
    KIND = "outcome"
    outcome: str = ""
    verb: str = ""

    @classmethod
    def of(cls, report: Report) -> Self:
        """Return the fact that records this report."""
        return cls.read(report.model_dump(mode="json"))


class RestoreStarted(Recorded):
    """A failed promotion started the restore that its approval allowed."""

    KIND = "restore-started"


class Exported(Recorded):
    """A run wrote a dump."""

    KIND = "exported"
    WHOLE = "facts"
    facts: DumpFacts


class Leaked(Recorded):
    """A load found personal data in the dump with this file name and digest."""

    KIND = "leaked"
    dump: str = ""
    digest: str = ""


class NoticeSent(Recorded):
    """A notice was sent to `sent` places; `failed` did not take it. `kind` is that of the notice."""

    KIND = "notice"
    kind: str = ""
    subject: str = ""
    sent: int = 0
    failed: int = 0


class StateCorrected(Recorded):
    """The sweep set a run's state back to its outcome."""

    KIND = "state-corrected"
    was: str | None = None
    outcome: str = Field(default="", validation_alias="is", serialization_alias="is")


class StuckReported(Recorded):
    """People were notified that something about a run is stuck."""

    KIND = "stuck"
    what: str = ""


class FindingReported(Recorded):
    """People were notified of a finding that is not about a run."""

    KIND = "finding"
    what: str = ""


class BrokenReported(Recorded):
    """People were notified that the ledger's past was changed."""

    KIND = "ledger-broken"
    problems: tuple[str, ...] = ()


class DigestSent(Recorded):
    """The digest of the day was sent."""

    KIND = "digest"


def _kinds(of: type[Recorded]) -> dict[str, type[Recorded]]:
    """Return every type below this one by its kind."""
    found: dict[str, type[Recorded]] = {}
    for each in of.__subclasses__():
        found |= {each.KIND: each} if "KIND" in each.__dict__ else _kinds(each)
    return found


KINDS = _kinds(Recorded)

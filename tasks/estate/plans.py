"""Plans, approvals, receipts, evidence, findings and reports of a run."""

import hashlib
import json
import re
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from tasks.estate.errors import Misconfigured
from tasks.estate.recipes import PlannedSteps, StepDone
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction, Immutable, Pair, Survey

PLAN_SCHEMA = 2  # part of the fingerprint: an approval under other rules is not valid under these
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter looks like a digit or another letter
ONE_PERSON = Risk(grade=Grade.YELLOW, reasons=())


class Severity(StrEnum):
    """The weight of a finding or difference: `block` stops, `warn` is shown to the approver, `info` is context."""

    BLOCK = "block"
    WARN = "warn"
    INFO = "info"
    UNKNOWN = "unknown"  # could not be checked; never shown as "ok"


class Difference(Immutable):
    """One line of the comparison of two installs."""

    aspect: str
    source: str
    destination: str
    severity: Severity
    note: str = ""


class Finding(Immutable):
    """One result of a check. `passed=None` means that it could not be checked."""

    check: str
    passed: bool | None
    severity: Severity
    detail: str
    action: str = ""


class CopyOptions(Immutable):
    """What is copied. `tables` limits the copy of the database (rule of the hosting API: only with the database)."""

    files: bool = True
    database: bool = True
    tables: tuple[str, ...] = ()

    @classmethod
    def chosen(cls, *, files: bool, database: bool, tables: list[str]) -> "CopyOptions":
        """Return the options of a form, tables sorted and unique. Raise `Misconfigured` if they contradict each other."""
        if not files and not database:
            raise Misconfigured("Neither files nor the database are selected; expected at least one of them.")
        if tables and not database:
            raise Misconfigured(
                "Tables are listed, but the database is not selected; expected no tables, or the database."
            )
        wrong = [table for table in tables if not re.fullmatch(r"[A-Za-z0-9_$]{1,64}", table)]
        if wrong:
            raise Misconfigured(
                f"{wrong[0][:64]!r} is not the name of a database table ({len(wrong)} such entries); expected letters, digits, "
                "_ and $."
            )
        return cls(files=files, database=database, tables=tuple(sorted(set(tables))))


class Comparison(Immutable):
    """Two surveys, their differences, and what the destination would lose."""

    source: Survey
    destination: Survey
    differences: tuple[Difference, ...]
    losses: tuple[str, ...]
    destination_is_newer: bool | None
    files_are_newer: bool | None = None  # of the destination, by the versions in public asset URLs; None: not known


class Backup(Immutable):
    """A completed backup of one install, made by this run. Times are UTC."""

    id: str
    install_id: str
    install_name: str
    requested_at: datetime
    completed_at: datetime | None = None


class Intent(Protocol):
    """What the approval gate reads from any plan."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical plan."""

    @property
    def code(self) -> str:
        """The plan code: the first digits of the fingerprint."""

    @property
    def run_id(self) -> str:
        """The run that made it."""

    @property
    def destination_id(self) -> str:
        """The id of what is overwritten, as in the ledger."""

    @property
    def destination_name(self) -> str:
        """The name of what is overwritten, as a person types it."""

    @property
    def destination_environment(self) -> str:
        """The role of what is overwritten: production, staging, development or unknown."""

    @property
    def verb(self) -> str:
        """The action: the name of the flow."""

    @property
    def risk(self) -> Risk:
        """Its risk class, with what the approval requires."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """What it overrides, shown to the approver: `freeze:<name>`, `hold:<seq>`."""

    @property
    def requested_by(self) -> str:
        """The name that the requester typed."""


def code_of(fingerprint: str) -> str:
    """Return the plan code: the first 40 bits, like `7K3F-92QD`, in Crockford's base 32."""
    bits = int(fingerprint[:10], 16)
    letters = "".join(ALPHABET[bits >> shift & 31] for shift in range(35, -1, -5))
    return f"{letters[:4]}-{letters[4:]}"


class Fingerprinted(Immutable):
    """A plan that is identified by its content: any change makes another plan."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical plan: sorted keys, UTF-8, no floats."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def code(self) -> str:
        """The plan code."""
        return code_of(self.fingerprint)


class Plan(Fingerprinted):
    """The plan of one destructive call, fixed before a person sees it. `fingerprint` identifies exactly this plan."""

    verb: Literal["refresh", "provision", "promote", "restore"]
    direction: Direction
    pair: Pair
    options: CopyOptions
    backup: Backup
    restore_backup_id: str | None = None  # restore only: the backup to restore
    generation: int  # number of destructive calls in the ledger for either install when the plan was made
    pinned: dict[str, str]  # facts that must not have changed when the call is made
    risk: Risk = ONE_PERSON
    overrides: tuple[str, ...] = ()
    code_version: str = ""  # of the code that made the plan
    break_glass: str = ""  # reason for a copy during a freeze window
    shown: str = ""  # SHA-256 of the comparison that was shown
    requested_by: str = ""
    run_id: str
    after_copy: PlannedSteps | None = None  # None: nothing inside of the destination is changed after the copy
    schema_version: int = PLAN_SCHEMA

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical plan. A plan without steps after the copy has the fingerprint that it had before them."""
        return fingerprint(self.model_dump(mode="json", exclude=None if self.after_copy else {"after_copy"}))

    @property
    def destination_id(self) -> str:
        """The id of the install that is overwritten."""
        return self.pair.destination.id

    @property
    def destination_name(self) -> str:
        """The name of the install that is overwritten."""
        return self.pair.destination.name

    @property
    def destination_environment(self) -> str:
        """The role of that install when the plan was made."""
        return self.pair.destination.environment.value


ProofKind = Literal["code", "signature", "passkey"]
# Proofs of one decision on one plan. A code proves a person and a moment, and can be typed under another plan.
BOUND: tuple[ProofKind, ...] = ("signature", "passkey")


class Signer(Immutable):
    """One approver with the kind of proof."""

    name: str
    proof: ProofKind
    answered_at: datetime


class Approval(Immutable):
    """The approval of one plan, valid once. Times are UTC.

    `kind`: "person" (everybody in `signers` approved), "standing" (a reviewed, signed entry), or "pre-authorised" (a restore
    that the promotion's approval allowed). `restore_within`: seconds after a failed verification in which a restore needs no
    new approval; 0: always needs one.
    """

    id: str
    plan: str
    run_id: str
    kind: Literal["person", "standing", "pre-authorised"]
    approver: str
    reason: str
    answered_at: datetime
    execute_by: datetime
    signers: tuple[Signer, ...] = ()
    restore_within: int = 0


class Receipt(Immutable):
    """A destructive call that was sent: `accepted` (202) or `unknown` (no answer). Times are UTC."""

    plan: str
    sent_at: datetime
    answer: Literal["accepted", "unknown"]
    recalled: bool = False  # read from the ledger: this process did not receive the answer
    baseline: "Baseline"


class Baseline(Immutable):
    """The state before the call. A signal counts only as a change from this state."""

    backup_ids: tuple[str, ...] | None
    server_time: datetime  # the host's clock (Date header), with which its measurements are compared
    source: Survey
    destination: Survey


class Verdict(StrEnum):
    """How strongly the arrival of a copy is proven."""

    CONFIRMED = "confirmed"
    UNCHANGED = "unchanged"  # nothing differed before the call, nothing differs now, and the host has finished
    PROBABLE = "probable"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"


class Signal(Immutable):
    """One signal of arrival. `rank` 1 is the strongest; 0 is a person who read the host's e-mail."""

    rank: int
    name: str
    seen: bool
    detail: str
    observed_at: datetime


class Diagnosis(Immutable):
    """The findings about one install, and the comparison with a second one if requested."""

    findings: tuple[Finding, ...]
    comparison: Comparison | None = None


class Evidence(Immutable):
    """All signals, used or not, and the verdict."""

    verdict: Verdict
    signals: tuple[Signal, ...]
    took_seconds: int


class Report(Immutable):
    """The report of a run."""

    verb: str
    outcome: str
    source: str
    destination: str
    run_id: str
    plan_code: str = ""
    backup_id: str = ""
    requested_by: str = ""
    risk: str = ""
    approver: str = ""
    reason: str = ""
    evidence: Evidence | None = None
    findings: tuple[Finding, ...] = ()
    after_copy: tuple[StepDone, ...] = ()
    message: str = ""
    next_step: str = ""


def fingerprint(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON value in canonical form. Lists keep their order."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


Receipt.model_rebuild()

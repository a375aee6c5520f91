"""Plans, answers, receipts, evidence and findings: what a run intends, was allowed, did and saw."""

import hashlib
import json
import re
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from tasks.estate.errors import Misconfigured
from tasks.estate.risks import Grade, Risk
from tasks.estate.sites import Direction, Immutable, Pair, Survey

PLAN_SCHEMA = 2  # part of the fingerprint: an approval given under other rules is not an approval under these
ALPHABET = (
    "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter that reads like a digit or another letter
)
ONE_PERSON = Risk(grade=Grade.YELLOW, reasons=())


class Severity(StrEnum):
    """How much a finding or difference matters: `block` stops, `warn` is shown to the approver, `info` is context."""

    BLOCK = "block"
    WARN = "warn"
    INFO = "info"
    UNKNOWN = "unknown"  # could not be checked; never reads as "ok"


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
    """What travels. `tables` is an include-list and goes with the database only (rule of the hosting API)."""

    files: bool = True
    database: bool = True
    tables: tuple[str, ...] = ()

    @classmethod
    def chosen(cls, *, files: bool, database: bool, tables: list[str]) -> "CopyOptions":
        """The options of a form, tables sorted and without repeats. Raises `Misconfigured` where they contradict."""
        if not files and not database:
            raise Misconfigured("Neither files nor the database are to be copied; expected at least one of them.")
        if tables and not database:
            raise Misconfigured(
                "Tables are listed but the database is not to be copied; expected no tables, or the database."
            )
        wrong = [table for table in tables if not re.fullmatch(r"[A-Za-z0-9_$]{1,64}", table)]
        if wrong:
            raise Misconfigured(
                f"{len(wrong)} table name(s) are not names of database tables, the first is {wrong[0][:64]!r}."
            )
        return cls(files=files, database=database, tables=tuple(sorted(set(tables))))


class Comparison(Immutable):
    """Two surveys side by side, the differences, and what the destination would lose."""

    source: Survey
    destination: Survey
    differences: tuple[Difference, ...]
    losses: tuple[str, ...]
    destination_is_newer: bool | None
    files_are_newer: bool | None = None  # of the destination, by the versions in public asset URLs; None = not told


class Backup(Immutable):
    """A completed backup of one install, made by this run. Times are UTC."""

    id: str
    install_id: str
    install_name: str
    requested_at: datetime
    completed_at: datetime | None = None


class Intent(Protocol):
    """What the gate needs to know of any plan: which it is, whose run's, and what it would overwrite."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical plan."""

    @property
    def code(self) -> str:
        """The fingerprint's beginning, for people."""

    @property
    def run_id(self) -> str:
        """The run that drafted it."""

    @property
    def destination_id(self) -> str:
        """What is overwritten, as the ledger names it."""

    @property
    def destination_name(self) -> str:
        """What is overwritten, as a person types it."""

    @property
    def destination_environment(self) -> str:
        """The role of what is overwritten: production, staging, development or unknown."""

    @property
    def verb(self) -> str:
        """What the run does."""

    @property
    def risk(self) -> Risk:
        """How dangerous it is, and what its gate demands."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """What stands against it and is shown to whoever approves: freezes and holds, as `freeze:<name>`, `hold:<seq>`."""

    @property
    def requested_by(self) -> str:
        """Who asked for it, as claimed."""


class Fingerprinted(Immutable):
    """A plan that is named by what it says: any change of it is another plan."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical plan (sorted keys, UTF-8, no floats), hexadecimal."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def code(self) -> str:
        """The first 40 bits for people, like `7K3F-92QD`: Crockford's base 32."""
        bits = int(self.fingerprint[:10], 16)
        letters = "".join(ALPHABET[bits >> shift & 31] for shift in range(35, -1, -5))
        return f"{letters[:4]}-{letters[4:]}"


class Plan(Fingerprinted):
    """The whole intent of one destructive call. Frozen before a person sees it; `fingerprint` names exactly this plan."""

    verb: Literal["refresh", "provision", "promote", "restore"]
    direction: Direction
    pair: Pair
    options: CopyOptions
    backup: Backup
    restore_backup_id: str | None = None  # restore only: what is put back
    generation: int  # ledger: number of destructive calls ever journaled for either install when the plan was drafted
    pinned: dict[str, str]  # facts of the world that must not have changed when the call is made
    risk: Risk = ONE_PERSON
    overrides: tuple[str, ...] = ()
    code_version: str = ""  # of the code that drafted it
    break_glass: str = ""  # why it may be done during a freeze
    shown: str = ""  # SHA-256 of the comparison that people saw
    requested_by: str = ""
    run_id: str
    schema_version: int = PLAN_SCHEMA

    @property
    def destination_id(self) -> str:
        """The install that is overwritten, as the ledger names it."""
        return self.pair.destination.id

    @property
    def destination_name(self) -> str:
        """The install that is overwritten, as a person types it."""
        return self.pair.destination.name

    @property
    def destination_environment(self) -> str:
        """Its role, as the host named it when the plan was drafted."""
        return self.pair.destination.environment.value


class Signer(Immutable):
    """One person who said yes, and how they proved who they are."""

    name: str
    proof: Literal["code", "signature"]
    answered_at: datetime


class Approval(Immutable):
    """Leave for one plan, once. Times are UTC.

    `kind`: "person" (everybody in `signers` said yes), "standing" (a reviewed, signed entry), or "pre-authorised" (a restore
    that the promotion's approval allowed). `restore_within`: seconds in which a failed verification may be undone without
    asking again; 0 = not at all.
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
    """What is known of a destructive call that left: `accepted` (202 seen) or `unknown` (no answer seen). UTC."""

    plan: str
    sent_at: datetime
    answer: Literal["accepted", "unknown"]
    recalled: bool = False  # read from the ledger by a later process instead of sent by this one
    baseline: "Baseline"


class Baseline(Immutable):
    """What the world looked like before the call: a signal counts only against this."""

    backup_ids: tuple[str, ...] | None
    server_time: datetime  # the host's own clock (Date header): measurements are compared with it, not with ours
    source: Survey
    destination: Survey


class Verdict(StrEnum):
    """How well the arrival of a copy is proven."""

    CONFIRMED = "confirmed"
    UNCHANGED = "unchanged"  # nothing differed before the call and nothing differs now, and the host has had its time
    PROBABLE = "probable"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"


class Signal(Immutable):
    """One reading of the evidence ladder; `rank` 1 is the strongest, 0 is a person with the host's e-mail."""

    rank: int
    name: str
    seen: bool
    detail: str
    observed_at: datetime


class Diagnosis(Immutable):
    """What a read-only look at one install found, and the comparison with a second one where asked."""

    findings: tuple[Finding, ...]
    comparison: Comparison | None = None


class Evidence(Immutable):
    """Every signal with value and time, used or not, and the verdict drawn from them."""

    verdict: Verdict
    signals: tuple[Signal, ...]
    took_seconds: int


class Report(Immutable):
    """What we tell: every run ends in exactly one of these."""

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
    message: str = ""
    next_step: str = ""


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of a JSON value in canonical form. Lists of tables are sorted by their owners, not here."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


Receipt.model_rebuild()

"""The contents of a dump except its rows, the choices for an export or load, and the plan of a load."""

from datetime import datetime
from enum import StrEnum

from pydantic.dataclasses import dataclass

from tasks.estate.errors import Misconfigured, RiskNotAccepted
from tasks.estate.planning_faults import Fault
from tasks.estate.plans import ONE_PERSON, Fingerprinted
from tasks.estate.risks import Risk
from tasks.estate.schema import STRICT, Column, DatabaseIdentity, Name
from tasks.estate.sites import Immutable

FORMAT = "understudy-dump"
FORMAT_VERSION = 2  # of the file's layout; a reader refuses a newer one
RISK_PHRASE = "I_UNDERSTAND_THE_PII_RISK"  # typed by a person who switches an anonymizer off; must match exactly
SUFFIXES = {"gzip": ".json.gz", "zstd": ".json.zst", "none": ".json"}

NOT_CHECKED = "its proof has not been checked"  # also the value for facts that version 0.1 recorded


class Anonymizer(StrEnum):
    """The six kinds of personal data that are replaced by default, each of which can be switched off."""

    EMAIL = "email"
    NAMES = "names"
    CONTACT = "contact"
    PASSWORDS = "passwords"
    BODIES = "bodies"
    ATTACHMENTS = "attachments"


class Choices(Immutable):
    """What a person chose in the form. `opted_out` is accepted only with the risk phrase: see `require_choices`."""

    attachments: bool = True
    opted_out: tuple[Anonymizer, ...] = ()


def require_choices(*, attachments: bool, off: list[str], risk_phrase: str) -> Choices:
    """Return the choices of a form, whatever the form let through.

    Raises `Misconfigured` for an unknown anonymizer, and `RiskNotAccepted` if one is off and the phrase does not match exactly.
    """
    known = [kind.value for kind in Anonymizer]
    for word in off:
        if word not in known:
            raise Misconfigured(f"There is no anonymizer {word!r}; expected some of {', '.join(known)}.")
    if off and risk_phrase != RISK_PHRASE:
        raise RiskNotAccepted(
            f"Anonymizers are switched off ({', '.join(sorted(off))}) and the risk field does not contain the phrase; "
            f"expected exactly {RISK_PHRASE}."
        )
    return Choices(attachments=attachments, opted_out=tuple(kind for kind in Anonymizer if kind.value in off))


def require_originals_allowed(show_originals: bool, risk_phrase: str) -> bool:
    """Return whether a preview shows originals. Raises `RiskNotAccepted` if it should and the phrase is missing."""
    if show_originals and risk_phrase != RISK_PHRASE:
        raise RiskNotAccepted(
            "Originals are requested and the risk field does not contain the phrase; Prefect keeps what a report shows, in "
            f"clear text, for everybody who reaches its API. Expected exactly {RISK_PHRASE}.",
            next_step="Nothing was read. Leave the originals hidden, or type the phrase that the form names.",
        )
    return show_originals


@dataclass(frozen=True, slots=True, config=STRICT)
class DumpedColumn:
    """A column in a dump. `rule` is the policy's rule for it ("keep", "email", …)."""

    name: str
    type: str
    rule: str
    anonymizer: Anonymizer | None = None
    raw: bool = False  # would have been masked, but its anonymizer was switched off

    @classmethod
    def of(
        cls, column: Column, rule: str, *, anonymizer: Anonymizer | None = None, raw: bool = False
    ) -> "DumpedColumn":
        """Return the entry for a column of the catalogue."""
        return cls(name=column.name, type=column.type, rule=rule, anonymizer=anonymizer, raw=raw)


class DumpedPart(Immutable):
    """A partition of a dumped table that contains rows, or a partition above it."""

    name: Name
    parent: Name
    bound: str
    key: str = ""  # its own partition key; "" for a leaf


class DumpedTable(Immutable):
    """A table in a dump, columns in the order of the values in its rows. A dump of 0.1 has the first two fields only."""

    name: Name
    columns: tuple[DumpedColumn, ...]
    parents: tuple[Name, ...] = ()  # what it inherits from
    key: str = ""  # what it is partitioned by
    parts: tuple[DumpedPart, ...] = ()
    promises: tuple[str, ...] | None = (
        None  # hashes of the constraints on its rows at the source; None in a dump of 0.1
    )
    sampled: tuple[str, ...] = ()  # the same, but checked only on a sample of the masked rows


class SequenceState(Immutable):
    """The value of a sequence in the snapshot."""

    name: Name
    last: int | None


class Header(Immutable):
    """The first line of a dump. Contains the fingerprint of the masking key, never the key. Times are UTC."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    app: str
    schema_version: int  # of the application's data; a load refuses a version that is newer than staging supports
    source_host: str
    source_system: str  # system identifier of the source server
    source_database: str
    server_version: int
    exported_at: datetime  # when the snapshot was taken
    run_id: str
    policy: str  # fingerprint of the masking policy
    key: str  # fingerprint of the key
    opted_out: tuple[Anonymizer, ...] = ()
    opted_out_by: str = ""
    attachments: bool = True  # False: binary columns of the attachments anonymizer were not read
    tables: tuple[DumpedTable, ...]
    sequences: tuple[SequenceState, ...] = ()
    reached: tuple[str, ...] | None = None  # tables that the policy names and the source has; None in a dump of 0.1

    @property
    def raw(self) -> bool:
        """Whether an anonymizer was switched off, so that the dump contains personal data."""
        return bool(self.opted_out)


class TableTotals(Immutable):
    """The totals of one table: its rows, and the SHA-256 (hex) over the SHA-256 of its segments."""

    name: Name
    rows: int
    digest: str


class Overlap(Immutable):
    """A finding of the leak search: the column `found` contains values of the column `source`, in `forms` forms."""

    found: str
    source: str
    forms: int

    def __str__(self) -> str:
        return f"{self.found} holds {self.forms} values of {self.source}"


class LeakSearchResult(Immutable):
    """The result of the leak search in a new dump: `forms` forms were searched for in `columns` columns.

    `searched=False`: an anonymizer was switched off, so that personal data was expected, and nothing is proven.
    """

    searched: bool
    forms: int
    columns: int
    accepted: tuple[Overlap, ...] = ()  # under the policy's `accept`


class Proof(Immutable):
    """The line before the trailer: the result of the leak search, and its hashes, sealed under the masking key (base64)."""

    attack: LeakSearchResult
    sealed: str


class Trailer(Immutable):
    """The last line of a dump; a file without it is not complete. `digest` covers everything before it."""

    complete: bool = True
    tables: tuple[TableTotals, ...]
    rows: int
    digest: str
    attack: LeakSearchResult | None = None  # that of the proof; a dump of format version 1 has none


class DumpFacts(Immutable):
    """A dump that was read in full and is complete."""

    url: str
    header: Header
    trailer: Trailer
    bytes: int  # as stored
    sha256: str  # of the stored file
    encrypted: bool = False
    compression: str = "gzip"
    unproven: str = NOT_CHECKED  # why the leak search does not prove it clean; empty: it does


class LoadOrder(Immutable):
    """One table of a load: the columns of the dump in order, and those that the target does not have (`skipped`)."""

    name: Name
    columns: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    rows: int = 0


class Missing(Immutable):
    """Something that is in the dump and not on staging. `what`: a table, an inheritance child or a column. `rows`: how many
    rows of the dump are affected. `allowed`: the policy lists it in `missing_on_staging`.
    """

    name: str
    what: str
    rows: int
    statement: str  # SQL that creates it, as far as the dump describes it
    allowed: bool = False


class LoadPlan(Fingerprinted):
    """The plan of one load, fixed before a person sees it. `fingerprint` identifies exactly this plan."""

    verb: str = "load_dump"
    dump: str  # URL
    sha256: str  # of the stored file
    digest: str  # of the trailer: the digest that the rows must have
    header: Header
    hostname: str  # of the staging instance, from the worker's settings
    target: DatabaseIdentity
    tables: tuple[LoadOrder, ...]
    emptied: tuple[str, ...] = ()  # tables of staging that the policy lists and the dump does not contain
    skipped: tuple[tuple[str, str], ...] = ()  # in the dump, not loaded: (name, why)
    kept: tuple[str, ...] = ()  # staging's own: excluded and audit tables
    missing: tuple[Missing, ...] = ()
    untouched: tuple[str, ...] = ()  # tables of staging that neither the dump nor the policy lists
    doubts: tuple[Fault, ...] = ()  # what may refuse a row or statement of the load and cannot be checked in advance
    accepted_doubts: tuple[str, ...] = ()  # tables, columns and event triggers whose doubts the policy accepts
    firing: tuple[tuple[Name, str], ...] = ()  # triggers, by table, that compute columns while rows are written
    readers_wait: tuple[str, ...] = ()  # tables whose readers wait until the load ends
    readers: str = "stay"
    first_load: bool = False  # the target has no marker yet
    attack: LeakSearchResult | None = None  # what was found in the dump when it was written
    unproven: str = ""  # why the leak search does not prove the dump clean; empty: it does
    mask_now: tuple[Anonymizer, ...] = ()  # raw in the dump, masked by the load
    arrives_raw: tuple[Anonymizer, ...] = ()  # raw in the dump and after the load, allowed by the risk phrase
    catalog: str  # fingerprint of the target's structure
    generation: int = 0  # ledger: number of loads ever journaled for this target when the plan was made
    risk: Risk = ONE_PERSON
    overrides: tuple[str, ...] = ()
    code_version: str = ""
    requested_by: str = ""
    run_id: str

    @property
    def lost(self) -> tuple[Missing, ...]:
        """What the dump has rows for, staging does not have, and the policy does not allow to be missing."""
        return tuple(each for each in self.missing if each.rows and not each.allowed)

    @property
    def open_doubts(self) -> tuple[Fault, ...]:
        """The doubts that the policy does not accept by name, so that a person must approve."""
        return tuple(doubt for doubt in self.doubts if not doubt.names & {*self.accepted_doubts})

    @property
    def destination_id(self) -> str:
        """The target in the ledger: server and database, independent of the address."""
        return f"{self.target.system_identifier}/{self.target.database_oid}"

    @property
    def destination_name(self) -> str:
        """What a person types to confirm."""
        return self.hostname

    @property
    def destination_environment(self) -> str:
        """Always staging: any other target is refused before the plan is made."""
        return "staging"


class Loaded(Immutable):
    """The committed result of a load. `checks` are pairs of check and result; times in seconds."""

    rows: tuple[tuple[str, int], ...]
    checks: tuple[tuple[str, str], ...]
    committed_at: datetime
    took_seconds: float
    found_again: bool = False  # proven later by the marker, because the answer or the process was lost

"""Propose a rule for a column of a plain type: `keep`, a maker with its options, or undecided, each with a reason.

In doubt the proposal is a mask, or undecided: an undecided column stops the plan, a wrongly kept one leaks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tasks.estate.schema import Column, Table
from tasks.masking.personal_columns import TableTraits, kind_by_table, recognise_name, spelling, traits_of
from tasks.masking.personal_values import Kind
from tasks.masking.sample_evidence import Evidence
from tasks.masking.words_technical import (
    EMPLOYED,
    FOREIGN_ID,
    INTIMATE,
    INTIMATE_OF_PEOPLE,
    LIMIT,
    MEASURE,
    OF_THE_RECORD,
    POINTER,
    TECHNICAL_NUMBER,
    TECHNICAL_TEXT,
    TECHNICAL_TIME,
    TERM_NAME,
    TERM_TEXT,
    WATCHED,
    WORD,
)

KEEP, UNDECIDED = "keep", "undecided"
INTEGERS = ("int2", "int4", "int8")
NUMBERS = (*INTEGERS, "numeric", "float4", "float8", "money")
DOCUMENTS = ("json", "jsonb")
NETWORK = ("inet", "cidr")
LONG = 40  # characters; texts with a greater mean length are written by people
FEW = 12  # distinct values; fewer in a larger sample are a list of codes
HASHED_ADDRESS = 31  # characters of `u<16 hex>@staging.local`
HASH = 16  # hex digits of a keyed hash: 64 bits serve about 10^8 rows
TOKEN = 32  # characters of a token, where the column has room for them
CRYPT = 60  # characters of a bcrypt hash
FROM_TABLE = 0.7  # confidence in a kind that only the table shows

CONTACT = frozenset({Kind.STREET, Kind.POSTCODE, Kind.CITY, Kind.ADDRESS, Kind.PHONE})
# The anonymizer of a kind. It is written out if the maker has none of its own.
SWITCHES = {
    **dict.fromkeys(CONTACT, "contact"), **dict.fromkeys((Kind.FIRST_NAME, Kind.LAST_NAME, Kind.FULL_NAME), "names"),
    Kind.EMAIL: "email", Kind.PASSWORD: "passwords", Kind.FREE_TEXT: "bodies", Kind.ATTACHMENT: "attachments",
}  # fmt: skip
SWITCHED = ("email", "first_name", "last_name", "full_name", "password", "scrub", "placeholder")
# Kinds whose values are recognised reliably: if no value has the kind, the name means something else.
PROVABLE = frozenset({Kind.EMAIL, Kind.IBAN, Kind.IP})
# The maker for each kind of text; other kinds are cleared, see `_cleared`.
TEXTS = {
    Kind.EMAIL: "email", Kind.FIRST_NAME: "first_name", Kind.LAST_NAME: "last_name", Kind.FULL_NAME: "full_name",
    Kind.COMPANY: "company", Kind.IBAN: "iban", Kind.PASSWORD: "password", Kind.IP: "ip", Kind.URL: "url",
    Kind.USERNAME: "hash", Kind.CHECKSUM: "hash", Kind.FOREIGN: "hash", Kind.SIZE: KEEP, Kind.FILE_NAME: KEEP,
    Kind.FREE_TEXT: "scrub", Kind.DEVICE: "scrub", Kind.MIME_TYPE: KEEP,
}  # fmt: skip
REALISTIC = {Kind.STREET: "street", Kind.POSTCODE: "postcode", Kind.CITY: "city", Kind.PHONE: "phone"}
NEVER_UNIQUE = ("first_name", "last_name", "full_name", "company", "scrub", "blank", "city", "street", "postcode")
# Kinds that a number can have, and those that it keeps even if its name is that of a measure.
PERSONAL_MEASURES = frozenset({Kind.BIRTH_DATE, Kind.TRAIT, Kind.SPECIAL, Kind.GENDER, Kind.LOCATION})
NUMERIC = PERSONAL_MEASURES | {
    Kind.PHONE, Kind.CARD, Kind.BANK, Kind.NATIONAL_ID, Kind.SECRET, Kind.IP, Kind.POSTCODE, Kind.IBAN, Kind.STREET,
}  # fmt: skip
# A switch of the application: whether something is disabled, or notes are sent.
SWITCH = re.compile(r"^_(is_|was_)?disabled?_$|^_disable_|_disabled?_$|_notes?_|_events_$")


@dataclass(frozen=True)
class Proposal:
    """The rule proposed for a column. `maker` is a maker's name, `keep` or `undecided`; `confidence` is 0 to 1.

    It never contains a sampled value.
    """

    maker: str
    reason: str
    confidence: float
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind | None = None


def undecided(reason: str, kind: Kind | None = None) -> Proposal:
    """Return no proposal: a person has to decide, and until then the plan is refused."""
    return Proposal(UNDECIDED, reason, 0.0, kind=kind)


def propose(table: Table, column: Column, evidence: Evidence, *, linked: bool = False) -> Proposal:
    """Return the proposal for a column. `linked`: it is part of a foreign key, or referenced by one.

    `tasks.masking.proposals_nested` handles arrays and JSON documents.
    """
    primary = table.primary is not None and column.name in table.primary.columns
    if (linked or primary or column.identity) and column.base in (*INTEGERS, "uuid"):
        return Proposal(KEEP, "a key: kept so that references still point at their rows", 0.95)
    if column.base == "bool":
        return _yes_or_no(table, column)
    traits = traits_of(table)
    named = _as_its_type_allows(column, recognise_name(str(table.name), column.name, column.comment))
    by_table = kind_by_table(traits, column)
    named = by_table or named
    observed = evidence.kind or (Kind.BIRTH_DATE if evidence.birth_dates and column.base in ("date", "text") else None)
    if (
        named in PROVABLE
        and evidence.count >= 10
        and not evidence.of(named)
        and observed is None
        and column.category == "S"
    ):
        return undecided(f"name looks like {named.value}, but none of {evidence.count} sampled values does", named)
    kind = _weightier(named, observed)
    if kind is None:
        return _nameless(table, column, evidence, traits)
    if kind is Kind.FILE_NAME and not traits.terms:
        return undecided("a file name: people name files after people, and programs need their endings", kind)
    confidence = _confidence(kind, named, evidence)
    if kind is by_table and not evidence.of(kind):
        confidence = FROM_TABLE
    proposal = masked(table, column, kind, why(kind, named, evidence), confidence)
    return replace(proposal, options={**proposal.options, **_like_the_original(proposal.maker, evidence)})


def _as_its_type_allows(column: Column, kind: Kind | None) -> Kind | None:
    """Return the kind of a name, or None if a numeric type contradicts it: a number is not a name, and `note_id` not a note.

    A measure (`max_token_length`) does not have the kind of what it measures, unless a number can be personal: a year of
    birth, a phone number, a salary.
    """
    if column.base not in NUMBERS or column.array:
        return kind
    name = spelling(column.name)
    if kind is Kind.SIZE:
        return None if LIMIT.search(name) or INTIMATE.search(name) else kind
    if kind is Kind.SECRET and (column.base == "int2" or name.startswith("_id")):
        return None  # an int2 is too small for a secret; `id…` is the record's own key
    if kind is Kind.TRAIT and LIMIT.search(name):
        return None
    if kind not in NUMERIC or (kind not in PERSONAL_MEASURES and MEASURE.search(name)):
        return None
    return None if name.endswith(("_id_", "_ids_")) and kind not in (Kind.NATIONAL_ID, Kind.SECRET) else kind


def _like_the_original(maker: str, evidence: Evidence) -> dict[str, Any]:
    """Return options with which a fake has the form of the original: its scheme of hashes, its country."""
    if maker == "password" and evidence.mark in ("$2a$", "$2y$"):
        return {"prefix": evidence.mark}
    if maker == "iban":
        return {"group": "account"} | ({"country": evidence.mark} if evidence.mark in ("DE", "AT") else {})
    return {}


def _weightier(named: Kind | None, observed: Kind | None) -> Kind | None:
    """Return the kind of the name (a first name may also be a last name), unless the values are proof of another."""
    if observed in (Kind.EMAIL, Kind.IBAN, Kind.PASSWORD) and named is not Kind.SECRET:
        return observed
    harmless = named in (Kind.FILE_NAME, Kind.MIME_TYPE, Kind.SIZE)
    return observed if harmless and observed not in (None, Kind.FREE_TEXT) else named or observed


def why(kind: Kind, named: Kind | None, evidence: Evidence) -> str:
    """Return the reason: what the name looks like, and how many of the sampled values agree."""
    agree = evidence.of(kind)
    if named is not kind:
        return f"{agree} of {evidence.count} sampled values look like {kind.value}"
    return f"name looks like {kind.value}" + (f"; {agree} of {evidence.count} sampled values do" if agree else "")


def _confidence(kind: Kind, named: Kind | None, evidence: Evidence) -> float:
    by_values = 0.6 + 0.35 * evidence.share(kind)
    return round(by_values if named is not kind else max(0.8, by_values), 2)


def _yes_or_no(table: Table, column: Column) -> Proposal:
    kind = recognise_name(str(table.name), column.name, column.comment)
    if kind in (Kind.SPECIAL, Kind.TRAIT, Kind.GENDER) and not SWITCH.search(spelling(column.name)):
        return Proposal("choice", f"name looks like {kind.value}", 0.7, {"values": ["true", "false"]}, kind)
    return Proposal(KEEP, "a boolean", 0.9)


def masked(table: Table, column: Column, kind: Kind, reason: str, confidence: float) -> Proposal:
    """Return the mask for a kind, as far as the column's type, length and keys allow one."""
    maker, options = _by_type(table, column, kind)
    if maker == UNDECIDED:
        return undecided(f"{reason}; no maker fits {column.type}{' NOT NULL' if column.not_null else ''}", kind)
    maker, options = _fitting(table, column, maker, options)
    if kind in SWITCHES and maker not in (*SWITCHED, KEEP, UNDECIDED):
        options["anonymizer"] = SWITCHES[kind]
    return Proposal(maker, reason, confidence, options, kind)


def _by_type(table: Table, column: Column, kind: Kind) -> tuple[str, dict[str, Any]]:
    if column.enum_labels:
        personal = kind in (Kind.GENDER, Kind.SPECIAL, Kind.TRAIT)
        return ("choice", {"values": list(column.enum_labels)}) if personal else (KEEP, {})
    if column.base == "bytea" and kind not in (Kind.PASSWORD, Kind.CHECKSUM, Kind.SECRET):
        return "placeholder", _mime(table)
    if column.base in NETWORK:
        return "ip", {}
    if column.category == "S":
        return _text(table, column, kind)
    if column.base == "date" and kind is Kind.BIRTH_DATE:
        return "birth_date", {"mode": "year"}
    if kind is Kind.SIZE and column.base in NUMBERS:
        return _of_attachment(table, "placeholder_size", {}) or (KEEP, {})
    if kind is Kind.SECRET and column.base == "uuid" and column.not_null:
        return "uuid", {}
    if (column.category == "D" and kind not in (Kind.BIRTH_DATE, Kind.SPECIAL, Kind.TRAIT)) or (
        column.base == "uuid" and kind is Kind.UUID
    ):
        return KEEP, {}  # `password_changed_at` is a time, not a password
    return ("null", {}) if not column.not_null else (UNDECIDED, {})


def _text(table: Table, column: Column, kind: Kind) -> tuple[str, dict[str, Any]]:
    if kind is Kind.ATTACHMENT:
        return "placeholder", _mime(table)
    if kind is Kind.CHECKSUM and (with_bytes := _of_attachment(table, "placeholder_checksum", _algorithm(column))):
        return with_bytes
    if kind is Kind.SECRET and column.not_null:
        return "token", {}
    return (TEXTS[kind], {}) if kind in TEXTS else _cleared(table, column, kind)


def _cleared(table: Table, column: Column, kind: Kind) -> tuple[str, dict[str, Any]]:
    """Return `blank` if nothing forbids it, NULL if a check might, else a plausible value."""
    checked = bool(column.domain_checks) or any(column.name in check.columns for check in table.checks)
    emptied = kind in CONTACT or kind in (Kind.BANK, Kind.CARD, Kind.LOCATION, Kind.BIRTH_DATE)
    if emptied and not checked and not is_unique(table, column):
        return "blank", {}
    if not column.not_null:
        return "null", {}
    if kind in REALISTIC:
        return REALISTIC[kind], {}
    return (
        ("scrub", {})
        if kind in (Kind.SPECIAL, Kind.TRAIT) and not checked
        else (UNDECIDED, {})
        if checked
        else ("hash", {})
    )


def _fitting(table: Table, column: Column, maker: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the mask fitted to unique keys and the declared length: makers that collide become a keyed hash."""
    room = column.max_length or 64
    if maker in NEVER_UNIQUE and is_unique(table, column):
        maker, options = "hash", {}
    if (maker == "email" and room < HASHED_ADDRESS) or (maker == "password" and room < CRYPT):
        maker, options = "hash", {}
    if maker in ("hash", "token") and room < 8:
        return (UNDECIDED if column.not_null else "null"), {}
    return maker, options | (
        {"chars": min(room, HASH)} if maker == "hash" or (maker == "token" and room < TOKEN) else {}
    )


def is_unique(table: Table, column: Column) -> bool:
    """Return whether a unique key or an index on an expression may refuse two equal values in this column."""
    word = re.compile(rf"\b{re.escape(column.name)}\b")
    return any(
        column.name in key.columns or (key.expressions and word.search(key.definition)) for key in table.unique_keys
    )


def _mime(table: Table) -> dict[str, Any]:
    names = (each.name for each in table.columns if recognise_name("", each.name, None) is Kind.MIME_TYPE)
    return {"mime_column": name} if (name := next(names, None)) else {}


def _of_attachment(table: Table, maker: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return a maker for the size or checksum of bytes in the same row, which must fit their placeholder."""
    return (maker, options | _mime(table)) if any(each.base == "bytea" for each in table.columns) else None


def _algorithm(column: Column) -> dict[str, Any]:
    return {"algorithm": "md5" if "md5" in spelling(column.name) or column.max_length == 32 else "sha256"}


def _nameless(table: Table, column: Column, evidence: Evidence, traits: TableTraits) -> Proposal:
    """Return the proposal for a column that neither its name nor most of its values identify as personal."""
    name = spelling(column.name)
    if evidence.certain:
        return undecided(
            f"{evidence.of(evidence.certain)} of {evidence.count} sampled values look like {evidence.certain.value}"
        )
    if column.enum_labels:
        return Proposal(KEEP, "one of a fixed list of labels", 0.85)
    if column.default and "nextval(" in column.default:
        return Proposal(KEEP, "numbered by a sequence", 0.85)
    if column.base in ("bytea", *NETWORK):
        kind = Kind.ATTACHMENT if column.base == "bytea" else Kind.IP
        return masked(table, column, kind, f"contains {column.base}: masked unless shown harmless", 0.6)
    if column.category in ("D", "T", "R") or column.base.endswith(("range", "interval")):
        return _time(table, column, name, traits)
    if column.base in NUMBERS:
        return _number(column, name, traits)
    if column.base == "uuid":
        if name in ("_uuid_", "_guid_", "_request_uuid_", "_request_id_"):
            return Proposal(KEEP, "the record's own UUID", 0.7)
        return undecided("a UUID that is not a key: it may identify somebody in another service")
    if column.category != "S":
        return undecided(f"type {column.type} is not supported")
    return _nameless_text(name, column, evidence, traits)


def _time(table: Table, column: Column, name: str, traits: TableTraits) -> Proposal:
    """Return `keep` for a time of the record, unless the table reveals where people were or what happened to them."""
    watched = WATCHED.search(name) and ("log" in name or "sign" in name or "seen" in name or traits.people)
    if watched and column.category == "D" and table.primary and len(table.primary.columns) == 1:
        return Proposal(
            "date_shift", "the time of a person's last activity", 0.7, {"days": 30, "by": table.primary.columns[0]}
        )
    if traits.sensitive and not OF_THE_RECORD.search(name) and column.base != "time":
        return undecided("a date in a table that reveals much about a person")
    if traits.staff and EMPLOYED.search(name):
        return undecided("a date that may reveal when somebody was employed")
    if TECHNICAL_TIME.search(name) or column.base in ("timestamp", "timestamptz", "interval", "time"):
        return Proposal(KEEP, "a time of the record", 0.75)
    return undecided("a date or time of unknown meaning")


def _number(column: Column, name: str, traits: TableTraits) -> Proposal:
    if name.endswith(("_id_", "_ids_")) and column.base in INTEGERS:
        if FOREIGN_ID.search(name):
            return undecided("a number that may identify somebody in another service")
        return Proposal(KEEP, "a number named id: a key that is not declared", 0.7)
    if traits.sensitive and not OF_THE_RECORD.search(name):
        return undecided("a number in a table that reveals much about a person")
    if _is_intimate(name, traits):
        return undecided("a number that may reveal something about a person")
    if TECHNICAL_NUMBER.search(name) or MEASURE.search(name):
        return Proposal(KEEP, "name looks like a measure or an order", 0.75)
    if not traits.people and WORD.search(name):
        return Proposal(KEEP, "a number whose name refers to no person", 0.6)
    return undecided("a number of unknown meaning")


def _nameless_text(name: str, column: Column, evidence: Evidence, traits: TableTraits) -> Proposal:
    if evidence.mean > LONG:
        return Proposal(
            "scrub", f"texts of {evidence.mean:.0f} characters on average: written by people", 0.7, kind=Kind.FREE_TEXT
        )
    personal = sum(number for kind, number in evidence.kinds if kind is not Kind.POSTCODE)
    if _is_technical(name, column, traits) and personal * 10 <= evidence.count:
        return Proposal(KEEP, "name looks like a code or term of the application", 0.7, kind=Kind.TECHNICAL)
    if evidence.count >= 3 * FEW and evidence.distinct <= FEW:
        return undecided(
            f"{evidence.distinct} distinct values in {evidence.count}: a list of codes? Keep it if they reveal nothing about a person"
        )
    return undecided(
        "neither the name nor the values show what it is"
        if evidence.count
        else "the name shows nothing, and there are no values"
    )


def _is_intimate(name: str, traits: TableTraits) -> bool:
    """Return whether a word of the name refers to a person, whatever its technical words are."""
    return bool(INTIMATE.search(name) or (traits.people and INTIMATE_OF_PEOPLE.search(name)))


def _is_technical(name: str, column: Column, traits: TableTraits) -> bool:
    """Return whether a text's name, also in a table of terms, is a technical term of the application."""
    if POINTER.search(name) or _is_intimate(name, traits):
        return False
    if name == "_state_" and column.base == "text" and traits.bounded:
        return False  # next to texts with a declared length it is a saved state instead of the name of one
    if traits.terms and TERM_NAME.fullmatch(name):
        return True
    if traits.catalogue and TERM_TEXT.search(name):
        return True
    if traits.sensitive and name in ("_code_", "_codes_"):
        return False
    return TECHNICAL_TEXT.search(name) is not None and not (traits.people and "number_" in name)

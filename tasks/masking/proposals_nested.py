"""Propose rules for columns of any type: arrays by their elements, JSON documents by their members."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks.estate.schema import Column, Table
from tasks.masking.personal_columns import recognise_name, spelling
from tasks.masking.personal_values import Kind
from tasks.masking.proposals import DOCUMENTS, KEEP, TEXTS, UNDECIDED, Proposal, propose, undecided
from tasks.masking.sample_evidence import elements_of_arrays, evidence_of, members_of_documents
from tasks.masking.words_technical import TECHNICAL_TEXT


def propose_any(table: Table, column: Column, samples: Sequence[str], *, linked: bool = False) -> Proposal:
    """Return the proposal for a column of any type. `samples` are values in PostgreSQL's text output."""
    if column.array:
        return _array(table, column, samples)
    if column.base in DOCUMENTS:
        return _document(table, column, samples)
    if column.category == "D" and column.base != "date":
        samples = ()  # a point in time has only this kind
    return propose(table, column, evidence_of(samples), linked=linked)


def _array(table: Table, column: Column, samples: Sequence[str]) -> Proposal:
    """Return the proposal for an array by its elements. Documents in arrays are not examined."""
    if column.base in DOCUMENTS:
        return _cleared(column, "an array of documents")
    single = replace(column, array=False, not_null=True, domain_checks=())
    member = propose(table.model_copy(update={"unique_keys": ()}), single, evidence_of(elements_of_arrays(samples)))
    if member.maker in (KEEP, UNDECIDED):
        return member
    options = {key: value for key, value in member.options.items() if key != "anonymizer"}
    outer = {key: value for key, value in member.options.items() if key == "anonymizer"}
    each = {"maker": member.maker, **_without_row(member.maker), **options}
    return Proposal("array", f"elements: {member.reason}", member.confidence, {"each": each, **outer}, member.kind)


def _without_row(maker: str) -> dict[str, Any]:
    """Return the option against equal elements: addresses made of the row's id are equal in one row."""
    return {"form": "hash"} if maker == "email" else {}


def _document(table: Table, column: Column, samples: Sequence[str]) -> Proposal:
    """Return a mask for every personal member. Without proof that the rest is harmless, it becomes null."""
    filled = [sample for sample in samples if sample.strip() not in ("", "null", "{}", "[]")]
    if not filled:
        named = recognise_name(str(table.name), column.name, column.comment)
        return (
            _cleared(column, f"name looks like {named.value}")
            if named
            else undecided("a document, and there are no values")
        )
    members = members_of_documents(filled)
    if members is None:
        return _cleared(column, "a document whose keys are data, or that is not JSON")
    paths = {path: mask for path, values in members.items() if (mask := _member(table, path, values)) is not None}
    if not paths:
        return undecided(
            f"{len(members)} kinds of members in {len(filled)} sampled documents, none of them known to be personal"
        )
    rest = [path for path in members if path not in paths]
    harmless = all(_is_harmless(path, members[path]) for path in rest)
    return Proposal(
        "jsonb",
        f"{len(paths)} of {len(members)} kinds of members in {len(filled)} sampled documents look personal",
        0.7,
        {"paths": paths, "else": KEEP if harmless else "null"},
    )


def _cleared(column: Column, reason: str) -> Proposal:
    if not column.not_null:
        return Proposal("null", reason, 0.6)
    value = "{}" if column.base in DOCUMENTS else None
    return Proposal("constant", reason, 0.5, {"value": value}) if value and not column.array else undecided(reason)


def _member(table: Table, path: str, values: Sequence[Any]) -> Mapping[str, Any] | None:
    """Return the mask for one member, or None if it does not look personal."""
    texts = [value for value in values if isinstance(value, str)]
    *_, home, key = ["", str(table.name), *path.replace("[*]", "").split(".")[1:]]
    kind = recognise_name(home, key, None) or evidence_of(texts).kind
    if not texts or kind is None or kind in (Kind.MIME_TYPE, Kind.FILE_NAME, Kind.SIZE):
        return None
    maker = TEXTS.get(kind, {Kind.SPECIAL: "scrub", Kind.SECRET: "token"}.get(kind, "blank"))
    return {"maker": maker, **_without_row(maker)}


def _is_harmless(path: str, values: Sequence[Any]) -> bool:
    """Return whether a member is a boolean, or a number or code whose name does not refer to a person."""
    if all(isinstance(value, bool) for value in values):
        return True
    key = path.replace("[*]", "").rpartition(".")[2]
    if recognise_name("", key, None) is not None:
        return False
    if all(isinstance(value, int | float) for value in values):
        return True
    evidence = evidence_of([value for value in values if isinstance(value, str)])
    return bool(TECHNICAL_TEXT.search(spelling(key))) and not evidence.certain and evidence.mean < 30

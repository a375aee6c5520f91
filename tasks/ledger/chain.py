"""The hash chain: what one fact is, how it names its predecessor, and what shows that somebody changed the past."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError

from tasks.estate.errors import LedgerBroken, Misconfigured
from tasks.ledger.facts import Recorded

R = TypeVar("R", bound=Recorded)

GENESIS = "0" * 64  # what the first fact names as its predecessor
HASHED = ("seq", "at", "run_id", "kind", "destination_id", "plan", "detail", "once", "previous")
COLUMNS = (*HASHED, "hash")


@dataclass(frozen=True)
class Fact:
    """One row of the ledger. `at` is UTC; `detail` is a JSON object; `hash` covers the row and its predecessor."""

    seq: int
    at: datetime
    run_id: str
    kind: str
    destination_id: str
    plan: str
    detail: dict[str, Any]
    once: str | None
    previous: str
    hash: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Fact":
        """The fact of a row as it is stored, where `at` is text."""
        return cls(**{**row, "at": datetime.fromisoformat(row["at"])})

    def as_(self, kind: type[R]) -> R:
        """Return the detail as a fact of this kind. Raises `LedgerBroken`, without the values, if it cannot be one."""
        try:
            return kind.read(self.detail)
        except ValidationError as error:
            fields = sorted({".".join(map(str, each["loc"])) or "detail" for each in error.errors(include_input=False)})
            raise LedgerBroken(
                f"Fact {self.seq} of the ledger ({self.kind}) cannot be read; missing or malformed: {', '.join(fields)}."
            ) from None

    def text(self, *path: str) -> str:
        """Return the text at this path of the detail, or "": for reports, also about facts that are incomplete or broken."""
        found: Any = self.detail
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return "" if found is None else str(found)


class Head(NamedTuple):
    """The newest fact's number and hash. Kept outside the ledger it is an anchor: it shows a cut or a rebuilt chain."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, anchor: str) -> "Head":
        """The head that an anchor, `<seq>:<hash>`, names. Raises `Misconfigured` where it names none."""
        found = re.fullmatch(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", anchor.strip())
        if found is None:
            raise Misconfigured(
                f"{anchor[:100]!r} is no anchor; expected the number of a fact, a colon and its 64 hexadecimal digits.",
                next_step="Copy the anchor whole from a notice or from the digest; it looks like 812:9f86d081….",
            )
        return cls(int(found[1]), found[2])


def digest(row: Mapping[str, Any]) -> str:
    """The hash of a row as it is stored: SHA-256 over the canonical JSON of its values, the predecessor's hash included."""
    values = [row[name] for name in HASHED]
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def line(row: Mapping[str, Any]) -> str:
    """A row as it is stored, as one line of JSON, without its line break."""
    return json.dumps({name: row[name] for name in COLUMNS}, separators=(",", ":"), default=repr)


def json_object(stored: str) -> Any:
    """The value of a JSON text as it is stored; the text itself where it is none, or where a key stands twice."""
    try:
        return json.loads(stored, object_pairs_hook=_each_key_once)
    except (ValueError, TypeError, RecursionError):
        return stored


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")  # readers differ in which one they take
    return found


def breaks(rows: Iterable[Mapping[str, Any]], anchor: str | None = None) -> list[str]:
    """What does not fit in a chain of rows, in words: the first break, how many follow it, and what the anchor shows.

    Rows are read once and not kept. Empty if the chain is whole and, where an anchor `<seq>:<hash>` is given, holds that
    very fact. Without an anchor a cut tail and a chain that was rebuilt from an edited row are not seen. Raises
    `Misconfigured` for an anchor that is none.
    """
    wanted = Head.parse(anchor) if anchor is not None else None
    first, more, last, there = "", 0, Head(0, GENESIS), ""
    for row in rows:
        if problem := _problem(row, last):
            first, more = (first, more + 1) if first else (problem, 0)
        if _is_fact(row):
            last = Head(row["seq"], row["hash"])
            there = last.hash if wanted and wanted.seq == last.seq else there
    problems = [first] if first else []
    if more:
        problems.append(f"{more} more after that {'do' if more > 1 else 'does'} not fit either")
    if wanted and there != wanted.hash:
        problems.append(f"the ledger was cut or rebuilt: {_against(wanted, there, last)}")
    return problems


def verify_export(lines: Iterable[str], anchor: str | None = None) -> list[str]:
    """What `breaks` finds in an exported ledger, read line by line; it needs no database and no settings."""
    found = (json_object(text) for text in lines if text.strip())
    return breaks((row if isinstance(row, dict) else {} for row in found), anchor)


def _is_fact(row: Mapping[str, Any]) -> bool:
    return row.keys() == set(COLUMNS) and isinstance(row["seq"], int) and isinstance(row["hash"], str)


def _problem(row: Mapping[str, Any], last: Head) -> str:
    """The one sentence that says best why a row cannot come after `last`; empty where it can."""
    if not _is_fact(row):
        return f"what comes after fact {last.seq} is not a fact"
    seq = row["seq"]
    if not _is_unchanged(row):
        return f"fact {seq} was changed"
    if seq <= last.seq:
        return f"fact {seq} comes after fact {last.seq}"
    if seq > last.seq + 1:
        gap = last.seq + 1, seq - 1
        return f"fact {gap[0]} is missing" if gap[0] == gap[1] else f"facts {gap[0]} to {gap[1]} are missing"
    if row["previous"] != last.hash:
        return f"fact {seq} does not follow fact {last.seq} as that is now"
    return ""


def _is_unchanged(row: Mapping[str, Any]) -> bool:
    try:
        return isinstance(row["detail"], dict) and bool(row["hash"] == digest(row))
    except (TypeError, ValueError, RecursionError):
        return False  # a value that no fact can have


def _against(wanted: Head, there: str, last: Head) -> str:
    if there:
        return f"its fact {wanted.seq} is not the one that the anchor names"
    if last.seq < wanted.seq:
        return f"it ends at fact {last.seq}, and the anchor names fact {wanted.seq}"
    return f"it has no fact {wanted.seq}, which the anchor names"

"""The hash chain: a fact, the hash of its row, and the search for changes of the past."""

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

GENESIS = "0" * 64  # `previous` of the first fact
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
        """Return the fact of a row as it is stored, with `at` as text."""
        return cls(**{**row, "at": datetime.fromisoformat(row["at"])})

    def as_(self, kind: type[R]) -> R:
        """Return the detail as a fact of this kind. Raises `LedgerBroken`, without the values, if it is not valid."""
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
    """Number and hash of the newest fact. A copy outside the ledger is an anchor: it shows a cut or rebuilt chain."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, anchor: str) -> "Head":
        """Return the head that an anchor, `<seq>:<hash>`, names, also in groups. Raises `Misconfigured` if it is malformed."""
        found = re.fullmatch(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", "".join(anchor.split()))
        if found is None:
            raise Misconfigured(
                f"{anchor[:100]!r} is no anchor; expected the number of a fact, a colon and its 64 hexadecimal digits.",
                next_step="Copy the whole anchor from a notice or from the digest; it looks like 812:9f86d081….",
            )
        return cls(int(found[1]), found[2])


def digest(row: Mapping[str, Any]) -> str:
    """Return the hash of a row as it is stored: SHA-256 of the canonical JSON of its values, with `previous`."""
    values = [row[name] for name in HASHED]
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def line(row: Mapping[str, Any]) -> str:
    """Return a row as it is stored as one line of JSON, without a line break."""
    return json.dumps({name: row[name] for name in COLUMNS}, separators=(",", ":"), default=repr)


def json_object(stored: str) -> Any:
    """Return the value of a JSON text as it is stored, or the text itself if it is not JSON or repeats a key."""
    try:
        return json.loads(stored, object_pairs_hook=_each_key_once)
    except (ValueError, TypeError, RecursionError):
        return stored


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice")  # readers differ in which one they use
    return found


def breaks(rows: Iterable[Mapping[str, Any]], anchor: str | None = None) -> list[str]:
    """Return sentences about what is wrong with a chain of rows: the first break, how many follow, and what the anchor shows.

    The list is empty if the chain is whole and contains the fact that the anchor, `<seq>:<hash>`, names. Without an anchor, a
    cut tail and a chain that was rebuilt from an edited row are not found. Rows are read once and not kept. Raises
    `Misconfigured` for a malformed anchor.
    """
    wanted = Head.parse(anchor) if anchor is not None else None
    first, more, last, found = "", 0, Head(0, GENESIS), ""
    for row in rows:
        if problem := _problem(row, last):
            first, more = (first, more + 1) if first else (problem, 0)
        if _is_fact(row):
            last = Head(row["seq"], row["hash"])
            found = last.hash if wanted and wanted.seq == last.seq else found
    problems = [first] if first else []
    if more:
        problems.append(f"{more} more after that {'do' if more > 1 else 'does'} not fit either")
    if wanted and found != wanted.hash:
        problems.append(f"the ledger was cut or rebuilt: {_against(wanted, found, last)}")
    return problems


def verify_export(lines: Iterable[str], anchor: str | None = None) -> list[str]:
    """Return what `breaks` finds in the lines of an exported ledger; it needs no database and no settings."""
    found = (json_object(text) for text in lines if text.strip())
    return breaks((row if isinstance(row, dict) else {} for row in found), anchor)


def _is_fact(row: Mapping[str, Any]) -> bool:
    return row.keys() == set(COLUMNS) and isinstance(row["seq"], int) and isinstance(row["hash"], str)


def _problem(row: Mapping[str, Any], last: Head) -> str:
    """Return the most specific reason why a row cannot come after `last`, or "" if it can."""
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
        return False  # a value that cannot be stored as JSON


def _against(wanted: Head, found: str, last: Head) -> str:
    if found:
        return f"its fact {wanted.seq} is not the one that the anchor names"
    if last.seq < wanted.seq:
        return f"it ends at fact {last.seq}, and the anchor names fact {wanted.seq}"
    return f"it has no fact {wanted.seq}, which the anchor names"

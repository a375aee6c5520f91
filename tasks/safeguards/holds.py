"""Holds: a wish of anybody that a destination is not overwritten until a given time. The ledger contains them."""

import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks.estate.errors import Misconfigured, NotFound, OnHold
from tasks.ledger.facts import HoldEnded, HoldPlaced
from tasks.ledger.ledger import AlreadyRecorded, Fact, Ledger

LONGEST = timedelta(days=30)  # a hold that nobody renews must not last for ever
SHORTEST_NAME, LONGEST_NAME = 3, 80  # characters, as in the form of an answer
SHORTEST_REASON, LONGEST_REASON = 5, 300  # characters


@dataclass(frozen=True)
class Hold:
    """One hold of a destination (an install's name, or a hostname). Times are UTC; `by` is a claimed name, not proven."""

    seq: int
    destination: str
    until: datetime
    by: str
    reason: str
    placed_at: datetime
    release: str = ""  # SHA-256 of the word that ends it early; "" if it was placed without one

    @classmethod
    def of(cls, fact: Fact) -> "Hold":
        """Return the hold that a `hold` fact placed."""
        hold = fact.as_(HoldPlaced)
        return cls(fact.seq, hold.destination, hold.until, hold.by, hold.reason, fact.at, hold.release)

    @property
    def mark(self) -> str:
        """Its name in the `overrides` of a plan."""
        return f"hold:{self.seq}"

    def is_released_by(self, word: str) -> bool:
        """Return whether this is the word that the owner received when the hold was placed."""
        typed = hashlib.sha256(word.strip().encode()).hexdigest()
        return bool(self.release) and hmac.compare_digest(typed, self.release)

    @property
    def words(self) -> str:
        """Who holds it, until when and why, for people."""
        return f"held until {self.until:%Y-%m-%d %H:%M} UTC by {self.by}: {self.reason}"


def place(
    ledger: Ledger,
    *,
    destination: str,
    until: datetime | None,
    by: str,
    reason: str,
    now: datetime,
    run_id: str,
    release: str = "",
) -> Hold:
    """Place a hold. The caller checks that the destination exists: a hold on a misspelt name has no effect.

    `release` is the SHA-256, in hexadecimal, of a word that only the owner knows. Line breaks in `by` and `reason` become
    spaces. Raises `Misconfigured` if the end has no time zone, is past or is more than 30 days away, or if the name, the reason
    or `release` is not valid.
    """
    hold = HoldPlaced(
        destination=destination,
        until=_end(until, now),
        by=_typed("name", by, SHORTEST_NAME, LONGEST_NAME),
        reason=_typed("reason", reason, SHORTEST_REASON, LONGEST_REASON),
        **({"release": release} if release else {}),
    )
    if release and not re.fullmatch(r"[0-9a-f]{64}", release):
        raise Misconfigured(
            "The release of the hold is not a SHA-256 in hexadecimal; leave it empty, or use `understudy hold`."
        )
    return Hold.of(ledger.record(hold, run_id=run_id))


def require_valid(*, until: datetime | None, by: str, reason: str, now: datetime) -> None:
    """Raise `Misconfigured` as `place` would, before anything is started."""
    _end(until, now)
    _typed("name", by, SHORTEST_NAME, LONGEST_NAME)
    _typed("reason", reason, SHORTEST_REASON, LONGEST_REASON)


def _end(until: datetime | None, now: datetime) -> datetime:
    if until is None:
        raise Misconfigured("The hold has no end; expected a date and time within the next 30 days.")
    if until.utcoffset() is None:
        raise Misconfigured(
            f"The end of the hold, {until.isoformat()}, has no time zone; expected one, as in 2026-12-24T18:00+01:00."
        )
    end = until.astimezone(UTC)
    if not now < end <= now + LONGEST:
        raise Misconfigured(
            f"The hold would end at {end:%Y-%m-%d %H:%M} UTC; expected a time after now ({now:%Y-%m-%d %H:%M} UTC) and at most "
            f"{LONGEST.days} days ahead. To hold for longer, place it again before it ends."
        )
    return end


def _typed(field: str, text: str, shortest: int, longest: int) -> str:
    plain = " ".join(text.split())
    if not shortest <= len(plain) <= longest:
        raise Misconfigured(
            f"The {field} of the hold has {len(plain)} characters; expected {shortest} to {longest}, so that others know whom to ask."
        )
    return plain


def end(ledger: Ledger, seq: int, *, by: str, now: datetime, run_id: str, proof: str = "") -> Hold:
    """End an active hold early; `proof` records how the person proved that they may.

    Raises `NotFound` if there is no such hold, also if somebody ended it a moment before.
    """
    found = next((hold for hold in _active(ledger, now) if hold.seq == seq), None)
    if found is None:
        raise NotFound(f"There is no active hold {seq}: it never existed, has expired, or was ended before.")
    ended = HoldEnded(
        hold=seq, by=_typed("name", by, SHORTEST_NAME, LONGEST_NAME), **({"proof": proof} if proof else {})
    )
    try:
        ledger.record(ended, run_id=run_id, once=f"hold-ended:{seq}")
    except AlreadyRecorded:
        raise NotFound(f"The hold {seq} was ended by somebody else just now.") from None
    return found


def active_holds(ledger: Ledger, destination: str, now: datetime) -> list[Hold]:
    """Return the active holds of this destination, oldest first."""
    return [hold for hold in _active(ledger, now) if hold.destination.casefold() == destination.casefold()]


def _active(ledger: Ledger, now: datetime) -> list[Hold]:
    ended = {fact.as_(HoldEnded).hold for fact in ledger.facts(kind=HoldEnded.KIND)}
    return [
        hold
        for fact in ledger.facts(kind=HoldPlaced.KIND)
        if (hold := Hold.of(fact)).seq not in ended and now < hold.until
    ]


def require_no_hold(ledger: Ledger, destination: str, now: datetime, *, overrides: Collection[str] = ()) -> None:
    """Raise `OnHold` naming every active hold of the destination whose mark is not among the approved `overrides`."""
    active = [hold for hold in active_holds(ledger, destination, now) if hold.mark not in overrides]
    if active:
        raise OnHold(f"{destination} is " + "; ".join(hold.words for hold in active) + ".")

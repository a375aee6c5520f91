"""Places: what can be overwritten, each with its last runs, holds and what waits, from the ledger's facts alone."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.estate.outcomes import GREEN
from tasks.ledger.ledger import Fact
from tasks.signoff.history import HoldRecord, RunRecord, history

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)  # before and after any fact
MOST_RUNS = 50  # runs of one place that a page lists


@dataclass(frozen=True)
class Place:
    """One install, or the database behind one hostname. `runs` are newest first; `holds` are those that nobody ended early."""

    name: str
    runs: tuple[RunRecord, ...]
    holds: tuple[HoldRecord, ...]

    @property
    def last(self) -> RunRecord | None:
        """The newest run that has ended, or None."""
        return next((run for run in self.runs if run.outcome), None)

    @property
    def verified(self) -> RunRecord | None:
        """The newest run whose outcome is green, or None."""
        return next((run for run in self.runs if run.outcome in GREEN), None)

    def holds_at(self, now: datetime) -> list[HoldRecord]:
        """Return the holds that are active at this moment (UTC)."""
        return [hold for hold in self.holds if hold.until > now.isoformat()]

    @property
    def waits(self) -> bool:
        """Whether a run of this place waits for an answer."""
        return any(run.code and not run.decision and not run.outcome for run in self.runs)


def places(facts: Sequence[Fact]) -> list[Place]:
    """Return every place that the ledger knows, by name."""
    found = history(facts, since=FIRST, until=LAST)
    runs: dict[str, list[RunRecord]] = defaultdict(list)
    holds: dict[str, list[HoldRecord]] = defaultdict(list)
    for run in found.runs:
        if run.destination:
            runs[run.destination].append(run)
    for hold in found.holds:
        if not hold.ended_by:
            holds[hold.destination].append(hold)
    return [
        Place(name, tuple(sorted(runs[name], key=lambda run: run.at, reverse=True)[:MOST_RUNS]), tuple(holds[name]))
        for name in sorted({*runs, *holds}, key=str.casefold)
    ]

"""Faults: why a policy, an export or a load does not fit a database, one by one, for people and for programs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Fault:
    """One reason that speaks against a plan, or one doubt about it. `table` and `column` are names as the policy has them,
    empty if the fault is about neither; `remedy` is what to do, in words or as a statement.
    """

    kind: str
    message: str
    table: str = ""
    column: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """Return the sentence for people: what is wrong, then what to do."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    @property
    def names(self) -> frozenset[str]:
        """Return the names by which a policy may speak of it: `table` and `table.column`."""
        return frozenset({self.table, f"{self.table}.{self.column}"} if self.column else {self.table}) - {""}


def listed(faults: Sequence[Fault], most: int) -> str:
    """Return the faults as one text for people, the first `most` of them and how many more there are."""
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(map(str, faults[:most])) + more


def as_facts(faults: Iterable[Fault]) -> list[dict[str, str]]:
    """Return faults as plain values, for an error's facts and for JSON."""
    return [asdict(fault) for fault in faults]

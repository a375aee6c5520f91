"""Faults: the reasons why a policy, an export or a load does not fit a database."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Fault:
    """One reason that prevents a plan, or one doubt about it. `table` and `column` are names as in the policy, or empty.
    `remedy` is what to do, as a sentence or as an SQL statement.
    """

    kind: str
    message: str
    table: str = ""
    column: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """Return the message: what is wrong, then what to do."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    @property
    def names(self) -> frozenset[str]:
        """Return the names by which a policy can refer to it: `table` and `table.column`."""
        return frozenset({self.table, f"{self.table}.{self.column}"} if self.column else {self.table}) - {""}


def listed(faults: Sequence[Fault], most: int) -> str:
    """Return the first `most` faults as one text, and how many more there are."""
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(map(str, faults[:most])) + more


def as_facts(faults: Iterable[Fault]) -> list[dict[str, str]]:
    """Return faults as plain values, for the facts of an error and for JSON."""
    return [asdict(fault) for fault in faults]

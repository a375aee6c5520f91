"""Risk: how dangerous a plan is, why, and therefore what its gate demands."""

from enum import StrEnum

from tasks.estate.sites import Immutable


class Grade(StrEnum):
    """The class of a plan. The order is the order of danger."""

    GREEN = "green"  # a standing approval may cover it
    YELLOW = "yellow"  # one person
    RED = "red"  # two people
    BLACK = "black"  # refused; nobody can approve it


class Risk(Immutable):
    """The grade of one plan with its reasons, and what the rules demand for it. Part of the plan's fingerprint.

    `people` must say yes, `signatures` of them by SSH signature; none of them before `cool_down` seconds have passed since
    the question. `rules` is the SHA-256 of the rules that graded it.
    """

    grade: Grade
    reasons: tuple[str, ...]
    people: int = 1
    signatures: int = 0
    cool_down: int = 0
    requester_may_approve: bool = False
    rules: str = ""

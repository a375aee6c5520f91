"""The risk class of a plan, its reasons, and what its approval requires."""

from enum import StrEnum

from tasks.estate.sites import Immutable


class Grade(StrEnum):
    """The risk class of a plan, from the least to the most dangerous."""

    GREEN = "green"  # a standing approval may cover it
    YELLOW = "yellow"  # one approver
    RED = "red"  # two approvers
    BLACK = "black"  # refused; nobody can approve it


class Risk(Immutable):
    """The risk class of one plan with its reasons and requirements. Part of the plan's fingerprint.

    `people`: how many approvers are needed, `signatures` of them with a passkey or an SSH signature. `cool_down`: seconds after the
    request in which no approval is accepted. `rules`: SHA-256 of the rules that were applied.
    """

    grade: Grade
    reasons: tuple[str, ...]
    people: int = 1
    signatures: int = 0
    cool_down: int = 0
    requester_may_approve: bool = False
    rules: str = ""

"""Choices: what the form switched off, checked on the worker before anything is read, whatever the form allowed."""

from tasks.dumps.export_plan import Choices
from tasks.estate.dumps import RISK_PHRASE, Anonymizer
from tasks.estate.errors import Misconfigured, RiskNotAccepted


def require_choices(*, attachments: bool, off: list[str], risk_phrase: str) -> Choices:
    """The choices. Raises `RiskNotAccepted` where an anonymizer is off without the phrase, letter for letter."""
    known = [kind.value for kind in Anonymizer]
    for word in off:
        if word not in known:
            raise Misconfigured(f"There is no anonymizer {word!r}; expected some of {', '.join(known)}.")
    if off and risk_phrase != RISK_PHRASE:
        raise RiskNotAccepted(
            f"Anonymizers are switched off ({', '.join(sorted(off))}) and the risk field does not hold the phrase; "
            f"expected exactly {RISK_PHRASE}."
        )
    return Choices(attachments=attachments, opted_out=tuple(kind for kind in Anonymizer if kind.value in off))


def require_originals_allowed(originals: bool, risk_phrase: str) -> bool:
    """Whether a preview may show originals. Raises `RiskNotAccepted` where they are asked for without the phrase."""
    if originals and risk_phrase != RISK_PHRASE:
        raise RiskNotAccepted(
            "Originals are asked for and the risk field does not hold the phrase; Prefect keeps what a report shows, in "
            f"clear, for everybody who reaches its API. Expected exactly {RISK_PHRASE}.",
            next_step="Nothing was read. Leave the originals hidden, or type the phrase that the form names.",
        )
    return originals

"""Choices: what the form switched off, checked on the worker before anything is read, whatever the form allowed."""

from tasks.dumps.planning import Choices
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

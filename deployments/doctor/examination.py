"""One part of an examination: its findings, and what is made of a check that could not be made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import psycopg
from sqlalchemy.exc import SQLAlchemyError

from tasks.estate.errors import Misconfigured, OutcomeUnknown, Refused, Transient, UnderstudyError

# What a check cannot be made because of: the other side is away or refuses. Anything else is a fault of the program.
PREVENTING = (httpx.HTTPError, psycopg.Error, SQLAlchemyError, OSError)


@dataclass(frozen=True)
class Finding:
    """One result. `passed` is None if it is not known; then, and if it failed, `remedy` is what to do."""

    check: str
    passed: bool | None
    detail: str
    remedy: str = ""

    @property
    def verdict(self) -> str:
        """The result in a word."""
        return {True: "passed", False: "failed", None: "not known"}[self.passed]


Check = Callable[[], Iterator[Finding]]


def good(check: str, detail: str) -> Finding:
    """Return a finding that passed."""
    return Finding(check, True, detail)


def bad(check: str, detail: str, remedy: str) -> Finding:
    """Return a finding that failed."""
    return Finding(check, False, detail, remedy)


def unknown(check: str, detail: str, remedy: str) -> Finding:
    """Return a finding about what could not be checked, which is never good news."""
    return Finding(check, None, detail, remedy)


def examine(check: str, body: Check) -> list[Finding]:
    """Return the findings of a part. An error ends it: a wrong setting fails, and what could not be looked at is not known."""
    found: list[Finding] = []
    try:
        found.extend(body())
    except UnderstudyError as error:
        found.append(of_error(check, error))
    except PREVENTING as error:
        why = f"It could not be checked ({type(error).__name__})."  # the text of such an error may contain an address
        found.append(unknown(check, why, "Look at the settings that docs/settings.md lists for it, then try again."))
    return found


def of_error(check: str, error: UnderstudyError) -> Finding:
    """Return the finding that one of our errors means: `Transient` and unknown outcomes prove nothing."""
    uncertain = isinstance(error, Transient | OutcomeUnknown) or not isinstance(error, Refused | Misconfigured)
    return Finding(check, None if uncertain else False, error.message, error.next_step)

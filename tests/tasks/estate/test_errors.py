"""The exception tree: what may be retried, and what survives a pickle."""

import pickle

import pytest

from tasks.estate import errors
from tasks.estate.errors import (
    BackupAborted,
    Misconfigured,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Transient,
    UnderstudyError,
)

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UnderstudyError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_a_pickle_with_its_facts(kind: type[UnderstudyError]) -> None:
    """Prefect pickles exceptions into states: message, facts and next step are restored."""
    error = pickle.loads(pickle.dumps(kind("no", next_step="do that", backup="b1")))
    assert (type(error), error.message, error.next_step, error.facts) == (kind, "no", "do that", {"backup": "b1"})


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_an_outcome_and_a_next_step(kind: type[UnderstudyError]) -> None:
    """Each class has an outcome and a next step."""
    assert kind.outcome.isidentifier()
    assert len(kind.next_step) > 20


def test_only_transient_errors_may_be_retried() -> None:
    """Refusals, unknown outcomes and wrong settings are not of the class that steps retry."""
    assert issubclass(RateLimited, Transient)
    assert not any(issubclass(kind, Transient) for kind in (Refused, BackupAborted, OutcomeUnknown, Misconfigured))


def test_a_rate_limit_has_the_seconds_to_wait() -> None:
    """A rate limit has the seconds that the host sent, or None."""
    assert RateLimited("slow down", retry_after=3).retry_after == 3.0
    assert RateLimited("slow down").retry_after is None

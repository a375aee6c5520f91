"""A check that could not be made is not known, and never counts as passed."""

from collections.abc import Iterator

import httpx
import pytest

from deployments.doctor.examination import Finding, examine, good
from tasks.estate.errors import HostRefused, LedgerUnavailable, Misconfigured, OutcomeUnknown, Unreachable


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (Misconfigured("The setting is wrong."), "failed"),
        (HostRefused("The host answers 401."), "failed"),
        (Unreachable("The host is away."), "not known"),
        (OutcomeUnknown("Its end is not proven."), "not known"),
        (LedgerUnavailable("The database is away."), "not known"),
        (httpx.ConnectError("https://user:secret@host"), "not known"),
        (PermissionError(13, "Permission denied", "codes.yaml"), "not known"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else each,
)
def test_an_error_ends_a_part_and_keeps_what_was_found(error: Exception, verdict: str) -> None:
    """What was found before stays; a wrong setting fails, anything that is away is not known, and each has a remedy."""

    def part() -> Iterator[Finding]:
        yield good("first", "It is fine.")
        raise error

    first, second = examine("second", part)
    assert (first.verdict, second.check, second.verdict) == ("passed", "second", verdict)
    assert second.remedy
    assert "secret" not in second.detail


def test_a_fault_of_the_program_is_not_a_finding() -> None:
    """An unexpected exception is not hidden in a list of findings."""

    def part() -> Iterator[Finding]:
        raise KeyError("x")
        yield

    with pytest.raises(KeyError):
        examine("any", part)

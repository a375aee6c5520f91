"""Every named fault against a refresh, and the ones that differ against a promotion: each ends as documented.

The other flows meet every fault in tests/drills/test_fault_matrix.py.
"""

import pytest

from deployments.sandbox.faults import FAULTS

# Minutes of retries in real time; the drill runs them.
SLOW = {"page-two-fails"}


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in SLOW])
def test_a_refresh_ends_as_documented(fault: str, trouble, documented) -> None:  # type: ignore[no-untyped-def]  # fixtures
    """A refresh that meets the fault ends in the named outcome of docs/faults.md, and keeps what is sacred."""
    assert trouble.meet("refresh", fault) == documented["refresh", fault]


@pytest.mark.parametrize(
    "fault", ["reply-lost", "copy-silence", "backup-aborted", "checkpoints-absent", "no-list-endpoint"]
)
def test_a_promotion_ends_as_documented(fault: str, trouble, documented) -> None:  # type: ignore[no-untyped-def]  # fixtures
    """A promotion that meets the fault ends in the named outcome of docs/faults.md, and keeps what is sacred."""
    assert trouble.meet("promote", fault) == documented["promote", fault]

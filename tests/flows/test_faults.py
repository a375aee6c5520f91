"""The most important faults against a refresh and a promotion: each ends as documented.

Every flow meets every fault in tests/drills/test_fault_matrix.py.
"""

import pytest

from deployments.sandbox.host.faults import FAULTS

# Those that a copy could be sent twice by, or into the wrong place, or be believed although it did not arrive. The others,
# and minutes of retries in real time, are the drill's; faults of backups are in test_approvals_forged.py.
TELLING = ("copy-half-landed", "reply-lost", "relabelled-production", "copy-silence")


def test_the_faults_named_here_exist() -> None:
    """A renamed fault must not silently drop out of the suite."""
    assert set(TELLING) <= set(FAULTS)


@pytest.mark.parametrize("fault", TELLING[:3])
def test_a_refresh_ends_as_documented(fault: str, trouble, documented) -> None:  # type: ignore[no-untyped-def]  # fixtures
    """A refresh that meets the fault ends in the named outcome of docs/faults.md, and keeps what is sacred."""
    assert trouble.meet("refresh", fault) == documented["refresh", fault]


@pytest.mark.parametrize("fault", ["copy-silence"])
def test_a_promotion_ends_as_documented(fault: str, trouble, documented) -> None:  # type: ignore[no-untyped-def]  # fixtures
    """A promotion that meets the fault ends in the named outcome of docs/faults.md, and keeps what is sacred."""
    assert trouble.meet("promote", fault) == documented["promote", fault]

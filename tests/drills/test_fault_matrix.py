"""Every named fault × every flow: each run ends in the outcome that docs/faults.md promises."""

import itertools

import pytest

from deployments.sandbox.host.faults import FAULTS

pytestmark = pytest.mark.drill

FLOWS = ("refresh", "provision", "promote", "restore", "diagnose")


@pytest.mark.parametrize(("verb", "fault"), list(itertools.product(FLOWS, FAULTS)))
def test_every_flow_ends_as_documented(verb: str, fault: str, trouble, documented) -> None:  # type: ignore[no-untyped-def]  # fixtures
    """The flow ends in its documented outcome; never two copies, never one without backup and approval."""
    assert trouble.meet(verb, fault) == documented[verb, fault]

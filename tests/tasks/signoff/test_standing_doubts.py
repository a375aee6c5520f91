"""Standing approvals of loads: what may fail on staging needs a person, unless the policy accepts it by name."""

import pytest

from tasks.estate.errors import NotApproved
from tasks.estate.planning_faults import Fault
from tasks.signoff.standing import require_load_covered
from tests.tasks.safeguards.ledger_histories import load_plan
from tests.tasks.signoff.test_standing import LEADS, NOW, entry

DOUBT = Fault(kind="trigger", message="a trigger of staging may refuse rows", table="orders", column="total")
NIGHTLY = entry(source="school", destination="staging.example")


def test_an_open_doubt_needs_a_person() -> None:
    """The refusal names the doubt and the table under which the policy can accept it."""
    with pytest.raises(NotApproved, match=r"a trigger of staging may refuse rows.*a person must answer") as error:
        require_load_covered(load_plan(doubts=(DOUBT,)), [NIGHTLY], now=NOW, leads=LEADS)
    assert "accept_doubts" in error.value.next_step
    assert "orders" in error.value.next_step


@pytest.mark.parametrize("accepted", ["orders", "orders.total"])
def test_a_doubt_that_the_policy_accepts_needs_nobody(accepted: str) -> None:
    """The policy accepts a doubt by its table or its column."""
    wanted = load_plan(doubts=(DOUBT,), accepted_doubts=(accepted,))
    assert require_load_covered(wanted, [NIGHTLY], now=NOW, leads=LEADS) == NIGHTLY

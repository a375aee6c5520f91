"""What tests of safeguards share."""

import pytest

from tasks.ledger.ledger import Ledger
from tests.tasks.safeguards.ledger_histories import Story, content


@pytest.fixture
def story() -> Story:
    """Return a ledger in which last night's refresh succeeded."""
    made = Story(Ledger("sqlite:///:memory:"))
    made.call(content())
    return made

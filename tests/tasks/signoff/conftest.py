"""The approval gate of the tests in this folder."""

import pytest

from tests.tasks.signoff.approval_desk import Desk


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An approval gate with an empty ledger in memory."""
    return Desk.create(monkeypatch)

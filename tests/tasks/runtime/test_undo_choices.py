"""The runs that `restore` offers: those that overwrote an install, newest first, each read back as its run."""

import pytest

from tasks.estate.errors import NotFound
from tasks.ledger.ledger import Ledger
from tasks.restores import resolve_run
from tasks.runtime.undo_choices import undo_choices
from tests.tasks.safeguards.ledger_histories import STAGE, Story, content


def test_each_run_that_overwrote_an_install_is_offered(ledger: Ledger) -> None:
    """A choice names destination, verb and time, and leads back to exactly that run."""
    assert undo_choices() == []
    story = Story(ledger)
    runs = [story.call(content()), story.call(content())]
    choices = undo_choices()
    assert [resolve_run(choice) for choice in choices] == [*reversed(runs)]
    assert all(choice.startswith(f"{STAGE.name}: ") for choice in choices)


def test_a_run_that_is_named_needs_no_choice(ledger: Ledger) -> None:
    """An id stays itself; a code that the ledger does not have is an error, also in the longer choices of older forms."""
    assert resolve_run("c0ffee00-0000-4000-8000-000000000000") == "c0ffee00-0000-4000-8000-000000000000"
    for choice in (
        "schulprod: promote 5 Nov 22:31, 7K3F-92QD",
        "schulprod: promote of 5 Nov 2026, 22:31 UTC, plan 7K3F-92QD",
    ):
        with pytest.raises(NotFound, match="no call of plan 7K3F-92QD"):
            resolve_run(choice)

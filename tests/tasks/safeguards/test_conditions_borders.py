"""Conditions of a standing approval at their borders: the last second, run and share that count."""

from datetime import timedelta

import pytest

from tasks.estate.errors import Skipped
from tasks.ledger.ledger import Ledger
from tasks.safeguards.scheduled_run_conditions import require_load_met
from tasks.signoff.answers import record_approval
from tests.tasks.safeguards.ledger_histories import DEV, PROD, STAGE, Story, load_plan
from tests.tasks.safeguards.test_scheduled_run_conditions import (
    EQUAL,
    HOUR,
    OTHER,
    SHOP,
    load,
    met,
    nights,
    put,
    skipped,
    soon,
)

SECOND = timedelta(seconds=1)


@pytest.fixture
def story() -> Story:
    """A ledger in which last night's refresh went well."""
    made = Story(Ledger("sqlite:///:memory:"))
    made.call(EQUAL)
    return made


def test_a_request_waits_until_its_deadline(story: Story) -> None:
    """A second before the deadline the night is skipped; at the deadline nothing waits any more."""
    put(story, "promote", STAGE, PROD)
    (asked,) = story.ledger.facts(kind="asked")
    answer_by = asked.at.fromisoformat(asked.detail["answer_by"])
    assert skipped(story, now=answer_by - SECOND)
    met(story, now=answer_by)


def test_an_approval_is_about_to_be_sent_until_it_cannot_be_used(story: Story) -> None:
    """Its last usable moment still counts; a second later it does not."""
    made = put(story, "promote", STAGE, PROD)
    approval = record_approval(
        story.ledger, made, kind="person", approver="Anna", reason="why not", answered_at=soon(), execute_within=HOUR
    )
    assert "about to be sent" in skipped(story, now=approval.execute_by).message
    met(story, now=approval.execute_by + SECOND)


def test_approved_plans_that_do_not_concern_the_pair_do_not_matter(story: Story) -> None:
    """An approved promotion of another pair, and an approved refresh of this source, leave the night alone."""
    for verb, source, destination in (("promote", OTHER, SHOP), ("refresh", PROD, DEV)):
        made = put(story, verb, source, destination)
        record_approval(
            story.ledger, made, kind="person", approver="Anna", reason="x", answered_at=soon(), execute_within=HOUR
        )
    met(story)


def test_a_run_that_was_verified_in_part_neither_breaks_nor_mends(story: Story) -> None:
    """It is not a failure, and it is not the success that ends a row of failures."""
    for _ in range(3):
        story.call(EQUAL, outcome="VerifiedInPart")
    met(story)
    story.call(EQUAL, outcome="VerifyFailed")
    story.call(EQUAL, outcome="VerifiedInPart")
    met(story)
    story.call(EQUAL, outcome="VerifyFailed")
    assert "The last 2 runs" in skipped(story).message


def test_exactly_the_share_stops_the_line(story: Story) -> None:
    """Two of four runs are half of them."""
    nights(story, "VerifyFailed", "VerifyFailed", "Verified", "Verified")
    assert "2 of 4 runs" in skipped(story).message
    met(story, stop_share=0.51)


def test_runs_that_have_not_ended_are_not_counted(story: Story) -> None:
    """A run that still works neither makes two failures the third run of the night, nor lowers their share."""
    nights(story, "VerifyFailed", "VerifyFailed", "", "")
    met(story)
    nights(story, "Verified")
    assert "2 of 3 runs" in skipped(story).message


def test_a_load_looks_back_twelve_hours(story: Story) -> None:
    """Failed runs of the last twelve hours stop a load, older ones do not."""
    nights(story, "VerifyFailed", "VerifyFailed", "VerifyFailed")
    now = soon()
    with pytest.raises(Skipped, match="3 of 3 runs with standing approvals in the last 12 h"):
        require_load_met(story.ledger, load_plan(), now=now + 12 * HOUR - timedelta(minutes=5))
    require_load_met(story.ledger, load_plan(), now=now + 12 * HOUR)


def test_one_failed_load_and_two_standing_runs_do_not_stop_a_load(story: Story) -> None:
    """Both limits are counted: two failures in a row, three runs of a night."""
    nights(story, "VerifyFailed")
    load(story, "LeakFound", refused=True)
    require_load_met(story.ledger, load_plan(), now=soon())
    nights(story, "VerifyFailed")
    with pytest.raises(Skipped, match="3 of 3 runs"):
        require_load_met(story.ledger, load_plan(), now=soon())

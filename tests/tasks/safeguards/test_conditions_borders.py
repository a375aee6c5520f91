"""Conditions of runs under a standing approval at their limits: the last second, run and share that count."""

from datetime import timedelta

import pytest

from tasks.estate.errors import Skipped
from tasks.safeguards.risk_rules import RiskRules
from tasks.safeguards.scheduled_run_conditions import require_load_met
from tasks.signoff.answers import record_approval
from tests.tasks.safeguards.ledger_histories import DEV, PROD, STAGE, Story, load_plan
from tests.tasks.safeguards.test_scheduled_run_conditions import (
    EQUAL,
    HOUR,
    OTHER,
    SHOP,
    end_runs,
    load,
    met,
    put,
    skipped,
    soon,
)

SECOND = timedelta(seconds=1)


def test_a_request_waits_until_its_deadline(story: Story) -> None:
    """A second before its deadline it skips a refresh; at the deadline it does not."""
    put(story, "promote", STAGE, PROD)
    (asked,) = story.ledger.facts(kind="asked")
    answer_by = asked.at.fromisoformat(asked.detail["answer_by"])
    assert skipped(story, now=answer_by - SECOND)
    met(story, now=answer_by)


def test_an_approval_skips_a_refresh_until_it_expires(story: Story) -> None:
    """It counts until `execute_by`; a second later it does not."""
    made = put(story, "promote", STAGE, PROD)
    approval = record_approval(
        story.ledger, made, kind="person", approver="Anna", reason="why not", answered_at=soon(), execute_within=HOUR
    )
    assert "about to be sent" in skipped(story, now=approval.execute_by).message
    met(story, now=approval.execute_by + SECOND)


def test_other_approved_plans_skip_nothing(story: Story) -> None:
    """An approved promotion of another pair and an approved refresh of this source do not skip a refresh."""
    for verb, source, destination in (("promote", OTHER, SHOP), ("refresh", PROD, DEV)):
        made = put(story, verb, source, destination)
        record_approval(
            story.ledger, made, kind="person", approver="Anna", reason="x", answered_at=soon(), execute_within=HOUR
        )
    met(story)


def test_a_run_that_was_verified_in_part_neither_counts_nor_resets_the_count(story: Story) -> None:
    """It is not a failure, and not a success that ends a row of failures."""
    for _ in range(3):
        story.call(EQUAL, outcome="VerifiedInPart")
    met(story)
    story.call(EQUAL, outcome="VerifyFailed")
    story.call(EQUAL, outcome="VerifiedInPart")
    met(story)
    story.call(EQUAL, outcome="VerifyFailed")
    assert "The last 2 runs" in skipped(story).message


def test_exactly_the_share_skips_the_remaining_runs(story: Story) -> None:
    """Two of four runs are half of them."""
    end_runs(story, "VerifyFailed", "VerifyFailed", "Verified", "Verified")
    assert "2 of 4 runs" in skipped(story).message
    met(story, stop_the_line={"share": 0.51})


def test_runs_that_have_not_ended_are_not_counted(story: Story) -> None:
    """A run without a report neither makes two failures the third run of the night, nor lowers their share."""
    end_runs(story, "VerifyFailed", "VerifyFailed", "", "")
    met(story)
    end_runs(story, "Verified")
    assert "2 of 3 runs" in skipped(story).message


def test_a_load_looks_back_twelve_hours(story: Story) -> None:
    """Failed runs of the last twelve hours skip a load, older ones do not."""
    end_runs(story, "VerifyFailed", "VerifyFailed", "VerifyFailed")
    now = soon()
    with pytest.raises(Skipped, match="3 of 3 runs with standing approvals in the last 12 h"):
        require_load_met(story.ledger, load_plan(), RiskRules(), now=now + 12 * HOUR - timedelta(minutes=5))
    require_load_met(story.ledger, load_plan(), RiskRules(), now=now + 12 * HOUR)


def test_a_load_has_both_limits_of_failures(story: Story) -> None:
    """The limits are two failures in a row, and half of at least three standing runs."""
    end_runs(story, "VerifyFailed")
    load(story, "LeakFound", refused=True)
    require_load_met(story.ledger, load_plan(), RiskRules(), now=soon())
    end_runs(story, "VerifyFailed")
    with pytest.raises(Skipped, match="3 of 3 runs"):
        require_load_met(story.ledger, load_plan(), RiskRules(), now=soon())

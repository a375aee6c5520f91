"""Conditions of runs under a standing approval: each reason to skip one, and what to do about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.estate.errors import Skipped
from tasks.estate.plans import Plan
from tasks.estate.sites import Content, Environment, Install
from tasks.ledger.approval_requests import end_of
from tasks.ledger.facts import Sending
from tasks.ledger.journal import ends_of
from tasks.safeguards.holds import place
from tasks.safeguards.risk_rules import RiskRules
from tasks.safeguards.scheduled_run_conditions import newly_emptied, require_load_met, require_met
from tasks.signoff.answers import record_approval, where
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import (
    DEV,
    PROD,
    STAGE,
    Story,
    comparison,
    content,
    install,
    load_plan,
    plan,
)

EQUAL = content()
OTHER, SHOP = install("other"), install("shop", Environment.PRODUCTION)
HOUR = timedelta(hours=1)


def soon() -> datetime:
    """Return the current time, which is after everything that was recorded."""
    return datetime.now(UTC)


def met(story: Story, stage: Content = EQUAL, *, now: datetime | None = None, **rules: Any) -> None:
    """Require that tonight's refresh of `stage` from `prod` is not skipped."""
    require_met(story.ledger, plan(), comparison(EQUAL, stage), RiskRules.model_validate(rules), now=now or soon())


def skipped(story: Story, stage: Content = EQUAL, **changes: Any) -> Skipped:
    """Return why tonight's refresh is skipped."""
    with pytest.raises(Skipped) as error:
        met(story, stage, **changes)
    assert error.value.next_step.startswith("Nothing was overwritten. ")
    return error.value


def put(story: Story, verb: str, source: Install, destination: Install) -> Plan:
    """Record an approval request for such a plan, to be answered within two hours."""
    made = plan(verb, source, destination, run="waiting")
    now = soon()
    asked = {
        "at": now.isoformat(), "answer_by": (now + 2 * HOUR).isoformat(), "verb": verb, "code": made.code, "people": 2,
        "source_id": source.id, "destination": destination.name, "requested_by": "Ben",
    }  # fmt: skip
    story.ledger.record(raw_fact("asked", asked), **where(made))
    return made


def test_a_refresh_is_allowed_if_nothing_prevents_it(story: Story) -> None:
    """A refresh after a successful one, of a staging that nobody changed, is not skipped."""
    met(story)


@pytest.mark.parametrize(
    ("verb", "source", "destination"),
    [("promote", STAGE, PROD), ("promote", DEV, PROD), ("promote", STAGE, SHOP), ("restore", STAGE, STAGE)],
)
def test_a_waiting_promotion_or_restore_skips_a_refresh(
    story: Story, verb: str, source: Install, destination: Install
) -> None:
    """The request for either install of the pair is named with code, run and deadline, after which it does not count."""
    made = put(story, verb, source, destination)
    error = skipped(story)
    for part in (made.code, "run waiting", destination.name, f"{soon() + 2 * HOUR:%Y-%m-%d %H:}"):
        assert part in error.message
    assert "Answer that approval request" in error.next_step
    met(story, now=soon() + 2 * HOUR + timedelta(seconds=1))


@pytest.mark.parametrize(("verb", "source", "destination"), [("promote", OTHER, SHOP), ("refresh", PROD, DEV)])
def test_other_requests_skip_nothing(story: Story, verb: str, source: Install, destination: Install) -> None:
    """A waiting promotion of another pair and a waiting refresh do not skip a refresh."""
    put(story, verb, source, destination)
    met(story)


@pytest.mark.parametrize("end", ["rejected", "expired", "superseded", "frozen"])
def test_a_request_that_ended_skips_nothing(story: Story, end: str) -> None:
    """Only open approval requests count."""
    made = put(story, "promote", STAGE, PROD)
    story.ledger.record(raw_fact(end), **where(made), once=end_of(made.run_id, made.fingerprint))
    met(story)


def test_an_approved_promotion_skips_a_refresh_until_its_call(story: Story) -> None:
    """A refresh is skipped between the approval of a promotion and its call; a used or expired approval does not count."""
    made = put(story, "promote", STAGE, PROD)
    now = soon()
    record_approval(
        story.ledger, made, kind="person", approver="Anna", reason="why not", answered_at=now, execute_within=HOUR
    )
    assert f"Plan {made.code} of run waiting" in skipped(story).message
    met(story, now=now + HOUR + timedelta(seconds=1))
    story.ledger.record(raw_fact("consumed"), **where(made))
    met(story)


def hold(story: Story, destination: str) -> None:
    """Place a hold of Cleo for an hour."""
    place(
        story.ledger,
        destination=destination,
        until=soon() + HOUR,
        by="Cleo",
        reason="menu not done",
        now=soon(),
        run_id="r",
    )


def test_a_hold_skips_a_refresh(story: Story) -> None:
    """The message contains the name and reason of the hold; a hold of another install does not count."""
    hold(story, "dev")
    met(story)
    hold(story, "stage")
    error = skipped(story)
    assert "by Cleo: menu not done" in error.message
    assert "Talk to Cleo" in error.next_step
    met(story, now=soon() + HOUR)


@pytest.mark.parametrize("bad", ["VerifyFailed", "OutcomeUnknown", "NotVerified", ""])
def test_two_failures_in_a_row_skip_a_pair(story: Story, bad: str) -> None:
    """After two failures in a row a pair is skipped until a run succeeds; a run without a report counts as failed."""
    one = story.call(EQUAL, outcome=bad)
    met(story)
    two = story.call(EQUAL, outcome=bad)
    message = skipped(story).message
    assert one in message
    assert two in message
    met(story, failures_in_a_row=3)
    story.call(EQUAL)
    met(story)


def test_a_refused_call_neither_counts_nor_resets_the_count(story: Story) -> None:
    """A call that the host refused does not separate two failures; failures of other installs do not count."""
    story.call(EQUAL, outcome="VerifyFailed")
    story.call(EQUAL, destination=DEV, outcome="VerifyFailed")
    story.call(EQUAL, refused=True, outcome="HostRefused")
    met(story)
    story.call(EQUAL, outcome="VerifyFailed")
    assert "The last 2 runs" in skipped(story).message


def test_a_refusal_that_was_disproved_counts_as_a_call(story: Story) -> None:
    """A load was recorded as rolled back, and its marker settled it as committed later."""
    run = story.call(EQUAL, refused=True, outcome="Loaded")
    assert next(ends_of(story.ledger, STAGE.id)).refused
    story.ledger.record(raw_fact("settled", {"how": "marker found: committed"}), run_id=run)
    assert not next(ends_of(story.ledger, STAGE.id)).refused


def test_the_newest_report_of_a_run_counts(story: Story) -> None:
    """A failed run that succeeds when it is retried counts as a success."""
    for _ in range(2):
        run = story.call(EQUAL, outcome="OutcomeUnknown")
    assert skipped(story)
    story.ledger.record(raw_fact("outcome", {"outcome": "Verified"}), run_id=run)
    met(story)


def end_runs(story: Story, *outcomes: str, kind: str = "standing") -> None:
    """Record runs of other pairs with these outcomes."""
    for number, outcome in enumerate(outcomes):
        story.call(EQUAL, source=SHOP, destination=install(f"other{number}"), outcome=outcome, kind=kind)


def test_many_failures_in_one_night_skip_the_remaining_runs(story: Story) -> None:
    """If half of at least three standing runs within twelve hours failed, remaining runs are skipped; each number is a rule."""
    end_runs(story, "VerifyFailed", "OutcomeUnknown")
    met(story)
    end_runs(story, "Verified")
    assert "2 of 3 runs with standing approvals in the last 12 h" in skipped(story).message
    met(story, now=soon() + 12 * HOUR)
    met(story, stop_the_line={"runs": 4})
    met(story, stop_the_line={"share": 0.7})
    met(story, stop_the_line={"within": "PT1H"}, now=soon() + 2 * HOUR)
    end_runs(story, "Verified", "Verified")
    met(story)


@pytest.mark.parametrize("kind", ["person", "pre-authorised"])
def test_only_ended_standing_runs_count_for_the_remaining_runs(story: Story, kind: str) -> None:
    """Runs that a person approved and runs without a report do not count."""
    end_runs(story, *["VerifyFailed"] * 4, kind=kind)
    met(story)
    end_runs(story, "VerifyFailed", "", "")
    met(story)


def test_unpromoted_work_skips_a_refresh(story: Story) -> None:
    """The message lists what would be lost; the next step is to promote it or to start the run manually."""
    error = skipped(story, content(4))
    assert "stage holds work that was never promoted to prod: 4 public posts against 3" in error.message
    assert "Promote it" in error.next_step
    assert "approval 'ask'" in error.next_step


def test_unknown_work_skips_a_refresh(story: Story) -> None:
    """A staging that does not answer may contain unpromoted work."""
    error = skipped(story, Content(reachable=False, detail="ReadTimeout"))
    assert "is not known: its public content cannot be read (ReadTimeout)" in error.message
    assert "approval 'ask'" in error.next_step


def load(story: Story, outcome: str, *, refused: bool = False) -> None:
    """Record a load with this outcome."""
    made = load_plan(run_id=f"load-{next(story.runs)}")
    story.send(made, Sending(dump="d"), kind="standing")
    if refused:
        story.ledger.record(raw_fact("send-refused", {"why": "rolled back"}), **where(made))
    story.ledger.record(raw_fact("outcome", {"outcome": outcome}), run_id=made.run_id)


def test_a_load_is_skipped_like_a_refresh(story: Story) -> None:
    """A hold of the hostname, two failures in a row and many failures in one night skip a load as well."""
    require_load_met(story.ledger, load_plan(), RiskRules(), now=soon())
    load(story, "LeakFound", refused=True)
    require_load_met(story.ledger, load_plan(), RiskRules(), now=soon())
    load(story, "NotLoaded", refused=True)
    with pytest.raises(Skipped, match=r"The last 2 runs that overwrote staging\.example did not end well: NotLoaded"):
        require_load_met(story.ledger, load_plan(), RiskRules(), now=soon())
    load(story, "Loaded")
    with pytest.raises(Skipped, match="2 of 3 runs with standing approvals"):
        require_load_met(story.ledger, load_plan(), RiskRules(), now=soon())
    load(story, "Loaded")
    load(story, "Loaded")
    require_load_met(story.ledger, load_plan(), RiskRules(), now=soon())
    hold(story, "Staging.Example")
    with pytest.raises(Skipped, match="held until"):
        require_load_met(story.ledger, load_plan(), RiskRules(), now=soon())


def test_other_emptied_tables_than_people_approved_last_are_returned(story: Story) -> None:
    """The list of the newest load that people approved is compared, in any order; without one, an empty list is."""

    def approved(kind: str, *emptied: str) -> None:
        made = load_plan(run_id=f"load-{next(story.runs)}", emptied=emptied)
        story.ledger.record(raw_fact("planned-load", {"emptied": list(emptied)}), **where(made))
        story.ledger.record(raw_fact("approved", {"kind": kind}), **where(made))

    assert newly_emptied(story.ledger, load_plan()) is None
    assert newly_emptied(story.ledger, load_plan(emptied=("a",))) == ("a",)
    approved("person", "a", "b")
    assert newly_emptied(story.ledger, load_plan(emptied=("b", "a"))) is None
    assert newly_emptied(story.ledger, load_plan(emptied=("a", "b", "c"))) == ("a", "b", "c")
    assert newly_emptied(story.ledger, load_plan(emptied=("a",))) == ("a",)
    approved("standing", "a")
    assert newly_emptied(story.ledger, load_plan(emptied=("a",))) == ("a",)
    approved("person", "a")
    assert newly_emptied(story.ledger, load_plan(emptied=("a",))) is None

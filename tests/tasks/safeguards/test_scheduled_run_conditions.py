"""Conditions of a standing approval: what makes a covered night go by, each with what to do about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.estate.errors import Skipped
from tasks.estate.plans import Plan
from tasks.estate.sites import Content, Environment, Install
from tasks.ledger.approval_requests import end_of
from tasks.ledger.facts import Sending
from tasks.ledger.ledger import Ledger
from tasks.safeguards.holds import place
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


@pytest.fixture
def story() -> Story:
    """A ledger in which last night's refresh went well."""
    story = Story(Ledger("sqlite:///:memory:"))
    story.call(EQUAL)
    return story


def soon() -> datetime:
    """Now, a moment after everything that was recorded."""
    return datetime.now(UTC)


def met(story: Story, stage: Content = EQUAL, *, now: datetime | None = None, **numbers: Any) -> None:
    """Tonight's refresh of `stage` from `prod`."""
    require_met(story.ledger, plan(), comparison(EQUAL, stage), now=now or soon(), **numbers)


def skipped(story: Story, stage: Content = EQUAL, **numbers: Any) -> Skipped:
    """Why tonight's refresh is skipped."""
    with pytest.raises(Skipped) as error:
        met(story, stage, **numbers)
    assert error.value.next_step.startswith("Nothing was overwritten. ")
    return error.value


def put(story: Story, verb: str, source: Install, destination: Install) -> Plan:
    """A question about such a plan, to be answered within two hours."""
    made = plan(verb, source, destination, run="waiting")
    now = soon()
    said = {
        "at": now.isoformat(), "answer_by": (now + 2 * HOUR).isoformat(), "verb": verb, "code": made.code, "people": 2,
        "source_id": source.id, "destination": destination.name, "requested_by": "Ben",
    }  # fmt: skip
    story.ledger.record(raw_fact("asked", said), **where(made))
    return made


def test_a_clean_night_goes_on(story: Story) -> None:
    """Nothing stands against a refresh after a good one, of a staging that nobody touched."""
    met(story)


@pytest.mark.parametrize(
    ("verb", "source", "destination"),
    [("promote", STAGE, PROD), ("promote", DEV, PROD), ("promote", STAGE, SHOP), ("restore", STAGE, STAGE)],
)
def test_a_promotion_that_waits_makes_the_night_go_by(
    story: Story, verb: str, source: Install, destination: Install
) -> None:
    """A question about either install of the pair is named with code, run and deadline; past that, it waits no more."""
    made = put(story, verb, source, destination)
    error = skipped(story)
    for told in (made.code, "run waiting", destination.name, f"{soon() + 2 * HOUR:%Y-%m-%d %H:}"):
        assert told in error.message
    assert "Answer that question" in error.next_step
    met(story, now=soon() + 2 * HOUR + timedelta(seconds=1))


@pytest.mark.parametrize(("verb", "source", "destination"), [("promote", OTHER, SHOP), ("refresh", PROD, DEV)])
def test_other_questions_do_not_matter(story: Story, verb: str, source: Install, destination: Install) -> None:
    """A promotion of another pair, or another refresh that waits, leaves the night alone."""
    put(story, verb, source, destination)
    met(story)


@pytest.mark.parametrize("end", ["rejected", "expired", "superseded", "frozen"])
def test_a_question_that_ended_does_not_matter(story: Story, end: str) -> None:
    """Only what is open counts."""
    made = put(story, "promote", STAGE, PROD)
    story.ledger.record(raw_fact(end), **where(made), once=end_of(made.run_id, made.fingerprint))
    met(story)


def test_an_approved_promotion_is_let_through_first(story: Story) -> None:
    """Between its approval and its call a promotion is not spoilt; once its approval is used up or too old, it is no reason."""
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
    """Hold a destination for an hour, for Cleo."""
    place(
        story.ledger,
        destination=destination,
        until=soon() + HOUR,
        by="Cleo",
        reason="menu not done",
        now=soon(),
        run_id="r",
    )


def test_a_hold_makes_the_night_go_by(story: Story) -> None:
    """The hold's end, name and reason are told; another install's hold is no reason."""
    hold(story, "dev")
    met(story)
    hold(story, "stage")
    error = skipped(story)
    assert "by Cleo: menu not done" in error.message
    assert "Talk to Cleo" in error.next_step
    met(story, now=soon() + HOUR)


@pytest.mark.parametrize("bad", ["VerifyFailed", "OutcomeUnknown", "NotVerified", ""])
def test_two_bad_ends_in_a_row_stop_a_pair(story: Story, bad: str) -> None:
    """One bad end is tried again, two are not, until a run by hand ends well; a run without a report did not end well."""
    one = story.call(EQUAL, outcome=bad)
    met(story)
    two = story.call(EQUAL, outcome=bad)
    message = skipped(story).message
    assert one in message
    assert two in message
    met(story, failures_in_a_row=3)
    story.call(EQUAL)
    met(story)


def test_what_overwrote_nothing_neither_breaks_nor_mends(story: Story) -> None:
    """A call that the host refused stands between two bad ends without making them good; other installs do not count."""
    story.call(EQUAL, outcome="VerifyFailed")
    story.call(EQUAL, destination=DEV, outcome="VerifyFailed")
    story.call(EQUAL, refused=True, outcome="HostRefused")
    met(story)
    story.call(EQUAL, outcome="VerifyFailed")
    assert "The last 2 runs" in skipped(story).message


def test_a_retry_that_ended_well_counts_as_well(story: Story) -> None:
    """The newest report of a run is how it ended."""
    for _ in range(2):
        run = story.call(EQUAL, outcome="OutcomeUnknown")
    assert skipped(story)
    story.ledger.record(raw_fact("outcome", {"outcome": "Verified"}), run_id=run)
    met(story)


def nights(story: Story, *outcomes: str, kind: str = "standing") -> None:
    """Runs of other pairs that ended so."""
    for number, outcome in enumerate(outcomes):
        story.call(EQUAL, source=SHOP, destination=install(f"other{number}"), outcome=outcome, kind=kind)


def test_many_bad_ends_in_one_night_stop_the_line(story: Story) -> None:
    """Half of three or more standing runs within twelve hours: the others are called off, with the numbers."""
    nights(story, "VerifyFailed", "OutcomeUnknown")
    met(story)
    nights(story, "Verified")
    assert "2 of 3 runs with standing approvals in the last 12 h" in skipped(story).message
    met(story, now=soon() + 12 * HOUR)
    met(story, stop_runs=4)
    met(story, stop_share=0.7)
    nights(story, "Verified", "Verified")
    met(story)


@pytest.mark.parametrize("kind", ["person", "pre-authorised"])
def test_only_standing_runs_that_ended_count_for_the_line(story: Story, kind: str) -> None:
    """What a person let go on is watched by that person; what still runs has not failed."""
    nights(story, *["VerifyFailed"] * 4, kind=kind)
    met(story)
    nights(story, "VerifyFailed", "", "")
    met(story)


def test_unpromoted_work_makes_the_night_go_by(story: Story) -> None:
    """What would be lost is told, and that it can be promoted or a person can decide."""
    error = skipped(story, content(4))
    assert "stage holds work that was never promoted to prod: 4 public posts against 3" in error.message
    assert "Promote it" in error.next_step
    assert "approval 'ask'" in error.next_step


def test_what_cannot_be_told_makes_the_night_go_by(story: Story) -> None:
    """A staging that does not answer may hold anything."""
    error = skipped(story, Content(reachable=False, detail="ReadTimeout"))
    assert "cannot be told: its public content cannot be read (ReadTimeout)" in error.message
    assert "approval 'ask'" in error.next_step


def load(story: Story, outcome: str, *, refused: bool = False) -> None:
    """A load that ended so."""
    made = load_plan(run_id=f"load-{next(story.runs)}")
    story.send(made, Sending(dump="d"), kind="standing")
    if refused:
        story.ledger.record(raw_fact("send-refused", {"why": "rolled back"}), **where(made))
    story.ledger.record(raw_fact("outcome", {"outcome": outcome}), run_id=made.run_id)


def test_a_load_is_held_back_like_a_refresh(story: Story) -> None:
    """A hold of the hostname, two failed loads in a row, and a bad night skip a load as well."""
    require_load_met(story.ledger, load_plan(), now=soon())
    load(story, "LeakFound", refused=True)
    require_load_met(story.ledger, load_plan(), now=soon())
    load(story, "NotLoaded", refused=True)
    with pytest.raises(Skipped, match=r"The last 2 runs that overwrote staging\.example did not end well: NotLoaded"):
        require_load_met(story.ledger, load_plan(), now=soon())
    load(story, "Loaded")
    with pytest.raises(Skipped, match="2 of 3 runs with standing approvals"):
        require_load_met(story.ledger, load_plan(), now=soon())
    load(story, "Loaded")
    load(story, "Loaded")
    require_load_met(story.ledger, load_plan(), now=soon())
    hold(story, "Staging.Example")
    with pytest.raises(Skipped, match="held until"):
        require_load_met(story.ledger, load_plan(), now=soon())


def test_other_emptied_tables_than_people_approved_last_are_told(story: Story) -> None:
    """The list of the newest load that people approved counts, in any order; before there is one, an empty list does."""

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

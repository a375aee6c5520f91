"""Work on staging that was never promoted is found after any past, and only if there is such work."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.estate.plans import CopyOptions
from tasks.estate.sites import Content
from tasks.ledger.ledger import Ledger
from tasks.safeguards.unpromoted_work import WorkUnknown, unpromoted_work
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import DEV, LONG_AGO, PROD, STAGE, Story, comparison, content, plan

FILES, DATABASE = CopyOptions(database=False), CopyOptions(files=False)
EQUAL = content()
LATER = datetime(2100, 1, 31, tzinfo=UTC)  # after anything that the ledger records today


@pytest.fixture
def story() -> Story:
    """Return an empty ledger."""
    return Story(Ledger("sqlite:///:memory:"))


def work(story: Story, stage: Content, *, production: Content = EQUAL, **changes: Any) -> list[str]:
    """Return what tonight's refresh would lose, with both installs as they are now."""
    return unpromoted_work(story.ledger, plan(**changes), comparison(production, stage))


MADE = {
    "a post": (content(4), "4 public posts against 3"),
    "a change": (content(newest=LATER), "newest change of posts 2100-01-31 00:00:00 UTC against 2026-01-01"),
    "a theme": (content(files="1.1"), "asset versions 1.1 against 1.0"),
}


@pytest.mark.parametrize("made", MADE)
def test_work_after_a_refresh_is_found(story: Story, made: str) -> None:
    """A post, a change and a theme after the refresh are each named with what was there after it."""
    stage, text = MADE[made]
    run = story.call(EQUAL)
    assert work(story, EQUAL) == []
    (line,) = work(story, stage, production=content(40, LATER + timedelta(days=1)))
    assert text in line
    assert f"after the refresh of run {run}" in line


@pytest.mark.parametrize("made", MADE)
def test_without_an_earlier_refresh_the_source_is_compared(story: Story, made: str) -> None:
    """Without an earlier copy, everything that is newer than, more than or other than the source counts as work."""
    stage, text = MADE[made]
    assert work(story, EQUAL) == []
    assert work(story, EQUAL, production=content(9, LATER)) == []
    (line,) = work(story, stage)
    assert text in line
    assert "on prod (the ledger contains no earlier copy)" in line


def test_only_what_is_copied_is_compared(story: Story) -> None:
    """A refresh of files loses no posts, and one of the database loses no theme."""
    story.call(EQUAL)
    both = content(4, LATER, "1.1")
    assert [line.split(" against")[0] for line in work(story, both, options=FILES)] == ["asset versions 1.1"]
    assert [line.split(" against")[0] for line in work(story, both, options=DATABASE)] == ["4 public posts"]


@pytest.mark.parametrize("made", MADE)
def test_promoted_work_is_not_lost(story: Story, made: str) -> None:
    """Work that was promoted does not count; work after the promotion does."""
    stage, _ = MADE[made]
    story.call(EQUAL)
    run = story.call(stage, "promote", STAGE, PROD)
    assert work(story, stage) == []
    newer = content(5, LATER + timedelta(days=1), "1.2")
    assert any(f"at the promote of run {run}" in line for line in work(story, newer))


@pytest.mark.parametrize(
    "promotion",
    [
        {"options": FILES}, {"options": CopyOptions(tables=("wp_posts",))}, {"how": ""}, {"how": "older than the lock horizon"},
        {"refused": True}, {"source": DEV}, {"destination": DEV},
    ],
    ids=str,
)  # fmt: skip
def test_a_promotion_counts_only_if_it_copied_all_of_the_part(story: Story, promotion: dict[str, Any]) -> None:
    """A promotion of another part, of single tables, of another install or without proof does not save the posts."""
    story.call(EQUAL)
    story.call(**{"before": content(4), "verb": "promote", "source": STAGE, "destination": PROD} | promotion)
    assert work(story, content(4))


def test_a_promotion_that_was_undone_does_not_count(story: Story) -> None:
    """After a restore of production the work counts again, until that restore is undone."""
    story.call(EQUAL)
    promoted = story.call(content(4), "promote", STAGE, PROD)
    story.call(content(4))
    assert work(story, content(4)) == []
    restored = story.call(content(4), "restore", PROD, PROD, restore_backup_id=f"backup-{promoted}")
    assert work(story, content(4))
    story.call(EQUAL, "restore", PROD, PROD, restore_backup_id=f"backup-{restored}")
    assert work(story, content(4)) == []


def test_a_promotion_from_another_install_replaces_an_earlier_one(story: Story) -> None:
    """Work that another install's promotion overwrote is not on production any more."""
    story.call(EQUAL)
    story.call(content(4), "promote", STAGE, PROD)
    story.call(content(9), "promote", DEV, PROD)
    assert work(story, content(4))


def test_a_restore_of_staging_brings_unpromoted_work_back(story: Story) -> None:
    """Work that a refresh overwrote and a restore brought back counts; without such work nothing does."""
    first = story.call(EQUAL)
    overwrote = story.call(content(8, LATER))
    story.call(content(8, LATER), "restore", STAGE, STAGE, restore_backup_id=f"backup-{overwrote}")
    (line,) = work(story, content(4), production=content(8, LATER))
    assert f"4 public posts against 3 after the refresh of run {first}" in line
    assert work(story, EQUAL, production=content(8, LATER)) == []


def test_before_the_first_copy_nothing_is_known(story: Story) -> None:
    """A restore that undid the only copy brings back content that was never compared with production."""
    first = story.call(EQUAL)
    story.call(EQUAL, "restore", STAGE, STAGE, restore_backup_id=f"backup-{first}")
    with pytest.raises(WorkUnknown, match="every copy onto it was undone"):
        work(story, EQUAL)


def test_a_promotion_makes_an_unknown_past_known(story: Story) -> None:
    """What was promoted as a whole is on production, whatever happened before."""
    story.call(EQUAL, how="")
    story.call(content(5), "promote", STAGE, PROD)
    assert work(story, content(5)) == []
    assert work(story, content(6))


def test_a_restore_from_a_renewed_backup_undoes_the_same_call(story: Story) -> None:
    """A backup that was renewed before the call undoes the same call."""
    story.call(EQUAL)
    overwrote = story.call(content(8))
    story.ledger.record(raw_fact("backup-renewed", {"id": "second"}), run_id=overwrote)
    story.call(content(8), "restore", STAGE, STAGE, restore_backup_id="second")
    assert work(story, content(8))
    assert work(story, EQUAL) == []


def test_a_restore_of_files_does_not_undo_the_database(story: Story) -> None:
    """Files and database each have their own history."""
    story.call(EQUAL)
    overwrote = story.call(content(8, files="2.0"))
    story.call(
        content(8),
        "restore",
        STAGE,
        STAGE,
        restore_backup_id=f"backup-{overwrote}",
        options=CopyOptions(database=False),
    )
    assert work(story, content(8, files="2.0"), options=DATABASE) == []
    assert work(story, content(8, files="1.0"), production=content(8, files="2.0"), options=FILES) == []
    assert work(story, content(8, files="1.1"), production=content(8, files="2.0"), options=FILES)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ({"how": ""}, "not proven to have arrived"),
        ({"how": "older than the lock horizon"}, "not proven to have arrived"),
        ({"options": CopyOptions(tables=("wp_posts",))}, "single tables only"),
        ({"source": DEV}, "copied dev, not prod"),
        (
            {"verb": "restore", "source": STAGE, "restore_backup_id": "elsewhere"},
            "a backup that the ledger does not contain",
        ),
        (
            {"verb": "restore", "source": STAGE, "restore_backup_id": "backup-run-1", "how": ""},
            "not proven to have arrived",
        ),
        ({"before": Content(reachable=False)}, "could not be read"),
        ({"before": content(files=None)}, "asset"),
    ],
)
def test_an_unknown_past_is_an_error(story: Story, call: dict[str, Any], why: str) -> None:
    """The content of staging after such a call is not known, until a whole copy arrives."""
    story.call(EQUAL)
    story.call(**{"before": EQUAL} | call)
    with pytest.raises(WorkUnknown, match=why):
        work(story, EQUAL)
    story.call(EQUAL)
    assert work(story, EQUAL) == []


def test_a_refused_call_changes_nothing(story: Story) -> None:
    """A call that the host refused is not a copy."""
    story.call(EQUAL)
    story.call(content(9), refused=True)
    assert work(story, content(4))


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        (Content(reachable=False, detail="503"), "cannot be read .503."),
        (content(files=None), "versions of its public assets"),
        (content(totals={}), "how many public posts"),
        (content(newest=None), "how many public posts"),
        (content(totals={"posts": 3, "pages": 1}), "how many public pages"),
    ],
)
def test_unreadable_content_of_staging_is_an_error(story: Story, stage: Content, why: str) -> None:
    """Content that cannot be read does not count as "no work"."""
    story.call(EQUAL)
    with pytest.raises(WorkUnknown, match=why):
        work(story, stage)


def test_sites_without_public_content_are_an_error(story: Story) -> None:
    """Two sites without public content are not proven to be equal."""
    silent = content(totals={}, newest=None)
    with pytest.raises(WorkUnknown, match="number of its public posts"):
        work(story, silent, production=silent)


def test_changes_of_the_source_during_the_copy_are_not_work(story: Story) -> None:
    """Content that the source has too, from before the arrival, was copied with it."""
    during = datetime.now(UTC)
    story.call(EQUAL)
    copied_too = content(4, during, "1.1")
    assert work(story, copied_too, production=copied_too) == []
    assert work(story, copied_too, production=content(9, LATER + timedelta(days=900), "1.1")) == []
    assert work(story, copied_too, production=content(9, LONG_AGO, "1.1")), "the source has nothing as new"
    after = content(4, datetime.now(UTC), "1.1")
    assert work(story, after, production=content(9, datetime.now(UTC), "1.1")), "made after the arrival"

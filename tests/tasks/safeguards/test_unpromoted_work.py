"""Work on staging that was never promoted: seen after whatever came before, and not where there is none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.estate.plans import CopyOptions
from tasks.estate.sites import Content
from tasks.ledger.ledger import Ledger
from tasks.safeguards.unpromoted_work import CannotBeTold, unpromoted_work
from tests.raw_facts import raw_fact
from tests.tasks.safeguards.ledger_histories import DEV, LONG_AGO, PROD, STAGE, Story, comparison, content, plan

FILES, DATABASE = CopyOptions(database=False), CopyOptions(files=False)
EQUAL = content()
LATER = datetime(2100, 1, 31, tzinfo=UTC)  # after anything that the ledger records today


@pytest.fixture
def story() -> Story:
    """An empty ledger."""
    return Story(Ledger("sqlite:///:memory:"))


def work(story: Story, stage: Content, *, production: Content = EQUAL, **changes: Any) -> list[str]:
    """What tonight's refresh would lose, with both installs as they are now."""
    return unpromoted_work(story.ledger, plan(**changes), comparison(production, stage))


MADE = {
    "a post": (content(4), "4 public posts against 3"),
    "a change": (content(newest=LATER), "newest change of posts 2100-01-31 00:00:00 UTC against 2026-01-01"),
    "a theme": (content(files="1.1"), "asset versions 1.1 against 1.0"),
}


@pytest.mark.parametrize("made", MADE)
def test_work_after_a_refresh_is_told(story: Story, made: str) -> None:
    """A post, a change and a theme that came after the refresh are each told with what was there after it."""
    stage, told = MADE[made]
    run = story.call(EQUAL)
    assert work(story, EQUAL) == []
    (line,) = work(story, stage, production=content(40, LATER + timedelta(days=1)))
    assert told in line
    assert f"after the refresh of run {run}" in line


@pytest.mark.parametrize("made", MADE)
def test_without_an_earlier_refresh_the_source_is_compared(story: Story, made: str) -> None:
    """Where the ledger knows nothing, everything newer than, more than or other than the source counts as work."""
    stage, told = MADE[made]
    assert work(story, EQUAL) == []
    assert work(story, EQUAL, production=content(9, LATER)) == []
    (line,) = work(story, stage)
    assert told in line
    assert "on prod (the ledger knows no earlier copy)" in line


def test_only_what_travels_is_looked_at(story: Story) -> None:
    """A refresh of files does not lose posts, and one of the database loses no theme."""
    story.call(EQUAL)
    both = content(4, LATER, "1.1")
    assert [line.split(" against")[0] for line in work(story, both, options=FILES)] == ["asset versions 1.1"]
    assert [line.split(" against")[0] for line in work(story, both, options=DATABASE)] == ["4 public posts"]


@pytest.mark.parametrize("made", MADE)
def test_promoted_work_is_no_work(story: Story, made: str) -> None:
    """What a promotion carried to the source is safe; what comes after the promotion is not."""
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
def test_a_promotion_counts_only_if_it_brought_all_of_it_to_the_source(story: Story, promotion: dict[str, Any]) -> None:
    """Of another part, of single tables, not proven, refused, of or to another install: the posts are still at stake."""
    story.call(EQUAL)
    story.call(**{"before": content(4), "verb": "promote", "source": STAGE, "destination": PROD} | promotion)
    assert work(story, content(4))


def test_a_promotion_that_was_put_back_is_none(story: Story) -> None:
    """After a restore of production the work is on staging alone, even if a night came in between; undone again, it counts."""
    story.call(EQUAL)
    promoted = story.call(content(4), "promote", STAGE, PROD)
    story.call(content(4))
    assert work(story, content(4)) == []
    restored = story.call(content(4), "restore", PROD, PROD, restore_backup_id=f"backup-{promoted}")
    assert work(story, content(4))
    story.call(EQUAL, "restore", PROD, PROD, restore_backup_id=f"backup-{restored}")
    assert work(story, content(4)) == []


def test_a_promotion_from_elsewhere_takes_the_place_of_an_earlier_one(story: Story) -> None:
    """What another install's promotion came over is not on production any more."""
    story.call(EQUAL)
    story.call(content(4), "promote", STAGE, PROD)
    story.call(content(9), "promote", DEV, PROD)
    assert work(story, content(4))


def test_a_restore_of_staging_brings_unpromoted_work_back(story: Story) -> None:
    """Work that a refresh overwrote and a restore saved is not lost to the next night's refresh; clean staging stays clean."""
    first = story.call(EQUAL)
    overwrote = story.call(content(8, LATER))
    story.call(content(8, LATER), "restore", STAGE, STAGE, restore_backup_id=f"backup-{overwrote}")
    (line,) = work(story, content(4), production=content(8, LATER))
    assert f"4 public posts against 3 after the refresh of run {first}" in line
    assert work(story, EQUAL, production=content(8, LATER)) == []


def test_before_the_first_copy_nothing_is_known(story: Story) -> None:
    """A restore that undid the only copy brings back what nobody compared with production then."""
    first = story.call(EQUAL)
    story.call(EQUAL, "restore", STAGE, STAGE, restore_backup_id=f"backup-{first}")
    with pytest.raises(CannotBeTold, match="every copy onto it was undone"):
        work(story, EQUAL)


def test_a_promotion_makes_an_unknown_past_known(story: Story) -> None:
    """Whatever came before: what was promoted as a whole is on production."""
    story.call(EQUAL, how="")
    story.call(content(5), "promote", STAGE, PROD)
    assert work(story, content(5)) == []
    assert work(story, content(6))


def test_a_restore_with_the_second_backup_is_known_too(story: Story) -> None:
    """A backup that was made again before the call undoes the same call."""
    story.call(EQUAL)
    overwrote = story.call(content(8))
    story.ledger.record(raw_fact("backup-renewed", {"id": "second"}), run_id=overwrote)
    story.call(content(8), "restore", STAGE, STAGE, restore_backup_id="second")
    assert work(story, content(8))
    assert work(story, EQUAL) == []


def test_a_restore_of_files_leaves_the_database_as_the_copy_brought_it(story: Story) -> None:
    """Each part has its own past."""
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
        ({"source": DEV}, "brought dev, not prod"),
        (
            {"verb": "restore", "source": STAGE, "restore_backup_id": "elsewhere"},
            "a backup that the ledger does not know",
        ),
        (
            {"verb": "restore", "source": STAGE, "restore_backup_id": "backup-run-1", "how": ""},
            "not proven to have arrived",
        ),
        ({"before": Content(reachable=False)}, "could not be read"),
        ({"before": content(files=None)}, "asset"),
    ],
)
def test_where_the_past_is_not_known_it_cannot_be_told(story: Story, call: dict[str, Any], why: str) -> None:
    """What lies on staging after such a call is not known, so that a person must look; a whole copy makes it known again."""
    story.call(EQUAL)
    story.call(**{"before": EQUAL} | call)
    with pytest.raises(CannotBeTold, match=why):
        work(story, EQUAL)
    story.call(EQUAL)
    assert work(story, EQUAL) == []


def test_a_refused_call_changes_nothing(story: Story) -> None:
    """What the host did not take is no copy."""
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
def test_what_staging_does_not_tell_cannot_be_told(story: Story, stage: Content, why: str) -> None:
    """Silence is not "no work"."""
    story.call(EQUAL)
    with pytest.raises(CannotBeTold, match=why):
        work(story, stage)


def test_a_site_without_any_public_content_cannot_be_told(story: Story) -> None:
    """Two sites that tell nothing are not proven to be equal."""
    silent = content(totals={}, newest=None)
    with pytest.raises(CannotBeTold, match="number of its public posts"):
        work(story, silent, production=silent)


def test_what_changed_on_the_source_during_the_copy_is_no_work(story: Story) -> None:
    """A live source moves on while it is copied: what is on it too, and from before the arrival, came with the copy."""
    during = datetime.now(UTC)
    story.call(EQUAL)
    came_along = content(4, during, "1.1")
    assert work(story, came_along, production=came_along) == []
    assert work(story, came_along, production=content(9, LATER + timedelta(days=900), "1.1")) == []
    assert work(story, came_along, production=content(9, LONG_AGO, "1.1")), "the source has nothing as new"
    after = content(4, datetime.now(UTC), "1.1")
    assert work(story, after, production=content(9, datetime.now(UTC), "1.1")), "made after the arrival"

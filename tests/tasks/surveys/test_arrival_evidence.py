"""Evidence: what each signal of a reading counts as, and the verdict of two readings."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.capi.models import Backup, Installation
from tasks.estate.errors import Unreachable
from tasks.estate.plans import Baseline, CopyOptions, Plan, Receipt, Signal, Verdict
from tasks.estate.sites import Content, DomainName, Storage
from tasks.surveys import arrival_evidence
from tasks.surveys.arrival_evidence import Reading, evaluate
from tests.tasks.safeguards.ledger_histories import PROD, STAGE, content, plan, survey

CALL = datetime(2026, 1, 1, 12, tzinfo=UTC)  # by the host's clock
OLD, NEW = content(posts=3, files="1.0"), content(posts=9, newest=CALL, files="2.0")
FILES, DATABASE = CopyOptions(database=False), CopyOptions(files=False)
MATCHES, DIFFERS, UNKNOWN = (True, "1 of 1"), (False, "differs"), (None, "nothing to compare")
LOST = Unreachable("GET: the answer was lost.")


def at(minutes: float) -> datetime:
    """Return the time so many minutes after the call."""
    return CALL + timedelta(minutes=minutes)


def size(files: int | None = 1000, database: int | None = 500, tables: int | None = 12, minutes: float = 5) -> Storage:
    """Return a measurement so many minutes after the call."""
    return Storage(file_bytes=files, database_bytes=database, tables=tables, measured_at=at(minutes))


def checkpoint(name: str, created: float | None, completed: float | None, status: str = "completed") -> Backup:
    """Return a backup with the minutes of its begin and end."""
    times = [None if minute is None else at(minute) for minute in (created, completed)]
    return Backup(id=name, status=status, create_time=times[0], complete_time=times[1])


@dataclass
class World:
    """The host and both sites as they are at the reading; a refresh of the destination was sent at CALL."""

    patch: pytest.MonkeyPatch
    listed: Any = ()
    storage: Any = LOST
    contents: dict[str, Content] = field(default_factory=lambda: {"prod": NEW, "stage": NEW})
    files: tuple[bool | None, str] = MATCHES
    before: Content = OLD
    before_storage: Storage | None = None
    wanted: Content = NEW
    wanted_storage: Storage | None = None
    ids: tuple[str, ...] | None = ("old",)
    compared: list[Any] = field(default_factory=list)
    added: list[Any] = field(default_factory=list)
    status: Any = "active"

    def backups(self, install_id: str) -> Any:
        """Return the listed backups."""
        return _given(self.listed)

    def install(self, install_id: str) -> Installation:
        """Return the install with its status."""
        return Installation(id=install_id, name="stage", status=_given(self.status))

    def add_domains(self, install: str, names: Any) -> None:
        """As `Prober.add_domains`."""
        self.added.append((install, list(names)))

    def read(self, options: CopyOptions | None = None, **changes: Any) -> Reading:
        """One reading for a plan with these options."""
        made = plan(options=options or CopyOptions(), **changes)
        source = survey(PROD, self.wanted).model_copy(update={"storage": self.wanted_storage})
        names = (DomainName(name="www.stage.example"),)
        more = {"storage": self.before_storage, "domains": names}
        destination = survey(STAGE, self.before).model_copy(update=more)
        baseline = Baseline(backup_ids=self.ids, server_time=CALL, source=source, destination=destination)
        receipt = Receipt(plan="p", sent_at=CALL, answer="accepted", baseline=baseline)
        self.patch.setattr(arrival_evidence, "measured", lambda client, install: _given(self.storage))
        self.patch.setattr(arrival_evidence, "public_content", lambda prober, install: self.contents[install.name])
        self.patch.setattr(arrival_evidence, "files_arrived", self._files)
        here: Any = self
        return arrival_evidence.read(here, here, made, receipt, source)

    def _files(self, prober: Any, *given: Any) -> tuple[bool | None, str]:
        self.compared.append(given)
        return self.files

    def signal(self, name: str, options: CopyOptions | None = None, **changes: Any) -> Signal:
        """The signal of this name."""
        (found,) = [each for each in self.read(options, **changes).signals if each.name == name]
        return found


def _given(found: Any) -> Any:
    if isinstance(found, Exception):
        raise found
    return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy that changed the content of staging."""
    return World(monkeypatch)


FIRST, LAST = ("a", 1, 5), ("b", 5, 9)


@pytest.mark.parametrize(
    ("listed", "seen"),
    [
        ([], False),
        ([FIRST], False),
        ([("a", 1, 1)], False),
        ([FIRST, LAST], True),
        ([LAST, FIRST], True),
        ([FIRST, ("b", 4.9, 9)], False),
        ([FIRST, (*LAST, "aborted")], False),
        ([(*FIRST, "in_progress"), LAST], False),
        ([("old", 1, 5), LAST], False),
        ([("backup-tonight", 1, 5), LAST], False),
        ([("a", None, 5), LAST], False),
        ([("a", 1, None), LAST], False),
        ([FIRST, ("b", 2, 9), ("c", 5, 6)], True),
        ([FIRST, ("b", 3, 9), ("c", 4, 9)], False),
    ],
)
def test_the_closing_checkpoint_begins_after_the_first_one_ended(world: World, listed: list[Any], seen: bool) -> None:
    """Two new completed backups, one after the other: not the run's own, an older or an unfinished one."""
    world.listed = [checkpoint(*each) for each in listed]
    found = world.signal("closing checkpoint of the destination")
    assert found.seen is seen
    assert not set("[]'") & set(found.detail)


@pytest.mark.parametrize(("listed", "ids", "detail"), [(LOST, (), "could not be read"), ([], None, "does not list")])
def test_backups_that_cannot_be_read_prove_nothing(world: World, listed: Any, ids: Any, detail: str) -> None:
    """A host without the list, or that does not answer, shows no checkpoint."""
    world.listed, world.ids = listed, ids
    found = world.signal("closing checkpoint of the destination")
    assert (found.seen, detail in found.detail) == (False, True)


STORAGE = "storage measured after the call matches"
SMALL = size(10, 10, 3, minutes=-60)


@pytest.mark.parametrize(
    ("before", "now", "wanted", "options", "seen"),
    [
        (SMALL, size(), size(), None, True),
        (None, size(), size(), None, True),
        (size(minutes=-60), size(), size(), None, False),
        (SMALL, size(980), size(), None, True),
        (SMALL, size(979), size(), None, False),
        (SMALL, size(1020), size(), None, True),
        (SMALL, size(1021), size(), None, False),
        (SMALL, size(None), size(), None, False),
        (SMALL, size(), size(None), None, False),
        (SMALL, size(None), size(None), None, False),
        (SMALL, size(database=480), size(), None, False),
        (SMALL, size(database=480), size(), FILES, True),
        (SMALL, size(tables=11), size(), None, False),
        (SMALL, size(tables=11), size(), FILES, True),
        (SMALL, size(files=1), size(), DATABASE, True),
        (size(10, 500, 12, minutes=-60), size(), size(), DATABASE, False),
        (SMALL, size(minutes=0), size(), None, False),
        (SMALL, size(minutes=0.1), size(), None, True),
        (size(10, minutes=5), size(minutes=5), size(), None, False),
        (size(10, minutes=5), size(minutes=5.1), size(), None, True),
        (SMALL, LOST, size(), None, False),
        (SMALL, size(), None, None, False),
        (SMALL, Storage(file_bytes=1000, database_bytes=500, tables=12), size(), None, False),
        (Storage(file_bytes=1), size(), size(), None, True),
        (SMALL, size(), size(), CopyOptions(tables=("wp_posts",)), False),
    ],
)
def test_a_measurement_counts_if_it_is_newer_and_matches_only_now(
    world: World, before: Any, now: Any, wanted: Any, options: CopyOptions | None, seen: bool
) -> None:
    """Sizes may differ by 2 %; the measurement must be newer than the call and the earlier one, and of all copied parts."""
    world.before_storage, world.storage, world.wanted_storage = before, now, wanted
    assert world.signal(STORAGE, options).seen is seen


def test_the_reason_why_a_measurement_does_not_count_is_shown(world: World) -> None:
    """A measurement that matched before proves nothing, and its detail contains the reason."""
    world.before_storage, world.storage, world.wanted_storage = size(minutes=-60), size(), size()
    assert world.signal(STORAGE).detail.endswith("; it matched before")
    world.before_storage = SMALL
    assert world.signal(STORAGE).detail == "files 1000 of 1000, database 500 of 500 bytes"


CONTENT, FILE = "public content matches", "files match"


def test_content_that_came_with_the_copy_is_seen(world: World) -> None:
    """Content and files that match the source and did not match before are two signals."""
    reading = world.read()
    assert [(s.name, s.seen) for s in reading.signals if s.rank == 3] == [(CONTENT, True), (FILE, True)]
    assert (reading.contradicted, reading.unchanged) == (False, False)
    assert ("stage", ["www.stage.example", "stage.example"]) in world.added


@pytest.mark.parametrize(
    ("options", "names"),
    [(FILES, [FILE]), (DATABASE, [CONTENT]), (None, [CONTENT, FILE]), (CopyOptions(tables=("wp_posts",)), [FILE])],
)
def test_only_copied_parts_are_compared(world: World, options: CopyOptions | None, names: list[str]) -> None:
    """A copy of files changes no content, and a copy of single tables never matches in full."""
    assert [signal.name for signal in world.read(options).signals if signal.rank == 3] == names


@pytest.mark.parametrize("side", ["now", "expected"])
def test_a_site_that_cannot_be_read_neither_proves_nor_contradicts(world: World, side: str) -> None:
    """If one of the two sides cannot be read, nothing is seen or contradicted."""
    gone = Content(reachable=False, detail="login")
    if side == "now":
        world.contents["stage"] = gone
    else:
        world.wanted = gone
    reading = world.read()
    assert [(s.seen, s.detail) for s in reading.signals if s.rank == 3] == [(False, "could not be read")]
    assert (reading.contradicted, reading.unchanged) == (False, False)


def test_content_that_does_not_match_contradicts(world: World) -> None:
    """Old content after the call is a contradiction: the copy is not complete."""
    world.contents["stage"] = OLD
    reading = world.read(DATABASE)
    assert (reading.contradicted, reading.seen(3)) == (True, False)


@pytest.mark.parametrize(
    ("files", "contradicted", "seen"), [(MATCHES, False, True), (DIFFERS, True, False), (UNKNOWN, False, False)]
)
def test_files_that_differ_contradict(world: World, files: Any, contradicted: bool, seen: bool) -> None:
    """Files that cannot be compared prove and contradict nothing."""
    world.files = files
    reading = world.read(FILES)
    assert (reading.contradicted, reading.seen(3)) == (contradicted, seen)


def test_one_part_that_differs_contradicts_the_other(world: World) -> None:
    """Matching files do not outweigh content that does not match, and the reverse."""
    world.files = DIFFERS
    assert world.read().contradicted
    world.files, world.contents["stage"] = MATCHES, OLD
    assert world.read().contradicted


def test_content_that_was_equal_before_proves_nothing(world: World) -> None:
    """A match that the baseline has as well does not count."""
    world.before = NEW
    assert not world.read().seen(3)


def test_content_that_could_not_be_compared_before_proves_nothing(world: World) -> None:
    """If it is not known whether it differed before, a match does not count."""
    world.before = Content(reachable=True)
    assert not world.read(DATABASE).seen(3)


@pytest.mark.parametrize(
    ("before", "wanted", "seen"),
    [
        ({"assets": {"a": "1"}}, {"assets": {"a": "2"}}, True),
        ({"assets": {"a": "1"}}, {"assets": {"a": "1"}}, False),
        ({"assets": {"a": "1", "b": "1"}, "files": "1.0"}, {"assets": {"a": "1", "b": "2"}, "files": "1.0"}, True),
        ({"assets": {"a": "1"}, "files": "1.0"}, {"assets": {"a": "1"}, "files": "2.0"}, False),
        ({"assets": {"a": "1"}, "files": "1.0"}, {"assets": {"b": "2"}, "files": "2.0"}, True),
        ({"files": "1.0"}, {"files": "2.0"}, True),
        ({"files": "1.0"}, {"files": "1.0"}, False),
        ({"files": None}, {"files": "2.0"}, False),
        ({"files": "1.0"}, {"files": None}, False),
    ],
)
def test_files_count_only_if_they_differed_before(world: World, before: Any, wanted: Any, seen: bool) -> None:
    """The content of common files decides; without common files, the versions if both are known."""
    world.before, world.wanted = content(**before), content(**wanted)
    assert world.signal(FILE, FILES).seen is seen


@pytest.mark.parametrize(("verb", "other"), [("refresh", "prod"), ("restore", None)])
def test_a_restore_is_not_compared_with_a_source(world: World, verb: str, other: str | None) -> None:
    """A restore is compared with the earlier state, not with the source."""
    world.contents["prod"] = content(posts=99, newest=at(60))
    world.contents["stage"] = content(posts=50, newest=at(30))
    reading = world.read(verb=verb)
    ((destination, source, now, expected),) = world.compared
    assert (destination, source.name if source else None) == (STAGE, other)
    assert (now, expected) == (world.contents["stage"], world.wanted)
    assert reading.seen(3) is True
    (public,) = [signal for signal in reading.signals if signal.name == CONTENT]
    assert public.seen is (verb == "refresh")


def test_an_unreachable_source_is_compared_as_it_was(world: World) -> None:
    """If the source cannot be read now, exactly its state at the call is expected."""
    world.contents["prod"] = Content(reachable=False)
    assert world.signal(CONTENT).seen
    world.contents["stage"] = content(posts=10, newest=CALL)
    assert not world.signal(CONTENT).seen


def story(posts: int = 9, newest: datetime | None = CALL, **more: Any) -> Content:
    """Return content with other collections in addition to posts."""
    return content(posts=posts, newest=newest, **more)


@pytest.mark.parametrize(
    ("now", "source_now", "matches"),
    [
        (story(), story(), True),
        (story(10), story(11), True),
        (story(11), story(11), True),
        (story(12), story(11), False),
        (story(8), story(11), False),
        (story(8), story(7), True),
        (story(7), story(7), True),
        (story(6), story(7), False),
        (story(newest=at(5)), story(newest=at(9)), True),
        (story(newest=at(9)), story(newest=at(9)), True),
        (story(newest=at(9.1)), story(newest=at(9)), False),
        (story(newest=at(-0.1)), story(newest=at(9)), False),
        (story(newest=at(-0.1)), story(newest=at(-5)), False),
        (story(newest=CALL), story(newest=at(-5)), True),
        (story(newest=None), story(), False),
        (story(newest=CALL), story(newest=None), True),
        (story(newest=at(1)), story(newest=None), False),
        (content(totals={"pages": 4}, newest=None), story(), None),
        (content(totals={"pages": 4, "posts": 9}, newest=CALL), story(), True),
        (story(), content(totals={"pages": 3}), True),
    ],
)
def test_a_live_source_may_change_while_it_is_copied(now: Content, source_now: Content, matches: bool | None) -> None:
    """Counts and newest changes must be between those of the source at the call and now."""
    assert arrival_evidence._content_between(now, story(), source_now) is matches


def test_a_collection_without_a_newest_change_must_have_none() -> None:
    """A date without one at the source does not match; without dates on both sides the totals decide."""
    dateless = story(newest=None)
    assert arrival_evidence._content_between(story(newest=None), dateless, dateless) is True
    assert arrival_evidence._content_between(story(newest=CALL), dateless, dateless) is False


@pytest.mark.parametrize(
    ("options", "changes", "unchanged"),
    [
        (None, {}, True),
        (FILES, {}, True),
        (DATABASE, {}, True),
        (CopyOptions(tables=("wp_posts",)), {}, False),
        (None, {"files": UNKNOWN}, False),
        (DATABASE, {"files": UNKNOWN}, True),
        (None, {"before": OLD}, False),
        (FILES, {"before": content(posts=3, newest=CALL, files="2.0")}, True),
        (DATABASE, {"before": content(posts=9, newest=CALL, files="1.0")}, True),
        (None, {"before": content(posts=9, newest=CALL, files="1.0")}, False),
        (FILES, {"files": DIFFERS}, False),
        (
            FILES,
            {"files": UNKNOWN, "before_storage": size(minutes=-60), "storage": size(), "wanted_storage": size()},
            True,
        ),
        (FILES, {"before_storage": SMALL, "storage": size(), "wanted_storage": size()}, False),
        (FILES, {"before_storage": size(minutes=-60), "storage": size(10), "wanted_storage": size()}, False),
        (FILES, {"before_storage": None, "storage": size(), "wanted_storage": size()}, False),
    ],
)
def test_an_unchanged_site_is_equal_in_all_copied_parts(
    world: World, options: CopyOptions | None, changes: dict[str, Any], unchanged: bool
) -> None:
    """Each copied part was read on both sides, was equal before and is equal now."""
    world.before = NEW
    for name, value in changes.items():
        setattr(world, name, value)
    assert world.read(options).unchanged is unchanged


@pytest.mark.parametrize(("status", "shown"), [("active", "active"), (None, "unknown"), (LOST, "could not be read")])
def test_the_status_is_recorded_and_never_counted(world: World, status: Any, shown: str) -> None:
    """The status is in the evidence and never seen as a signal."""
    world.status = status
    (found,) = [signal for signal in world.read().signals if signal.rank == 4]
    assert (found.seen, found.detail.startswith(shown)) == (False, True)


def test_every_plan_has_the_four_ranks(world: World) -> None:
    """A reading contains the signals of all ranks, used or not."""
    made: Plan = plan()
    assert made.options == CopyOptions()
    assert [signal.rank for signal in world.read().signals] == [1, 2, 3, 3, 4]


def reading(*ranks: int, contradicted: bool = False, unchanged: bool = False) -> Reading:
    """Return a reading in which the signals of these ranks were seen."""
    signals = [Signal(rank=r, name=f"rank {r}", seen=r in ranks, detail="", observed_at=CALL) for r in (1, 2, 3, 4)]
    return Reading(tuple(signals), contradicted, unchanged)


@pytest.mark.parametrize(
    ("ranks", "verdict"),
    [
        ((), Verdict.UNCONFIRMED), ((4,), Verdict.UNCONFIRMED), ((2,), Verdict.UNCONFIRMED), ((3,), Verdict.UNCONFIRMED),
        ((2, 4), Verdict.UNCONFIRMED), ((1,), Verdict.PROBABLE), ((2, 3), Verdict.PROBABLE),
        ((1, 2), Verdict.CONFIRMED), ((1, 3), Verdict.CONFIRMED), ((1, 2, 3, 4), Verdict.CONFIRMED),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_the_ranks(ranks: tuple[int, ...], verdict: Verdict) -> None:
    """Each combination of ranks, seen twice, has its verdict; a status proves nothing."""
    assert evaluate(reading(*ranks), reading(*ranks)) is verdict


def test_one_reading_proves_nothing() -> None:
    """A signal that was seen only once does not count."""
    assert evaluate(None, reading(1, 2, 3)) is Verdict.UNCONFIRMED


@pytest.mark.parametrize("ranks", [(), (4,), (2,), (3,)])
def test_an_unchanged_site_is_settled_when_the_host_has_finished(ranks: tuple[int, ...]) -> None:
    """If nothing differed and nothing differs, the verdict is open until the deadline of the host and unchanged after it."""
    same = reading(*ranks, unchanged=True)
    assert evaluate(same, same) is Verdict.UNCONFIRMED
    assert evaluate(same, same, host_finished=True) is Verdict.UNCHANGED


def test_a_closing_checkpoint_shows_that_the_host_has_finished() -> None:
    """With a closing checkpoint, an unchanged site is settled before the deadline."""
    assert evaluate(reading(1, unchanged=True), reading(1, unchanged=True)) is Verdict.UNCHANGED
    assert evaluate(reading(1, unchanged=True), reading(unchanged=True)) is Verdict.UNCONFIRMED


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (reading(), reading(unchanged=True)),
        (reading(unchanged=True), reading()),
        (reading(unchanged=True, contradicted=True), reading(unchanged=True)),
        (reading(unchanged=True), reading(unchanged=True, contradicted=True)),
        (None, reading(unchanged=True)),
    ],
    ids=["earlier differs", "later differs", "earlier contradicted", "later contradicted", "one reading"],
)
def test_a_difference_in_either_reading_is_not_unchanged(first: Reading | None, second: Reading) -> None:
    """Both readings must show that nothing differs; what was not read counts as a difference."""
    assert evaluate(first, second, host_finished=True) is Verdict.UNCONFIRMED


def test_a_proven_arrival_outweighs_an_unchanged_site() -> None:
    """If something changed as expected, the copy arrived, whatever did not differ."""
    assert evaluate(reading(1, 3, unchanged=True), reading(1, 3, unchanged=True)) is Verdict.CONFIRMED


def test_a_rank_counts_only_if_it_is_seen_twice() -> None:
    """A rank that is seen in one of two readings does not count."""
    assert evaluate(reading(1, 2), reading(1)) is Verdict.PROBABLE
    assert evaluate(reading(2, 3), reading(3)) is Verdict.UNCONFIRMED


@pytest.mark.parametrize(
    ("first", "second"), [pair for pair in itertools.product([True, False], repeat=2) if any(pair)]
)
def test_a_contradiction_outweighs_every_rank(first: bool, second: bool) -> None:
    """If something that must match does not, the copy is not complete."""
    assert evaluate(reading(1, 2, 3, contradicted=first), reading(1, 2, 3, contradicted=second)) is Verdict.UNCONFIRMED

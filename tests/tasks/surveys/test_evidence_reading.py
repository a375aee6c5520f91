"""One reading of the evidence ladder: what each rung counts as seen, equal or contradicted, at its borders."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.capi.models import Backup, Installation
from tasks.estate.errors import Unreachable
from tasks.estate.plans import Baseline, CopyOptions, Plan, Receipt, Signal
from tasks.estate.sites import Content, DomainName, Storage
from tasks.surveys import evidence
from tasks.surveys.evidence import Reading
from tests.tasks.safeguards.stories import PROD, STAGE, content, plan, survey

CALL = datetime(2026, 1, 1, 12, tzinfo=UTC)  # by the host's clock
OLD, NEW = content(posts=3, files="1.0"), content(posts=9, newest=CALL, files="2.0")
FILES, DATABASE = CopyOptions(database=False), CopyOptions(files=False)
MATCHES, DIFFERS, UNKNOWN = (True, "1 of 1"), (False, "differs"), (None, "nothing to compare")
LOST = Unreachable("GET: the answer was lost.")


def at(minutes: float) -> datetime:
    """So many minutes after the call."""
    return CALL + timedelta(minutes=minutes)


def size(files: int | None = 1000, database: int | None = 500, tables: int | None = 12, minutes: float = 5) -> Storage:
    """A measurement so many minutes after the call."""
    return Storage(file_bytes=files, database_bytes=database, tables=tables, measured_at=at(minutes))


def checkpoint(name: str, created: float | None, completed: float | None, status: str = "completed") -> Backup:
    """A backup with the minutes of its begin and end."""
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
        """As the host lists them."""
        return _given(self.listed)

    def install(self, install_id: str) -> Installation:
        """As the host tells of it."""
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
        self.patch.setattr(evidence, "measured", lambda client, install: _given(self.storage))
        self.patch.setattr(evidence, "public_content", lambda prober, install: self.contents[install.name])
        self.patch.setattr(evidence, "files_arrived", self._files)
        here: Any = self
        return evidence.read(here, here, made, receipt, source)

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
    """Two new completed backups, one after the other; neither the run's own, nor one from before, nor an unfinished one."""
    world.listed = [checkpoint(*each) for each in listed]
    assert world.signal("closing checkpoint of the destination").seen is seen


@pytest.mark.parametrize(("listed", "ids", "told"), [(LOST, (), "could not be read"), ([], None, "does not list")])
def test_backups_that_cannot_be_read_prove_nothing(world: World, listed: Any, ids: Any, told: str) -> None:
    """A host without the list, or that does not answer now, shows no checkpoint."""
    world.listed, world.ids = listed, ids
    found = world.signal("closing checkpoint of the destination")
    assert (found.seen, told in found.detail) == (False, True)


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
    """2 % are allowed; it must be of after the call, after the earlier measurement, and of all that travelled."""
    world.before_storage, world.storage, world.wanted_storage = before, now, wanted
    assert world.signal(STORAGE, options).seen is seen


def test_the_reason_why_a_measurement_does_not_count_is_told(world: World) -> None:
    """It matched before: then it proves nothing."""
    world.before_storage, world.storage, world.wanted_storage = size(minutes=-60), size(), size()
    assert world.signal(STORAGE).detail.endswith("; it matched before")
    world.before_storage = SMALL
    assert world.signal(STORAGE).detail == "files 1000 of 1000, database 500 of 500 bytes"


CONTENT, FILE = "public content matches", "files match"


def test_content_that_came_with_the_copy_is_seen(world: World) -> None:
    """It is as the source's, and was not before; files and content are told apart."""
    reading = world.read()
    assert [(s.name, s.seen) for s in reading.signals if s.rank == 3] == [(CONTENT, True), (FILE, True)]
    assert (reading.contradicted, reading.unchanged) == (False, False)
    assert ("stage", ["www.stage.example", "stage.example"]) in world.added


@pytest.mark.parametrize(
    ("options", "names"),
    [(FILES, [FILE]), (DATABASE, [CONTENT]), (None, [CONTENT, FILE]), (CopyOptions(tables=("wp_posts",)), [FILE])],
)
def test_only_what_travelled_is_looked_at(world: World, options: CopyOptions | None, names: list[str]) -> None:
    """A copy of files changes no content, and a copy of single tables never matches in full."""
    assert [signal.name for signal in world.read(options).signals if signal.rank == 3] == names


@pytest.mark.parametrize("side", ["now", "expected"])
def test_a_site_that_cannot_be_read_neither_proves_nor_contradicts(world: World, side: str) -> None:
    """One gap in the two sides is enough."""
    gone = Content(reachable=False, detail="login")
    if side == "now":
        world.contents["stage"] = gone
    else:
        world.wanted = gone
    reading = world.read()
    assert [(s.seen, s.detail) for s in reading.signals if s.rank == 3] == [(False, "could not be read")]
    assert (reading.contradicted, reading.unchanged) == (False, False)


def test_content_that_does_not_match_contradicts(world: World) -> None:
    """The old content, still there after the call, says: not yet, or not in full."""
    world.contents["stage"] = OLD
    reading = world.read(DATABASE)
    assert (reading.contradicted, reading.seen(3)) == (True, False)


@pytest.mark.parametrize(
    ("files", "contradicted", "seen"), [(MATCHES, False, True), (DIFFERS, True, False), (UNKNOWN, False, False)]
)
def test_files_that_differ_contradict(world: World, files: Any, contradicted: bool, seen: bool) -> None:
    """Files that cannot be compared say nothing in either direction."""
    world.files = files
    reading = world.read(FILES)
    assert (reading.contradicted, reading.seen(3)) == (contradicted, seen)


def test_one_part_that_differs_contradicts_the_other(world: World) -> None:
    """Files that match do not outweigh content that does not, and the other way round."""
    world.files = DIFFERS
    assert world.read().contradicted
    world.files, world.contents["stage"] = MATCHES, OLD
    assert world.read().contradicted


def test_content_that_was_equal_before_proves_nothing(world: World) -> None:
    """A match that the baseline shows as well is no sign of an arrival."""
    world.before = NEW
    assert not world.read().seen(3)


def test_content_that_could_not_be_compared_before_proves_nothing(world: World) -> None:
    """Whether it differed before is not known: a match now may be an old one."""
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
    """Bytes decide where both sides show the same file; else versions, where both are told."""
    world.before, world.wanted = content(**before), content(**wanted)
    assert world.signal(FILE, FILES).seen is seen


@pytest.mark.parametrize(("verb", "other"), [("refresh", "prod"), ("restore", None)])
def test_a_restore_is_not_compared_with_a_source(world: World, verb: str, other: str | None) -> None:
    """The state before the copy is what comes back: whatever a live source shows now is not part of it."""
    world.contents["prod"] = content(posts=99, newest=at(60))
    world.contents["stage"] = content(posts=50, newest=at(30))
    reading = world.read(verb=verb)
    ((destination, source, now, expected),) = world.compared
    assert (destination, source.name if source else None) == (STAGE, other)
    assert (now, expected) == (world.contents["stage"], world.wanted)
    assert reading.seen(3) is True
    (public,) = [signal for signal in reading.signals if signal.name == CONTENT]
    assert public.seen is (verb == "refresh")


def test_a_source_that_is_gone_now_is_taken_as_it_was(world: World) -> None:
    """Then exactly the state at the call is expected."""
    world.contents["prod"] = Content(reachable=False)
    assert world.signal(CONTENT).seen
    world.contents["stage"] = content(posts=10, newest=CALL)
    assert not world.signal(CONTENT).seen


def story(posts: int = 9, newest: datetime | None = CALL, **more: Any) -> Content:
    """Content with other collections beside the posts."""
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
def test_a_live_source_may_move_on_while_it_is_copied(now: Content, source_now: Content, matches: bool | None) -> None:
    """Counts and newest changes between the source's at the call and the source's now are right; beyond them they are not."""
    assert evidence._content_between(now, story(), source_now) is matches


def test_a_collection_without_a_newest_change_must_have_none() -> None:
    """A date where the source has none is of other content; none on both sides is a match of the totals."""
    dateless = story(newest=None)
    assert evidence._content_between(story(newest=None), dateless, dateless) is True
    assert evidence._content_between(story(newest=CALL), dateless, dateless) is False


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
def test_a_quiet_site_is_equal_in_all_that_travels(
    world: World, options: CopyOptions | None, changes: dict[str, Any], unchanged: bool
) -> None:
    """Each part was read on both sides, was equal before and is equal now; what says otherwise or says nothing ends that."""
    world.before = NEW
    for name, value in changes.items():
        setattr(world, name, value)
    assert world.read(options).unchanged is unchanged


@pytest.mark.parametrize(("status", "told"), [("active", "active"), (None, "unknown"), (LOST, "could not be read")])
def test_the_status_is_recorded_and_never_counted(world: World, status: Any, told: str) -> None:
    """`active` proves nothing."""
    world.status = status
    (found,) = [signal for signal in world.read().signals if signal.rank == 4]
    assert (found.seen, found.detail.startswith(told)) == (False, True)


def test_every_plan_has_the_four_ranks(world: World) -> None:
    """Used or not, each rung of the ladder is in the report."""
    made: Plan = plan()
    assert made.options == CopyOptions()
    assert [signal.rank for signal in world.read().signals] == [1, 2, 3, 3, 4]

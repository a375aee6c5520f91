"""After any history, work on staging that production does not have is never reported as safe."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.estate.plans import CopyOptions
from tasks.estate.sites import Content
from tasks.ledger.ledger import Ledger
from tasks.safeguards.unpromoted_work import WorkUnknown, unpromoted_work
from tests.tasks.safeguards.ledger_histories import PROD, STAGE, Story, comparison, content, plan

ALL = CopyOptions()
OPTIONS = st.sampled_from(
    [ALL] * 4 + [CopyOptions(database=False), CopyOptions(files=False), CopyOptions(tables=("wp_options",))]
)
HOW = st.sampled_from(["evidence: confirmed"] * 6 + ["", "older than the lock horizon"])


@dataclass(frozen=True)
class State:
    """The content of an install. Posts are (number, time); `seen` is all that was ever on it, up to a restore."""

    posts: frozenset[tuple[int, datetime]] = frozenset()
    theme: int = 0
    seen: frozenset[Any] = frozenset()

    def with_all_seen(self) -> "State":
        """Return the state with its content added to `seen`."""
        return replace(self, seen=self.seen | self.posts | {self.theme})

    @property
    def content(self) -> Content:
        """Its public content."""
        return content(len(self.posts), max((made for _, made in self.posts), default=None), f"{self.theme}.0")


@dataclass
class World:
    """Production and staging, their ledger, and a clock that advances by an hour with each step."""

    story: Story = field(default_factory=lambda: Story(Ledger("sqlite:///:memory:")))
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    prod: State = State()
    stage: State = State()
    made: int = 0
    own: set[Any] = field(default_factory=set)  # what was made on staging
    before: dict[str, list[tuple[str, State]]] = field(default_factory=lambda: {"prod": [], "stage": []})

    def tick(self) -> datetime:
        """Advance the clock by an hour."""
        self.now += timedelta(hours=1)
        return self.now

    def make(self, where: str, what: str) -> None:
        """Write a post, or change the theme."""
        self.made += 1
        state: State = getattr(self, where)
        thing: Any = (self.made, self.tick()) if what == "post" else self.made
        state = replace(state, posts=state.posts | {thing}) if what == "post" else replace(state, theme=thing)
        setattr(self, where, state.with_all_seen())
        if where == "stage":
            self.own.add(thing)

    def copy(self, verb: str, options: CopyOptions, how: str, *, lands: bool, moving: bool) -> None:
        """Refresh or promote. Without proof it arrives only if it `lands`; `moving`: the source gets a post before the copy."""
        source, destination = ("stage", "prod") if verb == "promote" else ("prod", "stage")
        seen, old = getattr(self, source).content, getattr(self, destination)
        if moving and verb == "refresh":
            self.make(source, "post")
        self.tick()
        installs = (STAGE, PROD) if verb == "promote" else (PROD, STAGE)
        run = self.story.call(seen, verb, *installs, options=options, how=how)
        self.before[destination].append((run, old))
        if lands or how.startswith("evidence"):
            setattr(self, destination, _over(old, getattr(self, source), options))

    def restore(self, where: str, nth: int, how: str, *, database: bool, lands: bool) -> None:
        """Put back the backup of one of the calls onto an install."""
        if not self.before[where]:
            return
        undone, then = self.before[where][-1 - nth % len(self.before[where])]
        options, on, old = CopyOptions(database=database), PROD if where == "prod" else STAGE, getattr(self, where)
        self.tick()
        run = self.story.call(
            old.content, "restore", on, on, options=options, how=how, restore_backup_id=f"backup-{undone}"
        )
        self.before[where].append((run, old))
        if lands or how.startswith("evidence"):
            setattr(self, where, then if database else _themed(old, then))

    def work(self, options: CopyOptions) -> list[str] | None:
        """Return what tonight's refresh would lose, or None if that is not known."""
        try:
            both = comparison(self.prod.content, self.stage.content)
            return unpromoted_work(self.story.ledger, plan(options=options), both)
        except WorkUnknown:
            return None

    @property
    def at_stake(self) -> set[Any]:
        """What was made on staging, is still there, and was never on production."""
        return (self.stage.posts | {self.stage.theme}) & self.own - self.prod.seen


def _over(old: State, new: State, options: CopyOptions) -> State:
    """Return the destination after a copy."""
    posts = new.posts if options.database and not options.tables else old.posts
    return replace(old, posts=posts, theme=new.theme if options.files else old.theme).with_all_seen()


def _themed(old: State, then: State) -> State:
    """Return an install after a restore of its files only."""
    posts = {thing for thing in old.seen if isinstance(thing, tuple)}
    themes = {thing for thing in then.seen if not isinstance(thing, tuple)}
    return replace(old, theme=then.theme, seen=frozenset(posts | themes))


MADE = st.tuples(
    st.just("make"), st.sampled_from(["prod", "stage", "stage"]), st.sampled_from(["post", "post", "theme"])
)
COPIED = st.tuples(st.just("copy"), st.sampled_from(["refresh", "promote"]), OPTIONS, HOW, st.booleans(), st.booleans())
RESTORED = st.tuples(
    st.just("restore"), st.sampled_from(["prod", "stage"]), st.integers(0, 2), HOW, st.booleans(), st.booleans()
)
STEPS = st.one_of(MADE, COPIED, RESTORED)


@settings(max_examples=30)
@given(steps=st.lists(STEPS, max_size=9))
def test_unpromoted_work_is_never_reported_as_safe(steps: list[tuple[Any, ...]]) -> None:
    """A refresh is allowed only if production has, or had, all work of staging; after a proven whole copy it is allowed."""
    world = World()
    with patch("tasks.ledger.rows.utc_now", lambda: world.now):
        world.make("prod", "post")
        world.copy("refresh", CopyOptions(), "evidence: confirmed", lands=True, moving=False)
        for kind, *how in steps:
            if kind == "make":
                world.make(*how)
            elif kind == "restore":
                where, nth, settled, database, lands = how
                world.restore(where, nth, settled, database=database, lands=lands)
            else:
                verb, options, settled, lands, moving = how
                world.copy(verb, options, settled, lands=lands, moving=moving)
                if settled.startswith("evidence") and not options.tables:
                    assert world.work(options) == []
            if world.at_stake:
                assert world.work(CopyOptions()) != []

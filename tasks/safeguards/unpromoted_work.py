"""Work on staging that was never promoted: told from public content, and from what the ledger knows of earlier copies."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count, takewhile
from typing import Literal

from tasks.estate.plans import Comparison, Plan
from tasks.estate.sites import Content, Install
from tasks.ledger.journal import Call, calls_onto
from tasks.ledger.ledger import Ledger

Part = Literal["files", "database"]


class CannotBeTold(Exception):
    """Whether work would be lost cannot be told. The message says why."""


@dataclass(frozen=True)
class _Known:
    """A state of the destination that production had as well. `words` say which, for people.

    `moving` is the source as it is now, where the state was taken from a live source before a copy that arrived by
    `arrived_by`: what changed there in between may have travelled.
    """

    content: Content
    words: str
    moving: Content | None = None
    arrived_by: datetime | None = None


def unpromoted_work(ledger: Ledger, plan: Plan, comparison: Comparison) -> list[str]:
    """What the destination holds that this refresh would overwrite and that its source never had, in words.

    Public content only: drafts, settings, orders and what was deleted are not seen. Raises `CannotBeTold`.
    """
    now, found = comparison.destination.content, []
    if not now.reachable:
        raise CannotBeTold(f"its public content cannot be read ({now.detail or 'no reason given'})")
    for part in _parts(plan):
        known = _known(ledger, plan, comparison, part)
        more = _more_files(now, known) if part == "files" else _more_content(now, known)
        found += [f"{what} against {then} {known.words}" for what, then in more]
    return found


def _parts(plan: Plan) -> Iterator[Part]:
    if plan.options.files:
        yield "files"
    if plan.options.database:
        yield "database"


class _History:
    """The calls onto one install, as far as one part goes.

    A restore undoes the call whose backup it put back, with all that came in between. What is there afterwards is no new
    beginning: work that was on it before that call is there again, and no more promoted than it was.
    """

    def __init__(self, ledger: Ledger, install: Install, part: Part) -> None:
        self.part = part
        self._seen: list[Call] = []
        self._more = calls_onto(ledger, install.id)

    def _calls(self) -> Iterator[Call]:
        """All calls, newest first; each is read from the ledger once, when it is needed."""
        for number in count():
            if number == len(self._seen):
                older = next(self._more, None)
                if older is None:
                    return
                self._seen.append(older)
            yield self._seen[number]

    @property
    def any(self) -> bool:
        """Whether this part was ever copied or restored here."""
        return any(_touches(call, self.part) for call in self._calls())

    def copies(self, *, since: int = 0) -> Iterator[Call]:
        """The copies of this part after the fact `since` that were not undone, newest first.

        Raises `CannotBeTold` at a restore of which it is not known that it arrived, or what it undid.
        """
        undone: list[range] = []
        for call in takewhile(lambda call: call.seq > since, self._calls()):
            if not _touches(call, self.part) or any(call.seq in span for span in undone):
                continue
            if call.plan.verb == "restore":
                undone.append(self._undone_by(call))
            else:
                yield call

    def undid(self, fact: int) -> bool:
        """Whether a later restore, itself not undone, put this install back to before this fact. Raises as `copies`."""
        undone: list[range] = []
        for call in takewhile(lambda call: call.seq > fact, self._calls()):
            restore = call.plan.verb == "restore" and _touches(call, self.part)
            if restore and not any(call.seq in span for span in undone):
                undone.append(self._undone_by(call))
        return any(fact in span for span in undone)

    def _undone_by(self, restore: Call) -> range:
        wanted = restore.plan.restore_backup_id
        undone = next((call for call in self._calls() if call.seq < restore.seq and wanted in call.backups), None)
        if undone is None:
            raise CannotBeTold(f"{restore.name} put back a backup that the ledger does not know")
        if restore.arrived_by is None:
            raise CannotBeTold(f"{restore.name} is not proven to have arrived")
        return range(undone.seq, restore.seq)


def _known(ledger: Ledger, plan: Plan, comparison: Comparison, part: Part) -> _Known:
    """The newest state of the destination that its source has, or had: after a copy from it, or at a promotion to it.

    Without either in the ledger: the source as it is now.
    """
    source, destination = plan.pair.source, plan.pair.destination
    over, back = _History(ledger, destination, part), _History(ledger, source, part)
    promoted = _last_promotion(over, back, destination)
    copied = _last_copy(over, back, source, since=promoted.seq if promoted else 0)
    now = comparison.source.content
    if copied is not None:
        return _Known(_readable(copied.baseline.source.content), f"after {copied.name}", now, copied.arrived_by)
    if promoted is not None:
        return _Known(_readable(promoted.baseline.source.content), f"at {promoted.name}")
    if over.any:
        raise CannotBeTold("every copy onto it was undone, and what was on it before is not known")
    return _Known(_readable(now), f"on {source.name} (the ledger knows no earlier copy)")


def _readable(content: Content) -> Content:
    if not content.reachable:
        raise CannotBeTold("the public content to compare with could not be read")
    return content


def _last_copy(over: _History, back: _History, source: Install, *, since: int) -> Call | None:
    """The newest copy `over` the destination that still says what the source has; `back` are the calls onto that.

    What was promoted, copied back and then undone on the source is on the destination alone. Raises `CannotBeTold` where
    what lies on the destination is not known.
    """
    for call in over.copies(since=since):
        if call.arrived_by is None:
            raise CannotBeTold(f"{call.name} is not proven to have arrived")
        if not _carries(call, over.part):
            raise CannotBeTold(f"{call.name} brought single tables only")
        if call.plan.pair.source.id != source.id:
            raise CannotBeTold(f"{call.name} brought {call.plan.pair.source.name}, not {source.name}")
        if not back.undid(call.seq):
            return call
    return None


def _last_promotion(over: _History, back: _History, staging: Install) -> Call | None:
    """The newest promotion from the staging install that arrived, if nobody else's came over it."""
    try:
        for call in back.copies():
            if call.plan.pair.source.id != staging.id:
                return None
            if _carries(call, back.part) and call.arrived_by is not None and not over.undid(call.seq):
                return call
    except CannotBeTold:  # what became of it is not known: then it does not count
        return None
    return None


def _touches(call: Call, part: Part) -> bool:
    return call.plan.options.files if part == "files" else call.plan.options.database


def _carries(call: Call, part: Part) -> bool:
    """Whether all of this part travelled: of a database with a list of tables, it did not."""
    return _touches(call, part) and not (part == "database" and call.plan.options.tables)


def _more_files(now: Content, known: _Known) -> list[tuple[str, str]]:
    then = known.content.files_marker
    if now.files_marker is None or then is None:
        raise CannotBeTold("the versions of its public assets, which tell about its files, cannot be read")
    moved_on = known.moving.files_marker if known.moving is not None else None
    if now.files_marker in (then, moved_on):
        return []
    return [(f"asset versions {now.files_marker}", then)]


def _more_content(now: Content, known: _Known) -> list[tuple[str, str]]:
    """What is newer or more than it was, kind by kind, and what it was."""
    kinds = sorted(now.totals.keys() | known.content.totals.keys())
    if not kinds:
        raise CannotBeTold("the number of its public posts, pages, media and comments is not told")
    return [more for kind in kinds for more in _more_of(kind, now, known)]


def _more_of(kind: str, now: Content, known: _Known) -> Iterator[tuple[str, str]]:
    total, before = now.totals.get(kind), known.content.totals.get(kind)
    newest, newest_before = now.newest.get(kind), known.content.newest.get(kind)
    if total is None or before is None or (total and newest is None) or (before and newest_before is None):
        raise CannotBeTold(f"how many public {kind} it has, or how new they are, is not told")
    later = newest is not None and (newest_before is None or newest > newest_before)
    travelled = later and newest is not None and _may_have_travelled(kind, newest, known)
    if travelled and known.moving is not None:
        before = max(before, known.moving.totals.get(kind, before))
    if total > before:
        yield f"{total} public {kind}", str(before)
    elif later and not travelled:
        yield f"newest change of {kind} {_said(newest)}", _said(newest_before)


def _said(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "none"


def _may_have_travelled(kind: str, newest: datetime, known: _Known) -> bool:
    """A live source moves on while it is copied: a change before the arrival, and no newer than the source's own newest."""
    there = known.moving.newest.get(kind) if known.moving is not None else None
    return there is not None and known.arrived_by is not None and newest <= min(there, known.arrived_by)

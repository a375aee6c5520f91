"""Work on staging that was never promoted, found by public content and by the earlier copies in the ledger."""

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


class WorkUnknown(Exception):
    """It is not known whether work would be lost; the message contains the reason."""


@dataclass(frozen=True)
class _Known:
    """A state of the destination that production had as well; `words` identifies it to people.

    If the state is that of a live source before a copy that arrived by `arrived_by`, `moving` is that source as it is now:
    what changed there in between may have been copied.
    """

    content: Content
    words: str
    moving: Content | None = None
    arrived_by: datetime | None = None


def unpromoted_work(ledger: Ledger, plan: Plan, comparison: Comparison) -> list[str]:
    """Return a phrase for each kind of work on the destination that its source never had and this refresh would overwrite.

    Only public content is compared, not drafts, settings, orders and deletions. Raises `WorkUnknown`.
    """
    now, found = comparison.destination.content, []
    if not now.reachable:
        raise WorkUnknown(f"its public content cannot be read ({now.detail or 'no reason given'})")
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
    """The calls onto one install that concern one part.

    A restore undoes the call whose backup it put back, and every call in between. It does not promote anything: work that was
    on the install before that call is there again, and is as unpromoted as it was.
    """

    def __init__(self, ledger: Ledger, install: Install, part: Part) -> None:
        self.part = part
        self._seen: list[Call] = []
        self._more = calls_onto(ledger, install.id)

    def _calls(self) -> Iterator[Call]:
        """Yield all calls, newest first; each is read from the ledger once, when it is needed."""
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
        """Yield the copies of this part after the fact `since` that were not undone, newest first.

        Raises `WorkUnknown` at a restore if it is not known whether it arrived or what it undid.
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
        """Return whether a restore that was not undone put this install back to before this fact. Raises as `copies`."""
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
            raise WorkUnknown(f"{restore.name} put back a backup that the ledger does not contain")
        if restore.arrived_by is None:
            raise WorkUnknown(f"{restore.name} is not proven to have arrived")
        return range(undone.seq, restore.seq)


def _known(ledger: Ledger, plan: Plan, comparison: Comparison, part: Part) -> _Known:
    """Return the newest state that destination and source had in common: after a copy, or at a promotion.

    If the ledger contains neither, return the source as it is now.
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
        raise WorkUnknown("every copy onto it was undone, and what was on it before is not known")
    return _Known(_readable(now), f"on {source.name} (the ledger contains no earlier copy)")


def _readable(content: Content) -> Content:
    if not content.reachable:
        raise WorkUnknown("the public content to compare with could not be read")
    return content


def _last_copy(over: _History, back: _History, source: Install, *, since: int) -> Call | None:
    """Return the newest copy `over` the destination whose content the source still has, or None; `back`: calls onto the source.

    Content that was promoted, copied back and then undone on the source is on the destination only. Raises `WorkUnknown` if
    the content of the destination is not known.
    """
    for call in over.copies(since=since):
        if call.arrived_by is None:
            raise WorkUnknown(f"{call.name} is not proven to have arrived")
        if not _carries(call, over.part):
            raise WorkUnknown(f"{call.name} copied single tables only")
        if call.plan.pair.source.id != source.id:
            raise WorkUnknown(f"{call.name} copied {call.plan.pair.source.name}, not {source.name}")
        if not back.undid(call.seq):
            return call
    return None


def _last_promotion(over: _History, back: _History, staging: Install) -> Call | None:
    """Return the newest promotion from staging that arrived, or None; a later promotion from another install replaces it."""
    try:
        for call in back.copies():
            if call.plan.pair.source.id != staging.id:
                return None
            if _carries(call, back.part) and call.arrived_by is not None and not over.undid(call.seq):
                return call
    except WorkUnknown:  # a promotion whose result is not known does not count
        return None
    return None


def _touches(call: Call, part: Part) -> bool:
    return call.plan.options.files if part == "files" else call.plan.options.database


def _carries(call: Call, part: Part) -> bool:
    """Return whether the call copied all of this part; a list of tables is not the whole database."""
    return _touches(call, part) and not (part == "database" and call.plan.options.tables)


def _more_files(now: Content, known: _Known) -> list[tuple[str, str]]:
    then = known.content.files_marker
    if now.files_marker is None or then is None:
        raise WorkUnknown("the versions of its public assets, by which files are compared, cannot be read")
    moved_on = known.moving.files_marker if known.moving is not None else None
    if now.files_marker in (then, moved_on):
        return []
    return [(f"asset versions {now.files_marker}", then)]


def _more_content(now: Content, known: _Known) -> list[tuple[str, str]]:
    """Return what is newer or more than it was, kind by kind, and what it was."""
    kinds = sorted(now.totals.keys() | known.content.totals.keys())
    if not kinds:
        raise WorkUnknown("the number of its public posts, pages, media and comments is not known")
    return [more for kind in kinds for more in _more_of(kind, now, known)]


def _more_of(kind: str, now: Content, known: _Known) -> Iterator[tuple[str, str]]:
    total, before = now.totals.get(kind), known.content.totals.get(kind)
    newest, newest_before = now.newest.get(kind), known.content.newest.get(kind)
    if total is None or before is None or (total and newest is None) or (before and newest_before is None):
        raise WorkUnknown(f"how many public {kind} it has, or how new they are, is not known")
    later = newest is not None and (newest_before is None or newest > newest_before)
    copied = later and newest is not None and _may_have_been_copied(kind, newest, known)
    if copied and known.moving is not None:
        before = max(before, known.moving.totals.get(kind, before))
    if total > before:
        yield f"{total} public {kind}", str(before)
    elif later and not copied:
        yield f"newest change of {kind} {_utc(newest)}", _utc(newest_before)


def _utc(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "none"


def _may_have_been_copied(kind: str, newest: datetime, known: _Known) -> bool:
    """Return whether a live source changed during its copy: before the arrival, and no later than its newest change."""
    there = known.moving.newest.get(kind) if known.moving is not None else None
    return there is not None and known.arrived_by is not None and newest <= min(there, known.arrived_by)

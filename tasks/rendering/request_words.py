"""What an approval request comes to, in plain sentences and human units, for whoever escapes text: the desk's pages and `approval`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.estate.dumps import LoadPlan
from tasks.estate.plans import BOUND, Comparison, CopyOptions, Difference, Plan, Severity
from tasks.estate.sites import Direction
from tasks.rendering.times_and_tables import plain
from tasks.signoff.gate import Waiting

VERSION = re.compile(r"\d+(?:\.\d+)*")
IN_BYTES = " (bytes)"  # the end of an aspect that is measured in bytes


@dataclass(frozen=True)
class ShownDifference:
    """One line of the comparison as people read it. `mark` is why it deserves a look: older, smaller, a warning; "" otherwise."""

    aspect: str
    source: str
    destination: str
    mark: str = ""


def what_travels(options: CopyOptions, *, shown: Callable[[str], str] = plain) -> str:
    """Return the options in words; `shown` escapes the names of tables."""
    if not options.database:
        return "files only, no database"
    tables = f"database tables {', '.join(map(shown, options.tables))} only" if options.tables else "the whole database"
    return f"files and {tables}" if options.files else tables


def sentence(plan: Plan | LoadPlan) -> str:
    """Return in one sentence what is overwritten by what."""
    if isinstance(plan, LoadPlan):
        taken = f"{plan.header.exported_at:%Y-%m-%d %H:%M} UTC"
        return (
            f"The data of {plan.hostname}, database {plan.target.database}, is replaced with the dump of "
            f"{plan.header.source_host}, taken {taken}."
        )
    destination, travels = plan.pair.destination, what_travels(plan.options, shown=str)
    named = f"{destination.name} ({destination.environment.value}, {destination.primary_domain or 'no domain'})"
    if plan.direction is Direction.BACK:
        return f"{named} is overwritten with its backup {plan.restore_backup_id}: {travels}."
    source = plan.pair.source
    return f"{named} is overwritten with {source.name} ({source.environment.value}): {travels}."


def turn(plan: Plan | LoadPlan, waiting: Waiting) -> str:
    """Return whose turn it is: whether one approval decides, and who has approved."""
    people, done = plan.risk.people, len(waiting.yes)
    approved = " and ".join(signer.name for signer in waiting.yes)
    if people == 1:
        return "One approval decides: if you approve, it is overwritten."
    if people - done == 1:
        return f"You are the last of {people} people: {approved} approved. If you approve, it is overwritten."
    return f"{people} different people must approve: {f'{approved} approved' if done else 'nobody has yet'}."


def must_be_bound(plan: Plan | LoadPlan, waiting: Waiting) -> bool:
    """Return whether this answer must be made with a passkey or an SSH key, because the risk class demands it."""
    signed = sum(signer.proof in BOUND for signer in waiting.yes)
    return plan.risk.signatures - signed > plan.risk.people - len(waiting.yes) - 1


def shown_differences(comparison: Comparison, *, every: bool = False) -> list[ShownDifference]:
    """Return what differs or is not known, or `every` line, in human units; what needs a look comes first."""
    found = [
        _shown(each)
        for each in comparison.differences
        if every or each.source != each.destination or each.severity is Severity.UNKNOWN
    ]
    return sorted(found, key=lambda each: not each.mark)


def _shown(difference: Difference) -> ShownDifference:
    aspect = difference.aspect.removesuffix(IN_BYTES)
    source, destination = (_value(difference.aspect, each) for each in (difference.source, difference.destination))
    weight = "check this" if difference.severity in (Severity.WARN, Severity.BLOCK) else ""
    marks = [mark for mark in (_lower(difference), difference.note) if mark]
    return ShownDifference(aspect, source, destination, "; ".join(marks) or weight)


def _value(aspect: str, value: str) -> str:
    if not value.isdecimal():
        return {"True": "yes", "False": "no"}.get(value, value)
    return size(int(value)) if aspect.endswith(IN_BYTES) else f"{int(value):,}"


def _lower(difference: Difference) -> str:
    """Return "older" or "smaller" if the source has less than the destination, as far as both can be compared."""
    source, destination = difference.source, difference.destination
    if not VERSION.fullmatch(source) or not VERSION.fullmatch(destination):
        return ""
    left, right = (tuple(map(int, each.split("."))) for each in (source, destination))
    if left >= right:
        return ""
    return "the source is smaller" if source.isdecimal() and destination.isdecimal() else "the source is older"


def size(count: int) -> str:
    """Return a number of bytes in the unit that people use for it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.{0 if count >= 100 * factor else 1}f} {unit}"
    return f"{count} bytes"


def span(duration: timedelta) -> str:
    """Return a duration in its two largest units, like `7 h 20 min`."""
    minutes = max(0, int(duration.total_seconds() // 60))
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    units = [f"{count} {name}" for count, name in ((days, "d"), (hours, "h"), (rest, "min")) if count]
    return " ".join(units[:2]) or "less than a minute"


def age(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment is."""
    return f"{span(now - moment)} ago"

"""Evidence that a copy or restore arrived: signals of four ranks, and the verdict. An `active` status proves nothing.

The hosting API reports no completion of a copy. docs/evidence.md describes the signals, their ranks and their pitfalls. A
signal counts only as a change from the baseline before the call, and only if it is seen in two readings.
"""

from dataclasses import dataclass, field
from datetime import datetime

from tasks.capi.client import Client
from tasks.estate.errors import UnderstudyError
from tasks.estate.plans import Plan, Receipt, Signal, Verdict
from tasks.estate.polling import utc_now
from tasks.estate.sites import Content, Install, Storage, Survey
from tasks.surveys.survey import measured, public_content, to_install
from tasks.websites.wordpress_site import Prober

TOLERANCE = 0.02  # share; sizes of two equal sites differ by logs and caches


@dataclass(frozen=True)
class Reading:
    """All signals at one time. `contradicted`: something that must match was read and does not match (yet).

    `unchanged`: each copied part was read on both sides, was equal before the call and is equal now, so that no evidence of
    an arrival can ever appear.
    """

    signals: tuple[Signal, ...]
    contradicted: bool
    unchanged: bool = False

    def seen(self, rank: int) -> bool:
        """Return whether any signal of this rank was seen."""
        return any(signal.seen for signal in self.signals if signal.rank == rank)


def read(client: Client, prober: Prober, plan: Plan, receipt: Receipt, expected: Survey) -> Reading:
    """Read all signals once. `expected`: what the destination should be now, the source or the earlier state."""
    checkpoints = _checkpoints(client, plan, receipt)
    storage = _storage(client, plan, receipt, expected)
    content = _content(prober, plan, receipt, expected)
    status = _status(client, plan)
    copied = [part for part, chosen in (("files", plan.options.files), ("database", plan.options.database)) if chosen]
    return Reading(
        (checkpoints, *storage.signals, *content.signals, status),
        contradicted=content.contradicted,
        unchanged=all(_all_equal(part, storage, content) for part in copied),
    )


@dataclass(frozen=True)
class _Signals:
    """Signals of one kind. `equal`: for each part that was read on both sides, whether it was and is equal.

    A database of which only single tables are copied is never compared.
    """

    signals: tuple[Signal, ...]
    contradicted: bool = False
    equal: dict[str, bool] = field(default_factory=dict)


def _all_equal(part: str, *found: _Signals) -> bool:
    """Return whether this part was compared, and was equal in all comparisons."""
    known = [each.equal[part] for each in found if part in each.equal]
    return bool(known) and all(known)


def evaluate(earlier: Reading | None, later: Reading, *, host_finished: bool = False) -> Verdict:
    """Return the verdict of two readings: a rank counts only if both saw it, and a contradiction outweighs all signals.

    `host_finished`: the deadline of the call has passed, so that the host cannot still be working on it. A closing checkpoint
    shows the same. Only then does "nothing differed before and nothing differs now" mean anything: before, the overwrite may
    still be running.
    """
    if earlier is None or later.contradicted or earlier.contradicted:
        return Verdict.UNCONFIRMED
    held = {rank: earlier.seen(rank) and later.seen(rank) for rank in (1, 2, 3)}
    if held[1] and (held[2] or held[3]):
        return Verdict.CONFIRMED
    if earlier.unchanged and later.unchanged and (held[1] or host_finished):
        return Verdict.UNCHANGED
    if held[1] or (held[2] and held[3]):
        return Verdict.PROBABLE
    return Verdict.UNCONFIRMED


def _signal(rank: int, name: str, seen: bool, detail: str) -> Signal:
    return Signal(rank=rank, name=name, seen=seen, detail=detail, observed_at=utc_now())


def _checkpoints(client: Client, plan: Plan, receipt: Receipt) -> Signal:
    """Look for two new completed checkpoints, the later created after the earlier completed: before and after the overwrite."""
    name = "closing checkpoint of the destination"
    if receipt.baseline.backup_ids is None:
        return _signal(1, name, False, "the host does not list backups")
    try:
        listed = client.backups(plan.pair.destination.id)
    except UnderstudyError as error:
        return _signal(1, name, False, f"could not be read: {error.message}")
    known = {*receipt.baseline.backup_ids, plan.backup.id}
    new = [backup for backup in listed if backup.id not in known and backup.status == "completed"]
    times = sorted((b.create_time, b.complete_time) for b in new if b.create_time and b.complete_time)
    closing = any(later[0] >= earlier[1] for i, earlier in enumerate(times) for later in times[i + 1 :])
    ids = f", ids {', '.join(backup.id[:8] for backup in new)}" if new else ""
    return _signal(1, name, closing, f"{len(new)} new completed backups since the call{ids}")


def _storage(client: Client, plan: Plan, receipt: Receipt, expected: Survey) -> _Signals:
    """Look for a measurement after the call that matches what is expected and did not match before."""
    name = "storage measured after the call matches"
    before, wanted = receipt.baseline.destination.storage, expected.storage
    if wanted is None:
        return _Signals((_signal(2, name, False, "nothing to compare with"),))
    if plan.options.tables:
        return _Signals((_signal(2, name, False, "a copy of single tables never matches in full"),))
    try:
        now = measured(client, plan.pair.destination.id)
    except UnderstudyError as error:
        return _Signals((_signal(2, name, False, f"could not be read: {error.message}"),))
    if now.measured_at is None or now.measured_at <= _instant(receipt, before):
        return _Signals((_signal(2, name, False, "no measurement since the call"),))
    matches = _same_size(now, wanted, plan)
    differed = before is None or not _same_size(before, wanted, plan)
    detail = (
        f"files {now.file_bytes} of {wanted.file_bytes}, database {now.database_bytes} of {wanted.database_bytes} bytes"
    )
    signal = _signal(2, name, matches and differed, detail + ("" if differed else "; it matched before"))
    same_files = before is not None and all(_near(each.file_bytes, wanted.file_bytes) for each in (before, now))
    return _Signals((signal,), equal={"files": same_files})


def _instant(receipt: Receipt, before: Storage | None) -> datetime:
    earlier = before.measured_at if before and before.measured_at else receipt.baseline.server_time
    return max(receipt.baseline.server_time, earlier)


def _same_size(now: Storage, wanted: Storage, plan: Plan) -> bool:
    pairs = []
    if plan.options.files:
        pairs.append((now.file_bytes, wanted.file_bytes))
    if plan.options.database:
        if now.tables != wanted.tables:
            return False
        pairs.append((now.database_bytes, wanted.database_bytes))
    return all(_near(a, b) for a, b in pairs)


def _near(a: int | None, b: int | None) -> bool:
    return a is not None and b is not None and abs(a - b) <= TOLERANCE * max(a, b, 1)


def _content(prober: Prober, plan: Plan, receipt: Receipt, expected: Survey) -> _Signals:
    """Check whether public content (database) and files match what is expected and did not match before."""
    before = receipt.baseline.destination.content
    own = (domain.name for domain in receipt.baseline.destination.domains or ())
    prober.add_domains(plan.pair.destination.name, [*own, plan.pair.destination.primary_domain])
    now = public_content(prober, plan.pair.destination)
    if not now.reachable or not expected.content.reachable:
        return _Signals((_signal(3, "public content matches", False, "could not be read"),))
    source_now = _source_now(prober, plan, expected)
    signals, contradicted, equal = list[Signal](), False, dict[str, bool]()
    if plan.options.database and not plan.options.tables:
        matches = _content_between(now, expected.content, source_now)
        differed = _content_between(before, expected.content, expected.content) is False
        detail = f"newest change {now.newest_change}, totals {now.totals}, home {now.home}"
        signals.append(_signal(3, "public content matches", bool(matches) and differed, detail))
        contradicted |= matches is False
        if matches is not None:
            equal["database"] = matches and not differed
    if plan.options.files:
        source = None if plan.verb == "restore" else plan.pair.source
        arrived, detail = files_arrived(prober, plan.pair.destination, source, now, expected.content)
        differed = _files_differed(before, expected.content)
        signals.append(_signal(3, "files match", bool(arrived) and differed, detail))
        contradicted |= arrived is False
        if arrived is not None:
            equal["files"] = arrived and not differed
    return _Signals(tuple(signals), contradicted, equal)


def files_arrived(
    prober: Prober, destination: Install, source: Install | None, now: Content, expected: Content
) -> tuple[bool | None, str]:
    """Return whether the destination serves the expected files (None: not known), and the details.

    Compares the content of files that the source's front page named before the call: web servers deliver them from disk, so a
    plugin that is active on one side only makes no difference. If the source has changed a file since, either content is
    accepted. Without such files, equal versions in the pages count; different ones do not, as they depend on the database.
    """
    primary = destination.primary_domain
    if primary is None or not expected.assets:
        same = expected.files_marker is not None and now.files_marker == expected.files_marker
        return same or None, f"no file to compare; assets {now.files_marker}, expected {expected.files_marker}"
    known = 0
    wrong: list[str] = []
    for path, digest in expected.assets.items():
        served = now.assets.get(path) or prober.asset(primary, path)
        if served is None:
            continue
        known += 1
        newer = source.primary_domain if source is not None else None
        if served != digest and not (newer and served == prober.asset(newer, path)):
            wrong.append(f"{path} {'differs' if served else 'is missing'}")
    if wrong:
        return False, "; ".join(wrong)
    rest = "" if known == len(expected.assets) else ", the others could not be read"
    return (True if known else None), f"{known} of {len(expected.assets)} files compared{rest}"


def _files_differed(before: Content, expected: Content) -> bool:
    """Return whether the files differed before: other content under the same name or, if no file is common, other versions."""
    common = before.assets.keys() & expected.assets.keys()
    if common:
        return any(before.assets[path] != expected.assets[path] for path in common)
    return None not in (before.files_marker, expected.files_marker) and before.files_marker != expected.files_marker


def _source_now(prober: Prober, plan: Plan, expected: Survey) -> Content:
    if plan.verb == "restore":
        return expected.content
    now = public_content(prober, plan.pair.source)
    return now if now.reachable else expected.content


def _content_between(now: Content, at_call: Content, source_now: Content) -> bool | None:
    """Return whether the values are between those of the source at the call and now: a live source changes meanwhile.

    Only collections of both sides are compared; None if no collection is in common.
    """
    now, at_call = now.comparable_with(at_call), at_call.comparable_with(now)
    source_now = source_now.comparable_with(now)
    common = now.totals.keys() & at_call.totals.keys()
    for kind in common:
        low, high = sorted((at_call.totals[kind], source_now.totals.get(kind, at_call.totals[kind])))
        if not low <= now.totals[kind] <= high:
            return False
    for kind in common:
        first, last, seen = (each.newest.get(kind) for each in (at_call, source_now, now))
        if (first is None) != (seen is None):
            return False
        if first is not None and seen is not None and not first <= seen <= max(first, last or first):
            return False
    return True if common else None


def _status(client: Client, plan: Plan) -> Signal:
    """Return the status of the install, which is recorded and never counted: `active` proves nothing."""
    try:
        status = to_install(client.install(plan.pair.destination.id)).status
    except UnderstudyError as error:
        status = f"could not be read: {error.message}"
    return _signal(4, "install status (recorded, proves nothing)", False, status)

"""Rules as pure functions: which pairs are allowed, what differs, what would be lost, what is pinned."""

import re

from tasks.estate.errors import PlanIsStale, WrongDestination
from tasks.estate.plans import Comparison, CopyOptions, Difference, Severity
from tasks.estate.sites import Direction, Environment, Install, Pair, Survey

UNKNOWN = "unknown"
DOTTED = re.compile(r"\d{1,9}(\.\d{1,9})+")  # a version number; not a time stamp or a hash


def require_allowed(pair: Pair, *, other_site: bool = False) -> None:
    """Raise `WrongDestination` unless the direction allows this pair. Only `other_site` is configurable.

    `other_site` allows a copy between two sites of one account, or if the host does not report the site.
    """
    source, destination = pair.source, pair.destination
    if pair.direction is not Direction.BACK:
        _require_two_of_one_account(source, destination, other_site=other_site)
    if pair.direction is Direction.DOWN and destination.environment.may_be_production:
        raise WrongDestination(
            f"{destination.name} is {_role(destination)}; a refresh needs a destination that the host labels staging "
            "or development (unknown counts as production).",
            next_step="Nothing was changed. Choose a staging install. To change production, start `promote`.",
            install=destination.name,
        )
    if pair.direction is Direction.UP:
        _require_promotable(source, destination)
    for install in (source, destination):
        if install.status != "active":
            raise WrongDestination(
                f"{install.name} has status {install.status!r}; expected 'active'.",
                next_step="Nothing was changed. Wait until the install is active, then start a new run.",
                install=install.name,
            )


def _require_two_of_one_account(source: Install, destination: Install, *, other_site: bool) -> None:
    if source.id == destination.id:
        raise WrongDestination(f"Source and destination are the same install, {source.name}; expected two installs.")
    if source.account_id != destination.account_id:
        raise WrongDestination(
            f"{source.name} and {destination.name} belong to different accounts; the host copies within one account only."
        )
    same_site = source.site_id is not None and source.site_id == destination.site_id
    if not same_site and not other_site:
        raise WrongDestination(
            f"{source.name} belongs to site {source.site_name or source.site_id or UNKNOWN}, {destination.name} to site "
            f"{destination.site_name or destination.site_id or UNKNOWN}; expected one site.",
            next_step="Nothing was changed. If this is intended, start a new run with 'Allow another site' switched on.",
        )


def _require_promotable(source: Install, destination: Install) -> None:
    if destination.environment is not Environment.PRODUCTION:
        raise WrongDestination(
            f"{destination.name} is {_role(destination)}; a promotion needs a destination that the host labels production.",
            next_step="Nothing was changed. To overwrite a staging install, start `refresh`.",
        )
    if source.environment.may_be_production:
        raise WrongDestination(f"{source.name} is {_role(source)}; a promotion copies from staging or development.")


def _role(install: Install) -> str:
    word = install.environment.value
    return "of unknown environment" if word == UNKNOWN else word


def compare(source: Survey, destination: Survey, options: CopyOptions) -> Comparison:
    """Compare two surveys: differences with their severity, what the destination would lose, and which side is newer."""
    newer = _destination_is_newer(source, destination)
    return Comparison(
        source=source,
        destination=destination,
        differences=tuple(_differences(source, destination)),
        losses=tuple(_losses(source, destination, options, newer)),
        destination_is_newer=newer,
        files_are_newer=_files_are_newer(source, destination),
    )


def _differences(source: Survey, destination: Survey) -> list[Difference]:
    left, right = source.install, destination.install
    rows = [
        _row("Environment", left.environment.value, right.environment.value, Severity.INFO),
        _row("Status", left.status, right.status, Severity.WARN),
        _row("PHP", left.php_version, right.php_version, Severity.WARN),
        _row("WordPress", left.wp_version, right.wp_version, Severity.WARN),
        _row("Multisite", left.multisite, right.multisite, Severity.WARN, note="mapped sub-sites may keep old URLs"),
        _row("Primary domain", left.primary_domain, right.primary_domain, Severity.INFO),
        _row("Domains", _names(source), _names(destination), Severity.INFO),
        _row("Certificates", _certificates(source), _certificates(destination), Severity.INFO),
        _row("Files (bytes)", _storage(source, "file_bytes"), _storage(destination, "file_bytes"), Severity.INFO),
        _row(
            "Database (bytes)",
            _storage(source, "database_bytes"),
            _storage(destination, "database_bytes"),
            Severity.INFO,
        ),
        _row("Database tables", _storage(source, "tables"), _storage(destination, "tables"), Severity.INFO),
        _row("Live data", _live(source), _live(destination), Severity.WARN),
        _row("Title", source.content.title, destination.content.title, Severity.INFO),
        _row("Newest change", _newest(source), _newest(destination), Severity.INFO),
        _row("Asset versions", source.content.files_marker, destination.content.files_marker, Severity.INFO),
    ]
    for kind in sorted(source.content.totals.keys() | destination.content.totals.keys()):
        rows.append(
            _row(f"Public {kind}", source.content.totals.get(kind), destination.content.totals.get(kind), Severity.INFO)
        )
    return rows


def require_same(pair: Pair, comparison: Comparison) -> None:
    """Raise `PlanIsStale` if a side was renamed, relabelled or moved before it was compared."""
    for resolved, compared in (
        (pair.source, comparison.source.install),
        (pair.destination, comparison.destination.install),
    ):
        for field in ("name", "environment", "account_id", "site_id", "primary_domain"):
            old, new = getattr(resolved, field), getattr(compared, field)
            if old != new:
                raise PlanIsStale(f"{resolved.name} changed while it was checked: {field} was {old}, is now {new}.")


def _row(aspect: str, source: object, destination: object, severity: Severity, *, note: str = "") -> Difference:
    left, right = _say(source), _say(destination)
    if UNKNOWN in (left, right):
        return Difference(aspect=aspect, source=left, destination=right, severity=Severity.UNKNOWN, note="not known")
    grade = Severity.INFO if left == right else severity
    return Difference(aspect=aspect, source=left, destination=right, severity=grade, note="" if left == right else note)


def _say(value: object) -> str:
    return UNKNOWN if value is None or value == "" else str(value)


def _names(survey: Survey) -> str | None:
    return None if survey.domains is None else ", ".join(sorted(domain.name for domain in survey.domains)) or "none"


def _certificates(survey: Survey) -> str | None:
    if survey.certificates is None:
        return None
    return ", ".join(sorted(f"{c.common_name} ({c.status})" for c in survey.certificates)) or "none listed"


def _storage(survey: Survey, field: str) -> object:
    return None if survey.storage is None else getattr(survey.storage, field)


def _live(survey: Survey) -> str | None:
    """Return the plugins that collect data of visitors: orders, members, forms."""
    seen = survey.content.live_data
    return None if seen is None else ", ".join(seen) or "none seen"


def _newest(survey: Survey) -> str | None:
    newest = survey.content.newest_change
    return None if newest is None else newest.strftime("%Y-%m-%d %H:%M:%S UTC")


def _destination_is_newer(source: Survey, destination: Survey) -> bool | None:
    left, right = source.content.newest_change, destination.content.newest_change
    return None if left is None or right is None else right > left


def _files_are_newer(source: Survey, destination: Survey) -> bool | None:
    """Return whether the destination has newer files: the highest of the versions that only one side shows.

    Only dotted versions count: time stamps and hashes in asset URLs differ from site to site.
    """
    left, right = (_versions(side.content.files_marker) for side in (source, destination))
    if left is None or right is None:
        return None
    only_there, only_here = right - left, left - right
    return bool(only_there) and bool(only_here) and max(only_there) > max(only_here)


def _versions(marker: str | None) -> set[tuple[int, ...]] | None:
    """Return the dotted versions of a marker as numbers, or None if it has no such version."""
    found = {tuple(map(int, word.split("."))) for word in (marker or "").split(",") if DOTTED.fullmatch(word)}
    return found or None


def _losses(source: Survey, destination: Survey, options: CopyOptions, newer: bool | None) -> list[str]:
    lines: list[str] = []
    name = destination.install.name
    if options.database:
        scope = f"the tables {', '.join(options.tables)}" if options.tables else "the whole database"
        lines.append(f"{scope} of {name} is replaced: newer posts, orders, users and comments on it are lost")
        if newer is None:
            lines.append("how much is lost is unknown: public content could not be compared")
        elif newer:
            lines.append(
                f"{name} is NEWER than {source.install.name}: newest change {_newest(destination)} against {_newest(source)}"
            )
        for kind, total in sorted(destination.content.totals.items()):
            more = total - source.content.totals.get(kind, 0)
            if more > 0:
                lines.append(f"{name} has {more} more public {kind} than {source.install.name}")
    if options.files and _files_are_newer(source, destination):
        lines.append(
            f"the files of {name} are NEWER than those of {source.install.name}: asset versions "
            f"{destination.content.files_marker} against {source.content.files_marker}"
        )
    if options.files:
        lines.append(f"files of {name} are replaced: newer uploads, themes and plugins on it are lost")
    return lines


def pins(source: Survey, destination: Survey, direction: Direction, options: CopyOptions) -> dict[str, str]:
    """Return the facts that must not change between the plan and the call; any change makes the plan stale.

    Identity and platform are always pinned. Content is pinned if a change would alter what was approved: content of the
    destination if its database is replaced, content of the source if it is copied to production (production as a source
    is live and changes all the time).
    """
    pinned: dict[str, str] = {}
    for side, survey in (("source", source), ("destination", destination)):
        install = survey.install
        pinned |= {
            f"{side}.name": install.name,
            f"{side}.account": install.account_id,
            f"{side}.site": _say(install.site_id),
            f"{side}.environment": install.environment.value,
            f"{side}.status": install.status,
            f"{side}.primary_domain": _say(install.primary_domain),
            f"{side}.php": _say(install.php_version),
            f"{side}.wordpress": _say(install.wp_version),
            f"{side}.multisite": _say(install.multisite),
        }
    if options.database:
        pinned["destination.newest_change"] = _say(_newest(destination))
    if direction is Direction.UP and options.database:
        pinned["source.newest_change"] = _say(_newest(source))
    if direction is Direction.UP and options.files:
        pinned["source.asset_versions"] = _say(source.content.files_marker)
    if direction is Direction.UP:
        pinned["destination.live_data"] = _say(_live(destination))
    return pinned

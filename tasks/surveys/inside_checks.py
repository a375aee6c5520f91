"""Checks of an install from the inside, by WP-CLI: what a visitor cannot see. None of them decides an outcome; they warn."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from tasks.capi.client import Client
from tasks.estate.errors import Refused, UnderstudyError, Unreachable
from tasks.estate.plans import Finding, Severity
from tasks.estate.sites import Environment, Install
from tasks.surveys.survey import id_of, to_install
from tasks.wpcli.commands import LONGEST_COMMAND
from tasks.wpcli.wordpress import WordPress

INSIDE = "the install from the inside"
TABLES = "tables of WordPress"
ENVIRONMENT_TYPE = "environment type inside WordPress"
DEBUGGING = "errors are not shown to visitors"
CORE = "files of WordPress are unmodified"
PLUGINS = "active plugins are up to date"
MAIL = "e-mail"
URLS = "no URLs of the other install in the database"
SEARCH_WITHIN = 900.0  # seconds for all searches together; one reads every table, and a big site has gigabytes
SHOWN = 12  # tables or plugins that a finding names
SPELLINGS = ("//", r"\/\/", "%2F%2F")  # as written in HTML, in JSON, and in the query of a URL
DECLARED = (
    "Define WP_ENVIRONMENT_TYPE in wp-config.php: plugins use it to decide whether to send e-mails and to charge cards."
)
REPLACE = (
    "Run `wp search-replace` for each spelling, with --all-tables-with-prefix and --skip-columns=guid: first with --dry-run. Logs and "
    "security plugins may name the other install rightly."
)


@dataclass(frozen=True)
class NamedInstall:
    """One install with all its host names, in lower case."""

    install: Install
    hosts: frozenset[str]


def named_install(client: Client, name: str) -> NamedInstall:
    """Return the install of this name. Raise `NotFound`."""
    install = to_install(client.install(id_of(client, name)))
    names = [install.primary_domain, *(domain.name for domain in client.domains(install.id))]
    return NamedInstall(install, frozenset(each.lower() for each in names if each and "*" not in each))


def check_inside(wordpress: WordPress, own: NamedInstall, other: NamedInstall | None = None) -> tuple[Finding, ...]:
    """Check one install from the inside; with `other`, also for URLs of that install, table by table.

    A command that is refused, or takes too long, makes its own check unknown. Raise `Transient` if the gateway does not answer.
    """
    if not wordpress.is_installed():
        return (_result(TABLES, False, "WordPress does not find its tables", "Read the host's error log."),)
    environment = own.install.environment
    checks: dict[str, Callable[[], Finding]] = {
        ENVIRONMENT_TYPE: lambda: _environment(wordpress.environment_type(), environment),
        DEBUGGING: lambda: _debugging(wordpress),
        CORE: lambda: _core(wordpress.modified_core_files()),
        PLUGINS: lambda: _plugins(wordpress),
        MAIL: lambda: _mail(environment, filtered=wordpress.filters_mail()),
    }
    if other is not None:
        checks[URLS] = lambda: _urls(wordpress, own.hosts, other.hosts - own.hosts)
    return tuple(_made(check, make) for check, make in checks.items())


def _made(check: str, make: Callable[[], Finding]) -> Finding:
    try:
        return make()
    except Refused as refused:
        return _unknown(check, refused.message)
    except Unreachable as unreachable:
        if not unreachable.facts.get("overdue"):
            raise
        return _unknown(check, unreachable.message)


def not_read(error: UnderstudyError) -> Finding:
    """Return the finding of an install that could not be looked at from the inside."""
    return _unknown(INSIDE, error.message, error.next_step)


def _environment(seen: str, environment: Environment) -> Finding:
    if environment is Environment.UNKNOWN:
        return _unknown(ENVIRONMENT_TYPE, f"{seen}; the host does not report a known environment")
    return _result(
        ENVIRONMENT_TYPE, seen == environment.value, f"{seen}; the host reports {environment.value}", DECLARED
    )


def _debugging(wordpress: WordPress) -> Finding:
    on = [name for name in ("WP_DEBUG", "WP_DEBUG_DISPLAY", "WP_DEBUG_LOG") if wordpress.constant(name)]
    detail = ", ".join(f"{name} is true" for name in on) or "WP_DEBUG is off"
    return _result(
        DEBUGGING, "WP_DEBUG" not in on, detail,
        "Set WP_DEBUG to false, or WP_DEBUG_DISPLAY to false and the log outside of wp-content.",
    )  # fmt: skip


def _core(modified: int | None) -> Finding:
    if modified is None:
        return _unknown(CORE, "the published checksums could not be fetched")
    return _result(
        CORE, modified == 0, f"{modified} files differ from the published ones" if modified else "as published",
        "Run `wp core verify-checksums` on the gateway. If nobody changed these files on purpose, treat the site as compromised.",
    )  # fmt: skip


def _plugins(wordpress: WordPress) -> Finding:
    found = wordpress.outdated_plugins()
    names = [f"{each.name} {each.version} → {each.newer}" for each in found]
    return _result(PLUGINS, not found, _listed(names) or "all", "Update them on staging first.")


def _mail(environment: Environment, *, filtered: bool) -> Finding:
    if environment.may_be_production:
        detail = "a must-use plugin decides about each e-mail" if filtered else "WordPress sends e-mails"
        return _result(MAIL, not filtered, detail, "Check that no e-mail stop of a staging install was copied here.")
    detail = "a must-use plugin decides about each e-mail" if filtered else "nothing stops e-mails to customers"
    return _result(MAIL, filtered, detail, "Install a must-use plugin whose filter `pre_wp_mail` returns false.")


def _urls(wordpress: WordPress, own: frozenset[str], other: frozenset[str]) -> Finding:
    """Search for each spelling of each host of the other install, within one time limit for all of them."""
    if any(each.startswith(host) for each in own for host in other):
        return _unknown(URLS, "a domain of this install begins with one of the other, so that a search finds both")
    counts: dict[str, int] = {}
    unsearched: set[str] = set()
    deadline = monotonic() + SEARCH_WITHIN
    for spelling in (f"{slashes}{host}" for host in sorted(other) for slashes in SPELLINGS):
        left = max(1.0, deadline - monotonic())
        found = wordpress.search(spelling, within=min(left, LONGEST_COMMAND))
        unsearched |= {*found.unsearched}
        for places in found.places:
            where = f"{places.table}.{places.column}"
            counts[where] = counts.get(where, 0) + places.count
    if unsearched and not counts:
        return _unknown(
            URLS, f"none, but tables without a primary key were not searched: {_listed(sorted(unsearched))}"
        )
    rows = [f"{where}: {count}" for where, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))]
    return _result(URLS, not counts, _listed(rows) or "none", REPLACE)


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _result(check: str, passed: bool, detail: str, action: str) -> Finding:
    severity = Severity.INFO if passed else Severity.WARN
    return Finding(check=check, passed=passed, severity=severity, detail=detail, action="" if passed else action)


def _unknown(check: str, detail: str, action: str = "") -> Finding:
    return Finding(check=check, passed=None, severity=Severity.UNKNOWN, detail=detail, action=action)

"""Look at a site as a visitor would and evaluate what is seen: all checks of one install, without Prefect."""

from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address

from tasks.capi.client import Client
from tasks.estate.plans import Finding, Plan, Severity
from tasks.estate.sites import Content, DomainName, Install, Survey
from tasks.estate.waiting import utc_now
from tasks.probes import findings
from tasks.probes.addresses import Names, Sides
from tasks.probes.certificates import check_certificates
from tasks.probes.fetcher import Page
from tasks.probes.websites import Prober
from tasks.surveys.files import files_arrived
from tasks.surveys.survey import survey_install

CLOCKS_DIFFER = timedelta(minutes=1)  # between the sites and this machine

# Reads the cached front page until it is settled: given a look that returns a finding, returns the last one.
Settling = Callable[[Callable[[], Finding]], Finding]


def check_copy(
    client: Client,
    prober: Prober,
    plan: Plan,
    expected: Survey,
    *,
    purged_at: datetime | None = None,
    pace: float = 1.0,
    settle: Settling = lambda look: look(),
) -> tuple[Finding, ...]:
    """Check the destination of a copy or restore against what should have arrived (`expected`)."""
    survey = survey_install(client, prober, plan.pair.destination.id)
    back = plan.verb == "restore"
    other = Names(frozenset()) if back else findings.names_of(expected)
    prober.add_domains(plan.pair.source.name, [*findings.names_of(expected).hosts, plan.pair.source.primary_domain])
    sides = Sides(findings.names_of(survey), other)
    found = run_checks(prober, survey, sides, purged_at=purged_at, pace=pace, settle=settle)
    whole = plan.options.database and not plan.options.tables
    found += findings.content_matches(
        survey.content,
        expected.content,
        database=whole,
        source_now=None if back or not whole else _source_now(prober, plan),
        since=max(expected.taken_at, plan.backup.requested_at) - CLOCKS_DIFFER * pace,
    )
    if plan.options.files:
        source = None if back else plan.pair.source
        found.append(
            findings.files_match(
                *files_arrived(prober, plan.pair.destination, source, survey.content, expected.content)
            )
        )
    if plan.options.database and not back:
        found += _leaks(prober, survey.install, sides)
    return tuple(found)


def _source_now(prober: Prober, plan: Plan) -> Content | None:
    seen = prober.content(plan.pair.source.primary_domain) if plan.pair.source.primary_domain else None
    return seen if seen is not None and seen.reachable else None


def check_install(prober: Prober, survey: Survey, other: Survey | None = None) -> tuple[Finding, ...]:
    """Check one install by itself; with `other`, also for URLs of that one and for what differs (which only warns)."""
    sides = Sides(findings.names_of(survey), findings.names_of(other) if other else Names(frozenset()))
    found = run_checks(prober, survey, sides)
    if other is not None:
        matching = findings.content_matches(survey.content, other.content, database=True)
        matching.append(
            findings.files_match(*files_arrived(prober, survey.install, other.install, survey.content, other.content))
        )
        # Two installs may differ for good reasons: shown, but no verdict on the install's health.
        found += [f if f.passed is not False else f.model_copy(update={"severity": Severity.WARN}) for f in matching]
        found += _leaks(prober, survey.install, sides)
    return tuple(found)


def run_checks(
    prober: Prober,
    survey: Survey,
    sides: Sides,
    *,
    purged_at: datetime | None = None,
    pace: float = 1.0,
    settle: Settling = lambda look: look(),
) -> list[Finding]:
    """The checks that need no second install."""
    listed = [domain for domain in survey.domains or () if "*" not in domain.name]
    answers = prober.in_parallel({d.name: _asking(prober, d.name) for d in listed})
    addresses = {name: seen for name, seen in answers.items() if seen is not None}
    pages = prober.in_parallel({name: _opening(prober, name) for name, seen in addresses.items() if seen})
    resolved = {name: min(seen, default="") for name, seen in addresses.items()}
    found = [findings.active(survey.install), *findings.domains(survey, resolved, pages, sides)]
    if prober.asks_dns:
        found += _dns(prober, survey.install, listed, addresses, pages)
    found += check_certificates(survey, utc_now())
    primary, multisite = survey.install.primary_domain, bool(survey.install.multisite)
    found.append(findings.home_is_own(survey.content, sides, primary, multisite=multisite))
    if primary is not None:
        fresh, robots = prober.visit(primary, fresh=True), prober.page(primary, "/robots.txt", fresh=True)
        found += [findings.front_page(fresh, sides), findings.indexing(survey.install, fresh, robots)]
        found.append(settle(lambda: _cache(prober, primary, sides, purged_at, pace)))
    return found


def _asking(prober: Prober, name: str) -> Callable[[], frozenset[str] | None]:
    return lambda: prober.addresses(name)


def _opening(prober: Prober, name: str) -> Callable[[], Page]:
    return lambda: prober.visit(name, fresh=True)


def _dns(
    prober: Prober,
    install: Install,
    listed: list[DomainName],
    addresses: dict[str, frozenset[str]],
    pages: dict[str, Page],
) -> list[Finding]:
    """Compare DNS with what the host wants, for every domain for which it says that."""
    found = []
    targets = {each for domain in listed for each in domain.points_to if not _is_address(each)}
    behind = prober.in_parallel({target: _asking(prober, target) for target in targets})
    for domain in listed:
        seen = addresses.get(domain.name, frozenset())
        if not domain.points_to or not seen:
            continue
        known = [frozenset({each}) if _is_address(each) else behind.get(each) for each in domain.points_to]
        wanted = _same_form(frozenset().union(*(each for each in known if each is not None)))
        if None in known and not _same_form(seen) & wanted:
            wanted = frozenset()  # the target that could not be asked may be the right one
        primary = findings.is_primary(domain, install)
        found.append(findings.points_here(domain, _same_form(seen), wanted, pages.get(domain.name), primary=primary))
    return found


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _same_form(addresses: frozenset[str]) -> frozenset[str]:
    """Write each address in one way: an IPv6 address has many."""
    return frozenset(str(ip_address(each)) if _is_address(each) else each for each in addresses)


def _cache(prober: Prober, domain: str, sides: Sides, purged_at: datetime | None, pace: float) -> Finding:
    cached = prober.visit(domain)
    since = (utc_now() - purged_at).total_seconds() / pace if purged_at else None
    fresh = (prober.visit(domain, fresh=True), prober.visit(domain, fresh=True))
    return findings.cache_is_fresh(cached, fresh, sides, since)


def _leaks(prober: Prober, install: Install, sides: Sides) -> list[Finding]:
    primary = install.primary_domain
    pages = [*prober.pages(primary), *prober.texts(primary)] if primary else []
    return findings.leaks(pages, sides, install)

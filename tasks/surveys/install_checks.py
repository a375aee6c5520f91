"""All checks of one install, whose site is read as a visitor sees it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from ipaddress import ip_address

from tasks.capi.client import Client
from tasks.estate.plans import Finding, Plan, Severity
from tasks.estate.polling import utc_now
from tasks.estate.sites import Appearance, Content, DomainName, Install, Survey
from tasks.surveys.arrival_evidence import files_arrived
from tasks.surveys.survey import survey_install
from tasks.websites import site_checks
from tasks.websites.appearance import indexing
from tasks.websites.certificates import check_certificates
from tasks.websites.fetcher import Page
from tasks.websites.hosts_and_urls import Names, Sides
from tasks.websites.wordpress_site import Prober

CLOCKS_DIFFER = timedelta(minutes=1)  # between the sites and this machine

# Calls a check of the cached front page until its result is final, and returns that.
Settle = Callable[[Callable[[], Finding]], Finding]


def check_copy(
    client: Client,
    prober: Prober,
    plan: Plan,
    expected: Survey,
    before: Survey,
    *,
    purged_at: datetime | None = None,
    pace: float = 1.0,
    settle: Settle = lambda check: check(),
) -> tuple[Finding, ...]:
    """Check the destination of a copy or restore against what should have arrived (`expected`).

    `before`: the destination right before the call; a restore brings back what is expected, so that is compared instead.
    """
    survey = survey_install(client, prober, plan.pair.destination.id)
    back = plan.verb == "restore"
    before = expected if back else before
    earlier = before.appearance or Appearance()
    other = Names(frozenset()) if back else site_checks.names_of(expected)
    prober.add_domains(plan.pair.source.name, [*site_checks.names_of(expected).hosts, plan.pair.source.primary_domain])
    sides = Sides(site_checks.names_of(survey), other)
    found = run_checks(
        prober,
        survey,
        sides,
        lambda domain: settle(lambda: _cache(prober, domain, sides, purged_at, pace, earlier)),
        before.model_copy(update={"appearance": earlier}),
    )
    whole = plan.options.database and not plan.options.tables
    found += site_checks.content_matches(
        survey.content,
        expected.content,
        database=whole,
        source_now=None if back or not whole else _source_now(prober, plan),
        since=max(expected.taken_at, plan.backup.requested_at) - CLOCKS_DIFFER * pace,
    )
    if plan.options.files:
        source = None if back else plan.pair.source
        arrived = files_arrived(prober, plan.pair.destination, source, survey.content, expected.content)
        found.append(site_checks.files_match(*arrived))
    if plan.options.database and not back:
        found += _leaks(prober, survey.install, sides)
    return tuple(found)


def _source_now(prober: Prober, plan: Plan) -> Content | None:
    seen = prober.content(plan.pair.source.primary_domain) if plan.pair.source.primary_domain else None
    return seen if seen is not None and seen.reachable else None


def check_install(prober: Prober, survey: Survey, other: Survey | None = None) -> tuple[Finding, ...]:
    """Check one install; with `other`, also for URLs of that install and for differences, which only warn."""
    sides = Sides(site_checks.names_of(survey), site_checks.names_of(other) if other else Names(frozenset()))
    found = run_checks(prober, survey, sides, lambda domain: _cache(prober, domain, sides))
    if other is not None:
        matching = site_checks.content_matches(survey.content, other.content, database=True)
        matching.append(
            site_checks.files_match(
                *files_arrived(prober, survey.install, other.install, survey.content, other.content)
            )
        )
        # Two installs may differ without a fault: a difference is shown and does not fail the install.
        found += [f if f.passed is not False else f.model_copy(update={"severity": Severity.WARN}) for f in matching]
        found += _leaks(prober, survey.install, sides)
    return tuple(found)


def run_checks(
    prober: Prober,
    survey: Survey,
    sides: Sides,
    check_cache: Callable[[str], Finding],
    before: Survey | None = None,
) -> list[Finding]:
    """Run the checks that need no second install. `check_cache` checks the cached front page of a domain.

    `before`: the install before the copy that is checked; None: there was no copy.
    """
    earlier = before.appearance if before is not None else None
    listed = [domain for domain in survey.domains or () if "*" not in domain.name]
    answers = prober.in_parallel({d.name: partial(prober.addresses, d.name) for d in listed})
    addresses = {name: seen for name, seen in answers.items() if seen is not None}
    pages = prober.in_parallel(
        {name: partial(prober.visit, name, fresh=True) for name, seen in addresses.items() if seen}
    )
    resolved = {name: min(seen, default="") for name, seen in addresses.items()}
    found = [site_checks.active(survey.install), *site_checks.domains(survey, resolved, pages, sides, earlier)]
    if prober.asks_dns:
        found += _dns(prober, survey.install, listed, addresses, pages)
    found += check_certificates(survey, utc_now())
    primary, multisite = survey.install.primary_domain, bool(survey.install.multisite)
    content = before.content if before is not None else None
    found.append(site_checks.home_is_own(survey.content, sides, primary, multisite=multisite, before=content))
    if primary is not None:
        fresh, robots = prober.visit(primary, fresh=True), prober.page(primary, "/robots.txt", fresh=True)
        found += [site_checks.front_page(fresh, sides, earlier), indexing(survey.install, fresh, robots, earlier)]
        found.append(check_cache(primary))
    return found


def _dns(
    prober: Prober,
    install: Install,
    listed: list[DomainName],
    addresses: dict[str, frozenset[str]],
    pages: dict[str, Page],
) -> list[Finding]:
    """Compare DNS with the records that the host requires, for every domain for which it reports them."""
    found = []
    targets = {each for domain in listed for each in domain.points_to if not _is_address(each)}
    behind = prober.in_parallel({target: partial(prober.addresses, target) for target in targets})
    for domain in listed:
        seen = addresses.get(domain.name, frozenset())
        if not domain.points_to or not seen:
            continue
        known = [frozenset({each}) if _is_address(each) else behind.get(each) for each in domain.points_to]
        wanted = _same_form(frozenset().union(*(each for each in known if each is not None)))
        if None in known and not _same_form(seen) & wanted:
            wanted = frozenset()  # the target that could not be resolved may be the right one
        primary = site_checks.is_primary(domain, install)
        found.append(site_checks.points_here(domain, _same_form(seen), wanted, pages.get(domain.name), primary=primary))
    return found


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _same_form(addresses: frozenset[str]) -> frozenset[str]:
    """Return the addresses in their canonical form: an IPv6 address has many forms."""
    return frozenset(str(ip_address(each)) if _is_address(each) else each for each in addresses)


def _cache(
    prober: Prober,
    domain: str,
    sides: Sides,
    purged_at: datetime | None = None,
    pace: float = 1.0,
    before: Appearance | None = None,
) -> Finding:
    cached = prober.visit(domain)
    since = (utc_now() - purged_at).total_seconds() / pace if purged_at else None
    fresh = (prober.visit(domain, fresh=True), prober.visit(domain, fresh=True))
    return site_checks.cache_is_fresh(cached, fresh, sides, since, before)


def _leaks(prober: Prober, install: Install, sides: Sides) -> list[Finding]:
    primary = install.primary_domain
    pages = [*prober.pages(primary), *prober.texts(primary)] if primary else []
    return site_checks.leaks(pages, sides, install)

"""Checks of a site: pure functions from facts to findings with a severity and an action.

Each check passes, fails or is not known. It fails only on something that no healthy site shows. After a copy, what the owner
of a site may want (hidden from search engines, closed to strangers, a home elsewhere) is compared with `before`: how the
destination was right before the call. It fails only if it was not so then.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from urllib.parse import urlsplit

from tasks.estate.outcomes import ACTIVE, CACHE, CONTENT, FILES_MATCH, FRONT_PAGE, HOME, LEAKS
from tasks.estate.plans import Finding, Severity
from tasks.estate.sites import Appearance, Content, DomainName, Install, Survey
from tasks.websites import markup
from tasks.websites.cache_freshness import freshness
from tasks.websites.fetcher import REDIRECTS, Page
from tasks.websites.findings import AS_BEFORE, finding
from tasks.websites.hosts_and_urls import Names, Sides, hosts_in, joined, to_host, writings_of

PROXIES = ("cf-ray", "x-sucuri-id", "x-amz-cf-id", "x-akamai-transformed", "x-iinfo", "x-served-by", "x-vercel-id")
OPTIONS = "Check the options home and siteurl, and the redirects in the portal."
# Answers to programs and to frequent requests: a person with a browser may see the site.
CHALLENGES = {"cf-mitigated": "challenge", "sg-captcha": "challenge"}
TOO_MANY = 429
BY_CHOICE = (403, 451)  # a list of addresses or countries that may see the site
LOGIN = "Set UNDERSTUDY_SITE_LOGINS for this install, or check the site in a browser."
BY_EDITORS = ("posts", "pages", "feed items")  # a comment appears when it is approved, long after its date
INSTALLER = ("/wp-admin/install.php", "/wp-admin/setup-config.php")
MINUTE = "%Y-%m-%d %H:%M"
SLASHES = ("//", r"\/\/", "%2f%2f")
TO_SEARCH = "wp search-replace '{old}' '{new}' --all-tables --precise --skip-columns=guid --report-changed-only"


def names_of(survey: Survey) -> Names:
    """Return all domains of an install."""
    return Names.of([survey.install.primary_domain, *(domain.name for domain in survey.domains or ())])


def is_primary(domain: DomainName, install: Install) -> bool:
    """Return whether this is the primary domain of the install, whatever form it is written in."""
    return domain.name == install.primary_domain or (
        to_host(domain.name) is not None and to_host(domain.name) == to_host(install.primary_domain)
    )


def active(install: Install) -> Finding:
    """Check that the status of the install is active."""
    known = install.status != "unknown"
    return finding(ACTIVE, install.status == "active" if known else None, f"status {install.status}",
                  action="Check the install in the host's portal.")  # fmt: skip


def domains(
    survey: Survey, resolved: dict[str, str], pages: dict[str, Page], sides: Sides, before: Appearance | None = None
) -> list[Finding]:
    """Check that each domain is verified, resolves and answers; the primary one blocks, the others warn."""
    if survey.domains is None:
        return [finding("domains", None, "the host did not list the domains")]
    findings = []
    if survey.install.primary_domain is None:
        findings.append(
            finding("primary domain", False, "the install has none", action="Set a primary domain in the portal.")
        )
    for domain in survey.domains:
        if "*" in domain.name:
            continue
        grade = Severity.BLOCK if is_primary(domain, survey.install) else Severity.WARN
        if domain.verified is False:
            findings.append(finding(f"{domain.name} verified", False, "the host has not verified it, so that it serves no traffic",
                                   bad=grade, action="Set the TXT record that the portal shows."))  # fmt: skip
        if domain.name not in resolved:
            findings.append(finding(f"{domain.name} resolves", None, "no name server answered in time"))
            continue
        address = resolved[domain.name]
        findings.append(finding(f"{domain.name} resolves", bool(address), address or "no address", bad=grade,
                               action="Correct the DNS records."))  # fmt: skip
        if address:
            page = pages.get(domain.name, Page("", None, {}, b"", "not requested within the time budget"))
            earlier = before if grade is Severity.BLOCK else None  # it is that of the primary domain
            findings.append(_answers(f"{domain.name} answers", page, sides, grade, earlier))
    return findings


def front_page(page: Page, sides: Sides, before: Appearance | None = None) -> Finding:
    """Check that the front page of the primary domain answers, stays on the site's own domains, and is of this site."""
    found = _answers(FRONT_PAGE, page, sides, Severity.BLOCK, before)
    if found.passed is not True:
        return found
    home = to_host(joined(page.url, markup.api_root(page.body, page.headers.get("link", "")) or ""))
    if home is not None and not sides.is_own(home):
        return finding(FRONT_PAGE, False, f"shows a page of {home}", action=OPTIONS)
    original = to_host(joined(page.url, markup.canonical(page.body) or ""))
    if original is not None and sides.is_other(original):
        return finding(FRONT_PAGE, False, f"its canonical URL is on {original}",
                      action="Correct the canonical URL: in the theme, or in the settings of the SEO plugin.")  # fmt: skip
    return found


def _answers(check: str, page: Page, sides: Sides, bad: Severity, before: Appearance | None = None) -> Finding:
    """Check a page for visitors. A redirect to the other install of the pair blocks on every domain, also if it was there before."""
    host = page.host
    if page.protected:
        return finding(check, None, "the site requires a login", action=LOGIN)
    if page.in_maintenance:
        return finding(check, None, "the site shows its maintenance page", action="Check again after the maintenance.")
    if page.status == TOO_MANY or any(page.headers.get(name) == value for name, value in CHALLENGES.items()):
        return finding(
            check, None, f"the site does not answer programs now (HTTP {page.status})", action="Open the site."
        )
    if page.status is None:
        known = page.for_everybody  # a site that is slow for us may be healthy for others
        return finding(check, False if known else None, page.detail, bad=bad, action="Open the site.")
    if page.status in BY_CHOICE and before is not None and before.status == page.status:
        return finding(check, None, f"HTTP {page.status}, {AS_BEFORE}", action="Open the site.")
    if page.status >= 400:
        return finding(check, False, f"HTTP {page.status}", bad=bad, action="Open the site; read the host's error log.")
    if host is None or not sides.is_own(host):
        other = host is not None and sides.is_other(host)
        if host is not None and not other and before is not None and before.host == host:
            return finding(check, None, f"redirects visitors to {host}, {AS_BEFORE}", action="Open the site.")
        detail = f"redirects visitors to {host}, " + (
            "the other install of the pair" if other else "which is not one of its domains"
        )
        return finding(check, False, detail, bad=Severity.BLOCK if other else bad,
                      action=OPTIONS)  # fmt: skip
    broken = _replaced_by(page)
    if broken:
        return finding(check, False, broken, bad=bad, action="Open the site; read the host's error log.")
    if page.status in REDIRECTS or not page.body.strip():
        what = "a redirect without a target" if page.status in REDIRECTS else "an empty page"
        known = page.status in (*REDIRECTS, 200)
        return finding(check, False if known else None, f"HTTP {page.status}, {what}", bad=bad, action="Open the site.")
    known = page.status in (200, 203)  # 203: a proxy changed the page on its way
    return finding(check, True if known else None, f"HTTP {page.status} on {host}", action="Open the site.")


def _replaced_by(page: Page) -> str:
    """Return which page of WordPress itself is shown instead of the site's page, or an empty string."""
    if urlsplit(page.url).path.endswith(INSTALLER):
        return "shows the installer of WordPress: its tables are missing"
    return "shows an error of WordPress" if markup.WP_ERROR.search(markup.visible(page.body)) else ""


def points_here(
    domain: DomainName, seen: frozenset[str], wanted: frozenset[str], page: Page | None, *, primary: bool
) -> Finding:
    """Check that DNS contains what the host requires. A domain behind a proxy points to the proxy and is not known."""
    check = f"{domain.name} points to the host"
    if not wanted:
        return finding(check, None, "the host does not report the DNS records that it requires")
    if seen & wanted:
        return finding(check, True, ", ".join(sorted(seen & wanted)))
    detail = f"{', '.join(sorted(seen))}; the host requires {', '.join(domain.points_to)}"
    if page is not None and any(name in page.headers for name in PROXIES):
        return finding(check, None, f"behind a proxy: {detail}")
    return finding(check, False, detail, bad=Severity.BLOCK if primary else Severity.WARN,
                  action=f"Correct the DNS records of {domain.name}: {' or '.join(domain.points_to)}.")  # fmt: skip


def leaks(pages: list[Page], sides: Sides, install: Install) -> list[Finding]:
    """Check that no page of the site contains a domain of the other install. The action is the search-replace command."""
    read = [page for page in pages if page.status == 200 and not page.protected]
    if not read or not sides.other.hosts or install.primary_domain is None:
        return [
            finding(LEAKS, None, "no page could be read" if not read else "no two domains to distinguish", action=LOGIN)
        ]
    found: dict[str, str] = {}
    written: dict[tuple[str, str], None] = {}
    below: dict[str, str] = {}
    for page in read:
        for host in hosts_in(page.body):
            if sides.is_other(host):
                found[host] = page.url.split("?")[0]
                written |= dict.fromkeys(writings_of(host, page.body))
            elif sides.is_below_other(host):
                below[host] = page.url.split("?")[0]
    where = ", ".join(f"{host} in {url}" for host, url in sorted(found.items()))
    whole = not any(page.cut for page in read) and read[0] is pages[0]
    passed = False if found else True if whole else None
    detail = where or (f"{len(read)} pages read" if whole else "the front page could not be read in full")
    findings = [finding(LEAKS, passed, detail, action=_replacing(written, install) if found else LOGIN)]
    if below:
        where = ", ".join(f"{host} in {url}" for host, url in sorted(below.items())[:5])
        findings.append(finding("no unlisted hosts of the source", False, where, bad=Severity.WARN,
                               action="Check whether these should be the site's own."))  # fmt: skip
    return findings


def _replacing(written: Iterable[tuple[str, str]], install: Install) -> str:
    """Return one command for each form of a URL that was found: `wp search-replace` finds a text only in the same form."""
    forms = sorted(written, key=lambda form: (form[1], SLASHES.index(form[0].lower())))
    commands = [
        TO_SEARCH.format(old=f"{slashes}{name}", new=f"{slashes}{install.primary_domain}") for slashes, name in forms
    ]
    return " && ".join(command + (" --network" if install.multisite else "") for command in commands)


def content_matches(
    now: Content,
    expected: Content,
    *,
    database: bool,
    source_now: Content | None = None,
    since: datetime | None = None,
) -> list[Finding]:
    """Check the public content against the source, in the collections that both sides have.

    A live source changes while it is copied: values between those of the source at the call and now are right. `since`: a time
    before the call. Additional content must be newer, otherwise this is not a copy of the source. None: the destination may
    have more and newer content.
    """
    if not database:
        return []
    now, expected = now.comparable_with(expected), expected.comparable_with(now)
    later = (source_now or expected).comparable_with(now)
    kinds = sorted(now.totals.keys() & expected.totals.keys())
    if not kinds:
        return [finding(CONTENT, None, now.detail or expected.detail or "the two sites have no public content in common",
                       action=LOGIN)]  # fmt: skip
    wrong = [text for kind in kinds for text in _differences(kind, now, expected, later, since)]
    detail = "; ".join(wrong) or f"totals {now.totals}, newest change {now.newest_change}"
    return [finding(CONTENT, not wrong, detail,
                   action="The copy is not complete. Do not use the site, and check the host's e-mail.")]  # fmt: skip


def _differences(kind: str, now: Content, at_call: Content, later: Content, since: datetime | None) -> Iterator[str]:
    """Yield what cannot be a copy of the source: too little, too old, or more than the source and older than the call."""
    total, wanted = now.totals[kind], at_call.totals[kind]
    least, most = sorted((wanted, later.totals.get(kind, wanted)))
    if total < least:
        yield f"{kind} {total} of {least}"
    newest, first = now.newest.get(kind), at_call.newest.get(kind)
    last = later.newest.get(kind, first)
    if newest is not None and first is not None and last is not None and newest < min(first, last):
        yield f"newest of {kind} {newest:{MINUTE}}, expected {min(first, last):{MINUTE}}"
    if since is None or kind not in BY_EDITORS or newest is None or newest > since:
        return
    if total > most:
        yield f"{kind} {total}, expected {most}: no item is newer than the copy"
    elif first is not None and last is not None and newest > max(first, last):
        yield f"newest of {kind} {newest:{MINUTE}}, before the copy, expected {max(first, last):{MINUTE}}"


def files_match(match: bool | None, detail: str) -> Finding:
    """Check that the copied files are served."""
    return finding(FILES_MATCH, match, detail, action="The files are not complete. Check the host's e-mail."
                  if match is False else "Compare a file of a theme or plugin on both sites.")  # fmt: skip


def home_is_own(
    now: Content, sides: Sides, own: str | None, *, multisite: bool = False, before: Content | None = None
) -> Finding:
    """Check that the home URL of the site is on a domain of its own, so that it was replaced."""
    home, site = to_host(now.home), to_host(now.site_url)
    scheme = "http" if (now.home or "").startswith("http:") else "https"
    action = f"wp option update home '{scheme}://{own}' && wp option update siteurl '{scheme}://{own}'"
    if multisite:
        action = TO_SEARCH.format(old=f"//{home}", new=f"//{own}") + " --network"
    foreign = next((host for host in (home, site) if host and sides.is_other(host)), None)
    if foreign is not None:
        return finding(
            HOME, False, f"home {now.home}, siteurl {now.site_url}: {foreign} is the other install", action=action
        )
    # Without a scheme, links made of it are broken.
    whole = (now.home or "").lower().startswith(("http://", "https://"))
    if home is None or own is None or not whole:
        return finding(HOME, None, now.detail or (f"home {now.home}" if now.home else "not known"), action=LOGIN)
    if not sides.is_own(home) and before is not None and to_host(before.home) == home:
        return finding(HOME, None, f"home {now.home}, {AS_BEFORE}, is on none of its domains", action="Open the site.")
    return finding(HOME, sides.is_own(home), f"home {now.home}", action=action)


def cache_is_fresh(
    cached: Page, fresh: tuple[Page, Page], sides: Sides, since_purge: float | None, before: Appearance | None = None
) -> Finding:
    """Check that the cached page is newer than the purge, or equal to a fresh page.

    An error or a redirect away from the site that only the cache has fails too, because visitors receive it.
    """
    action = "Purge the cache again, then start `diagnose` after a minute; a CDN takes up to five."
    bad = next((page for page in fresh if page.status != 200 or page.protected), None)
    if bad is not None:
        return finding(CACHE, None, bad.detail or f"HTTP {bad.status}", action=action)
    seen = _answers(CACHE, cached, sides, Severity.BLOCK, before)
    if seen.passed is not True:
        return finding(CACHE, seen.passed, f"from the cache: {seen.detail}", action=action)
    passed, detail = freshness(cached, fresh, since_purge)
    return finding(CACHE, passed, detail, action=action)

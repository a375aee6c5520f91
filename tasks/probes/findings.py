"""What the readings mean: pure functions from facts to graded findings, each with what to do about it."""

import re

from tasks.estate.plans import Finding, Severity
from tasks.estate.sites import Content, Install, Survey
from tasks.probes.websites import Page

VOLATILE = re.compile(rb"understudy=[0-9a-f]{32}|nonce[\"'=: ]+[0-9a-f]{10}")


def _found(
    check: str, passed: bool | None, detail: str, *, bad: Severity = Severity.BLOCK, action: str = ""
) -> Finding:
    grade = {True: Severity.INFO, False: bad, None: Severity.UNKNOWN}[passed]
    return Finding(check=check, passed=passed, severity=grade, detail=detail, action="" if passed else action)


def active(install: Install) -> Finding:
    """The host calls the install active."""
    known = install.status != "unknown"
    return _found("install active", install.status == "active" if known else None, f"status {install.status}",
                  action="Look at the install in the host's portal.")  # fmt: skip


def domains(survey: Survey, resolved: dict[str, str], pages: dict[str, Page]) -> list[Finding]:
    """Each domain is verified, resolves and answers; the primary one blocks, the others warn."""
    if survey.domains is None:
        return [_found("domains", None, "the host did not list them")]
    findings = []
    if survey.install.primary_domain is None:
        findings.append(
            _found("primary domain", False, "the install has none", action="Set a primary domain in the portal.")
        )
    for domain in survey.domains:
        grade = Severity.BLOCK if domain.name == survey.install.primary_domain else Severity.WARN
        if domain.verified is False:
            findings.append(_found(f"{domain.name} verified", False, "the host has not verified it: it serves no traffic",
                                   bad=grade, action="Set the TXT record that the portal shows."))  # fmt: skip
        address = resolved.get(domain.name, "")
        findings.append(_found(f"{domain.name} resolves", bool(address), address or "no address", bad=grade,
                               action="Correct the DNS records."))  # fmt: skip
        page = pages.get(domain.name)
        if page is not None:
            good = page.status is not None and page.status < 400
            findings.append(_found(f"{domain.name} answers", good, page.detail or f"HTTP {page.status}", bad=grade,
                                   action="Open the site; read the host's error log."))  # fmt: skip
    return findings


def leaks(pages: list[Page], own: str | None, foreign: str | None) -> Finding:
    """No page of the site names the other side's domain. The action is the exact search-replace command."""
    check = "no URLs of the source in pages"
    read = [page for page in pages if page.status == 200]
    if own is None or foreign is None or own == foreign or not read:
        return _found(check, None, "no page could be read" if not read else "no two domains to tell apart")
    leaking = [
        page.url.split("?")[0] for page in read if re.search(rb"(?<![\w.-])" + re.escape(foreign.encode()), page.body)
    ]
    command = f"wp search-replace '//{foreign}' '//{own}' --all-tables --precise --report-changed-only"
    detail = f"{foreign} found in {', '.join(leaking)}" if leaking else f"{len(read)} pages read"
    return _found(check, not leaking, detail, action=command)


def content_matches(now: Content, expected: Content, *, database: bool, files: bool) -> list[Finding]:
    """What travelled is what is served: public content with the database, asset versions with the files."""
    if not now.reachable or not expected.reachable:
        return [_found("content matches", None, now.detail or expected.detail or "could not be read")]
    findings = []
    if database:
        same = {k: (now.totals.get(k, 0), v) for k, v in expected.totals.items()}
        short = [f"{k} {have} of {want}" for k, (have, want) in same.items() if have < want]
        older = bool(
            expected.newest_change and (now.newest_change is None or now.newest_change < expected.newest_change)
        )
        detail = "; ".join(short) or f"totals {now.totals}, newest change {now.newest_change}"
        findings.append(_found("content matches the source", not short and not older, detail,
                               action="The copy is not complete: do not use the site; look for the host's e-mail."))  # fmt: skip
    if files:
        known = expected.files_marker is not None
        passed = now.files_marker == expected.files_marker if known else None
        findings.append(_found("files match the source", passed, f"assets {now.files_marker}, expected {expected.files_marker}",
                               action="The files did not arrive in full; look for the host's e-mail."))  # fmt: skip
    return findings


def home_is_own(now: Content, own: str | None) -> Finding:
    """The site calls its own domain home: URL replacement reached it."""
    if not now.reachable or now.home is None or own is None:
        return _found("home is the site's own domain", None, now.detail or "not told")
    return _found("home is the site's own domain", own in now.home, f"home {now.home}",
                  action=f"wp option update home '//{own}' && wp option update siteurl '//{own}'")  # fmt: skip


def cache_is_fresh(cached: Page, fresh: Page) -> Finding:
    """What a visitor gets from the cache is what the site makes now."""
    if cached.status != 200 or fresh.status != 200:
        return _found(
            "cache is fresh", None, cached.detail or fresh.detail or f"HTTP {cached.status} and {fresh.status}"
        )
    same = VOLATILE.sub(b"", cached.body) == VOLATILE.sub(b"", fresh.body)
    seen = f"x-cache {cached.headers.get('x-cache', 'absent')}, age {cached.headers.get('age', 'absent')}"
    return _found("cache is fresh", same, seen if same else f"the cached page differs from the fresh one ({seen})",
                  action="Purge the cache again: start `diagnose` after a minute; a CDN takes up to five.")  # fmt: skip


def indexing(install: Install, front: Page) -> Finding:
    """Production may be found by search engines, everything else must not be."""
    if front.status != 200:
        return _found("indexing", None, front.detail or f"HTTP {front.status}")
    hidden = b"noindex" in front.body.lower() or "noindex" in front.headers.get("x-robots-tag", "").lower()
    if install.environment.value == "production":
        return _found("production may be indexed", not hidden, "noindex" if hidden else "no noindex",
                      action="wp option update blog_public 1")  # fmt: skip
    return _found("staging is not indexed", hidden, "noindex" if hidden else "no noindex", bad=Severity.WARN,
                  action="wp option update blog_public 0")  # fmt: skip

"""How a front page appears to visitors and search engines, and the check of the latter."""

from tasks.estate.plans import Finding, Severity
from tasks.estate.sites import Appearance, Environment, Install
from tasks.websites import markup
from tasks.websites.fetcher import Page
from tasks.websites.findings import AS_BEFORE, finding


def appearance_of(front: Page, robots: Page) -> Appearance:
    """Return how an install appears. `front`: its front page as a visitor reaches it, `robots`: its robots.txt."""
    read = front.status == 200 and not front.protected
    return Appearance(
        status=front.status,
        host=front.host if front.status is not None else None,
        hidden=bool(_hidden_by(front) or _forbidden_by(robots)) if read else None,
    )


def indexing(install: Install, front: Page, robots: Page, before: Appearance | None = None) -> Finding:
    """Check that search engines may index production and nothing else. `robots`: its robots.txt.

    A production that was hidden before the copy too is noted: that is the owner's choice, or another fault than this copy's.
    """
    production = install.environment is Environment.PRODUCTION
    check = "production may be indexed" if production else "staging is not indexed"
    if front.status != 200 or front.protected:
        hidden = front.protected  # a page with a login is not indexed
        return finding(check, True if hidden and not production else None, front.detail or f"HTTP {front.status}")
    noindex = _hidden_by(front)
    if not production:
        return finding(check, bool(noindex), noindex or "no noindex", bad=Severity.WARN,
                      action="wp option update blog_public 0")  # fmt: skip
    by = noindex or _forbidden_by(robots)
    action = "wp option update blog_public 1" if noindex else "Correct or remove robots.txt."
    if not by or before is None or before.hidden is False:
        was = "; it was hidden before the copy" if not by and before is not None and before.hidden else ""
        return finding(check, not by, (by or "no noindex") + was, action=action)
    if before.hidden is None:
        return finding(check, None, f"{by}; how it was before the copy is not known", action=action)
    return finding(check, False, f"{by}, {AS_BEFORE}", bad=Severity.INFO)


def _hidden_by(front: Page) -> str:
    """Return what in the front page hides the site from search engines, or an empty string."""
    return "noindex" if markup.hides_from_search(front.body, front.headers.get("x-robots-tag", "")) else ""


def _forbidden_by(robots: Page) -> str:
    """Return that the robots.txt forbids the whole site, or an empty string."""
    is_text = robots.status == 200 and "html" not in robots.headers.get("content-type", "")
    return "robots.txt forbids the whole site" if is_text and markup.forbids_search(robots.body) else ""
